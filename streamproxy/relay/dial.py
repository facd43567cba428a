"""Dialling: from a node to a connected socket, over each of its addresses in turn."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..model import Ending, Node
from .deadlines import Deadlines
from .descriptors import EXHAUSTED, OpenSocket
from .resolve import Resolver
from .seams import Reactor

if TYPE_CHECKING:
    from collections.abc import Iterator


class Dialled(Protocol):
    """Who asked for the connection. One of the two is told, once, unless the dial is cancelled."""

    def connected(self, sock: socket.socket) -> None:
        """A connected, non-blocking socket; the callee owns it."""
        ...

    def failed(self, ending: Ending, detail: str) -> None: ...


class Dial:
    """One attempt to reach one node. The reactor knows it as a writer while the kernel connects."""

    __slots__ = ("_addresses", "_dialler", "_reactor", "_socket", "_timeout", "_trying", "node", "problem", "who")

    def __init__(self, dialler: Dialler, reactor: Reactor, node: Node, timeout: float, who: Dialled) -> None:
        self._dialler = dialler
        self._reactor = reactor
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._addresses: Iterator[str] = iter(())
        self._trying = ""
        self.node = node
        self.who: Dialled | None = who
        self.problem = ""

    def cancel(self) -> None:
        """Forget about it; nothing more is told."""
        self.who = None
        self._dialler.settled(self, self._timeout)
        self._drop_socket()

    def use(self, addresses: tuple[str, ...]) -> None:
        """Try these, in order."""
        if self.who is not None:
            self._addresses = iter(addresses)
            self._try_next()

    def unresolved(self, failure: Failure) -> None:
        self._fail(Ending.RESOLVE_FAILED, failure.getErrorMessage())

    def expired(self) -> None:
        """The time for this node is over."""
        where = self._trying or self.node.dial_host
        self._fail(Ending.CONNECT_TIMEOUT, f"{where} port {self.node.port}: no answer in {self._timeout:g} s")

    # Inside

    def _try_next(self) -> None:
        for address in self._addresses:
            self._trying = address
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                sock = self._dialler.open_socket(
                    family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
                )
            except OSError as error:
                if error.errno in EXHAUSTED:
                    # Which is not the node's fault.
                    self._fail(Ending.OVER_LIMIT, f"no descriptor was left: {error.strerror or error}")
                    return
                self._note(error)
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # One more look costs a system call and, on this machine or a near one, saves a turn of the reactor.
            result = sock.connect_ex((address, self.node.port))
            if result == errno.EINPROGRESS:
                result = sock.connect_ex((address, self.node.port))
            if result in (0, errno.EISCONN):
                self._succeed(sock)
                return
            if result in (errno.EALREADY, errno.EINPROGRESS):
                self._socket = sock
                self._reactor.addWriter(self)
                return
            sock.close()
            self._note(OSError(result, os.strerror(result)))
        self._fail(Ending.CONNECT_FAILED, self.problem or f"{self.node.dial_host} has no address")

    def _note(self, error: OSError) -> None:
        self.problem = f"{self._trying} port {self.node.port}: {error.strerror or error}"

    def _drop_socket(self) -> None:
        sock = self._socket
        if sock is not None:
            # Before it is forgotten: whoever watches it asks for its number.
            self._reactor.removeWriter(self)
            self._socket = None
            sock.close()

    def _succeed(self, sock: socket.socket) -> None:
        who, self.who = self.who, None
        self._dialler.settled(self, self._timeout)
        if who is None:
            sock.close()
        else:
            who.connected(sock)

    def _fail(self, ending: Ending, detail: str) -> None:
        who, self.who = self.who, None
        self._dialler.settled(self, self._timeout)
        self._drop_socket()
        if who is not None:
            who.failed(ending, detail)

    # What the reactor calls

    def fileno(self) -> int:
        return self._socket.fileno() if self._socket is not None else -1

    def logPrefix(self) -> str:
        return "streamproxy"

    def doRead(self) -> None:
        """Never asked for."""

    def doWrite(self) -> None:
        sock = self._socket
        if sock is None:
            return
        result = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not result:
            # A stale event of a descriptor that had this number must not pass for a connection.
            try:
                sock.getpeername()
            except OSError:
                return
            self._reactor.removeWriter(self)
            self._socket = None
            self._succeed(sock)
            return
        self._note(OSError(result, os.strerror(result)))
        self._drop_socket()
        self._try_next()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor saw a hang-up, and has forgotten us: refused, most likely."""
        sock = self._socket
        if sock is None:
            return
        result = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not result:
            self._reactor.addWriter(self)
            return
        self._note(OSError(result, os.strerror(result)))
        self._drop_socket()
        self._try_next()


class Dialler:
    """Dials nodes for a whole process: the resolver and the connect deadlines are shared."""

    def __init__(self, reactor: Reactor, resolver: Resolver, open_socket: OpenSocket = socket.socket) -> None:
        self.open_socket = open_socket
        self._reactor = reactor
        self._resolver = resolver
        self._deadlines: dict[float, Deadlines[Dial]] = {}

    def dial(self, node: Node, timeout: float, who: Dialled) -> Dial:
        """
        Connect to ``node`` within ``timeout`` seconds, resolving included. ``who`` may be told before this returns.
        """
        dial = Dial(self, self._reactor, node, timeout, who)
        known = self._resolver.cached(node.dial_host)
        if known is not None:
            dial.use(known)
        else:
            asked: Deferred[tuple[str, ...]] = self._resolver.resolve(node.dial_host)
            asked.addCallbacks(dial.use, dial.unresolved)
        if dial.who is not None:
            self._queue(timeout).add(dial)
        return dial

    def settled(self, dial: Dial, timeout: float) -> None:
        """A dial no longer needs its deadline."""
        queue = self._deadlines.get(timeout)
        if queue is not None:
            queue.remove(dial)

    def rest(self) -> None:
        """Leave no timer behind that waits for nothing."""
        for queue in self._deadlines.values():
            queue.rest()

    def _queue(self, timeout: float) -> Deadlines[Dial]:
        queue = self._deadlines.get(timeout)
        if queue is None:
            queue = self._deadlines[timeout] = Deadlines(self._reactor, timeout, Dial.expired)
        return queue
