"""Ways to show a sniffer the bytes of a peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from attrs import frozen
from hypothesis import settings

from streamproxy.sniff import Hit, Miss, Need, Verdict, Window

T = TypeVar("T")

patient = settings(deadline=None)
"""No test is about how busy the machine is."""


@frozen
class Fed:
    """``verdict`` came after ``seen`` bytes and so many ``asks``."""

    verdict: Need | Miss | Hit[object]
    seen: int
    asks: int


def feed(sniff: Callable[[Window], Verdict[T]], whole: bytes) -> Fed:
    """Show as much of ``whole`` as the sniffer asks for, until it has decided or asks for more than there is."""
    seen = asks = 0
    while True:
        verdict = sniff(whole[:seen])
        asks += 1
        if not isinstance(verdict, Need):
            return Fed(verdict, seen, asks)
        assert verdict.at_least > seen, f"having seen {seen} bytes it asks for {verdict.at_least}"
        if verdict.at_least > len(whole):
            return Fed(verdict, seen, asks)
        seen = verdict.at_least


def is_final(sniff: Callable[[Window], Verdict[T]], whole: bytes, cut: int) -> bool:
    """What ``sniff`` says of the first ``cut`` bytes holds for ``whole``, if it says anything."""
    early, late = sniff(whole[:cut]), sniff(whole)
    if isinstance(early, Need):
        return early.at_least > len(whole[:cut])
    return early == late or (isinstance(early, Miss) and isinstance(late, Miss))


def why(verdict: Verdict[T]) -> str:
    """The words of a ``Miss``."""
    assert isinstance(verdict, Miss), f"not refused: {verdict}"
    return verdict.why


def value(verdict: Verdict[T]) -> T:
    """The value of a ``Hit``."""
    assert isinstance(verdict, Hit), f"not understood: {verdict}"
    return verdict.value
