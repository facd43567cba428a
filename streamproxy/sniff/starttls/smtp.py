"""STARTTLS of SMTP (RFC 3207), between mail servers and for submission."""

from __future__ import annotations

import re
from collections.abc import Generator

from attrs import define

from .lines import Answer, LineAsk, LinePreamble, Script, Then, UnexpectedAnswer
from .machine import shown

_HOST = re.compile(r"[!-~]+")
_VERB = re.compile(rb"[A-Za-z]{1,12}")
_REPLY = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?")
_NOBODY = b"EHLO localhost"


class SmtpPreamble(LinePreamble):
    """
    Answers as the mail server ``host``, which offers STARTTLS and nothing else: what the target offers is not known
    before the client has named it, and the client has to ask again after the handshake anyway (RFC 3207, 4.2).

    ``optional``: a client that goes on without TLS is passed on; ``introduction`` is the EHLO or HELO it said last.
    Raises ``ValueError`` when ``host`` could not be said in a line.
    """

    def __init__(self, host: str, *, optional: bool = False) -> None:
        if not _HOST.fullmatch(host):
            raise ValueError(f"{host!r} cannot be the name of a mail server")
        super().__init__(_Smtp(host.encode()), optional)


@define
class _Smtp:
    host: bytes
    introduction: bytes = b""

    @property
    def greeting(self) -> bytes:
        return b"220 %b ESMTP\r\n" % self.host

    def answer(self, line: bytes) -> Answer:
        verb, *rest = line.split(maxsplit=1) or [b""]
        match verb.upper(), rest:
            case b"EHLO", [name]:
                self.introduction = b"EHLO " + name
                return Answer(b"250-%b\r\n250 STARTTLS\r\n" % self.host)
            case b"HELO", [name]:
                self.introduction = b"HELO " + name
                return Answer(b"250 %b\r\n" % self.host)
            case b"STARTTLS", []:
                return Answer(b"220 Ready to start TLS\r\n", Then.TLS)
            case (b"NOOP", _) | (b"RSET", []):
                return Answer(b"250 OK\r\n")
            case b"QUIT", []:
                return Answer(b"221 %b Bye\r\n" % self.host, Then.END, "the client quit before TLS")
            case ((b"EHLO" | b"HELO" | b"STARTTLS" | b"RSET" | b"QUIT"), _):
                return Answer(b"501 Syntax error in parameters\r\n")
        if not _VERB.fullmatch(verb):
            return Answer(b"500 Command not recognized\r\n", Then.END, "what the client sent is no SMTP")
        why = f"the client sent {verb.decode().upper()} without TLS"
        return Answer(b"530 Must issue a STARTTLS command first\r\n", Then.PLAIN, why)

    def farewell(self, why: str) -> bytes:
        return b"421 %b %b\r\n" % (self.host, why.encode())


class SmtpAsk(LineAsk):
    """
    Waits for a mail server's greeting. With ``upgrade`` says EHLO by the name in ``introduction`` (an EHLO or HELO
    command), and STARTTLS. Without it says ``introduction`` as it is where there is one, so that the server is where
    our own answers led the client.
    """

    def __init__(self, *, introduction: bytes = b"", upgrade: bool = True) -> None:
        super().__init__(_ask(introduction, upgrade=upgrade), upgrade=upgrade)


def _ask(introduction: bytes, *, upgrade: bool) -> Script:
    greeting = yield from _reply(b"", b"220", "the connection")
    if upgrade:
        _, _, name = (introduction or _NOBODY).partition(b" ")
        features = yield from _reply(b"EHLO %b\r\n" % name, b"250", "EHLO")
        if b"STARTTLS" not in (line.strip().upper() for line in features[1:]):
            raise UnexpectedAnswer("the target offers no STARTTLS")
        yield from _reply(b"STARTTLS\r\n", b"220", "STARTTLS")
    elif introduction:
        yield from _reply(introduction + b"\r\n", b"250", "the client's introduction")
    last = len(greeting) - 1
    return b"".join(b"220%b%b\r\n" % (b" " if number == last else b"-", text) for number, text in enumerate(greeting))


def _reply(send: bytes, code: bytes, to: str) -> Generator[bytes, bytes, list[bytes]]:
    """Say something and hear the whole reply (RFC 5321, 4.2.1): its texts, line by line, if it has the ``code``."""
    texts: list[bytes] = []
    while True:
        line = yield send
        send = b""
        reply = _REPLY.fullmatch(line)
        if reply is None:
            raise UnexpectedAnswer(f"the target answers {to} with what is no SMTP: {shown(line)}")
        if reply[1] != code:
            raise UnexpectedAnswer(f"the target answers {to} with {shown(line)}")
        texts.append(reply[3] or b"")
        if reply[2] != b"-":
            return texts
