"""STLS between a mail reader and its server."""

from __future__ import annotations

import pytest

from streamproxy.sniff.starttls import Done, Plain, Refuse, Reply, Upgrade
from streamproxy.sniff.starttls.pop3 import Pop3Ask, Pop3Preamble

from .playing import HELLO, lines, play, refused


class TestAnswering:
    def test_it_greets_without_a_time_stamp(self) -> None:
        assert Pop3Preamble().opening() == b"+OK ready\r\n"

    @pytest.mark.parametrize(
        ("said", "answer"),
        [
            (b"CAPA", [b"+OK", b"STLS", b"."]),
            (b"noop", [b"+OK"]),
            (b"AUTH", [b"-ERR Must issue STLS first"]),
            (b"CAPA x", [b"-ERR That takes no arguments"]),
            (b"STLS x", [b"-ERR That takes no arguments"]),
        ],
    )
    @pytest.mark.parametrize("optional", [False, True])
    def test_what_needs_no_target_is_answered(self, said: bytes, answer: list[bytes], optional: bool) -> None:
        assert Pop3Preamble(optional=optional).step(lines(said)) == Reply(len(said) + 2, lines(*answer))

    def test_a_client_asks_for_tls(self) -> None:
        played = play(Pop3Preamble(), lines(b"CAPA"), lines(b"stls ") + HELLO)
        assert played.last == Upgrade(7, b"+OK Begin TLS now\r\n")
        assert played.window == HELLO

    def test_nothing_else_may_follow(self) -> None:
        played = play(Pop3Preamble(), lines(b"STLS", b"USER joe"))
        assert refused(played) == "the client sent plain text behind its request for TLS"
        assert played.sent.endswith(b"-ERR Nothing may follow the request for TLS before its answer\r\n")

    @pytest.mark.parametrize("said", [b"USER joe", b"PASS secret", b"AUTH PLAIN", b"APOP joe 0123", b"stat"])
    def test_a_client_that_goes_on_without_is_refused(self, said: bytes) -> None:
        verb = said.split()[0].decode().upper()
        refusal = Refuse(f"the client sent {verb} without TLS", b"-ERR Must issue STLS first\r\n")
        assert Pop3Preamble().step(lines(said)) == refusal

    def test_or_passed_on_where_it_may(self) -> None:
        played = play(Pop3Preamble(optional=True), lines(b"USER joe"))
        assert (played.last, played.window) == (Plain(), lines(b"USER joe"))

    @pytest.mark.parametrize("said", [b"", b"US", b"GET / HTTP/1.1\n", b"{}", b" STLS"])
    def test_what_is_no_command_ends_it(self, said: bytes) -> None:
        step = Pop3Preamble().step(lines(said))
        assert isinstance(step, Refuse)
        assert step.send.startswith(b"-ERR ")

    def test_a_client_may_quit(self) -> None:
        assert Pop3Preamble().step(lines(b"QUIT")) == Refuse("the client quit before TLS", b"+OK Bye\r\n")


class TestAsking:
    def test_a_target_is_asked(self) -> None:
        played = play(Pop3Ask(), lines(b"+OK POP3 <1896.697170952@a.example>"), lines(b"+OK go"))
        assert played.sent == b"STLS\r\n"
        assert played.last == Done(8, b"+OK POP3 <1896.697170952@a.example>\r\n")

    def test_only_the_greeting_is_taken(self) -> None:
        played = play(Pop3Ask(upgrade=False), lines(b"+OK"))
        assert (played.last, played.sent) == (Done(5, b"+OK\r\n"), b"")

    @pytest.mark.parametrize(
        ("answers", "reason"),
        [
            ([b"-ERR busy"], "the target answers the connection with -ERR busy"),
            ([b"+OKAY"], "the target answers the connection with +OKAY"),
            ([b"+OK", b"-ERR what?"], "the target answers STLS with -ERR what?"),
            ([b"+OK", b"+OK", b"+OK injected"], "the target sent more behind its consent to TLS"),
        ],
    )
    def test_a_target_may_not_want_to(self, answers: list[bytes], reason: str) -> None:
        assert refused(play(Pop3Ask(), lines(*answers))) == reason
