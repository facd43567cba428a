"""StartTLS between a directory and its client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.sniff import Hit, Miss, Need
from streamproxy.sniff.starttls import MAX_PREAMBLE, Done, Plain, Refuse, Upgrade
from streamproxy.sniff.starttls.ldap import LdapAsk, LdapPreamble, sniff_start_tls

from ..feeding import feed, is_final, patient
from .playing import HELLO, play, refused

# As OpenLDAP's client sends it, and what its server answers.
OID = b"1.3.6.1.4.1.1466.20037"
START_TLS = bytes.fromhex("301d02010177188016") + OID
SUCCESS = bytes.fromhex("300c02010178070a010004000400")
ANONYMOUS_BIND = bytes.fromhex("300c020101600702010304008000")
NO_LDAP = "what the target sent is no LDAP: "
UNBIND = bytes.fromhex("30050201024200")
ABANDON = bytes.fromhex("3006020102500101")


def tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    assert len(content) < 128
    return bytes((tag, len(content))) + content


def start_tls(number: bytes = b"\1", *controls: bytes, value: bytes = b"", oid: bytes = OID) -> bytes:
    return tlv(0x30, tlv(2, number), tlv(0x77, tlv(0x80, oid), value), *controls)


def control(*, critical: bool | None) -> bytes:
    criticality = b"" if critical is None else tlv(1, b"\xff" if critical else b"\0")
    return tlv(0xA0, tlv(0x30, tlv(4, b"2.16.840.1.113730.3.4.2"), criticality, tlv(4, b"\1\xff")))


def response(operation: int, code: int, words: str, number: int = 1) -> bytes:
    return tlv(0x30, tlv(2, bytes((number,))), tlv(operation, tlv(10, bytes((code,))), tlv(4), tlv(4, words.encode())))


class TestAnswering:
    def test_it_says_nothing_first(self) -> None:
        assert LdapPreamble().opening() == b""

    def test_a_client_asks_for_tls(self) -> None:
        result = tlv(10, b"\0") + tlv(4) + tlv(4) + tlv(0x8A, OID)
        answer = tlv(0x30, tlv(2, b"\1"), tlv(0x78, result))
        assert LdapPreamble().step(START_TLS) == Upgrade(len(START_TLS), answer)

    @pytest.mark.parametrize("number", [b"\1", b"\x7f", b"\0\x80", b"\x7f\xff\xff\xff", b"\0\0\1"])
    def test_the_answer_has_the_requests_id(self, number: bytes) -> None:
        step = LdapPreamble().step(start_tls(number))
        assert isinstance(step, Upgrade)
        assert int.from_bytes(number, "big") == int.from_bytes(step.send[4 : 4 + step.send[3]], "big")

    @pytest.mark.parametrize("critical", [None, False])
    def test_controls_may_be_ignored(self, critical: bool | None) -> None:
        assert isinstance(LdapPreamble().step(start_tls(b"\1", control(critical=critical))), Upgrade)

    def test_lengths_may_be_written_long(self) -> None:
        body = tlv(2, b"\1") + b"\x77\x82\x00\x19\x80\x81\x16" + OID
        assert isinstance(LdapPreamble().step(b"\x30\x84" + len(body).to_bytes(4, "big") + body), Upgrade)

    def test_a_hello_may_be_there_already(self) -> None:
        assert play(LdapPreamble(), START_TLS + HELLO).window == HELLO

    @pytest.mark.parametrize("behind", [ANONYMOUS_BIND, START_TLS, b"\0"])
    @pytest.mark.parametrize("optional", [False, True])
    def test_nothing_else_may_follow(self, behind: bytes, optional: bool) -> None:
        played = play(LdapPreamble(optional=optional), START_TLS + behind)
        assert refused(played) == "the client sent plain text behind its request for TLS"
        assert played.sent == response(0x78, 1, "nothing may follow StartTLS before its answer")

    @pytest.mark.parametrize(
        ("operation", "answer"),
        [(0x60, 0x61), (0x63, 0x65), (0x66, 0x67), (0x68, 0x69), (0x4A, 0x6B), (0x6C, 0x6D), (0x6E, 0x6F)],
    )
    def test_a_client_that_goes_on_without_is_refused(self, operation: int, answer: int) -> None:
        played = play(LdapPreamble(), tlv(0x30, tlv(2, b"\5"), tlv(operation, b"secret")))
        assert refused(played) == f"the client sent operation 0x{operation:02x} without TLS, which deserves result 13"
        assert played.sent == response(answer, 13, "StartTLS first", 5)

    def test_so_are_other_extended_operations(self) -> None:
        played = play(LdapPreamble(), start_tls(oid=b"1.3.6.1.4.1.4203.1.11.3"))
        assert played.sent == response(0x78, 13, "StartTLS first")

    @pytest.mark.parametrize(
        ("said", "code"),
        [
            (start_tls(b"\1", control(critical=True)), 12),
            (start_tls(value=tlv(0x81, b"x")), 2),
            (tlv(0x30, tlv(2, b"\1"), tlv(0x77)), 2),
            (tlv(0x30, tlv(2, b"\1"), tlv(0x77, tlv(4, b"x"))), 2),
            (tlv(0x30, tlv(2, b"\1"), b"\x77\x30\x80\x00"), 2),
            (tlv(0x30, tlv(2, b"\1"), tlv(0x77, b"\x80")), 2),
            (tlv(0x30, tlv(2, b"\1"), tlv(0x77, tlv(0x80, OID)), b"\xa0\x7f"), 2),
        ],
    )
    @pytest.mark.parametrize("optional", [False, True])
    def test_a_broken_request_is_refused(self, said: bytes, code: int, optional: bool) -> None:
        played = play(LdapPreamble(optional=optional), said)
        assert refused(played) == f"the client sent operation 0x77 without TLS, which deserves result {code}"
        assert played.sent == response(0x78, code, "StartTLS first")

    @pytest.mark.parametrize("said", [ANONYMOUS_BIND, start_tls(oid=b"1.3.6.1.4.1.4203.1.11.3"), UNBIND])
    def test_or_passed_on_where_it_may(self, said: bytes) -> None:
        played = play(LdapPreamble(optional=True), said)
        assert (played.last, played.window) == (Plain(), said)

    def test_that_is_known_before_the_message_is_whole(self) -> None:
        assert LdapPreamble(optional=True).step(ANONYMOUS_BIND[:6]) == Plain()
        assert LdapPreamble().step(ANONYMOUS_BIND[:6]) == Need(len(ANONYMOUS_BIND))

    def test_a_client_may_quit(self) -> None:
        assert LdapPreamble().step(UNBIND) == Refuse("the client quit before TLS")

    def test_what_wants_no_answer_gets_none(self) -> None:
        assert LdapPreamble().step(ABANDON) == Refuse("the client went on without TLS")

    def test_a_client_that_begins_tls_hears_nothing(self) -> None:
        assert LdapPreamble().step(HELLO) == Refuse("the client began TLS without asking for it")

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (b"GET / HTTP/1.1\r\n", "the first byte begins no message"),
            (b"\x30\x80", "a length has no end or too many bytes"),
            (b"\x30\x82\x40\x00", f"the message is longer than {MAX_PREAMBLE} bytes"),
            (b"0x", ""),
            (b"\x30\x05\4", "the message does not begin with its id"),
            (b"\x30\0", "the message is too short"),
            (b"\x30\1\2", "the message is too short"),
            (b"\x30\x05\2\x80", "a length has no end or too many bytes"),
            (b"\x30\x05\2\0", "the message's id or what follows it is missing or too long"),
            (b"\x30\x03\2\1\1", "the message's id or what follows it is missing or too long"),
            (b"\x30\x09\2\5\1", "the message's id or what follows it is missing or too long"),
            (b"\x30\x05\2\1\xff\x60\0", "the message's id is negative"),
            (b"\x30\x05\2\1\0\x60\0", "a request has no id"),
            (b"\x30\x05\2\1\1\x78\0", "the operation is none of a client's"),
        ],
    )
    def test_strangers_are_told_and_left(self, said: bytes, reason: str) -> None:
        if not reason:
            assert LdapPreamble().step(said) == Need(4)
            said, reason = said + b"12", "the message does not begin with its id"
        played = play(LdapPreamble(), said)
        assert refused(played) == f"what the client sent is no LDAP: {reason}"
        result = tlv(10, b"\2") + tlv(4) + tlv(4, reason.encode())
        notice = tlv(0x78, result, tlv(0x8A, b"1.3.6.1.4.1.1466.20036"))
        assert played.sent == b"\x30" + played.sent[1 : -len(tlv(2, b"\0") + notice)] + tlv(2, b"\0") + notice


class TestAsking:
    def test_a_target_is_asked(self) -> None:
        played = play(LdapAsk(), SUCCESS)
        assert (played.sent, played.last) == (START_TLS, Done(len(SUCCESS)))

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (response(0x78, 2, "unsupported"), "the target answers StartTLS with result 2: unsupported"),
            (response(0x78, 52, "no\nkey"), "the target answers StartTLS with result 52: no?key"),
            (response(0x78, 2, "bye", 0), "the target hangs up with result 2: bye"),
            (response(0x78, 0, "", 7), "the target answers StartTLS with operation 0x78 of message 7"),
            (response(0x61, 0, ""), "the target answers StartTLS with operation 0x61 of message 1"),
            (
                tlv(0x30, tlv(2, b"\1"), tlv(0x78)),
                NO_LDAP + "a result lacks its code, name or message",
            ),
            (
                tlv(0x30, tlv(2, b"\1"), b"\x78\x09"),
                NO_LDAP + "an element is longer than what holds it",
            ),
            (b"220 x", NO_LDAP + "the first byte begins no message"),
            (SUCCESS + SUCCESS, "the target sent more behind its consent to TLS"),
        ],
    )
    def test_a_target_may_not_want_to(self, answer: bytes, reason: str) -> None:
        assert refused(play(LdapAsk(), answer)) == reason

    @patient
    @given(st.integers(0, len(SUCCESS) - 1))
    def test_the_whole_answer_is_waited_for(self, cut: int) -> None:
        assert isinstance(LdapAsk().step(SUCCESS[:cut]), Need)


messages = st.sampled_from([START_TLS, ANONYMOUS_BIND, UNBIND, start_tls(b"\1", control(critical=None)), b"\x30\x10\2"])


class TestSniffing:
    @pytest.mark.parametrize("number", [1, 9])
    def test_start_tls_is_known_by_its_first_message(self, number: int) -> None:
        request = start_tls(bytes((number,)))
        assert sniff_start_tls(request + HELLO) == Hit(number, len(request))

    @pytest.mark.parametrize(
        "said", [ANONYMOUS_BIND, start_tls(oid=b"1.1"), start_tls(value=tlv(0x81)), b"\x16", b"0x00", SUCCESS]
    )
    def test_nothing_else_is(self, said: bytes) -> None:
        assert isinstance(sniff_start_tls(said), Miss)

    @patient
    @given(messages, st.binary(max_size=8), st.data())
    def test_any_beginning_agrees_with_the_whole(self, message: bytes, more: bytes, data: st.DataObject) -> None:
        cut = data.draw(st.integers(0, len(message + more)))
        assert is_final(lambda window: sniff_start_tls(bytes(window)), message + more, cut)

    @patient
    @given(messages)
    def test_it_asks_few_times(self, message: bytes) -> None:
        assert feed(lambda window: sniff_start_tls(bytes(window)), message).asks <= 5
