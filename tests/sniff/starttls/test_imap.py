"""STARTTLS between a mail reader and its server."""

from __future__ import annotations

import pytest

from streamproxy.sniff.starttls import Done, Plain, Refuse, Reply, Upgrade
from streamproxy.sniff.starttls.imap import ImapAsk, ImapPreamble

from .playing import HELLO, lines, play, refused


class TestAnswering:
    def test_it_offers_tls_and_no_login(self) -> None:
        greeting = b"* OK [CAPABILITY IMAP4rev1 ID STARTTLS LOGINDISABLED] ready\r\n"
        assert ImapPreamble().opening() == greeting

    def test_or_login_too_where_tls_is_optional(self) -> None:
        assert ImapPreamble(optional=True).opening() == b"* OK [CAPABILITY IMAP4rev1 ID STARTTLS] ready\r\n"

    @pytest.mark.parametrize(
        ("said", "answer"),
        [
            (b"a1 CAPABILITY", [b"* CAPABILITY IMAP4rev1 ID STARTTLS LOGINDISABLED", b"a1 OK done"]),
            (b"a.2] noop", [b"a.2] OK done"]),
            (b'3 ID ("name" "x")', [b"* ID NIL", b"3 OK done"]),
            (b"3 id NIL", [b"* ID NIL", b"3 OK done"]),
            (b"4 ID", [b"4 BAD wrong number of arguments"]),
            (b"5 NOOP x", [b"5 BAD wrong number of arguments"]),
            (b"6 STARTTLS ", [b"6 BAD wrong number of arguments"]),
            (b"7 LOGOUT x", [b"7 BAD wrong number of arguments"]),
        ],
    )
    def test_what_needs_no_target_is_answered(self, said: bytes, answer: list[bytes]) -> None:
        assert ImapPreamble().step(lines(said)) == Reply(len(said) + 2, lines(*answer))

    def test_a_client_asks_for_tls(self) -> None:
        played = play(ImapPreamble(), lines(b"a1 CAPABILITY"), lines(b"a2 starttls") + HELLO)
        assert played.last == Upgrade(13, b"a2 OK begin TLS now\r\n")
        assert played.window == HELLO

    def test_nothing_else_may_follow(self) -> None:
        played = play(ImapPreamble(), lines(b"a1 STARTTLS", b"a2 LOGIN x y"))
        assert refused(played) == "the client sent plain text behind its request for TLS"
        assert played.sent.endswith(b"* BYE Nothing may follow the request for TLS before its answer\r\n")

    @pytest.mark.parametrize(
        "said", [b"LOGIN joe secret", b"AUTHENTICATE PLAIN", b"SELECT inbox", b"ID {5}", b"ID {5+}"]
    )
    def test_a_client_that_goes_on_without_is_refused(self, said: bytes) -> None:
        step = ImapPreamble().step(lines(b"a1 " + said))
        assert isinstance(step, Refuse)
        assert step.why == f"the client sent {said.split()[0].decode()} without TLS"
        assert step.send == lines(b"a1 NO [PRIVACYREQUIRED] Must issue STARTTLS first", b"* BYE TLS is required")

    @pytest.mark.parametrize("said", [b"LOGIN joe secret", b"LOGIN {3}", b"ID {5+}"])
    def test_or_passed_on_where_it_may(self, said: bytes) -> None:
        played = play(ImapPreamble(optional=True), lines(b"a1 " + said))
        assert (played.last, played.window) == (Plain(), lines(b"a1 " + said))

    @pytest.mark.parametrize("said", [b"", b"STARTTLS", b" STARTTLS", b"+ STARTTLS", b"* OK", b'"a" NOOP', b"a1  NOOP"])
    def test_what_is_no_command_ends_it(self, said: bytes) -> None:
        step = ImapPreamble().step(lines(said))
        assert step == Refuse("what the client sent is no IMAP", b"* BYE That is no command\r\n")

    def test_a_client_may_quit(self) -> None:
        step = ImapPreamble().step(lines(b"a1 logout"))
        assert step == Refuse("the client quit before TLS", lines(b"* BYE", b"a1 OK done"))


class TestAsking:
    def test_a_target_is_asked(self) -> None:
        played = play(ImapAsk(), lines(b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] Hi!"), lines(b"starttls ok go"))
        assert played.sent == b"starttls STARTTLS\r\n"
        assert played.last == Done(16, b"* OK Hi!\r\n")

    @pytest.mark.parametrize("greeting", [b"* OK", b"* ok [CAPABILITY IMAP4rev1]"])
    def test_a_greeting_may_say_little(self, greeting: bytes) -> None:
        assert play(ImapAsk(), lines(greeting, b"starttls OK")).last == Done(13, b"* OK ready\r\n")

    def test_what_a_target_tells_meanwhile_is_dropped(self) -> None:
        played = play(ImapAsk(), lines(b"* OK", b"* CAPABILITY IMAP4rev1", b"* OK still here", b"starttls OK go"))
        assert played.last == Done(16, b"* OK ready\r\n")

    def test_only_the_greeting_is_taken(self) -> None:
        played = play(ImapAsk(upgrade=False), lines(b"* OK hello"))
        assert (played.last, played.sent) == (Done(12, b"* OK hello\r\n"), b"")

    @pytest.mark.parametrize(
        ("answers", "reason"),
        [
            ([b"* BYE full"], "the target greets with * BYE full"),
            ([b"* PREAUTH as joe"], "the target greets with * PREAUTH as joe"),
            ([b"220 x ESMTP"], "the target greets with 220 x ESMTP"),
            ([b"* OK", b"starttls BAD what?"], "the target answers STARTTLS with starttls BAD what?"),
            ([b"* OK", b"starttls OKAY"], "the target answers STARTTLS with starttls OKAY"),
            ([b"* OK", b"other OK"], "the target answers STARTTLS with other OK"),
            ([b"* OK", b"* bye"], "the target answers STARTTLS with * bye"),
            ([b"* OK", b"starttls OK", b"* CAPABILITY X"], "the target sent more behind its consent to TLS"),
        ],
    )
    def test_a_target_may_not_want_to(self, answers: list[bytes], reason: str) -> None:
        assert refused(play(ImapAsk(), lines(*answers))) == reason
