"""A proxy on a loop whose snapshot is known, so that what it did can be explained."""

from __future__ import annotations

import socket
import struct
from typing import Any

from streamproxy.model import (
    Ended,
    FactKind,
    Limits,
    ListenAddress,
    Listener,
    Match,
    NamePattern,
    Node,
    Ongoing,
    Order,
    PatternKind,
    Route,
    Routing,
    Snapshot,
    TlsMode,
    Transport,
    Upstream,
    UpstreamStatus,
)
from streamproxy.relay.factory import StreamProxyFactory
from streamproxy.relay.gates import Gates
from streamproxy.relay.serving import Serving
from streamproxy.why import Source, Why, World, explain_session

from ..relay.plugin_kit import Scripted
from ..relay.test_gates import host
from ..relay.test_termination import TlsProxy

ADDRESS = ListenAddress(Transport.TCP, "127.0.0.1", 7)


def named(name: str) -> Match:
    return Match(names=(NamePattern(PatternKind.EXACT, name, name),))


class Explained(TlsProxy):
    """``serve_with`` says what it does; ``why`` explains the session that ended."""

    snapshot: Snapshot

    def serve_with(
        self,
        *nodes: Node,
        name: str | None = None,
        tls: TlsMode = TlsMode.PASSTHROUGH,
        plugins: tuple[Scripted, ...] = (),
        limits: Limits = Limits(),
        listener: dict[str, Any] | None = None,
        **upstream: Any,
    ) -> None:
        match = Match() if name is None else named(name)
        if plugins:
            self.engine.gates = Gates({plugin.name: plugin for plugin in plugins}, host())
        route = Route("the route", match, "the upstream", tuple(plugin.use() for plugin in plugins))
        sniff = frozenset(FactKind) if tls is TlsMode.PASSTHROUGH else frozenset[FactKind]()
        made = Listener(ADDRESS, "r", "the test", tls=tls, sniff=sniff, **(listener or {}))
        self.snapshot = Snapshot(
            3,
            (made,),
            {"r": Routing("r", Order.FIRST, (route,))},
            {"the upstream": Upstream("the upstream", nodes, **upstream)},
            limits,
        )
        self.factory = StreamProxyFactory(self.engine, Serving.of(self.snapshot, made))

    def why(self, record: Ended | Ongoing | None = None) -> Why:
        return explain_session(self.world(), self.ended() if record is None else record)

    def world(self, source: Source = Source.PINNED) -> World:
        return World(self.snapshot, source, self._status)

    def _status(self, name: str) -> UpstreamStatus:
        return self.engine.pools.of(self.snapshot.upstreams[name]).status()


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
