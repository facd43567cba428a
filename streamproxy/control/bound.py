"""Bound listeners: a socket, and what serves on it."""

from __future__ import annotations

import socket
from collections import Counter
from functools import partial

from attrs import asdict

from ..model import Ended, Ending, ListenerState, ListenerStatus, Transport
from ..relay.bandwidth import Meter, meters
from ..relay.engine import Engine
from ..relay.factory import StreamProxyFactory
from ..relay.limits import Door
from ..relay.serving import Serving
from ..relay.udp import DatagramProxy
from ..relay.udp_router import ServingRouter
from ..relay.udp_seams import DatagramLimits
from ..relay.udp_session import DatagramSession
from .ports import TcpPort
from .reconcile import BoundPort
from .sockets import Sockets


def bind(engine: Engine, sockets: Sockets, serving: Serving) -> BoundPort:
    """
    Bind a listener and, unless the ``sockets`` are held, serve on it. Raises ``OSError`` when the address cannot be
    had.
    """
    sock = sockets.bind(serving.listener.address)
    is_udp = serving.listener.address.transport is Transport.UDP
    bound: BoundPort = BoundUdp(engine, serving, sock) if is_udp else BoundTcp(engine, serving, sock)
    if not sockets.held:
        bound.start()
    return bound


class BoundTcp:
    """A TCP listener that is bound to ``sock``."""

    def __init__(self, engine: Engine, serving: Serving, sock: socket.socket) -> None:
        self._factory = StreamProxyFactory(engine, serving)
        self._port = TcpPort(engine.hub, sock, self._factory.accept, engine.last_descriptor)
        self.port = self._port.port
        self._engine = engine
        self._lent: list[TcpPort] = []

    def start(self) -> None:
        self._port.start()

    def lend(self, sock: socket.socket) -> TcpPort:
        port = TcpPort(self._engine.hub, sock, self._factory.accept, self._engine.last_descriptor)
        self._lent = [*(each for each in self._lent if not each.closed), port]
        port.start()
        return port

    @property
    def descriptor(self) -> int:
        return self._port.fileno()

    def swap(self, serving: Serving) -> None:
        self._factory.serving = serving

    def close(self) -> None:
        for port in (self._port, *self._lent):
            port.close()

    def cede(self) -> None:
        self.close()

    def status(self) -> ListenerStatus:
        factory = self._factory
        tally = factory.tally
        ended = factory.ended()
        if self._port.exhausted:
            ended += (("accept_paused", self._port.exhausted),)
        return ListenerStatus(
            factory.serving.listener,
            ListenerState.LISTENING,
            self.port,
            revision=factory.serving.revision,
            sessions=tally.sessions,
            accepted=tally.accepted,
            bytes_in=tally.bytes_in,
            bytes_out=tally.bytes_out,
            ended=ended,
        )


class BoundUdp:
    """A UDP listener that is bound to ``sock``."""

    def __init__(self, engine: Engine, serving: Serving, sock: socket.socket) -> None:
        """Raises ``OSError`` when the kernel has no descriptor left."""
        self._engine = engine
        self._serving = serving
        self._ended: Counter[Ending] = Counter()
        self._door = Door(engine)
        address = serving.listener.address
        self._proxy = DatagramProxy(
            engine.reactor,
            sock,
            ServingRouter(engine, serving),
            listen=address,
            resolver=engine.resolver,
            record=self._record,
            began=self._began,
            ids=engine.table.next_id,
            now=engine.now,
            limits=self._limits(serving),
            open_socket=engine.open_socket,
            proxy_in=serving.listener.proxy_in,
        )
        self.port = self._proxy.address.port
        engine.table.house(self._proxy)

    def start(self) -> None:
        self._proxy.start()

    def lend(self, sock: socket.socket) -> None:
        # Its clients' next datagrams would belong to sessions here, and to others when its own process is back.
        sock.close()

    @property
    def descriptor(self) -> int:
        return self._proxy.descriptor

    def swap(self, serving: Serving) -> None:
        self._serving = serving
        self._proxy.router = ServingRouter(self._engine, serving)
        self._proxy.proxy_in = serving.listener.proxy_in
        self._proxy.limits = self._limits(serving)

    def close(self) -> None:
        # A datagram session has nothing to lose but its node: its client, if it goes on, finds nobody listening.
        self._proxy.close()
        self._engine.table.raze(self._proxy)

    def cede(self) -> None:
        drained = self._proxy.close(drain=True, deaf=True)
        drained.addCallback(lambda _: self._engine.table.raze(self._proxy))

    def status(self) -> ListenerStatus:
        counters = self._proxy.counters
        ended = {ending.value: count for ending, count in self._ended.items()}
        drops = {
            name: count
            for name, count in asdict(counters).items()
            if count and name not in ("sessions", "datagrams_in", "datagrams_out", "bytes_in", "bytes_out")
        }
        return ListenerStatus(
            self._serving.listener,
            ListenerState.LISTENING,
            self.port,
            revision=self._serving.revision,
            sessions=self._proxy.sessions,
            accepted=counters.sessions,
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
            datagrams_in=counters.datagrams_in,
            datagrams_out=counters.datagrams_out,
            ended=(*sorted(ended.items()), *sorted(drops.items())),
        )

    def _began(self, session: DatagramSession) -> None:
        table = self._engine.table
        if table.watchers:
            table.began(session)
            table.routed(session)

    def _record(self, ended: Ended) -> None:
        self._ended[ended.ending] += 1
        self._engine.table.ended(ended)

    def _limits(self, serving: Serving) -> DatagramLimits:
        limits = serving.limits
        return DatagramLimits(
            limits.max_udp_sessions,
            limits.max_sessions_per_client,
            limits.udp_idle_timeout,
            limits.max_duration,
            partial(self._door.refuses_datagrams, serving),
            partial(self._meters, serving),
        )

    def _meters(self, serving: Serving, client: str) -> tuple[Meter, Meter] | None:
        return meters(serving.limits, self._door.crowd(serving), client, self._engine.reactor.seconds())
