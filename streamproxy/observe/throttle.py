"""How many lines of a kind a log gets: a flood of connections must not become a flood of lines."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

BURST = 100
"""Lines that may come at once."""
RATE = 10.0
"""Lines a second that may come for ever."""


@define
class Throttle:
    """A token bucket on the clock ``seconds``; ``held`` counts what was held back since the last line that passed."""

    _seconds: Callable[[], float]
    _burst: float = BURST
    _rate: float = RATE
    held: int = field(init=False, default=0)
    _tokens: float = field(init=False)
    _last: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._tokens = self._burst
        self._last = self._seconds()

    def passes(self) -> int | None:
        """``None``: hold this line back. Otherwise it may be written, and so many were held back before it."""
        now = self._seconds()
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate)
        self._last = now
        if self._tokens < 1:
            self.held += 1
            return None
        self._tokens -= 1
        held, self.held = self.held, 0
        return held
