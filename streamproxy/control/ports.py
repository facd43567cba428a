"""Listening sockets: making them, and accepting from them."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from ..model import ListenAddress
from ..relay.departure import reset
from ..relay.descriptors import EXHAUSTED, lowered
from ..relay.seams import Reactor

# Room for a burst of connections between two turns of the reactor. The kernel caps it at net.core.somaxconn.
BACKLOG = 4096

# So that a storm of new connections does not keep the old ones waiting for their bytes.
ACCEPTS_PER_TURN = 64

# Out of descriptors or memory: accepting pauses this long (seconds), while sessions end and give some back.
EXHAUSTED_PAUSE = 0.2

# Of the descriptors that are not for them so many may be with clients who wait, one of each port.
MOST_WAITING = 8

# The connection died between its handshake and our accept (accept(2) lists them).
_STILLBORN = (
    errno.ECONNABORTED,
    errno.EPROTO,
    errno.EPERM,
    errno.ENETDOWN,
    errno.ENOPROTOOPT,
    errno.EHOSTDOWN,
    errno.ENONET,
    errno.EHOSTUNREACH,
    errno.EOPNOTSUPP,
    errno.ENETUNREACH,
)


def bind_tcp(address: ListenAddress, *, reuse_port: bool = False) -> socket.socket:
    """
    A listening, non-blocking socket whose connections are born with keep-alive and without Nagle's delay. With
    ``reuse_port`` others may be bound to the address as well, and the kernel spreads the connections over them.

    Raises ``OSError`` (busy, forbidden, no such address).
    """
    family = socket.AF_INET6 if ":" in address.interface else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        prepare_tcp(sock)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.interface, address.port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def prepare_tcp(sock: socket.socket) -> None:
    """Have connections to this socket, whoever bound it, be born as they should be. Raises ``OSError``."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class TcpPort:
    """
    Accepts from a listening socket, which it owns, and hands each connection to ``accept(socket, peer)``. ``exhausted``
    counts how often it had to pause for want of descriptors. Those above ``last`` are not for connections: a client
    that gets one has to wait, as do those behind it.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        accept: Callable[[socket.socket, tuple[Any, ...]], None],
        last: int = sys.maxsize,
    ) -> None:
        self._reactor = reactor
        self._socket = sock
        self._accept = accept
        # A session needs two.
        self._last = last - 1
        self._waiting: tuple[socket.socket, tuple[Any, ...]] | None = None
        self._closed = False
        self.exhausted = 0

    @property
    def closed(self) -> bool:
        """Has it ceased to accept, for good?"""
        return self._closed

    @property
    def port(self) -> int:
        """The port it is bound to, chosen by the kernel where 0 was asked for."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to accept."""
        self._reactor.addReader(self)

    def close(self) -> None:
        """Cease to accept. What was accepted lives on."""
        if not self._closed:
            self._closed = True
            self._reactor.removeReader(self)
            self._socket.close()
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                self._hand_over(*waiting)

    def fileno(self) -> int:
        """The listening socket's."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "streamproxy"

    def doRead(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if self._closed:
                return
            try:
                sock, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _STILLBORN:
                    continue
                self._pause(error)
                return
            sock.setblocking(False)
            if sock.fileno() > self._last:
                self._out_of_descriptors(sock, peer)
                return
            self._hand_over(sock, peer)

    def connectionLost(self, reason: Failure) -> None:
        """A listening socket does not hang up: go on."""
        if not self._closed:
            self._reactor.addReader(self)

    def _hand_over(self, sock: socket.socket, peer: tuple[Any, ...]) -> None:
        try:
            self._accept(sock, peer)
        except Exception:  # noqa: BLE001 - one connection's bug must not stop the listener
            self._log.failure("accepting a connection from {peer} failed", peer=peer)
            sock.close()

    def _out_of_descriptors(self, sock: socket.socket, peer: tuple[Any, ...]) -> None:
        self.exhausted += 1
        if sock.fileno() > self._last + MOST_WAITING:
            reset(sock)
        else:
            self._waiting = sock, peer
        self._rest()

    def _pause(self, error: OSError) -> None:
        if error.errno in EXHAUSTED:
            self.exhausted += 1
        else:
            self._log.error("accept: {error}", error=error)
        self._rest()

    def _rest(self) -> None:
        self._reactor.removeReader(self)
        self._reactor.callLater(EXHAUSTED_PAUSE, self._go_on)

    def _go_on(self) -> None:
        if self._closed:
            return
        if self._waiting is not None:
            sock, peer = self._waiting
            fit = lowered(sock, self._last)
            if fit is None:
                self._rest()
                return
            self._waiting = None
            self._hand_over(fit, peer)
        if not self._closed:
            self._reactor.addReader(self)
