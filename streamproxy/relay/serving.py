"""What a listener serves at one revision: the one pointer that a reload swaps, and that each session pins."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from ..model import FactKind, Limits, Listener, Route, Snapshot, Upstream
from ..rules import Table


@frozen(eq=False)
class Serving:
    """``sniff`` is what has to be read before a decision: nothing, where the table looks at nothing of it."""

    listener: Listener
    table: Table
    upstreams: Mapping[str, Upstream]
    limits: Limits = Limits()
    revision: int = 0
    sniff: frozenset[FactKind] = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "sniff", self.listener.sniff & self.table.needs)

    @classmethod
    def of(cls, snapshot: Snapshot, listener: Listener, table: Table | None = None) -> Serving:
        """A listener of a snapshot; ``table`` where its routing was compiled before."""
        if table is None:
            table = Table.compile(snapshot.routings[listener.routing])
        return cls(listener, table, snapshot.upstreams, snapshot.limits, snapshot.revision)

    def upstream(self, route: Route) -> Upstream:
        """Where the route leads."""
        return self.upstreams[route.upstream]
