"""Weighted round robin, smooth: no run of one node longer than its weight makes necessary."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..model import Node


class RoundRobin:
    """
    Over the nodes of one priority. Each pick every candidate gains its weight, and the one that has most gives back
    what all gained together (nginx's algorithm). Equal nodes take turns in their order.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = tuple(node for node in nodes if node.weight > 0)
        self._credit = [0] * len(self._nodes)
        self._equal = len({node.weight for node in self._nodes}) <= 1
        self._turn = -1

    def pick(self, exclude: Collection[Node] = ()) -> Node | None:
        """The next node that is not in ``exclude``; ``None`` when there is none."""
        nodes = self._nodes
        if self._equal:
            for _ in nodes:
                self._turn = (self._turn + 1) % len(nodes)
                if nodes[self._turn] not in exclude:
                    return nodes[self._turn]
            return None
        total = 0
        best = -1
        for index, node in enumerate(nodes):
            if node in exclude:
                continue
            total += node.weight
            self._credit[index] += node.weight
            if best < 0 or self._credit[index] > self._credit[best]:
                best = index
        if best < 0:
            return None
        self._credit[best] -= total
        return nodes[best]
