"""Ways to play the other side of a preamble."""

from __future__ import annotations

from itertools import pairwise

from attrs import frozen
from hypothesis import strategies as st

from streamproxy.sniff import Need
from streamproxy.sniff.starttls import (
    MAX_COMMANDS,
    Answering,
    Ask,
    Asking,
    Done,
    Plain,
    Preamble,
    Refuse,
    Reply,
    Upgrade,
)
from streamproxy.testing import hello_bytes

HELLO = hello_bytes()


@frozen
class Played:
    """What came of a conversation: the ``last`` step, all that the machine ``sent``, and the ``window`` it left."""

    last: Answering | Asking
    sent: bytes
    window: bytes
    replies: int


def play(machine: Preamble | Ask, *pieces: bytes) -> Played:
    """Let the peer say nothing, then these pieces, one after the other, whatever it hears."""
    sent, window, replies = machine.opening(), b"", 0
    step: Answering | Asking = Need(1)
    for piece in (b"", *pieces):
        window += piece
        step = machine.step(window)
        while isinstance(step, Reply):
            assert 0 < step.consume <= len(window), f"takes {step.consume} of {len(window)} bytes"
            sent, window, replies = sent + step.send, window[step.consume :], replies + 1
            step = machine.step(window)
        if not isinstance(step, Need):
            return Played(step, *_end(step, sent, window), replies)
        assert step.at_least > len(window), f"having {len(window)} bytes it asks for {step.at_least}"
    return Played(step, sent, window, replies)


def _end(step: Answering | Asking, sent: bytes, window: bytes) -> tuple[bytes, bytes]:
    if isinstance(step, (Upgrade, Done)):
        assert step.consume <= len(window), f"takes {step.consume} of {len(window)} bytes"
        window = window[step.consume :]
    return sent + (step.send if isinstance(step, (Upgrade, Refuse)) else b""), window


def meet(preamble: Preamble, ask: Ask) -> tuple[Answering | Asking, Answering | Asking]:
    """Let the two roles of a protocol talk to each other until neither has anything to say; their last steps."""
    to_preamble, to_ask = ask.opening(), preamble.opening()
    mine: Answering | Asking = Need(1)
    theirs: Answering | Asking = Need(1)
    for _ in range(MAX_COMMANDS):
        if not isinstance(mine, (Upgrade, Plain, Refuse)):
            mine = preamble.step(to_preamble)
            if isinstance(mine, (Reply, Upgrade)):
                to_preamble, to_ask = to_preamble[mine.consume :], to_ask + mine.send
        if not isinstance(theirs, (Done, Refuse)):
            theirs = ask.step(to_ask)
            if isinstance(theirs, (Reply, Done)):
                to_ask = to_ask[theirs.consume :]
            if isinstance(theirs, Reply):
                to_preamble += theirs.send
    assert not to_preamble, f"the preamble left {to_preamble!r}"
    assert not to_ask, f"the ask left {to_ask!r}"
    return mine, theirs


def refused(played: Played) -> str:
    """Why the conversation ended."""
    assert isinstance(played.last, Refuse), f"not refused: {played}"
    return played.last.why


def pieces_of(data: bytes) -> st.SearchStrategy[tuple[bytes, ...]]:
    """The same bytes, cut anywhere."""
    cuts = st.lists(st.integers(0, len(data)), max_size=8).map(lambda cuts: [0, *sorted(cuts), len(data)])
    return cuts.map(lambda cuts: tuple(data[start:end] for start, end in pairwise(cuts)))


def lines(*texts: bytes) -> bytes:
    return b"".join(text + b"\r\n" for text in texts)
