"""SSLRequest between a database client and its server."""

from __future__ import annotations

import struct

import pytest

from streamproxy.sniff import Need
from streamproxy.sniff.starttls import Done, Plain, Refuse, Reply, Upgrade
from streamproxy.sniff.starttls.postgres import PostgresAsk, PostgresPreamble

from .playing import HELLO, play, refused

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
GSSENC_REQUEST = bytes.fromhex("0000000804d21630")
CANCEL = bytes.fromhex("0000001004d2162e") + bytes(8)
STARTUP = struct.pack(">II", 23, 3 << 16) + b"user\0tester\0\0\0\0"


def error(sqlstate: str, message: str) -> bytes:
    body = f"SFATAL\0VFATAL\0C{sqlstate}\0M{message}\0\0".encode()
    return b"E" + struct.pack(">I", len(body) + 4) + body


class TestAnswering:
    def test_it_says_nothing_first(self) -> None:
        assert PostgresPreamble().opening() == b""

    def test_a_client_asks_for_tls(self) -> None:
        assert PostgresPreamble().step(SSL_REQUEST) == Upgrade(8, b"S")

    def test_a_client_asks_for_gssapi_first(self) -> None:
        played = play(PostgresPreamble(), GSSENC_REQUEST, SSL_REQUEST)
        assert (played.last, played.sent) == (Upgrade(8, b"S"), b"NS")

    def test_but_only_once(self) -> None:
        played = play(PostgresPreamble(), GSSENC_REQUEST * 2)
        assert refused(played) == "what the client sent is no PostgreSQL"
        assert played.replies == 1

    def test_a_client_may_begin_with_its_hello(self) -> None:
        played = play(PostgresPreamble(), HELLO)
        assert (played.last, played.window) == (Upgrade(0, b""), HELLO)

    def test_a_hello_may_be_there_already(self) -> None:
        assert play(PostgresPreamble(), SSL_REQUEST + HELLO).window == HELLO

    @pytest.mark.parametrize("behind", [STARTUP, SSL_REQUEST, b"\0", b"Q"])
    @pytest.mark.parametrize("optional", [False, True])
    def test_nothing_else_may_follow(self, behind: bytes, optional: bool) -> None:
        played = play(PostgresPreamble(optional), SSL_REQUEST + behind)
        assert refused(played) == "the client sent plain text behind its request for TLS"
        assert played.sent == error("08P01", "received unencrypted data after SSL request")

    @pytest.mark.parametrize("before", [b"", GSSENC_REQUEST])
    @pytest.mark.parametrize("version", [2 << 16, 3 << 16, 3 << 16 | 2, 3 << 16 | 9999])
    def test_a_client_that_goes_on_without_is_refused(self, before: bytes, version: int) -> None:
        played = play(PostgresPreamble(), before, struct.pack(">II", 23, version))
        assert refused(played) == "the client sent its startup message without TLS"
        assert played.sent.endswith(error("28000", "connections without TLS are not accepted: use sslmode=require"))

    def test_a_request_to_cancel_is_refused_without_a_word(self) -> None:
        assert PostgresPreamble().step(CANCEL) == Refuse("the client asked without TLS to cancel a query")

    @pytest.mark.parametrize("said", [STARTUP, CANCEL])
    def test_both_are_passed_on_where_they_may(self, said: bytes) -> None:
        played = play(PostgresPreamble(optional=True), GSSENC_REQUEST, said)
        assert (played.last, played.window) == (Plain(), said)

    @pytest.mark.parametrize("cut", range(8))
    def test_the_first_eight_bytes_tell(self, cut: int) -> None:
        assert PostgresPreamble().step(STARTUP[:cut]) == Need(8)

    @pytest.mark.parametrize(
        "said",
        [
            b"G",
            b"\0\1",
            b"\0\0\x27\x11\0\3\0\0",  # longer than a server takes
            b"\0\0\0\x08\0\3\0\0",  # with nobody in it
            b"\0\0\0\x09\0\4\0\0",
            b"\0\0\0\0\x04\xd2\x16\x2f",
            b"\0\0\0\x09\x04\xd2\x16\x2f",
        ],
    )
    @pytest.mark.parametrize("optional", [False, True])
    def test_strangers_are_refused_without_a_word(self, said: bytes, optional: bool) -> None:
        assert PostgresPreamble(optional).step(said) == Refuse("what the client sent is no PostgreSQL")


class TestAsking:
    def test_a_target_is_asked(self) -> None:
        played = play(PostgresAsk(), b"", b"S")
        assert (played.sent, played.last) == (SSL_REQUEST, Done(1))

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (b"N", "the target offers no TLS"),
            (b"E\0\0\0\x10secret", "the target answers SSLRequest with an error"),
            (b"220 x", "the target answers SSLRequest with what is no PostgreSQL"),
            (b"SS", "the target sent more behind its consent to TLS"),
        ],
    )
    def test_a_target_may_not_want_to(self, answer: bytes, reason: str) -> None:
        assert refused(play(PostgresAsk(), answer)) == reason


def test_a_reply_takes_no_more_than_its_request() -> None:
    assert PostgresPreamble().step(GSSENC_REQUEST + STARTUP) == Reply(8, b"N")
