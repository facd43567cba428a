"""The port of an HTTP site."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.logger import Logger

from ..model import Address
from .estate import Held
from .sockets import Sockets, server_address

if TYPE_CHECKING:
    from twisted.internet.ssl import CertificateOptions

# Seconds between two tries to bind a port that somebody else has.
RETRY = 5.0


class HttpPort:
    """
    Listens for ``site``, which people call ``name``; with TLS where there is a ``context``. A busy port is logged and
    tried again: it must not stop the proxy.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        name: str,
        listen: Address,
        site: Any,
        context: CertificateOptions | None = None,
        sockets: Sockets | None = None,
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._listen = listen
        self._site = site
        self._context = context
        self._sockets = Sockets() if sockets is None else sockets
        self._socket: socket.socket | None = None
        self._port: IListeningPort | None = None
        self._retry: IDelayedCall | None = None

    def start(self) -> None:
        self._retry = None
        listen = self._listen
        try:
            self._socket = self._sockets.bind(server_address(listen), self._name)
        except OSError as error:
            self._log.error(
                "{name} cannot listen on {listen}: {why}; it is tried again in {seconds:g} s",
                name=self._name,
                listen=str(listen),
                why=error,
                seconds=RETRY,
            )
            self._retry = self._reactor.callLater(RETRY, self.start)
        else:
            # Adopted, since Twisted shuts down a socket that it has bound itself, for other processes too.
            self._port = self._reactor.adoptStreamPort(self._socket.fileno(), self._socket.family, self._factory())
            self._log.info("{name} listens on {listen}", name=self._name, listen=str(listen))

    def stop(self) -> Deferred[None] | None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        port, self._port = self._port, None
        return None if port is None else port.stopListening()

    def held(self) -> tuple[Held, ...]:
        """The socket, for another process to listen on."""
        if self._socket is None:
            return ()
        return (Held(server_address(self._listen), self._socket.fileno(), self._name),)

    def pause(self) -> None:
        """Accept nobody. Who connects meanwhile waits."""
        if self._port is not None:
            self._port.stopReading()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Undo it."""
        if self._port is not None:
            self._port.startReading()  # type: ignore[attr-defined]

    def _factory(self) -> Any:
        if self._context is None:
            return self._site
        from twisted.protocols.tls import TLSMemoryBIOFactory

        return TLSMemoryBIOFactory(self._context, False, self._site)
