"""Pools: the live side of upstreams. They outlive snapshots, so that an unrelated edit resets nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..model import Node, Upstream
from .roundrobin import RoundRobin


class Pool:
    """One upstream's choice of nodes: the highest priority that has one left, round robin within it."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        priorities = sorted({node.priority for node in upstream.nodes}, reverse=True)
        self._groups = [RoundRobin([n for n in upstream.nodes if n.priority == p]) for p in priorities]

    def pick(self, exclude: Collection[Node] = ()) -> Node | None:
        """The node for the next session, or for the next try of one that has tried ``exclude``."""
        for group in self._groups:
            node = group.pick(exclude)
            if node is not None:
                return node
        return None

    @property
    def attempts(self) -> int:
        """On how many nodes one session may try its luck."""
        retries = self.upstream.retries
        nodes = len(self.upstream.nodes)
        return nodes if retries is None else min(retries + 1, nodes)


class Pools:
    """Every pool of a process, by upstream id. A changed upstream gets a new one; the old one ends with its use."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}

    def of(self, upstream: Upstream) -> Pool:
        """The pool of this upstream as it is now."""
        pool = self._pools.get(upstream.id)
        if pool is None or (pool.upstream is not upstream and pool.upstream != upstream):
            pool = self._pools[upstream.id] = Pool(upstream)
        return pool

    def keep(self, ids: Iterable[str]) -> None:
        """Forget the pools of all other upstreams."""
        wanted = set(ids)
        for gone in self._pools.keys() - wanted:
            del self._pools[gone]

    def __len__(self) -> int:
        return len(self._pools)
