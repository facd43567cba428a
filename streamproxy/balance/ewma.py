"""The one that lately answered fastest: peak EWMA of connect times, of two that are drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .choice import Free
from .member import Candidate


class Ewma:
    """
    Two free candidates are drawn and the better is taken, so that not everybody rushes to the one that was best a
    moment ago. What a node costs is its expected connect time, times its sessions and the new one, for its weight. One
    that was not measured yet costs nothing; of two of those the less loaded is taken. ``random``: a number in [0, 1).
    """

    def __init__(self, candidates: Sequence[Candidate], random: Callable[[], float]) -> None:
        self._candidates = tuple(candidates)
        self._random = random

    def pick(self, free: Free, key: str = "", now: float = 0.0) -> Candidate | None:
        left = [candidate for candidate in self._candidates if free(candidate)]
        if len(left) < 2:
            return left[0] if left else None
        first = int(self._random() * len(left))
        second = (first + 1 + int(self._random() * (len(left) - 1))) % len(left)
        return min(left[first], left[second], key=lambda candidate: _cost(candidate, now))


def _cost(candidate: Candidate, now: float) -> tuple[float, float]:
    load = (1 + candidate.member.sessions) / candidate.weight(now)
    return candidate.member.expected(now) * load, load
