"""Sending lines over TCP or TLS."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import Any, Final

from attrs import define, field
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IProtocolFactory,
    IPushProducer,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

# Bytes handed to a connection at a time: as many as Twisted keeps before it asks for a pause.
_CHUNK: Final = 65_536

_CLOSED: Final = "the server closed the connection"


class TransmitError(Exception):
    """Lines could not be sent; the text says why."""


@define(eq=False)
class StreamTransmitter:
    """
    Keeps one connection to ``host`` (a name or an address), and makes another where it has ended. ``patience`` is how
    many seconds connecting, shaking hands, and a server that takes nothing may last. With ``tls`` the server is
    verified, by ``host`` and the system's authorities (OpenSSL's, so that ``SSL_CERT_FILE`` can name others).
    """

    _reactor: Any
    _host: str
    _port: int
    _patience: float
    _tls: bool = False
    _connection: _Connection | None = field(init=False, default=None)

    def send(self, lines: deque[bytes]) -> Deferred[None]:
        """
        What is sent is with the kernel, or among the 64 KiB that Twisted keeps for a connection: nobody says that he
        has got it. Fails with :class:`TransmitError`, or what the connection failed with.
        """
        return Deferred.fromCoroutine(self._send(lines))

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def _send(self, lines: deque[bytes]) -> None:
        if self._connection is None or self._connection.lost:
            self._connection = await self._connected()
        connection = self._connection
        while lines:
            chunk, count = _chunk(lines)
            await connection.write(chunk)
            for _ in range(count):
                lines.popleft()

    def _connected(self) -> Coroutine[Any, Any, _Connection]:
        connection = _Connection(self._reactor, self._patience, self._tls)
        factory: IProtocolFactory = _Given(connection)
        if self._tls:
            factory = TLSMemoryBIOFactory(optionsForClientTLS(self._host), True, factory, self._reactor)
        return self._opened(connection, factory)

    async def _opened(self, connection: _Connection, factory: IProtocolFactory) -> _Connection:
        await self._endpoint().connect(factory)
        await connection.opened()
        return connection

    def _endpoint(self) -> IStreamClientEndpoint:
        # A name needs the reactor's threads; an address does not.
        if isIPAddress(self._host):
            return TCP4ClientEndpoint(self._reactor, self._host, self._port, self._patience)
        if isIPv6Address(self._host):
            return TCP6ClientEndpoint(self._reactor, self._host, self._port, self._patience)
        return HostnameEndpoint(self._reactor, self._host, self._port, self._patience)


def _chunk(lines: deque[bytes]) -> tuple[bytes, int]:
    """The first lines, and how many they are: as many as fit, but one at least."""
    size = count = 0
    for line in lines:
        if count and size + len(line) > _CHUNK:
            break
        size += len(line)
        count += 1
    return b"".join(lines[index] for index in range(count)), count


class _Given(Factory):
    """Makes the one protocol it was given."""

    noisy = False

    def __init__(self, connection: _Connection) -> None:
        self._given = connection

    def buildProtocol(self, addr: IAddress | None) -> _Connection:
        return self._given


@implementer(IPushProducer, IHandshakeListener)
class _Connection(Protocol):
    """One at a time waits for it: to be opened, or for room."""

    def __init__(self, reactor: Any, patience: float, tls: bool) -> None:
        self._reactor = reactor
        self._patience = patience
        self._open = not tls
        self._paused = False
        self._late = False
        self._waiting: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self.lost = False

    async def opened(self) -> None:
        self._check()
        if not self._open:
            await self._wait()

    async def write(self, data: bytes) -> None:
        self._check()
        transport: Any = self.transport
        transport.write(data)
        if self._paused:
            await self._wait()

    def close(self) -> None:
        """Orderly, or by force where the server does not play along."""
        if not self.lost:
            transport: Any = self.transport
            transport.unregisterProducer()
            transport.loseConnection()
            self._set_timer()

    # What Twisted calls

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.setTcpKeepAlive(1)
        transport.registerProducer(self, True)

    def handshakeCompleted(self) -> None:
        self._open = True
        self._go_on()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._go_on()

    def stopProducing(self) -> None: ...

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        self._stop_timer()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            if self._late:
                reason = Failure(TransmitError(f"the server took nothing for {self._patience:g} s"))
            elif reason.check(ConnectionDone):
                reason = Failure(TransmitError(_CLOSED))
            waiting.errback(reason)

    # Waiting

    def _check(self) -> None:
        if self.lost:
            raise TransmitError(_CLOSED)

    def _wait(self) -> Deferred[None]:
        self._set_timer()
        self._waiting = Deferred()
        return self._waiting

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._stop_timer()
            waiting.callback(None)

    def _set_timer(self) -> None:
        self._timer = self._reactor.callLater(self._patience, self._on_timer)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _on_timer(self) -> None:
        self._timer = None
        self._late = True
        transport: Any = self.transport
        transport.abortConnection()
