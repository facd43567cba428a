"""Lines, and the bounds on who talks in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.sniff import Hit, Need
from streamproxy.sniff.starttls import MAX_COMMANDS, MAX_LINE, MAX_PREAMBLE, Reply
from streamproxy.sniff.starttls.imap import ImapAsk
from streamproxy.sniff.starttls.lines import take_line
from streamproxy.sniff.starttls.pop3 import Pop3Preamble

from ..feeding import feed, is_final, patient, why
from .playing import lines, play, refused

texts = st.sampled_from([b"NOOP\r\n", b"a\tb\n", b"\r", b"\n", b"\0", b"x" * 300, b"\xff\xfe", b""])
streams = st.lists(texts, max_size=12).map(b"".join)


class TestTakingALine:
    @pytest.mark.parametrize(
        ("window", "line", "length"),
        [
            (b"NOOP\r\n", b"NOOP", 6),
            (b"NOOP\nmore", b"NOOP", 5),
            (b"\r\n", b"", 2),
            (b"\n", b"", 1),
            (b"NOOP \t x\r\n\r\n", b"NOOP \t x", 10),
            (b"EHLO b\xc3\xbccher.example\r\n", b"EHLO b\xc3\xbccher.example", 22),
        ],
    )
    def test_it_comes_without_its_end(self, window: bytes, line: bytes, length: int) -> None:
        assert take_line(window) == Hit(line, length)

    @pytest.mark.parametrize("window", [b"", b"N", b"NOOP", b"NOOP\r", b"\r"])
    def test_its_end_is_waited_for(self, window: bytes) -> None:
        assert take_line(window) == Need(len(window) + 1)

    @pytest.mark.parametrize("window", [b"NO\0OP\r\n", b"\0", b"NOOP\rX\n", b"\r\r\n", b"\x1b[31m", b"\x7f", b"\x16"])
    def test_what_readers_differ_on_is_refused_at_once(self, window: bytes) -> None:
        assert why(take_line(window)) == "a line holds a control character"

    def test_it_has_a_longest_length(self) -> None:
        longest = b"x" * (MAX_LINE - 2) + b"\r\n"
        assert take_line(longest) == Hit(longest[:-2], MAX_LINE)
        for window in (b"x" + longest, b"x" * MAX_LINE, b"x" * MAX_PREAMBLE):
            assert why(take_line(window)) == f"a line is longer than {MAX_LINE} bytes"

    def test_it_has_to_fit_into_what_is_left(self) -> None:
        assert take_line(b"NOOP\r\n", 6) == Hit(b"NOOP", 6)
        assert take_line(b"NOOP\r", 6) == Need(6)
        for window in (b"NOOPS\r\n", b"NOOPSS"):
            assert why(take_line(window, 6)) == f"more than {MAX_PREAMBLE} bytes came before TLS"

    @patient
    @given(streams, st.data())
    def test_any_beginning_agrees_with_the_whole(self, stream: bytes, data: st.DataObject) -> None:
        assert is_final(lambda window: take_line(bytes(window)), stream, data.draw(st.integers(0, len(stream))))

    @patient
    @given(st.binary(max_size=300))
    def test_anything_ends_within_the_bounds(self, stream: bytes) -> None:
        assert feed(lambda window: take_line(bytes(window)), stream * 10).seen <= MAX_LINE


class TestBounds:
    def test_a_client_gives_so_many_commands(self) -> None:
        played = play(Pop3Preamble(), b"NOOP\r\n" * (MAX_COMMANDS + 1))
        assert refused(played) == f"no TLS was asked for in {MAX_COMMANDS} commands"
        assert played.replies == MAX_COMMANDS
        assert played.sent.endswith(f"-ERR no TLS was asked for in {MAX_COMMANDS} commands\r\n".encode())

    def test_a_client_says_so_many_bytes(self) -> None:
        command = b"AUTH".ljust(MAX_LINE - 2) + b"\r\n"
        rounds = MAX_PREAMBLE // MAX_LINE
        machine = Pop3Preamble()
        for _ in range(rounds):
            assert isinstance(machine.step(command), Reply)
        assert refused(play(machine, b"STLS\r\n")).endswith(f"more than {MAX_PREAMBLE} bytes came before TLS")

    def test_a_client_that_ends_no_line_is_not_waited_for(self) -> None:
        assert refused(play(Pop3Preamble(), b"A" * MAX_LINE)).endswith(f"a line is longer than {MAX_LINE} bytes")

    def test_a_target_says_so_many_bytes(self) -> None:
        chatter = lines(b"* OK ready") + b"* 1 EXISTS\r\n" * (MAX_PREAMBLE // 12)
        assert refused(play(ImapAsk(), chatter)).endswith(f"more than {MAX_PREAMBLE} bytes came before TLS")

    def test_a_target_that_ends_no_line_is_not_waited_for(self) -> None:
        assert refused(play(ImapAsk(), b"*" * MAX_LINE)).endswith(f"a line is longer than {MAX_LINE} bytes")


def test_a_client_that_begins_tls_unasked_hears_nothing_it_could_not_read() -> None:
    played = play(Pop3Preamble(), b"\x16\x03\x01")
    assert refused(played) == "the client began TLS without asking for it"
    assert played.sent == Pop3Preamble().opening()
