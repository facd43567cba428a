"""A leg that speaks TLS on a kernel socket itself: OpenSSL reads and writes the socket, with nothing in between."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Protocol

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost

from ..tls import reason as why
from .departure import Departure, Farewell

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from ..interfaces import Receiver
    from .seams import Reactor

# The class has a property of the module's name.
_Socket = socket.socket

# The most that a TLS record holds (RFC 8446, 5.1): one read takes one record, and leaves nothing inside OpenSSL.
RECORD = 16384

# Records taken in one wake-up; what they hold is told together.
RECORDS_PER_TURN = 4


class Opener(Protocol):
    """Who brings a leg to the point where it relays. One of the last two is told, once."""

    def peeked(self, window: bytes, *, complete: bool) -> None:
        """What the peer has sent so far, nothing of it taken. ``complete``: it will send no more."""
        ...

    def shaken(self) -> None:
        """The handshake is done."""
        ...

    def unshaken(self, why: str) -> None:
        """The handshake failed, or the peer has gone. The leg is closed."""
        ...


class TlsLeg:
    """
    One end of a session, encrypted, on a connected, non-blocking socket that it owns from now on.

    It begins in plain text: :meth:`peek` tells what the peer has sent without taking it, :meth:`take` and
    :meth:`say` carry on a conversation before TLS. :meth:`shake` starts the handshake; when it is done the leg is like
    any other. An end of the peer's stream without close_notify is no orderly end where ``strict``: it may have been
    cut off by somebody in between.
    """

    __slots__ = (
        "_closed",
        "_connection",
        "_ended",
        "_fd",
        "_finishing",
        "_opener",
        "_peeking",
        "_reactor",
        "_reading",
        "_shaking",
        "_socket",
        "_strict",
        "_unsent",
        "_wanted",
        "_writing",
        "receiver",
    )

    can_half_close = False

    receiver: Receiver

    def __init__(self, reactor: Reactor, sock: socket.socket, *, strict: bool) -> None:
        self._reactor = reactor
        self._socket = sock
        self._fd = sock.fileno()
        self._strict = strict
        self._connection: SSL.Connection | None = None
        self._opener: Opener | None = None
        self._peeking = False
        self._shaking = False
        self._reading = False
        self._writing = False
        self._ended = False
        self._finishing = False
        self._closed = False
        self._wanted = 1
        self._unsent: memoryview | None = None

    @property
    def connection(self) -> SSL.Connection:
        """OpenSSL's side of it; there is one from :meth:`shake` on, as long as the leg is open."""
        if self._connection is None:
            raise AssertionError("there is no TLS yet")
        return self._connection

    @property
    def socket(self) -> socket.socket:
        """To make OpenSSL's connection on; nobody else reads or writes it."""
        return self._socket

    # Before TLS

    def peek(self, opener: Opener, wanted: int = 1) -> None:
        """Tell ``opener`` what is there, now and whenever there is more, as soon as it is ``wanted`` bytes."""
        self._opener = opener
        if wanted != self._wanted:
            # Without this a reader that takes nothing is woken without end.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)
        self._wanted = wanted
        self._peeking = True
        self._watch_reads(True)

    def take(self, size: int) -> None:
        """Take bytes that were peeked."""
        if size:
            self._socket.recv(size)

    def say(self, data: bytes) -> None:
        """Send a few bytes in plain text: less than any socket buffer that is empty holds."""
        try:
            if data:
                self._socket.send(data)
        except OSError as error:
            self._unshaken(error.strerror or str(error))

    def part(self, size: int, data: bytes) -> None:
        """
        Send a last word in plain text and leave: the ``size`` bytes that were peeked are taken first, since what is
        unread turns the end into a reset, which may overtake the word.
        """
        if not self._closed:
            self.take(size)
            self.say(data)
        if self._release():
            Farewell(self._reactor, self._socket).go()

    def surrender(self) -> _Socket:
        """Give the socket away before there is any TLS; what was peeked is still in it."""
        if self._wanted > 1:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self._opener = None
        self._release()
        return self._socket

    def _peek(self) -> None:
        try:
            window = self._socket.recv(1 << 17, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._unshaken(error.strerror or str(error))
            return
        # Woken with less than was asked for: there will be no more.
        complete = len(window) < self._wanted
        if self._opener is not None:
            self._opener.peeked(window, complete=complete)

    # The handshake

    def shake(self, connection: SSL.Connection, opener: Opener) -> None:
        """Shake hands, on a connection made on this leg's :attr:`socket` and told which side it is."""
        self._opener = opener
        if self._peeking:
            self._peeking = False
            if self._wanted > 1:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self._connection = connection
        self._shaking = True
        self._go_on_shaking()

    def _go_on_shaking(self) -> None:
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            self._watch_writes(False)
            self._watch_reads(True)
            return
        except SSL.WantWriteError:
            self._watch_reads(False)
            self._watch_writes(True)
            return
        except SSL.Error as error:
            self._unshaken(why(error))
            return
        self._shaking = False
        self._watch_writes(False)
        self._watch_reads(False)
        opener, self._opener = self._opener, None
        if opener is not None:
            opener.shaken()

    def _unshaken(self, words: str) -> None:
        opener, self._opener = self._opener, None
        if self._release():
            # An alert may be on its way that says why: it should arrive.
            Farewell(self._reactor, self._socket).go()
        if opener is not None:
            opener.unshaken(words)

    # What the pump calls

    def start(self) -> None:
        self.resume()

    def resume(self) -> None:
        if not self._reading and not self._ended and not self._closed:
            self._watch_reads(True)
            if self._connection is not None and self._connection.pending():
                # What OpenSSL holds already will wake nobody.
                self._reactor.callLater(0, self.doRead)

    def pause(self) -> None:
        self._watch_reads(False)

    def write(self, data: bytes) -> bool:
        if self._closed:
            return True
        if self._unsent is not None:
            self._unsent = memoryview(bytes(self._unsent) + data)
            return False
        self._unsent = memoryview(data)
        return self._flush()

    def finish(self) -> bool:
        if self._closed or self._finishing:
            return self._unsent is None
        self._finishing = True
        if self._unsent is not None:
            return False
        self._say_goodbye()
        return True

    def close(self) -> None:
        if self._closed:
            return
        if not self._finishing:
            self._finishing = True
            self._say_goodbye()
        if self._release():
            Farewell(self._reactor, self._socket).go()

    def abort(self) -> None:
        self._opener = None
        if self._release():
            Departure(self._reactor, self._socket).go()

    # What the reactor calls

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "streamproxy"

    def doRead(self) -> None:
        if self._closed:
            return
        if self._peeking:
            self._peek()
        elif self._shaking:
            self._go_on_shaking()
        elif self._reading and not self._ended:
            self._read()

    def doWrite(self) -> None:
        if self._closed:
            return
        if self._shaking:
            self._go_on_shaking()
        elif self._unsent is not None:
            if self._flush():
                if self._finishing:
                    self._say_goodbye()
                self.receiver.drained()
        else:
            self._watch_writes(False)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor saw a hang-up and forgot us, or one of our methods raised; or the event was of a descriptor that
        had our number before. Whatever it is, OpenSSL will be told by the socket.
        """
        if self._closed:
            return
        if not reason.check(ConnectionDone, ConnectionLost):
            self._fail(f"internal error: {reason.getErrorMessage()}", reset=False)
            return
        problem = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self._fail(os.strerror(problem), reset=True)
            return
        if not self._reading and self._writing and not self._shaking:
            # Nobody reads, and what is left to write can never leave.
            self._fail(os.strerror(errno.EPIPE), reset=True)
            return
        reading, self._reading = self._reading, False
        writing, self._writing = self._writing, False
        self._watch_reads(reading)
        self._watch_writes(writing)

    # Inside

    def _read(self) -> None:
        chunks = []
        end: SSL.Error | None = None
        recv = self.connection.recv
        for _ in range(RECORDS_PER_TURN):
            try:
                chunk = recv(RECORD)
            except (SSL.WantReadError, SSL.WantWriteError):
                break
            except SSL.Error as error:
                end = error
                break
            chunks.append(chunk)
            if len(chunk) < RECORD:
                # That was all of a record, and most likely of what there is. To ask again would cost a system call and
                # an exception; what is with the kernel yet wakes us.
                break
        if chunks:
            self.receiver.received(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        if end is not None and not self._closed:
            self._read_failed(end)

    def _read_failed(self, error: SSL.Error) -> None:
        orderly = isinstance(error, SSL.ZeroReturnError)
        if orderly or (not self._strict and is_plain_end(error)):
            self.pause()
            self._ended = True
            self.receiver.ended()
        else:
            self._fail(why(error), reset=True)

    def _flush(self) -> bool:
        """Hand what is unsent to the kernel, as much as it takes; true when nothing is left."""
        unsent = self._unsent
        send = self.connection.send
        try:
            while unsent:
                unsent = unsent[send(unsent) :]
        except (SSL.WantWriteError, SSL.WantReadError):
            self._unsent = unsent
            self._watch_writes(True)
            return False
        except SSL.Error as error:
            self._unsent = None
            self._fail(why(error), reset=True)
            return True
        self._unsent = None
        self._watch_writes(False)
        return True

    def _say_goodbye(self) -> None:
        """Send close_notify. Where even that does not fit, the end of the stream has to do."""
        try:
            self.connection.shutdown()
        except SSL.Error:
            return

    def _watch_reads(self, on: bool) -> None:
        if on is not self._reading:
            self._reading = on
            (self._reactor.addReader if on else self._reactor.removeReader)(self)

    def _watch_writes(self, on: bool) -> None:
        if on is not self._writing:
            self._writing = on
            (self._reactor.addWriter if on else self._reactor.removeWriter)(self)

    def _fail(self, words: str, *, reset: bool) -> None:
        if self._opener is not None:
            self._unshaken(words)
        elif self._release():
            self._socket.close()
            self.receiver.lost(words, reset=reset)

    def _release(self) -> bool:
        """Let go of the reactor and of OpenSSL; false when that happened before."""
        if self._closed:
            return False
        self._closed = True
        self._watch_reads(False)
        self._watch_writes(False)
        self._unsent = None
        self._connection = None
        return True


def is_plain_end(error: SSL.Error) -> bool:
    """Did the stream end without close_notify, but otherwise in order?"""
    if isinstance(error, SSL.SysCallError):
        return bool(error.args) and error.args[0] in (-1, 0)
    return "unexpected eof" in why(error).lower()
