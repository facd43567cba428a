"""
How often something may happen: the generic cell rate algorithm (ITU-T I.371), which is a token bucket that keeps one
number, the time at which the bucket will be full again.
"""

from __future__ import annotations

from ..model import Rate

# Of so many clients it is known when they last did something, those that did lately. It is some 5 MB.
MOST_CLIENTS = 32768

# Sums of fractions of seconds are not exact; what is late by less than this is not late.
_NOTHING = 1e-9


class Paces:
    """Paces by key, each its own. When there are more than ``most``, the one longest unused is forgotten."""

    __slots__ = ("_due", "_most")

    def __init__(self, most: int = MOST_CLIENTS) -> None:
        self._due: dict[str, float] = {}
        self._most = most

    def admits(self, key: str, rate: Rate, now: float) -> bool:
        """May it happen once more at ``now`` (seconds)? Then it has."""
        interval = 1.0 / rate.per_second
        due = max(self._due.pop(key, now), now)
        if due - now > (rate.burst - 1) * interval + _NOTHING:
            self._keep(key, due)
            return False
        self._keep(key, due + interval)
        return True

    def book(self, key: str, seconds: float, now: float, credit: float) -> float:
        """
        Take the next ``seconds``, and say when they begin: at ``now``, or when what was booked before is over. Who
        booked nothing lately has up to ``credit`` seconds left over, and so may begin before ``now``.
        """
        begins = max(self._due.pop(key, now), now - credit)
        self._keep(key, begins + seconds)
        return begins

    def due(self, key: str, now: float) -> float:
        """When what was booked is over."""
        return self._due.get(key, now)

    def __len__(self) -> int:
        return len(self._due)

    def _keep(self, key: str, due: float) -> None:
        if len(self._due) >= self._most:
            del self._due[next(iter(self._due))]
        self._due[key] = due
