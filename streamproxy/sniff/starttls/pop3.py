"""STLS of POP3 (RFC 2595, 4)."""

from __future__ import annotations

import re

from attrs import define

from .lines import Answer, LineAsk, LinePreamble, Script, Then, UnexpectedAnswer
from .machine import shown

_COMMAND = re.compile(rb"([A-Za-z]{3,4})(?: +(.*))?")
_POSITIVE = re.compile(rb"\+OK(?: .*)?")
_FIRST = b"-ERR Must issue STLS first\r\n"


class Pop3Preamble(LinePreamble):
    """
    Answers as a mail server that offers STLS and nothing else. Its greeting has no time stamp for APOP, since that
    would have to be the target's, and which target is not known before the client has named it.
    """

    def __init__(self, *, optional: bool = False) -> None:
        super().__init__(_Pop3(), optional)


@define
class _Pop3:
    greeting: bytes = b"+OK ready\r\n"
    introduction: bytes = b""

    def answer(self, line: bytes) -> Answer:
        command = _COMMAND.fullmatch(line.rstrip())
        if command is None:
            return Answer(b"-ERR That is no command\r\n", Then.END, "what the client sent is no POP3")
        word, rest = command[1].upper(), command[2]
        match word, rest:
            case b"CAPA", None:
                return Answer(b"+OK\r\nSTLS\r\n.\r\n")
            case b"NOOP", None:
                return Answer(b"+OK\r\n")
            case b"AUTH", None:
                # Some clients ask for the mechanisms this way before they look for STLS; no secret is in it.
                return Answer(_FIRST)
            case b"STLS", None:
                return Answer(b"+OK Begin TLS now\r\n", Then.TLS)
            case b"QUIT", None:
                return Answer(b"+OK Bye\r\n", Then.END, "the client quit before TLS")
            case ((b"CAPA" | b"NOOP" | b"STLS" | b"QUIT"), _):
                return Answer(b"-ERR That takes no arguments\r\n")
        return Answer(_FIRST, Then.PLAIN, f"the client sent {word.decode()} without TLS")

    def farewell(self, why: str) -> bytes:
        return b"-ERR %b\r\n" % why.encode()


class Pop3Ask(LineAsk):
    """Waits for a mail server's greeting and, with ``upgrade``, says STLS."""

    def __init__(self, *, upgrade: bool = True) -> None:
        super().__init__(_ask(upgrade=upgrade), upgrade=upgrade)


def _ask(*, upgrade: bool) -> Script:
    greeting = yield b""
    _expect_positive(greeting, "the connection")
    if upgrade:
        _expect_positive((yield b"STLS\r\n"), "STLS")
    return greeting + b"\r\n"


def _expect_positive(line: bytes, to: str) -> None:
    if not _POSITIVE.fullmatch(line):
        raise UnexpectedAnswer(f"the target answers {to} with {shown(line)}")
