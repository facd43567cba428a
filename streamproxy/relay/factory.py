"""The public factory: a layer-4 proxy for any Twisted server endpoint."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IProtocol, IProtocolFactory, IReactorFDSet
from twisted.internet.tcp import Server
from zope.interface import implementer

from ..interfaces import Leg
from ..model import Address, TlsMode
from .departure import reset
from .limits import Door
from .session import Session
from .socket_leg import SocketLeg
from .tls_leg import TlsLeg
from .transport_leg import TransportLeg

if TYPE_CHECKING:
    from ..model import Ending
    from ..observe.sessions import Tally
    from .engine import Engine
    from .serving import Serving


@implementer(IProtocolFactory)
class StreamProxyFactory:
    """
    Relays every connection by ``serving``, which may be replaced at any time: sessions keep the one they began with.
    ``tally`` counts. Give it to any endpoint's ``listen``, or hand it accepted sockets through :meth:`accept`.
    """

    noisy = False

    def __init__(self, engine: Engine, serving: Serving) -> None:
        self.engine = engine
        self.serving = serving
        self.door = Door(engine)

    @property
    def tally(self) -> Tally:
        return self.door.tally

    # From a port of our own

    def accept(self, sock: socket.socket, peer: tuple[Any, ...]) -> None:
        """Take on an accepted, non-blocking TCP socket and the address ``accept`` gave for it."""
        host = _plain_host(peer[0])
        if self.door.refuses(host, self.serving):
            reset(sock)
            return
        leg = self._leg(sock)
        try:
            local = sock.getsockname()
        except OSError:
            leg.abort()
            return
        self._begin(leg, Address(host, peer[1]), Address(_plain_host(local[0]), local[1]))

    # From a Twisted endpoint

    def doStart(self) -> None:
        """An endpoint began to listen."""

    def doStop(self) -> None:
        """An endpoint ceased to listen: with no session left there is nothing to wait for."""
        self.engine.rest()

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        host = getattr(addr, "host", "")
        return None if self.door.refuses(_plain_host(host), self.serving) else Arrival(self)

    def arrived(self, transport: Any, arrival: Arrival) -> None:
        """
        Take on a connected transport. A kernel TCP socket is detached from it; any other stays, and ``arrival``, its
        protocol, is told of the leg that wants to hear it.
        """
        peer, local = _address(transport.getPeer()), _address(transport.getHost())
        reactor = self.engine.reactor
        if type(transport) is Server and not transport.TLS and IReactorFDSet.providedBy(reactor):
            reactor.removeReader(transport)
            sock = transport.getHandle()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._begin(self._leg(sock), peer, local)
            return
        leg = arrival.leg = TransportLeg(reactor)
        leg.makeConnection(transport)
        self._begin(leg, peer, local)

    # Inside

    def _leg(self, sock: socket.socket) -> Leg:
        if self.serving.listener.tls is TlsMode.TERMINATE:
            return TlsLeg(self.engine.hub, sock, strict=False)
        return SocketLeg(self.engine.hub, sock)

    def _begin(self, leg: Leg, peer: Address, local: Address) -> None:
        Session(self.engine, self.serving, self.door, leg, peer, local).begin()

    def ended(self) -> tuple[tuple[str, int], ...]:
        """How the listener's sessions ended, and what was refused at the door."""
        counts: dict[str, int] = {ending.value: count for ending, count in sorted(self.tally.ended.items(), key=_value)}
        counts.update({f"refused:{name}": count for name, count in sorted(self.tally.refused.items())})
        return tuple(counts.items())


def _value(item: tuple[Ending, int]) -> str:
    return item[0].value


@implementer(IProtocol, IHalfCloseableProtocol)
class Arrival:
    """The protocol of an accepted transport. It sees what the transport is, then passes on what it tells."""

    def __init__(self, factory: StreamProxyFactory) -> None:
        self._factory = factory
        self.leg: TransportLeg | None = None

    def makeConnection(self, transport: Any) -> None:
        self._factory.arrived(transport, self)

    def connectionMade(self) -> None:
        """Nobody calls it: ``makeConnection`` is our own."""

    def dataReceived(self, data: bytes) -> None:
        if self.leg is not None:
            self.leg.dataReceived(data)

    def readConnectionLost(self) -> None:
        if self.leg is not None:
            self.leg.readConnectionLost()

    def writeConnectionLost(self) -> None:
        if self.leg is not None:
            self.leg.writeConnectionLost()

    def connectionLost(self, reason: Any) -> None:
        if self.leg is not None:
            self.leg.connectionLost(reason)


def _plain_host(host: str) -> str:
    """An IPv4 address that came through an IPv6 socket is an IPv4 address."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host


def _address(address: Any) -> Address:
    return Address(_plain_host(getattr(address, "host", "") or ""), getattr(address, "port", 0) or 0)
