"""What a client says before its target is there."""

from __future__ import annotations

from collections.abc import Callable

from ..interfaces import Leg

# How much is kept. A hello of 64 KiB fits, with the records around it.
WINDOW = 80 * 1024


class Early:
    """
    Hears a client's leg until a pump takes over. ``changed`` is called when there is more, or will be no more, as long
    as somebody wants to know; ``lost`` when the client has gone.
    """

    __slots__ = ("_leg", "_listening", "_lost", "changed", "ended", "window")

    def __init__(self, leg: Leg, lost: Callable[[str], None]) -> None:
        self._leg = leg
        self._lost = lost
        self._listening = False
        self.changed: Callable[[], None] | None = None
        self.window = b""
        self.ended = False
        leg.receiver = _Ear(self)

    def listen(self) -> None:
        """Begin to hear the client, unless that has begun."""
        if not self._listening:
            self._listening = True
            self._leg.start()

    def take(self, size: int | None = None) -> bytes:
        """Take ``size`` bytes from the front of the window, all without it."""
        taken, self.window = (self.window, b"") if size is None else (self.window[:size], self.window[size:])
        return taken

    def forget(self) -> None:
        """Nobody cares any more: keep nothing and nobody alive."""
        self.window = b""
        self.changed = None
        self._lost = _nobody

    def hear(self, data: bytes) -> None:
        self.window += data
        if self.changed is not None:
            self.changed()
        elif len(self.window) >= WINDOW:
            self._leg.pause()

    def end(self) -> None:
        self.ended = True
        if self.changed is not None:
            self.changed()

    def lose(self, why: str) -> None:
        self._lost(why)


def _nobody(why: str) -> None:
    """Is told, once the session is over."""


class _Ear:
    """The receiver's side of it."""

    __slots__ = ("_early",)

    def __init__(self, early: Early) -> None:
        self._early = early

    def received(self, data: bytes) -> None:
        self._early.hear(data)

    def ended(self) -> None:
        self._early.end()

    def drained(self) -> None:
        """A preamble's few bytes are gone."""

    def lost(self, why: str, *, reset: bool) -> None:
        self._early.lose(why)
