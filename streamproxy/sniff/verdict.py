"""What a sniffer says of the bytes it has been shown so far."""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

from attrs import frozen

T_co = TypeVar("T_co", covariant=True)

Window: TypeAlias = bytes | bytearray | memoryview
"""The first bytes of a stream, from its very first one. Sniffers look and leave them where they are."""


@frozen
class Need:
    """
    Too early to tell. ``at_least`` is how many bytes the whole window must hold before asking again can change
    anything for a peer that speaks the protocol; it is more than the window holds now, and never more than a valid
    message will bring.
    """

    at_least: int


@frozen
class Miss:
    """This is another protocol, or it is broken, and no further byte can mend it. ``why`` is a sentence for people."""

    why: str


@frozen
class Hit(Generic[T_co]):
    """``value`` was learnt from the first ``consumed`` bytes of the window; what follows them was not looked at."""

    value: T_co
    consumed: int


Verdict: TypeAlias = Need | Miss | Hit[T_co]
"""
What every sniffer returns: a function of the window alone, for any bytes whatever, that never raises. A ``Hit`` is
final, and so is a ``Miss``: a longer window that starts the same gets the same, at most in more precise words.
"""
