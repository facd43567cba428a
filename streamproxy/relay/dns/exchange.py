"""One question to one server: a datagram, and a connection where the answer is too long for one (RFC 7766)."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ...model import Address
from ..seams import Reactor
from .answers import ResolutionError
from .message import FORMAT_ERROR, NOT_IMPLEMENTED, MessageError, Question, Reply, decode_reply, encode_question

# Datagrams that are not the answer are passed over, but not for ever.
MOST_STRAY = 100

_LONGEST = 65535
_LENGTH = struct.Struct("!H")
_UNDERSTOOD_NOTHING = (FORMAT_ERROR, NOT_IMPLEMENTED)


class ServerError(ResolutionError):
    """This server cannot be had, or says nothing that one could use; another may."""


class Ask(Protocol):
    """Who asks a server. Fails with :class:`ServerError`; may be cancelled."""

    def __call__(self, server: Address, question: Question, timeout: float) -> Deferred[Reply]: ...


class Exchanges:
    """
    Asks servers. Each question has a socket of its own, connected to the server: so its port is the kernel's random
    choice, and only datagrams from the server come in. ``number`` gives a random one below 65536.
    """

    def __init__(self, reactor: Reactor, number: Callable[[], int]) -> None:
        self._reactor = reactor
        self._number = number

    def __call__(self, server: Address, question: Question, timeout: float) -> Deferred[Reply]:
        return _Exchange(self._reactor, self._number, server, question, timeout).begin()


class _Exchange:
    """The reactor knows it as a reader, and as a writer while a connection is made."""

    def __init__(
        self, reactor: Reactor, number: Callable[[], int], server: Address, question: Question, timeout: float
    ) -> None:
        self._reactor = reactor
        self._random = number
        self._server = server
        self._question = question
        self._timeout = timeout
        self._number = 0
        self._extended = True
        self._stray = 0
        self._socket: socket.socket | None = None
        self._stream: bytearray | None = None
        self._call: IDelayedCall | None = None
        self._answer: Deferred[Reply] = Deferred(lambda _: self._end())

    def begin(self) -> Deferred[Reply]:
        self._call = self._reactor.callLater(self._timeout, self._expired)
        self._attempt(self._send_datagram)
        return self._answer

    # The ends of it

    def _end(self) -> None:
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
        self._close()

    def _close(self) -> None:
        sock = self._socket
        if sock is not None:
            # Before it is forgotten: whoever watches it asks for its number.
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            self._socket = None
            sock.close()

    def _succeed(self, reply: Reply) -> None:
        self._end()
        self._answer.callback(reply)

    def _fail(self, why: str) -> None:
        if self._call is not None:
            self._end()
            self._answer.errback(ServerError(f"{self._server}: {why}"))

    def _expired(self) -> None:
        self._fail(f"no answer in {self._timeout:g} s")

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error.strerror or str(error))
        except ValueError as error:
            self._fail(str(error))

    # Over UDP

    def _open(self, kind: socket.SocketKind) -> tuple[socket.socket, Any]:
        self._close()
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        family, _, _, _, where = socket.getaddrinfo(self._server.host, self._server.port, type=kind, flags=flags)[0]
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket = sock
        return sock, where

    def _encoded(self) -> bytes:
        self._number = self._random()
        return encode_question(self._number, self._question, extended=self._extended)

    def _send_datagram(self) -> None:
        sock, where = self._open(socket.SOCK_DGRAM)
        sock.connect(where)
        sock.send(self._encoded())
        self._reactor.addReader(self)

    def _read_datagram(self, sock: socket.socket) -> None:
        reply = self._understood(sock.recv(_LONGEST))
        if reply is None:
            self._stray += 1
            if self._stray >= MOST_STRAY:
                self._fail("what it sends is no answer")
        elif reply.truncated:
            self._attempt(self._connect)
        elif reply.code in _UNDERSTOOD_NOTHING and self._extended:
            # Older than RFC 6891, so ask as in its days.
            self._extended = False
            self._attempt(self._send_datagram)
        else:
            self._succeed(reply)

    def _understood(self, data: bytes) -> Reply | None:
        """The reply in ``data``, if it is one to our question."""
        try:
            reply = decode_reply(data)
        except MessageError:
            return None
        if reply.id != self._number:
            return None
        if reply.question is None:
            return reply if reply.code in _UNDERSTOOD_NOTHING else None
        return reply if reply.question == self._question else None

    # Over TCP

    def _connect(self) -> None:
        sock, where = self._open(socket.SOCK_STREAM)
        self._stream = bytearray()
        result = sock.connect_ex(where)
        if result not in (0, errno.EINPROGRESS):
            raise OSError(result, os.strerror(result))
        self._reactor.addWriter(self)

    def _send_stream(self, sock: socket.socket) -> None:
        problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            raise OSError(problem, os.strerror(problem))
        message = self._encoded()
        # The buffer of a connection that has sent nothing takes all of it.
        if sock.send(_LENGTH.pack(len(message)) + message) != len(message) + _LENGTH.size:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        self._reactor.removeWriter(self)
        self._reactor.addReader(self)

    def _read_stream(self, sock: socket.socket, stream: bytearray) -> None:
        data = sock.recv(_LONGEST)
        if not data:
            self._fail("it closed the connection")
            return
        stream += data
        if len(stream) < _LENGTH.size:
            return
        (length,) = _LENGTH.unpack_from(stream)
        if len(stream) < _LENGTH.size + length:
            return
        reply = self._understood(bytes(stream[_LENGTH.size : _LENGTH.size + length]))
        if reply is None or reply.truncated:
            self._fail("what it sends is no answer")
        else:
            self._succeed(reply)

    # What the reactor calls

    def fileno(self) -> int:
        return self._socket.fileno() if self._socket is not None else -1

    def logPrefix(self) -> str:
        return "streamproxy"

    def doRead(self) -> None:
        sock, stream = self._socket, self._stream
        if sock is None:
            return
        if stream is None:
            self._attempt(lambda: self._read_datagram(sock))
        else:
            self._attempt(lambda: self._read_stream(sock, stream))

    def doWrite(self) -> None:
        sock = self._socket
        if sock is not None:
            self._attempt(lambda: self._send_stream(sock))

    def connectionLost(self, reason: Failure) -> None:
        """The reactor saw an error and has forgotten us: nobody listens there, most likely."""
        problem = 0 if self._socket is None else self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._fail(os.strerror(problem) if problem else "the connection broke")
