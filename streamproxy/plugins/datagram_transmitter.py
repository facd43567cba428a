"""Sending lines over UDP, each in a datagram of its own (RFC 5426)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from .stream_transmitter import TransmitError


@define(eq=False)
class DatagramTransmitter:
    """
    To ``host``, a name or an address, which is looked up for each batch; that may take ``patience`` seconds. A line
    that is too long for a datagram is logged, and lost.
    """

    _reactor: Any
    _host: str
    _port: int
    _patience: float
    _log: Callable[[str, str], None]
    _socket: DatagramProtocol | None = field(init=False, default=None)
    _interface: str = field(init=False, default="")

    def send(self, lines: deque[bytes]) -> Deferred[None]:
        """Nobody says whether they arrive. Fails with :class:`TransmitError`."""
        return Deferred.fromCoroutine(self._send(lines))

    def close(self) -> None:
        opened, self._socket = self._socket, None
        if opened is not None:
            transport: Any = opened.transport
            maybeDeferred(transport.stopListening)

    async def _send(self, lines: deque[bytes]) -> None:
        address = await self._address()
        transport: Any = self._opened("::" if ":" in address else "").transport
        while lines:
            try:
                transport.write(lines[0], (address, self._port))
            except OSError as error:
                raise TransmitError(error.strerror or str(error)) from error
            except MessageLengthError:
                self._log("error", f"a line of {len(lines[0])} bytes is too long for a datagram")
            lines.popleft()

    def _opened(self, interface: str) -> DatagramProtocol:
        """The socket, of the address's family."""
        if self._socket is None or self._interface != interface:
            self.close()
            opened = DatagramProtocol()
            opened.noisy = False
            self._reactor.listenUDP(0, opened, interface=interface)
            self._socket, self._interface = opened, interface
        return self._socket

    async def _address(self) -> str:
        if isIPAddress(self._host) or isIPv6Address(self._host):
            return self._host
        resolution = _Resolution()
        resolution.done.addTimeout(self._patience, self._reactor)
        self._reactor.nameResolver.resolveHostName(resolution, self._host)
        found = await resolution.done
        if not found:
            raise TransmitError(f"{self._host} has no address")
        return found[0]


@implementer(IResolutionReceiver)
@define(eq=False)
class _Resolution:
    """Collects what a name resolves to."""

    done: Deferred[Sequence[str]] = field(factory=Deferred)
    _found: list[str] = field(factory=list)

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None: ...

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, (IPv4Address, IPv6Address)):
            self._found.append(address.host)

    def resolutionComplete(self) -> None:
        if not self.done.called:
            self.done.callback(self._found)
