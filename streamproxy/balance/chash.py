"""Consistent hashing: a session goes where its key's hash lies on a ring. The ring is APISIX's (resty.chash 0.05)."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from zlib import crc32

from ..model import Node
from .choice import Free
from .member import Candidate

# Points on the ring for each unit of weight.
POINTS = 160

# Points on one ring: as many as 1,600 nodes of equal weight have. Beyond it each node gets its share of them.
MAX_POINTS = POINTS * 1600


class Chash:
    """
    The first point at or after the key's hash, and from there on to the first whose node is free: who is tried next
    when a node fails follows from the key as well. The ring is made when it is first needed.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = tuple(candidates)
        self._ring: array[int] | None = None

    def pick(self, free: Free, key: str, now: float = 0.0) -> Candidate | None:
        candidates = self._candidates
        if self._ring is None:
            self._ring = ring([candidate.node for candidate in candidates])
        points = self._ring
        if not points:
            return None
        start = bisect_left(points, crc32(key.encode("utf-8", "surrogatepass")) << 32)
        seen = set()
        for step in range(len(points)):
            index = points[(start + step) % len(points)] & 0xFFFFFFFF
            if index in seen:
                continue
            if free(candidates[index]):
                return candidates[index]
            seen.add(index)
            if len(seen) == len(candidates):
                break
        return None


def ring(nodes: Sequence[Node]) -> array[int]:
    """The points in ascending order, each its hash (upper 32 bits) and the index of its node (lower 32)."""
    divisor = math.gcd(*(node.weight for node in nodes)) or 1
    counts = [POINTS * (node.weight // divisor) for node in nodes]
    total = sum(counts)
    if total > MAX_POINTS:
        counts = [max(1, count * MAX_POINTS // total) if count else 0 for count in counts]
    points = []
    for index, (node, count) in enumerate(zip(nodes, counts, strict=True)):
        seed = crc32(f"{node.dial_host}\0{node.port}".encode("utf-8", "surrogatepass"))
        point = 0
        for _ in range(count):
            point = crc32(point.to_bytes(4, "little"), seed)
            points.append(point << 32 | index)
    points.sort()
    return array("Q", points)
