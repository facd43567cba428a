"""Reading the client id of MQTT clients, of both versions, good and bad, whole and in pieces."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamproxy.sniff import MAX_CONNECT, Hit, Miss, MqttConnect, Need, sniff_mqtt_connect

from .feeding import feed, is_final, patient, value, why

SHORT = "the CONNECT packet is shorter than what it holds"


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def variable(number: int) -> bytes:
    """A variable byte integer."""
    encoded = bytearray()
    while True:
        number, low = divmod(number, 128)
        encoded.append(low | (0x80 if number else 0))
        if not number:
            return bytes(encoded)


def connect(
    client_id: str | bytes = "foo",
    *,
    protocol: bytes = b"MQTT",
    level: int = 4,
    properties: bytes | None = None,
    rest: bytes = b"",
    first: int = 0x10,
    length: bytes | None = None,
) -> bytes:
    """``rest`` is what follows the client id in the packet; ``length`` replaces the right one."""
    name = client_id.encode() if isinstance(client_id, str) else client_id
    between = b"" if properties is None else variable(len(properties)) + properties
    body = sized(protocol) + bytes((level, 2, 0, 60)) + between + sized(name) + rest
    return bytes((first,)) + (variable(len(body)) if length is None else length) + body


# Texts as MQTT has them.
texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40)
packets = st.builds(
    connect,
    texts,
    protocol=texts.map(str.encode),
    level=st.integers(0, 4) | st.integers(6, 255),
    rest=st.binary(max_size=20),
    first=st.integers(0x10, 0x1F),
) | st.builds(connect, texts, level=st.just(5), properties=st.binary(max_size=300), rest=st.binary(max_size=20))


def test_mqtt_3_1_1() -> None:
    # The example of the specification, section 3.1.
    packet = bytes.fromhex("100f 0004 4d515454 04 02 003c 0003 666f6f")
    assert sniff_mqtt_connect(packet) == Hit(MqttConnect("MQTT", 4, "foo"), len(packet))


def test_mqtt_5_and_its_properties() -> None:
    packet = bytes.fromhex("101b 0004 4d515454 05 02 003c 05 1100000e10 0009") + b"clint-111"
    assert sniff_mqtt_connect(packet) == Hit(MqttConnect("MQTT", 5, "clint-111"), len(packet))


def test_mqtt_3_1() -> None:
    assert value(sniff_mqtt_connect(connect(protocol=b"MQIsdp", level=3))) == MqttConnect("MQIsdp", 3, "foo")


def test_a_client_may_leave_its_id_to_the_server() -> None:
    assert value(sniff_mqtt_connect(connect(""))).client_id == ""
    assert value(sniff_mqtt_connect(connect("", level=5, properties=b""))).client_id == ""


def test_nothing_behind_the_id_is_waited_for() -> None:
    packet = connect("foo", rest=sized(b"will") + sized(b"x" * 60_000))
    found = sniff_mqtt_connect(packet[:20])
    assert isinstance(found, Hit)
    assert value(found).client_id == "foo"
    assert packet[: found.consumed].endswith(b"foo")


def test_a_name_of_64_kib_is_read() -> None:
    longest = "i" * 65_535
    assert value(sniff_mqtt_connect(connect(longest))).client_id == longest
    assert value(sniff_mqtt_connect(connect(longest, level=5, properties=b"p" * 8_000))).client_id == longest


def test_properties_without_end_are_not() -> None:
    packet = connect("foo", level=5, properties=b"p" * MAX_CONNECT)
    assert why(sniff_mqtt_connect(packet)) == f"the client id does not end in the first {MAX_CONNECT} bytes"
    assert feed(sniff_mqtt_connect, packet).seen < 50, "that was plain from their length"


@pytest.mark.parametrize("first", [0, 0x0F, 0x20, 0x30, 0x16, 0xFF, ord("G")])
def test_another_first_byte_is_something_else(first: int) -> None:
    found = sniff_mqtt_connect(bytes((first,)))
    if first >> 4 == 1:
        assert found == Need(2)
    else:
        assert why(found) == f"Received unexpected MQTT packet type+flags: {first}"


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\x80\x80\x80\x80\x01"])
def test_a_length_has_four_bytes_at_most(length: bytes) -> None:
    assert why(sniff_mqtt_connect(connect(length=length))) == "a length has more than four bytes"


def test_the_length_of_the_properties_too() -> None:
    packet = connect(level=5, properties=b"\xff\xff\xff\xff\xff")
    broken = packet.replace(variable(5) + b"\xff", b"\xff\xff", 1)
    assert why(sniff_mqtt_connect(broken)) == "a length has more than four bytes"


@pytest.mark.parametrize("missing", range(1, 16))
def test_no_field_reaches_beyond_the_packet(missing: int) -> None:
    length = len(connect()) - 2 - missing
    assert why(sniff_mqtt_connect(connect(length=variable(length)) + b"and the next packet")) == SHORT


def test_an_id_or_protocol_that_is_no_text_is_refused() -> None:
    assert why(sniff_mqtt_connect(connect(b"\xff\xfe"))) == "the client id is not UTF-8"
    assert why(sniff_mqtt_connect(connect(b"\xed\xa0\x80"))) == "the client id is not UTF-8"
    assert why(sniff_mqtt_connect(connect("a\0b"))) == "the client id has a NUL in it"
    assert why(sniff_mqtt_connect(connect(protocol=b"\xff"))) == "the protocol name is not UTF-8"


@patient
@given(packets)
def test_what_was_written_is_read(packet: bytes) -> None:
    found = sniff_mqtt_connect(packet + b"\x30\x00")
    assert isinstance(found, Hit), f"{packet.hex()}: {found}"
    assert found.consumed <= len(packet)


@patient
@given(texts, st.integers(0, 255), texts)
def test_each_field_is_what_it_was(client_id: str, level: int, protocol: str) -> None:
    packet = connect(client_id, level=level, protocol=protocol.encode(), properties=b"" if level == 5 else None)
    assert value(sniff_mqtt_connect(packet)) == MqttConnect(protocol, level, client_id)


@patient
@given(packets)
def test_a_packet_may_come_in_pieces(packet: bytes) -> None:
    fed = feed(sniff_mqtt_connect, packet)
    assert fed.verdict == sniff_mqtt_connect(packet)
    assert fed.asks <= 16


mixed: st.SearchStrategy[bytes] = st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\x10" + tail)
mutated: st.SearchStrategy[bytes] = st.builds(
    lambda packet, at, byte: packet[: at % len(packet)] + bytes((byte,)) + packet[at % len(packet) + 1 :],
    packets,
    st.integers(0, 400),
    st.integers(0, 255),
)


@patient
@example(b"\x10\x7f", 1)
@given(mixed | mutated, st.integers(0, 60))
def test_whatever_comes_it_makes_up_its_mind_once(data: bytes, cut: int) -> None:
    found = sniff_mqtt_connect(data)
    assert isinstance(found, (Hit, Miss, Need))
    assert not isinstance(found, Need) or len(data) < found.at_least <= MAX_CONNECT
    assert is_final(sniff_mqtt_connect, data, cut)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_window_will_do(kind: Callable[[bytes], bytes]) -> None:
    assert value(sniff_mqtt_connect(kind(connect()))).client_id == "foo"
