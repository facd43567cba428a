"""A UDP proxy with clients and nodes around it, for its tests."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from itertools import count
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred

from streamproxy.model import Ended, Ending, Facts, ListenAddress, Node, Transport
from streamproxy.relay.pktinfo import bind_udp
from streamproxy.relay.udp import DatagramProxy
from streamproxy.relay.udp_seams import Refused, Routed
from streamproxy.relay.udp_session import DatagramSession

from .loop import Loop

# What the wall clock says in these tests.
NOON = 1_700_000_000.0


@define
class Peer:
    """A UDP socket of the test's: a client, or a node."""

    loop: Loop
    sock: socket.socket

    @property
    def port(self) -> int:
        return int(self.sock.getsockname()[1])

    @property
    def node(self) -> Node:
        return Node(*self.sock.getsockname()[:2])

    def send(self, data: bytes, to: Any) -> None:
        self.sock.sendto(data, to)

    def receive(self) -> tuple[bytes, Any]:
        """The next datagram and where it came from; turns the loop until there is one."""
        got: list[tuple[bytes, Any]] = []

        def came() -> bool:
            try:
                got.append(self.sock.recvfrom(65_535))
            except BlockingIOError:
                return False
            return True

        self.loop.until(came, "a datagram came")
        return got[0]

    def waiting(self) -> list[bytes]:
        """All datagrams that have come once nothing moves any more."""
        self.loop.settle()
        got: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                got.append(self.sock.recv(65_535))
        return got

    def close(self) -> None:
        self.sock.close()


@define
class Router:
    """Sends every client to ``answers[0]``, or to each in turn until the last is left, or raises it."""

    answers: list[Routed | Ending | Exception]
    owner: str = "stream_proxy.udp[0]"
    revision: int = 7
    asked: list[Facts] = field(factory=list)

    def route(self, facts: Facts, datagram: bytes) -> Routed | Refused:
        self.asked.append(facts)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Refused(answer, "as told") if isinstance(answer, Ending) else answer


@define
class Names:
    """A resolver. What is in ``known`` needs no asking; the rest waits in ``asked``."""

    known: dict[str, tuple[str, ...]] = field(factory=dict)
    asked: list[tuple[str, Deferred[tuple[str, ...]]]] = field(factory=list)

    def cached(self, host: str) -> tuple[str, ...] | None:
        if host.replace(".", "").isdigit() or ":" in host:
            return (host,)
        return self.known.get(host)

    def resolve(self, host: str) -> Deferred[tuple[str, ...]]:
        answer: Deferred[tuple[str, ...]] = Deferred()
        self.asked.append((host, answer))
        return answer


@define
class Town:
    """Makes the parts, and closes what was made."""

    loop: Loop
    names: Names = field(factory=Names)
    records: list[Ended] = field(factory=list)
    released: list[Node] = field(factory=list)
    _made: list[Callable[[], object]] = field(factory=list)

    def peer(self, host: str = "127.0.0.1") -> Peer:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((host, 0))
        self._made.append(sock.close)
        return Peer(self.loop, sock)

    def gone(self) -> Node:
        """A node where nothing listens any more."""
        peer = self.peer()
        node = peer.node
        peer.close()
        return node

    def routed(self, node: Node | Peer, **more: Any) -> Routed:
        where = node.node if isinstance(node, Peer) else node
        idle = more.pop("idle_timeout", None)
        return Routed(where, "route", "upstream", idle, lambda record: self.released.append(where), **more)

    def proxy(self, router: Router | Routed, *, host: str = "127.0.0.1", **more: Any) -> DatagramProxy:
        """One that listens; ``more`` goes to its constructor."""
        listen = ListenAddress(Transport.UDP, host, 0)
        ids = count(1)
        sock = more.pop("sock", None) or bind_udp(listen)
        proxy = DatagramProxy(
            self.loop,
            sock,
            router if isinstance(router, Router) else Router([router]),
            listen=listen,
            resolver=self.names,
            record=more.pop("record", self.records.append),
            ids=lambda: f"s{next(ids)}",
            now=lambda: NOON,
            **more,
        )
        proxy.start()
        self._made.append(proxy.close)
        return proxy

    def endings(self) -> list[Ending]:
        return [ended.ending for ended in self.records]

    def close(self) -> None:
        for close in reversed(self._made):
            close()


def where(proxy: DatagramProxy, host: str = "127.0.0.1") -> tuple[str, int]:
    """The proxy's address as a client writes it."""
    return host, proxy.address.port


def only(proxy: DatagramProxy) -> DatagramSession:
    """The proxy's one session."""
    (session,) = proxy
    return session
