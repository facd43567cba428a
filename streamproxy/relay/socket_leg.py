"""A leg that is a kernel TCP socket of our own: sends at once, and waits only when the kernel says so."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionDone, ConnectionLost

from .departure import Departure

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from ..interfaces import Receiver
    from .seams import Reactor
    from .splice import Flow

# One read's worth. Below glibc's 128 KiB mmap threshold, so that a buffer costs no page faults; it is also all
# that a direction keeps in user space, since its source is paused while a write is incomplete.
READ_SIZE = 65536

# How much a peer that broke the connection may still have said before, per write that finds out.
LAST_WORDS = 4


class SocketLeg:
    """
    One end of a session on a connected, non-blocking socket, which it owns from now on. It is a plain read/write
    descriptor for the reactor. While bytes are spliced, ``flow`` takes what comes in, ``feed`` brings what goes out.
    """

    __slots__ = (
        "_closed",
        "_ended",
        "_fd",
        "_finishing",
        "_reactor",
        "_reading",
        "_recv",
        "_send",
        "_socket",
        "_unsent",
        "_writing",
        "feed",
        "flow",
        "receiver",
    )

    can_half_close = True

    receiver: Receiver

    def __init__(self, reactor: Reactor, sock: socket.socket) -> None:
        self._reactor = reactor
        self._socket = sock
        self._fd = sock.fileno()
        self._recv = sock.recv
        self._send = sock.send
        self._reading = False
        self._ended = False
        self._finishing = False
        self._closed = False
        self._unsent: memoryview | None = None
        self._writing = False
        self.flow: Flow | None = None
        self.feed: Flow | None = None

    # What the pump calls

    def start(self) -> None:
        self.resume()

    def resume(self) -> None:
        if not self._reading and not self._ended and not self._closed:
            self._reading = True
            self._reactor.addReader(self)

    def pause(self) -> None:
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)

    def write(self, data: bytes) -> bool:
        if self._closed:
            return True
        if self._unsent is not None:
            self._unsent = memoryview(bytes(self._unsent) + data)
            return False
        try:
            sent = self._send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self.refused(error)
            return True
        if sent == len(data):
            return True
        self._unsent = memoryview(data)[sent:]
        self.watch_writes(True)
        return False

    def finish(self) -> bool:
        if self._closed or self._finishing:
            return self._unsent is None
        self._finishing = True
        if self._unsent is not None:
            return False
        self._send_fin()
        return True

    def close(self) -> None:
        if self._release():
            self._socket.close()

    def detach(self) -> socket.socket:
        """Let go of the socket, to be used otherwise. Nothing is told any more."""
        self._release()
        return self._socket

    def abort(self) -> None:
        if self._release():
            Departure(self._reactor, self._socket).go()

    # What the reactor calls

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "streamproxy"

    def doRead(self) -> None:
        if self._closed or self._ended:
            return
        if self.flow is not None:
            self.flow.fill()
            return
        try:
            data = self._recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.broke(error)
            return
        if data:
            self.receiver.received(data)
        else:
            self.at_end()

    def doWrite(self) -> None:
        if self._unsent is None:
            if self.feed is not None:
                self.feed.drain()
            return
        try:
            sent = self._send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.refused(error)
            return
        if sent < len(self._unsent):
            self._unsent = self._unsent[sent:]
            return
        self._unsent = None
        self.watch_writes(False)
        if self._finishing:
            self._send_fin()
        self.receiver.drained()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor saw a hang-up with nothing to read and forgot us, or one of our methods raised. An event can also be
        stale: of the descriptor that had our number before, closed in the same turn. So ask the socket itself.
        """
        if self._closed:
            return
        if not reason.check(ConnectionDone, ConnectionLost):
            self.broke(OSError(0, f"internal error: {reason.getErrorMessage()}"))
            return
        was_reading, self._reading = self._reading, False
        was_writing, self._writing = self._writing, False
        problem = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self.refused(OSError(problem, os.strerror(problem)))
            return
        try:
            alive = bool(self._recv(1, socket.MSG_PEEK))
        except (BlockingIOError, InterruptedError):
            alive = True
        except OSError as error:
            self.broke(error)
            return
        if not alive and (self._ended or not was_reading) and was_writing:
            # Hung up in both directions with something left to send: it can never be delivered.
            self.broke(OSError(errno.EPIPE, os.strerror(errno.EPIPE)))
            return
        if was_writing:
            self.watch_writes(True)
        if was_reading:
            self.resume()

    # What a flow asks and tells, and we ourselves

    @property
    def congested(self) -> bool:
        """Is there something left to send?"""
        return self._unsent is not None

    def watch_writes(self, on: bool) -> None:
        """Have ``doWrite`` called when the kernel takes more, or no longer."""
        if on is not self._writing and not self._closed:
            self._writing = on
            (self._reactor.addWriter if on else self._reactor.removeWriter)(self)

    def at_end(self) -> None:
        """The peer sends no more."""
        self.pause()
        self._ended = True
        self.receiver.ended()

    def refused(self, error: OSError) -> None:
        """A write failed: the peer has gone. What it said before (why, perhaps) is still there to be read."""
        if self.flow is not None:
            self.flow.fill()
        else:
            self._hear_last_words()
        self.broke(error)

    def broke(self, error: OSError) -> None:
        """This leg is lost; nothing happens where it was before."""
        if self._release():
            self._socket.close()
            reset = error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)
            self.receiver.lost(error.strerror or str(error), reset=reset)

    # Inside

    def _send_fin(self) -> None:
        if self._ended:
            # Both directions are over, and closing says so as well.
            self.close()
            return
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            # The peer's reset came first (ENOTCONN).
            self.refused(error)

    def _hear_last_words(self) -> None:
        for _ in range(LAST_WORDS):
            if self._ended or self._closed:
                return
            try:
                data = self._recv(READ_SIZE)
            except OSError:
                return
            if not data:
                return
            self.receiver.received(data)

    def _release(self) -> bool:
        """Let go of the reactor; false when that happened before."""
        if self._closed:
            return False
        self._closed = True
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)
        if self._writing:
            self._writing = False
            self._reactor.removeWriter(self)
        self._unsent = None
        if self.flow is not None:
            self.flow.stop()
        if self.feed is not None:
            self.feed.stop()
        return True
