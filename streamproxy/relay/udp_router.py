"""Where the datagrams of a new client go: a listener's serving, as the UDP proxy wants to see it."""

from __future__ import annotations

from ..model import Ending, Facts
from .engine import Engine
from .serving import Serving
from .udp_seams import Routed


class ServingRouter:
    """Decides by one ``serving``; a reload makes a new router."""

    def __init__(self, engine: Engine, serving: Serving) -> None:
        self._engine = engine
        self._serving = serving

    @property
    def owner(self) -> str:
        return self._serving.listener.owner

    @property
    def revision(self) -> int:
        return self._serving.revision

    def route(self, facts: Facts) -> Routed | Ending:
        route = self._serving.table.decide(facts).route
        if route is None:
            return Ending.NO_ROUTE
        upstream = self._serving.upstream(route)
        node = self._engine.pools.of(upstream).pick()
        if node is None:
            return Ending.NO_NODE
        return Routed(node, route.id, upstream.id, upstream.timeouts.idle, _nothing)


def _nothing() -> None:
    """Round robin keeps no count of what goes on."""
