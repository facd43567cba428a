"""How a socket is given up: reset, or closed so that nothing which was sent is lost."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from .seams import Reactor

# A reset overtakes what the kernel has not sent yet. What was relayed before gets this long (seconds) to leave.
ABORT_GRACE = 1.0
ABORT_POLL = 0.02

# A peer that goes on sending after our end of a connection that cannot half-close is listened to, deaf, for this long
# (seconds): closing at once would meet its bytes with a reset, which may cost it what it has not read yet.
FAREWELL = 2.0
FAREWELL_READ = 65536

_RESET = struct.pack("ii", 1, 0)

# The first byte of TCP_INFO is the connection's state; this one is a connection that is no more (linux/tcp_states.h).
_TCP_CLOSE = 7


class Departure:
    """A socket on its way out: reset as soon as the kernel has sent what it holds, or when the grace is over."""

    __slots__ = ("_deadline", "_reactor", "_socket")

    def __init__(self, reactor: Reactor, sock: socket.socket) -> None:
        self._reactor = reactor
        self._socket = sock
        self._deadline = reactor.seconds() + ABORT_GRACE

    def go(self) -> None:
        if unsent(self._socket) and self._reactor.seconds() < self._deadline:
            self._reactor.callLater(ABORT_POLL, self.go)
            return
        reset(self._socket)


class Farewell:
    """A socket whose peer was told the end: what it still says is thrown away until it ends too or its time is over."""

    __slots__ = ("_reactor", "_socket", "_timer")

    def __init__(self, reactor: Reactor, sock: socket.socket) -> None:
        self._reactor = reactor
        self._socket = sock
        self._timer: IDelayedCall | None = None

    def go(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._socket.close()
            return
        self._timer = self._reactor.callLater(FAREWELL, self._done)
        self._reactor.addReader(self)
        self.doRead()

    def _done(self) -> None:
        timer, self._timer = self._timer, None
        if timer is None:
            return
        if timer.active():
            timer.cancel()
        self._reactor.removeReader(self)
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "streamproxy"

    def doRead(self) -> None:
        if self._timer is None:
            return
        try:
            if self._socket.recv(FAREWELL_READ):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self._done()

    def connectionLost(self, reason: Failure) -> None:
        self._done()


def unsent(sock: socket.socket) -> int:
    """
    Bytes in the kernel that may still reach the peer: not acknowledged (SIOCOUTQ, tcp(7)), on a connection that is
    not dead. The kernel goes on counting what it threw away when the peer's reset came.
    """
    try:
        count = int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0])
        if count and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE:
            return 0
    except OSError:
        return 0
    return count


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    finally:
        sock.close()
