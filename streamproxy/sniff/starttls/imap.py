"""STARTTLS of IMAP (RFC 9051, 6.2.1)."""

from __future__ import annotations

import re

from attrs import define

from .lines import Answer, LineAsk, LinePreamble, Script, Then, UnexpectedAnswer
from .machine import shown

# A tag is made of ASTRING-CHARs without "+" (RFC 9051, 9); nobody needs long ones.
_COMMAND = re.compile(rb"([!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]{1,64}) ([A-Za-z]{1,20})(?: (.*))?")
_LITERAL = re.compile(rb"\{[0-9]+\+?\}$")
_GREETING = re.compile(rb"\* (OK|PREAUTH|BYE)(?: \[CAPABILITY [^\]]*\])?(?: (.*))?", re.IGNORECASE)
_BYE = re.compile(rb"\* BYE\b", re.IGNORECASE)
_TAG = b"starttls"
_CONSENT = re.compile(rb"starttls OK\b.*", re.IGNORECASE)


class ImapPreamble(LinePreamble):
    """
    Answers as a mail server that offers STARTTLS and, unless TLS is ``optional``, no login without it.

    What the target is able to do is not known before the client has named it; the client asks for it again after the
    handshake (RFC 9051, 6.2.1). After an optional upgrade that did not come, it knows no more than what we offered.
    """

    def __init__(self, *, optional: bool = False) -> None:
        super().__init__(_Imap(b"IMAP4rev1 ID STARTTLS" + b" LOGINDISABLED" * (not optional)), optional)


@define
class _Imap:
    capabilities: bytes
    introduction: bytes = b""

    @property
    def greeting(self) -> bytes:
        return b"* OK [CAPABILITY %b] ready\r\n" % self.capabilities

    def answer(self, line: bytes) -> Answer:
        command = _COMMAND.fullmatch(line)
        if command is None:
            return Answer(b"* BYE That is no command\r\n", Then.END, "what the client sent is no IMAP")
        tag, word, rest = command[1], command[2].upper(), command[3]
        match word, rest:
            case b"CAPABILITY", None:
                return Answer(b"* CAPABILITY %b\r\n%b OK done\r\n" % (self.capabilities, tag))
            case b"NOOP", None:
                return Answer(tag + b" OK done\r\n")
            case b"ID", bytes() if not _LITERAL.search(rest):
                return Answer(b"* ID NIL\r\n%b OK done\r\n" % tag)
            case b"STARTTLS", None:
                return Answer(tag + b" OK begin TLS now\r\n", Then.TLS)
            case b"LOGOUT", None:
                return Answer(b"* BYE\r\n%b OK done\r\n" % tag, Then.END, "the client quit before TLS")
            case (b"CAPABILITY" | b"NOOP" | b"STARTTLS" | b"LOGOUT", _) | (b"ID", None):
                return Answer(tag + b" BAD wrong number of arguments\r\n")
        why = f"the client sent {word.decode()} without TLS"
        refusal = b"%b NO [PRIVACYREQUIRED] Must issue STARTTLS first\r\n* BYE TLS is required\r\n" % tag
        return Answer(refusal, Then.PLAIN, why)

    def farewell(self, why: str) -> bytes:
        return b"* BYE %b\r\n" % why.encode()


class ImapAsk(LineAsk):
    """
    Waits for a mail server's greeting and, with ``upgrade``, says STARTTLS. A server that takes the client for somebody
    before a word was said (PREAUTH) is refused: it can no longer be asked for TLS, and our client was told otherwise.
    """

    def __init__(self, *, upgrade: bool = True) -> None:
        super().__init__(_ask(upgrade=upgrade), upgrade=upgrade)


def _ask(*, upgrade: bool) -> Script:
    line = yield b""
    greeting = _GREETING.fullmatch(line)
    if greeting is None or greeting[1].upper() != b"OK":
        raise UnexpectedAnswer(f"the target greets with {shown(line)}")
    if upgrade:
        line = yield _TAG + b" STARTTLS\r\n"
        while line.startswith(b"* ") and not _BYE.match(line):
            line = yield b""
        if not _CONSENT.fullmatch(line):
            raise UnexpectedAnswer(f"the target answers STARTTLS with {shown(line)}")
    return b"* OK %b\r\n" % (greeting[2] or b"ready")
