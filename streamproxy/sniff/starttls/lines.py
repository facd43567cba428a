"""Preambles of protocols that talk in lines: SMTP, IMAP and POP3 differ in their words only."""

from __future__ import annotations

import enum
import re
from collections.abc import Generator
from typing import Protocol, TypeAlias

from attrs import define, field, frozen

from ..verdict import Hit, Miss, Need, Verdict
from .machine import (
    HANDSHAKE,
    MAX_COMMANDS,
    MAX_LINE,
    MAX_PREAMBLE,
    Answering,
    Asking,
    Done,
    Plain,
    Refuse,
    Reply,
    done,
    upgrade,
)

# A CR that ends no line and a NUL mean different things to different readers, and a line may be repeated to a target.
_LINE = re.compile(rb"([^\x00-\x08\x0a-\x1f\x7f]*)(\r?\n)?")

_TOO_MUCH = f"more than {MAX_PREAMBLE} bytes came before TLS"


class Then(enum.Enum):
    """What follows an answer."""

    NEXT = "the next command"
    TLS = "the ClientHello"
    PLAIN = "the end, unless the client may go on without TLS"
    END = "the end"


@frozen
class Answer:
    """What is said to one line of a client. ``why`` says in a log why the preamble ends, where it does."""

    send: bytes
    then: Then = Then.NEXT
    why: str = ""


class Words(Protocol):
    """What a protocol says, as its server."""

    @property
    def greeting(self) -> bytes: ...

    @property
    def introduction(self) -> bytes:
        """What the client has introduced itself with so far."""
        ...

    def answer(self, line: bytes) -> Answer:
        """The answer to a line, which comes without its end."""
        ...

    def farewell(self, why: str) -> bytes:
        """What the client is told when the connection ends for a reason of ours."""
        ...


@define
class LinePreamble:
    """Answers a client in these ``words``. ``optional``: it may go on without TLS."""

    words: Words
    optional: bool = False
    _commands: int = field(default=0, init=False)
    _taken: int = field(default=0, init=False)

    def opening(self) -> bytes:
        return self.words.greeting

    def step(self, window: bytes) -> Answering:
        line = take_line(window, MAX_PREAMBLE - self._taken)
        if isinstance(line, Need):
            return line
        if isinstance(line, Miss):
            if window.startswith(HANDSHAKE):
                return Refuse("the client began TLS without asking for it")
            return self._refuse(f"what the client sent is not understood: {line.why}")
        if self._commands == MAX_COMMANDS:
            return self._refuse(f"no TLS was asked for in {MAX_COMMANDS} commands")
        answer = self.words.answer(line.value)
        if answer.then is Then.PLAIN and self.optional:
            return Plain(self.words.introduction)
        if answer.then in (Then.PLAIN, Then.END):
            return Refuse(answer.why, answer.send)
        if answer.then is Then.TLS:
            refusal = self.words.farewell("Nothing may follow the request for TLS before its answer")
            return upgrade(window, line.consumed, answer.send, refusal, self.words.introduction)
        self._commands += 1
        self._taken += line.consumed
        return Reply(line.consumed, answer.send)

    def _refuse(self, why: str) -> Refuse:
        return Refuse(why, self.words.farewell(why))


Script: TypeAlias = Generator[bytes, bytes, bytes]
"""
One side of a conversation, as a place in the code: yields what to send (nothing, to hear more), is sent each line
that comes for it, returns the target's greeting when the target is where it should be, and raises
:class:`UnexpectedAnswer`.
"""


class UnexpectedAnswer(Exception):
    """The target does not do what a script asks; the text says how."""


class LineAsk:
    """Asks a target by a script. ``upgrade``: what the script ends with is the target's consent to TLS."""

    def __init__(self, script: Script, *, upgrade: bool) -> None:
        self._script = script
        self._upgrade = upgrade
        self._opening = next(script)
        self._taken = 0

    def opening(self) -> bytes:
        return self._opening

    def step(self, window: bytes) -> Asking:
        line = take_line(window, MAX_PREAMBLE - self._taken)
        if isinstance(line, Need):
            return line
        if isinstance(line, Miss):
            return Refuse(f"what the target sent is not understood: {line.why}")
        self._taken += line.consumed
        try:
            return Reply(line.consumed, self._script.send(line.value))
        except StopIteration as end:
            greeting: bytes = end.value
            return done(window, line.consumed, greeting) if self._upgrade else Done(line.consumed, greeting)
        except UnexpectedAnswer as unexpected:
            return Refuse(str(unexpected))


def take_line(window: bytes, left: int = MAX_PREAMBLE) -> Verdict[bytes]:
    """The first line, without its end (CRLF or a bare LF), out of the ``left`` bytes its sender may still send."""
    line = _LINE.match(window)
    if line is None:
        raise AssertionError("a pattern that takes nothing for a match does not match")
    if line[2]:
        length = line.end()
    elif window[line.end() :] in (b"", b"\r"):
        length = len(window) + 1
    else:
        return Miss("a line holds a control character")
    if length > MAX_LINE:
        return Miss(f"a line is longer than {MAX_LINE} bytes")
    if length > left:
        return Miss(_TOO_MUCH)
    return Hit(line[1], length) if line[2] else Need(length)
