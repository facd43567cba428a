"""The least loaded: fewest sessions for its weight."""

from __future__ import annotations

from collections.abc import Sequence

from .choice import Free
from .member import Candidate


class LeastConn:
    """Takes the least ``(1 + sessions) / weight``; those that are even take turns."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = tuple(candidates)
        self._start = 0

    def pick(self, free: Free, key: str = "", now: float = 0.0) -> Candidate | None:
        best = -1
        least = 0.0
        count = len(self._candidates)
        for step in range(count):
            index = (self._start + step) % count
            candidate = self._candidates[index]
            if not free(candidate):
                continue
            load = (1 + candidate.member.sessions) / candidate.weight(now)
            if best < 0 or load < least:
                best, least = index, load
        if best < 0:
            return None
        self._start = (best + 1) % count
        return self._candidates[best]
