"""Weighted round robin, smooth: no run of one node longer than its weight makes necessary."""

from __future__ import annotations

from collections.abc import Sequence

from .choice import Free
from .member import Candidate


class RoundRobin:
    """
    Each pick every candidate gains its weight, and the one that has most gives back what all gained together (nginx's
    algorithm). Equal nodes take turns in their order.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = tuple(candidates)
        self._credit = [0.0] * len(self._candidates)
        alike = len({candidate.node.weight for candidate in candidates}) <= 1
        self._equal = alike and not any(candidate.slow_start for candidate in candidates)
        self._turn = -1

    def pick(self, free: Free, key: str = "", now: float = 0.0) -> Candidate | None:
        candidates = self._candidates
        if self._equal:
            for _ in candidates:
                self._turn = (self._turn + 1) % len(candidates)
                if free(candidates[self._turn]):
                    return candidates[self._turn]
            return None
        total = 0.0
        best = -1
        for index, candidate in enumerate(candidates):
            if not free(candidate):
                continue
            weight = candidate.weight(now)
            total += weight
            self._credit[index] += weight
            if best < 0 or self._credit[index] > self._credit[best]:
                best = index
        if best < 0:
            return None
        self._credit[best] -= total
        return candidates[best]
