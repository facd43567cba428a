"""The request for TLS between a MySQL client and the server that has greeted it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.sniff import Hit, Miss, Need
from streamproxy.sniff.starttls import (
    MAX_PREAMBLE,
    Done,
    MysqlAsk,
    MysqlGreeting,
    MysqlPreamble,
    Plain,
    Refuse,
    Upgrade,
    sniff_mysql_greeting,
)

from ..feeding import feed, is_final, patient, value, why
from .playing import HELLO, pieces_of, play, refused

CLIENT_PROTOCOL_41, CLIENT_SSL, CLIENT_PLUGIN_AUTH = 0x200, 0x800, 0x80000


def packet(sequence: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes((sequence,)) + payload


def greeting(flags: int = CLIENT_PROTOCOL_41 | CLIENT_SSL | CLIENT_PLUGIN_AUTH, version: bytes = b"8.0.36") -> bytes:
    """A ``Protocol::HandshakeV10``, field by field."""
    halves = flags.to_bytes(4, "little")
    payload = b"\x0a" + version + b"\0" + struct.pack("<I", 7) + b"scramble" + b"\0" + halves[:2]
    payload += b"\xff" + struct.pack("<H", 2) + halves[2:] + bytes((21,)) + bytes(10) + b"scramble two\0"
    return packet(0, payload + b"caching_sha2_password\0")


def ssl_request(flags: int = CLIENT_PROTOCOL_41 | CLIENT_SSL, sequence: int = 1) -> bytes:
    return packet(sequence, struct.pack("<IIB", flags, 1 << 24, 45) + bytes(23))


def login(flags: int = CLIENT_PROTOCOL_41) -> bytes:
    return packet(1, struct.pack("<IIB", flags, 1 << 24, 45) + bytes(23) + b"joe\0\0")


def error(sequence: int, code: int, text: str) -> bytes:
    return packet(sequence, b"\xff" + struct.pack("<H", code) + text.encode())


def read(window: bytes) -> MysqlGreeting:
    return value(sniff_mysql_greeting(window))


TOO_MANY = error(0, 1040, "Too many connections")
BAD_HANDSHAKE = error(2, 1043, "#HY000Bad handshake")


class TestGreetings:
    def test_one_may_offer_tls(self) -> None:
        assert sniff_mysql_greeting(greeting()) == Hit(MysqlGreeting(greeting(), tls=True), len(greeting()))

    @pytest.mark.parametrize("flags", [0, CLIENT_SSL, CLIENT_PROTOCOL_41])
    def test_one_may_not(self, flags: int) -> None:
        assert read(greeting(flags)) == MysqlGreeting(greeting(flags), tls=False)

    def test_a_target_may_want_no_client(self) -> None:
        assert read(TOO_MANY) == MysqlGreeting(TOO_MANY, tls=False, error="the target says: Too many connections")

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (packet(0, b"\x09x"), "the target greets in another version of the protocol"),
            (packet(0, b"\x0a" + b"x" * 40), "the target's greeting is too short"),
            (packet(0, b"\x0a8.0\0" + bytes(14)), "the target's greeting is too short"),
            (packet(1, b"\x0a"), "a packet has the wrong number or length"),
            (packet(0, b""), "a packet has the wrong number or length"),
            ((MAX_PREAMBLE + 1).to_bytes(4, "little"), "a packet has the wrong number or length"),
            (b"220 real.example", "a packet has the wrong number or length"),
        ],
    )
    def test_others_are_none(self, said: bytes, reason: str) -> None:
        assert why(sniff_mysql_greeting(said)) == reason

    @patient
    @given(st.sampled_from([greeting(), TOO_MANY, packet(0, b"\x0ax")]), st.data())
    def test_any_beginning_agrees_with_the_whole(self, said: bytes, data: st.DataObject) -> None:
        assert is_final(sniff_mysql_greeting, said, data.draw(st.integers(0, len(said))))
        assert feed(sniff_mysql_greeting, said).asks <= 3

    @patient
    @given(st.binary(max_size=80))
    def test_nothing_raises(self, payload: bytes) -> None:
        for said in (payload, packet(0, b"\x0a" + payload), packet(0, b"\xff" + payload)):
            assert isinstance(sniff_mysql_greeting(said), (Hit, Miss, Need))


class TestAnswering:
    def test_the_targets_greeting_is_passed_on(self) -> None:
        assert MysqlPreamble(read(greeting())).opening() == greeting()

    @patient
    @given(pieces_of(ssl_request()))
    def test_a_client_asks_for_tls(self, pieces: tuple[bytes, ...]) -> None:
        played = play(MysqlPreamble(read(greeting())), *pieces)
        assert played.last == Upgrade(36, b"", ssl_request())

    def test_a_hello_may_be_there_already(self) -> None:
        assert play(MysqlPreamble(read(greeting())), ssl_request() + HELLO).window == HELLO

    @pytest.mark.parametrize("optional", [False, True])
    def test_nothing_else_may_follow(self, optional: bool) -> None:
        played = play(MysqlPreamble(read(greeting()), optional), ssl_request() + login())
        assert refused(played) == "the client sent plain text behind its request for TLS"
        assert played.sent == greeting() + BAD_HANDSHAKE

    def test_a_client_that_goes_on_without_is_refused(self) -> None:
        step = MysqlPreamble(read(greeting())).step(login())
        words = "#HY000Connections using insecure transport are prohibited"
        assert step == Refuse("the client logged in without TLS", error(2, 3159, words))

    @pytest.mark.parametrize("said", [greeting(), greeting(CLIENT_PROTOCOL_41)])
    def test_or_passed_on_where_it_may(self, said: bytes) -> None:
        played = play(MysqlPreamble(read(said), optional=True), login())
        assert (played.last, played.window, played.sent) == (Plain(), login(), said)

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (ssl_request(sequence=0), "what the client sent is no MySQL"),
            (packet(1, bytes(5)), "what the client sent is no MySQL"),
            (HELLO, "what the client sent is no MySQL"),
            (ssl_request(CLIENT_PROTOCOL_41), "the client sent half a handshake without TLS"),
        ],
    )
    def test_strangers_are_refused(self, said: bytes, reason: str) -> None:
        played = play(MysqlPreamble(read(greeting())), said)
        assert refused(played) == reason
        assert played.sent == greeting() + BAD_HANDSHAKE

    def test_tls_that_was_not_offered_is_not_given(self) -> None:
        played = play(MysqlPreamble(read(greeting(CLIENT_PROTOCOL_41)), optional=True), ssl_request())
        assert refused(played) == "the client sent half a handshake without TLS"

    def test_a_target_without_tls_is_told_to_the_client(self) -> None:
        played = play(MysqlPreamble(read(greeting(CLIENT_PROTOCOL_41))), b"")
        assert refused(played) == "the target offers no TLS"
        assert played.sent == error(0, 1043, "the target offers no TLS")

    @pytest.mark.parametrize("optional", [False, True])
    def test_so_is_a_target_that_wants_no_client(self, optional: bool) -> None:
        played = play(MysqlPreamble(read(TOO_MANY), optional), b"")
        assert (refused(played), played.sent) == ("the target says: Too many connections", TOO_MANY)


class TestAsking:
    @patient
    @given(pieces_of(greeting()))
    def test_a_greeting_is_left_for_the_client(self, pieces: tuple[bytes, ...]) -> None:
        played = play(MysqlAsk(), *pieces)
        assert (played.sent, played.last, played.window) == (b"", Done(0), greeting())

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (greeting(CLIENT_PROTOCOL_41), "the target offers no TLS"),
            (TOO_MANY, "the target says: Too many connections"),
            (b"220 real.example", "a packet has the wrong number or length"),
            (greeting() + b"x", "the target sent more behind its greeting"),
        ],
    )
    def test_a_target_may_not_want_to(self, said: bytes, reason: str) -> None:
        assert refused(play(MysqlAsk(), said)) == reason

    def test_the_whole_greeting_is_waited_for(self) -> None:
        assert MysqlAsk().step(greeting()[:40]) == Need(len(greeting()))
