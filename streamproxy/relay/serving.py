"""What a listener serves at one revision: the one pointer that a reload swaps, and that each session pins."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from ..model import FactKind, Limits, Listener, Snapshot, Upstream
from ..rules import Table
from ..rules.guard import Guard


@frozen(eq=False)
class Serving:
    """
    ``sniff`` is what has to be read before a decision: nothing, where the table looks at nothing of it. ``limits`` are
    the process's with the listener's own in their place. ``guard`` is who lets clients in, if there is anybody;
    ``counts_clients``: there are limits for each of them; ``is_metered``: bandwidth is limited.
    """

    listener: Listener
    table: Table
    upstreams: Mapping[str, Upstream]
    limits: Limits = Limits()
    revision: int = 0
    sniff: frozenset[FactKind] = field(init=False)
    guard: Guard | None = field(init=False)
    counts_clients: bool = field(init=False)
    is_metered: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        limits = self.listener.limits.over(self.limits)
        each = (limits.max_sessions_per_client, limits.session_rate_per_client)
        width = (limits.bandwidth, limits.bandwidth_per_client)
        object.__setattr__(self, "limits", limits)
        object.__setattr__(self, "sniff", self.listener.sniff & self.table.needs)
        object.__setattr__(self, "guard", Guard.of(self.listener.access))
        object.__setattr__(self, "counts_clients", any(limit is not None for limit in each))
        object.__setattr__(self, "is_metered", any(limit is not None for limit in width))

    @classmethod
    def of(cls, snapshot: Snapshot, listener: Listener, table: Table | None = None) -> Serving:
        """A listener of a snapshot; ``table`` where its routing was compiled before."""
        if table is None:
            table = Table.compile(snapshot.routings[listener.routing])
        return cls(listener, table, snapshot.upstreams, snapshot.limits, snapshot.revision)
