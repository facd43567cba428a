"""STARTTLS between a mail client and a mail server."""

from __future__ import annotations

import pytest

from streamproxy.sniff.starttls import Done, Plain, Refuse, Reply, Upgrade
from streamproxy.sniff.starttls.smtp import SmtpAsk, SmtpPreamble

from .playing import HELLO, lines, play, refused


def preamble(*, optional: bool = False) -> SmtpPreamble:
    return SmtpPreamble("mx.example.com", optional=optional)


class TestAnswering:
    def test_it_greets_by_its_name(self) -> None:
        assert preamble().opening() == b"220 mx.example.com ESMTP\r\n"

    @pytest.mark.parametrize("host", ["", "mx example", "mx\r\n250 x", "b\xfccher.example"])
    def test_a_name_has_to_fit_in_a_line(self, host: str) -> None:
        with pytest.raises(ValueError, match="cannot be the name"):
            SmtpPreamble(host)

    @pytest.mark.parametrize(
        ("said", "answer"),
        [
            (b"EHLO a.example", [b"250-mx.example.com", b"250 STARTTLS"]),
            (b"ehlo [192.0.2.1]", [b"250-mx.example.com", b"250 STARTTLS"]),
            (b"HELO a.example", [b"250 mx.example.com"]),
            (b"EHLO", [b"501 Syntax error in parameters"]),
            (b"HELO ", [b"501 Syntax error in parameters"]),
            (b"NOOP", [b"250 OK"]),
            (b"NOOP are you there", [b"250 OK"]),
            (b"RSET", [b"250 OK"]),
            (b"RSET now", [b"501 Syntax error in parameters"]),
            (b"QUIT now", [b"501 Syntax error in parameters"]),
            (b"STARTTLS now", [b"501 Syntax error in parameters"]),
        ],
    )
    @pytest.mark.parametrize("optional", [False, True])
    def test_what_needs_no_target_is_answered(self, said: bytes, answer: list[bytes], optional: bool) -> None:
        assert preamble(optional=optional).step(lines(said)) == Reply(len(said) + 2, lines(*answer))

    def test_a_client_asks_for_tls(self) -> None:
        played = play(preamble(), lines(b"EHLO a.example"), lines(b"STARTTLS"))
        assert played.last == Upgrade(10, b"220 Ready to start TLS\r\n", b"EHLO a.example")

    def test_the_last_introduction_counts(self) -> None:
        played = play(preamble(), lines(b"EHLO a.example", b"ehlo b.example", b"starttls "))
        assert played.last == Upgrade(11, b"220 Ready to start TLS\r\n", b"EHLO b.example")

    def test_a_hello_may_be_there_already(self) -> None:
        played = play(preamble(), lines(b"STARTTLS") + HELLO)
        assert isinstance(played.last, Upgrade)
        assert played.window == HELLO

    @pytest.mark.parametrize("behind", [b"RSET\r\n", b"M", b"\0", b"\r\n"])
    @pytest.mark.parametrize("optional", [False, True])
    def test_nothing_else_may_follow(self, behind: bytes, optional: bool) -> None:
        played = play(preamble(optional=optional), lines(b"EHLO a.example"), lines(b"STARTTLS") + behind)
        assert refused(played) == "the client sent plain text behind its request for TLS"
        assert played.sent.endswith(b"421 mx.example.com Nothing may follow the request for TLS before its answer\r\n")

    @pytest.mark.parametrize("said", [b"MAIL FROM:<a@a.example>", b"AUTH PLAIN AGEAYg==", b"vrfy x", b"HELP"])
    def test_a_client_that_goes_on_without_is_refused(self, said: bytes) -> None:
        played = play(preamble(), lines(b"EHLO a.example", said, b"QUIT"))
        verb = said.split()[0].decode().upper()
        assert played.last == Refuse(
            f"the client sent {verb} without TLS", b"530 Must issue a STARTTLS command first\r\n"
        )

    @pytest.mark.parametrize("hello", [b"EHLO a.example", b"HELO a.example"])
    def test_or_passed_on_where_it_may(self, hello: bytes) -> None:
        played = play(preamble(optional=True), lines(hello, b"NOOP"), lines(b"MAIL FROM:<a@a.example>"))
        assert played.last == Plain(hello)
        assert played.window == lines(b"MAIL FROM:<a@a.example>")

    @pytest.mark.parametrize("said", [b"", b" ", b"{}", b"GET/ HTTP/1.1", b"AVERYVERYLONGWORD"])
    @pytest.mark.parametrize("optional", [False, True])
    def test_what_is_no_command_ends_it(self, said: bytes, optional: bool) -> None:
        step = preamble(optional=optional).step(lines(said))
        assert step == Refuse("what the client sent is no SMTP", b"500 Command not recognized\r\n")

    def test_a_broken_line_ends_it_with_a_word(self) -> None:
        played = play(preamble(), b"EHLO \0\r\n")
        assert refused(played) == "what the client sent is not understood: a line holds a control character"
        assert played.sent.endswith(
            b"421 mx.example.com what the client sent is not understood: a line holds a control character\r\n"
        )

    def test_a_client_may_quit(self) -> None:
        step = preamble().step(lines(b"QUIT"))
        assert step == Refuse("the client quit before TLS", b"221 mx.example.com Bye\r\n")


GREETING = lines(b"220 real.example ESMTP")
FEATURES = lines(b"250-real.example", b"250-SIZE 1000", b"250 STARTTLS")


class TestAsking:
    def test_a_target_is_asked_in_the_clients_name(self) -> None:
        played = play(SmtpAsk(introduction=b"EHLO a.example"), GREETING, FEATURES, lines(b"220 Go ahead"))
        assert played.sent == lines(b"EHLO a.example", b"STARTTLS")
        assert played.last == Done(14, GREETING)

    @pytest.mark.parametrize(
        ("introduction", "said"), [(b"", b"EHLO localhost"), (b"HELO old.example", b"EHLO old.example")]
    )
    def test_always_by_ehlo(self, introduction: bytes, said: bytes) -> None:
        assert play(SmtpAsk(introduction=introduction), GREETING).sent == lines(said)

    def test_a_greeting_may_be_long_and_bare(self) -> None:
        greeting = lines(b"220-real.example ESMTP", b"220-", b"220 Welcome")
        played = play(SmtpAsk(), greeting, lines(b"250-real.example", b"250 starttls"), lines(b"220"))
        assert played.last == Done(5, greeting)
        assert play(SmtpAsk(upgrade=False), lines(b"220")).last == Done(5, lines(b"220 "))

    def test_only_the_greeting_is_taken(self) -> None:
        played = play(SmtpAsk(upgrade=False), GREETING)
        assert (played.last, played.sent) == (Done(len(GREETING), GREETING), b"")

    @pytest.mark.parametrize("introduction", [b"EHLO a.example", b"HELO a.example"])
    def test_a_target_is_led_where_the_client_is(self, introduction: bytes) -> None:
        played = play(SmtpAsk(introduction=introduction, upgrade=False), GREETING, FEATURES)
        assert played.sent == lines(introduction)
        assert isinstance(played.last, Done)
        assert played.window == b""

    @pytest.mark.parametrize(
        ("answers", "reason"),
        [
            ([b"554 Go away"], "the target answers the connection with 554 Go away"),
            ([b"SSH-2.0-x"], "the target answers the connection with what is no SMTP: SSH-2.0-x"),
            ([b"\xff\xfe"], "the target answers the connection with what is no SMTP: \ufffd\ufffd"),
            ([b"220 x", b"502 What?"], "the target answers EHLO with 502 What?"),
            ([b"220 x", b"250-x", b"251 y"], "the target answers EHLO with 251 y"),
            ([b"220 x", b"250 x"], "the target offers no STARTTLS"),
            ([b"220 x", b"250-STARTTLS", b"250 SIZE 1"], "the target offers no STARTTLS"),
            ([b"220 x", b"250-x", b"250 STARTTLS", b"454 Later"], "the target answers STARTTLS with 454 Later"),
        ],
    )
    def test_a_target_may_not_want_to(self, answers: list[bytes], reason: str) -> None:
        assert refused(play(SmtpAsk(), lines(*answers))) == reason

    def test_nothing_may_follow_its_consent(self) -> None:
        played = play(SmtpAsk(), GREETING, FEATURES, lines(b"220 Go ahead", b"250 injected"))
        assert refused(played) == "the target sent more behind its consent to TLS"

    def test_what_it_says_is_shown_in_short(self) -> None:
        reason = refused(play(SmtpAsk(), lines(b"554 " + b"x" * 1000)))
        assert len(reason) < 200
