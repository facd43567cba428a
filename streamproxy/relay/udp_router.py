"""Where the datagrams of a new client go: a listener's serving, as the UDP proxy wants to see it."""

from __future__ import annotations

from ..model import Ended, Ending, Facts, Node, Route, Upstream
from ..rules.hashkey import hash_text
from ..rules.variables import variable
from .announce import proxy_header
from .engine import Engine
from .gates import Admission, Delayed, Rejected
from .serving import Serving
from .udp_seams import Refused, Routed


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

    def route(self, facts: Facts, datagram: bytes) -> Routed | Refused:
        route = self._serving.table.decide(facts).route
        if route is None:
            return Refused(Ending.NO_ROUTE, "no route matches")
        admission = self._engine.gates.admission(facts, route) if route.plugins else None
        delay = 0.0
        while admission is not None:
            progress = admission.advance(datagram, complete=True)
            if isinstance(progress, Delayed):
                delay += progress.seconds
                continue
            if isinstance(progress, Rejected):
                why = f"{progress.plugin}: {progress.why}"
                return Refused(Ending.REJECTED, why, progress.code, route.id, admission)
            break
        chosen = admission.upstream if admission is not None and admission.upstream is not None else route.upstream
        upstream = self._serving.upstreams.get(chosen)
        if upstream is None:
            return Refused(Ending.NO_NODE, f"there is no upstream {chosen}".rstrip(), None, route.id, admission)
        return self._to_node(facts, route, upstream, admission, delay)

    def _to_node(
        self, facts: Facts, route: Route, upstream: Upstream, admission: Admission | None, delay: float
    ) -> Routed | Refused:
        variables = admission.variables if admission is not None else {}
        key = ""
        if upstream.hash_key is not None:
            key = hash_text(
                upstream.hash_key, lambda name: variable(name, facts, route, variables), facts.peer.host
            )
        pool = self._engine.pools.of(upstream)
        most = self._serving.limits.max_sessions_per_node
        node = pool.pick((), key, most)
        if node is None and pool.is_full((), most):
            full = f"every node of {upstream.id} has all the sessions it may have"
            return Refused(Ending.QUEUE_FULL, full, None, route.id, admission)
        if node is None:
            return Refused(Ending.NO_NODE, f"{upstream.id} has no node", None, route.id, admission)
        missing, seconds = self._engine.missing, self._engine.reactor.seconds
        if missing.holds(node, seconds()):
            return Refused(Ending.CONNECT_FAILED, f"{node.label} is not there", None, route.id, admission)
        pool.opened(node)

        def over(record: Ended | None, node: Node = node) -> None:
            pool.closed(node)
            if record is None:
                return
            missing.note(node, record, seconds())
            if admission is not None:
                admission.finish(record)

        version = self._serving.listener.proxy_out
        prefix = proxy_header(version, facts, "") if version else b""
        return Routed(
            node, route.id, upstream.id, upstream.timeouts.idle, over, delay=delay, variables=variables, prefix=prefix
        )
