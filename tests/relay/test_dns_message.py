"""DNS messages: what honest servers say is understood, and nothing that is said does harm."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.relay.dns import message
from streamproxy.relay.dns.message import (
    AAAA,
    CNAME,
    SOA,
    SRV,
    A,
    Chain,
    MessageError,
    Question,
    Record,
    Service,
    decode_reply,
    encode_question,
    follow,
)

from .dns_wire import NAME_AT, address, alias, name, offer, record, reply, soa

WWW = Question("www.example.test", A)


def test_a_question_on_the_wire() -> None:
    assert encode_question(0x1234, Question("a.b", SRV), extended=False) == bytes.fromhex(
        "1234 0100 0001 0000 0000 0000 0161 0162 00 0021 0001"
    )
    extended = encode_question(1, Question("", A))
    assert extended[4:12] == bytes.fromhex("0001 0000 0000 0001")
    assert extended.endswith(bytes.fromhex("00 0029 04d0 00000000 0000")), "an OPT record that offers 1232 bytes"


@pytest.mark.parametrize("text", ["a..b", "a" * 64, "b\u00fccher", ".".join(["a" * 50] * 6), "a."])
def test_what_is_no_name_is_not_asked(text: str) -> None:
    with pytest.raises(ValueError):
        encode_question(1, Question(text, A))


def test_addresses_services_and_aliases() -> None:
    found = decode_reply(
        reply(
            WWW,
            alias("WWW.example.test", "real.example.test", ttl=7),
            address("real.example.test", "192.0.2.1"),
            address("real.example.test", "2001:db8::1"),
            offer("_x._tcp.example.test", 1, 2, 3, "h.example.test"),
            record(name("t.example.test"), 16, b"\x03abc"),
            record(name("c.example.test"), A, b"\x01\x02\x03\x04", network=3),
        )
    )
    assert (found.id, found.code, found.code_name, found.question) == (1, 0, "code 0", WWW)
    assert found.answers == (
        Record("www.example.test", CNAME, 7, "real.example.test"),
        Record("real.example.test", A, 60, "192.0.2.1"),
        Record("real.example.test", AAAA, 60, "2001:db8::1"),
        Record("_x._tcp.example.test", SRV, 60, Service(1, 2, 3, "h.example.test")),
    )


def test_names_may_point_to_others() -> None:
    pointer = struct.pack("!H", 0xC000 | NAME_AT)
    found = decode_reply(
        reply(WWW, record(pointer, CNAME, b"\x01x" + pointer), record(b"\x01x" + pointer, A, bytes(4)))
    )
    assert found.answers[0].data == "x.www.example.test"
    assert found.answers[1].name == "x.www.example.test"


def test_a_denial_says_for_how_long() -> None:
    denial = decode_reply(reply(WWW, code=3, authority=[soa("example.test", ttl=900, minimum=20)]))
    assert (denial.code_name, denial.negative_ttl) == ("NXDOMAIN", 20)
    assert decode_reply(reply(WWW, authority=[soa("example.test", ttl=5, minimum=20)])).negative_ttl == 5
    assert decode_reply(reply(WWW, authority=[record(name("x"), 2, name("y"))])).negative_ttl is None


def test_a_ttl_of_more_than_31_bits_is_none() -> None:
    assert decode_reply(reply(WWW, address("a", "192.0.2.1", ttl=0xFFFFFFFF))).answers[0].ttl == 0


def test_of_a_truncated_message_only_the_head_is_read() -> None:
    found = decode_reply(reply(WWW, flags=0x8200) + b"\xff")
    assert found.truncated
    assert found.question == WWW


def test_labels_that_no_host_has_are_told_apart() -> None:
    dotted = decode_reply(reply(WWW, record(b"\x03a.b\x00", A, bytes(4)))).answers[0].name
    assert dotted == "a\\046b"
    assert decode_reply(reply(WWW, record(b"\x02\xc3\xbc\x00", A, bytes(4)))).answers[0].name == "\\195\\188"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "too early"),
        (b"\0" * 11, "too early"),
        (encode_question(1, WWW), "no reply"),
        (struct.pack("!HHHHHH", 1, 0x8000, 2, 0, 0, 0), "no reply"),
        (struct.pack("!HHHHHH", 1, 0x8800, 0, 0, 0, 0), "no reply"),
        (struct.pack("!HHHHHH", 1, 0x8000, 1, 0, 0, 0) + name("x") + b"\0\1\0\3", "another network"),
        (struct.pack("!HHHHHH", 1, 0x8000, 0, 1000, 1000, 0), "2000 records"),
        (reply(WWW, address("a", "192.0.2.1"))[:-1], "too early"),
        (reply(WWW, record(name("a"), A, bytes(5))), "A record of the wrong length"),
        (reply(WWW, record(name("a"), AAAA, bytes(4))), "AAAA record of the wrong length"),
        (reply(WWW, record(name("a"), CNAME, name("b") + b"x")), "CNAME record of the wrong length"),
        (reply(WWW, record(name("a"), SRV, bytes(6) + name("b") + b"x")), "SRV record of the wrong length"),
        (reply(WWW, authority=[record(name("a"), SOA, name("b") + name("c") + bytes(16))]), "SOA record"),
        (reply(WWW, record(b"\xc0\xff", A, bytes(4))), "leads nowhere"),
        (reply(WWW, record(b"\x01a\xc0\x22", A, bytes(4))), "nowhere|too long"),
        (reply(WWW, record(b"\x40" + bytes(65), A, bytes(4))), "unknown kind"),
        (reply(WWW, record(b"\x3f" + b"a" * 10, A, b"")), "too long|too early"),
        (reply(WWW, record((b"\x3f" + b"a" * 63) * 5 + b"\0", A, bytes(4))), "too long"),
    ],
)
def test_what_is_no_reply_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MessageError, match=why):
        decode_reply(data)


def test_a_chain_of_pointers_ends() -> None:
    # Each points at the one before, so that all lead backwards, and there are more than anybody needs.
    first = len(reply(WWW)) + 1 + 10
    pointers = b"".join(struct.pack("!H", 0xC000 | (NAME_AT if n == 0 else first + 2 * n - 2)) for n in range(100))
    far = struct.pack("!H", 0xC000 | first + 198)
    with pytest.raises(MessageError, match="leads nowhere"):
        decode_reply(reply(WWW, record(b"\0", 99, pointers), record(far, A, bytes(4))))


@given(st.binary(max_size=300))
def test_noise_is_refused_or_read(noise: bytes) -> None:
    try:
        decode_reply(noise)
    except MessageError:
        pass


@given(st.data())
def test_a_reply_with_bytes_changed_is_refused_or_read(data: st.DataObject) -> None:
    good = bytearray(
        reply(
            WWW,
            alias("www.example.test", "b.example.test"),
            offer("b.example.test", 1, 2, 3, "h.example.test"),
            authority=[soa("example.test", 1, 1)],
        )
    )
    for _ in range(data.draw(st.integers(1, 5))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode_reply(bytes(good[: data.draw(st.integers(0, len(good)))]))
        follow(found.answers, WWW)
    except MessageError:
        pass


LABELS = st.lists(st.text("abcz09-_", min_size=1, max_size=20), min_size=1, max_size=8)


@given(LABELS, st.sampled_from([A, AAAA, SRV]), st.integers(0, 65535))
def test_a_question_comes_back_as_it_was(labels: list[str], kind: int, number: int) -> None:
    question = Question(".".join(labels), kind)
    sent = encode_question(number, question, extended=False)
    found = decode_reply(sent[:2] + b"\x81" + sent[3:])
    assert (found.id, found.question) == (number, question)


# Aliases


def test_aliases_are_followed_in_any_order() -> None:
    records = (
        Record("c", A, 30, "192.0.2.1"),
        Record("b", CNAME, 20, "c"),
        Record("a", CNAME, 40, "b"),
        Record("c", A, 30, "192.0.2.1"),
        Record("c", A, 30, "192.0.2.2"),
        Record("other", A, 1, "192.0.2.66"),
    )
    assert follow(records, Question("a", A)) == Chain("c", ("192.0.2.1", "192.0.2.2"), 20)
    assert follow(records, Question("a", AAAA)) == Chain("c", (), 20)
    assert follow((), Question("a", A)) == Chain("a", (), None)


def test_aliases_in_a_circle() -> None:
    with pytest.raises(MessageError, match="circles"):
        follow((Record("a", CNAME, 1, "b"), Record("b", CNAME, 1, "a")), Question("a", A))


def test_what_questions_and_codes_are_called() -> None:
    assert str(WWW) == "www.example.test A"
    assert str(Question("x", 99)) == "x 99"
    assert message.Reply(1, 5).code_name == "REFUSED"
