from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import Address, Transport
from streamproxy.sniff.pcap import MOST_BYTES, CaptureError, first_words
from streamproxy.testing import hello_bytes

CLIENT, SERVER = Address("192.0.2.1", 40000), Address("192.0.2.2", 443)
CLIENT6, SERVER6 = Address("2001:db8::1", 40000), Address("2001:db8::2", 443)
SYN, ACK = 0x02, 0x10


def ip(source: Address, destination: Address, protocol: int, body: bytes, extension: bytes = b"") -> bytes:
    ends = b"".join(ipaddress.ip_address(each.host).packed for each in (source, destination))
    if ":" in source.host:
        kind = 0 if extension else protocol
        rest = extension + body
        return struct.pack(">IHBB", 6 << 28, len(rest), kind, 64) + ends + rest
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + ends + body


def tcp(source: Address, destination: Address, sequence: int, data: bytes = b"", flags: int = ACK) -> bytes:
    head = struct.pack(">HHIIBBHHH", source.port, destination.port, sequence, 0, 5 << 4, flags, 1000, 0, 0)
    return ip(source, destination, 6, head + data)


def udp(source: Address, destination: Address, data: bytes) -> bytes:
    return ip(source, destination, 17, struct.pack(">HHHH", source.port, destination.port, 8 + len(data), 0) + data)


def ether(packet: bytes, *vlans: int) -> bytes:
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    tags = b"".join(struct.pack(">HH", vlan, 1) for vlan in vlans)
    return bytes(12) + tags + struct.pack(">H", kind) + packet


def pcap(frames: Sequence[bytes], link: int = 1, order: str = "<", magic: int = 0xA1B2C3D4) -> bytes:
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    return head + b"".join(struct.pack(f"{order}IIII", 0, 0, len(frame), len(frame)) + frame for frame in frames)


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + size + body + size


def pcapng(frames: Sequence[bytes], link: int = 1, order: str = "<", *, simple: bool = False) -> bytes:
    blocks = block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    blocks += block(order, 1, struct.pack(f"{order}HHI", link, 0, 0))
    for frame in frames:
        if simple:
            blocks += block(order, 3, struct.pack(f"{order}I", len(frame)) + frame)
        else:
            blocks += block(order, 6, struct.pack(f"{order}IIIII", 0, 0, 0, len(frame), len(frame)) + frame)
    return blocks


def conversation(client: Address = CLIENT, server: Address = SERVER, *words: bytes) -> list[bytes]:
    """A handshake, the server's greeting, and what the client says, in as many segments."""
    packets = [
        tcp(client, server, 99, flags=SYN),
        tcp(server, client, 499, flags=SYN | ACK),
        tcp(server, client, 500, b"220 hello"),
    ]
    sequence = 100
    for word in words:
        packets.append(tcp(client, server, sequence, word))
        sequence += len(word)
    return packets


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_the_first_words_of_a_client(order: str, magic: int) -> None:
    hello = hello_bytes("pg.example.com", post_quantum=True)
    frames = [ether(packet) for packet in conversation(CLIENT, SERVER, hello[:1400], hello[1400:])]

    found = first_words(pcap(frames, order=order, magic=magic))

    assert (found.transport, found.peer, found.local, found.data) == (Transport.TCP, CLIENT, SERVER, hello)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("simple", [False, True])
def test_of_wireshark(order: str, simple: bool) -> None:
    frames = [ether(packet) for packet in conversation(CLIENT6, SERVER6, b"hello")]
    found = first_words(pcapng(frames, order=order, simple=simple))
    assert (found.peer, found.data) == (CLIENT6, b"hello")


@pytest.mark.parametrize(
    ("link", "before"),
    [
        (101, b""),
        (228, b""),
        (0, b"\2\0\0\0"),
        (108, b"\0\0\0\2"),
        (113, bytes(14) + b"\x08\0"),
        (276, b"\x08\0" + bytes(18)),
    ],
)
def test_links_of_other_kinds(link: int, before: bytes) -> None:
    frames = [before + packet for packet in conversation(CLIENT, SERVER, b"hello")]
    assert first_words(pcap(frames, link)).data == b"hello"


def test_tags_of_networks() -> None:
    frames = [ether(packet, 0x88A8, 0x8100) for packet in conversation(CLIENT, SERVER, b"hello")]
    assert first_words(pcap(frames)).data == b"hello"


def test_segments_are_put_in_order_and_what_comes_twice_counts_once() -> None:
    packets = conversation(CLIENT, SERVER, b"one ", b"two ", b"three")
    mixed = [*packets[:3], packets[5], packets[4], packets[3], packets[4]]
    assert first_words(pcap([ether(packet) for packet in mixed])).data == b"one two three"


def test_a_segment_that_is_missing_ends_it() -> None:
    packets = conversation(CLIENT, SERVER, b"one ", b"two ", b"three")
    del packets[4]
    assert first_words(pcap([ether(packet) for packet in packets])).data == b"one "


def test_sequence_numbers_wrap() -> None:
    packets = [
        tcp(CLIENT, SERVER, 0xFFFFFFFE, flags=SYN),
        tcp(CLIENT, SERVER, 0xFFFFFFFF, b"ab"),
        tcp(CLIENT, SERVER, 1, b"cd"),
    ]
    assert first_words(pcap([ether(packet) for packet in packets])).data == b"abcd"


def test_a_capture_that_began_too_late() -> None:
    packets = [tcp(CLIENT, SERVER, 7, b"hello"), tcp(SERVER, CLIENT, 9, b"answer")]
    found = first_words(pcap([ether(packet) for packet in packets]))
    assert (found.peer, found.data) == (CLIENT, b"hello")


def test_a_client_that_says_too_much() -> None:
    words = [bytes(60_000)] * 3
    packets = conversation(CLIENT, SERVER, *words)
    assert len(first_words(pcap([ether(packet) for packet in packets])).data) == MOST_BYTES


def test_a_datagram_where_there_is_no_connection() -> None:
    frames = [ether(udp(CLIENT6, SERVER6, b"query")), ether(udp(SERVER6, CLIENT6, b"answer"))]
    found = first_words(pcap(frames))
    assert (found.transport, found.peer, found.data) == (Transport.UDP, CLIENT6, b"query")


def test_an_extension_header() -> None:
    body = struct.pack(">HHHH", 40000, 443, 13, 0) + b"query"
    packet = ip(CLIENT6, SERVER6, 17, body, bytes([17, 0, 1, 4, 0, 0, 0, 0]))
    assert first_words(pcap([ether(packet)])).data == b"query"


@pytest.mark.parametrize(
    ("capture", "why"),
    [
        (b"", "too short"),
        (bytes(100), "neither"),
        (pcap([]), "nobody says"),
        (pcap([b"", bytes(10), ether(b"\x45"), ether(b"\x60"), ether(b"\x10"), bytes(14)]), "nobody says"),
        (pcap([ether(packet) for packet in conversation()]), "nobody says"),
        (pcap([ether(tcp(CLIENT, SERVER, 1, b"x"))], link=9999), "nobody says"),
        (pcap([])[:24] + struct.pack("<IIII", 0, 0, 1 << 30, 0), "too large"),
        (pcapng([])[:28] + struct.pack("<II", 6, 1 << 30) + bytes(20), "wrong length"),
        (pcapng([])[:28] + struct.pack("<II", 6, 4) + bytes(20), "wrong length"),
    ],
)
def test_what_cannot_be_used(capture: bytes, why: str) -> None:
    with pytest.raises(CaptureError, match=why):
        first_words(capture)


def test_a_fragment_is_passed_over() -> None:
    packet = bytearray(udp(CLIENT, SERVER, b"query"))
    packet[7] = 1
    with pytest.raises(CaptureError, match="nobody"):
        first_words(pcap([ether(bytes(packet))]))


CAPTURE = pcapng([ether(packet) for packet in conversation(CLIENT, SERVER, b"hello")])


@given(st.binary(max_size=300), st.sampled_from([pcap([]), pcapng([]), CAPTURE]), st.integers(0, 400))
def test_nothing_breaks_it(noise: bytes, capture: bytes, at: int) -> None:
    try:
        first_words(capture[:at] + noise + capture[at:])
    except CaptureError:
        pass
