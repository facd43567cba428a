"""Messages between processes of ours on one machine: JSON objects over a unix stream socket, descriptors along."""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..relay.seams import Reactor

# The length of the text (bytes), and how many descriptors come with it.
_HEAD: Final = struct.Struct("!IH")
# The kernel takes 253 with one message (SCM_MAX_FD).
MOST_DESCRIPTORS: Final = 200
# Far more than the documents of any configuration; whoever says more speaks another language.
MOST_BYTES: Final = 1 << 30
_READ_SIZE: Final = 1 << 18
_UCRED: Final = struct.Struct("3i")
# What sun_path holds, its final zero not counted (unix(7)).
_MOST_PATH: Final = 107


class WireError(Exception):
    """What came is no message, or nothing more will come."""


@frozen
class Message:
    """What was said. The descriptors are the receiver's to close."""

    body: dict[str, Any]
    descriptors: tuple[int, ...] = ()

    def discard(self) -> None:
        """Close the descriptors."""
        for descriptor in self.descriptors:
            os.close(descriptor)


@define
class Inbox:
    """What has come in so far."""

    _data: bytearray = field(factory=bytearray)
    _descriptors: deque[int] = field(factory=deque)

    def read(self, sock: socket.socket) -> list[Message]:
        """
        One read, and the messages that are complete with it. Raises ``WireError`` at the end of the stream and for what
        is no message, ``OSError`` otherwise.
        """
        space = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)
        data, ancillary, flags, _ = sock.recvmsg(_READ_SIZE, space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                received = array.array("i")
                received.frombytes(content[: len(content) - len(content) % received.itemsize])
                self._descriptors.extend(received)
        if flags & socket.MSG_CTRUNC:
            raise WireError("descriptors were lost: the limit of open files is reached")
        if not data:
            raise WireError("the other process has hung up")
        self._data += data
        return list(self._complete())

    def close(self) -> None:
        """Close the descriptors of what is not complete."""
        while self._descriptors:
            os.close(self._descriptors.popleft())

    def _complete(self) -> Iterable[Message]:
        while len(self._data) >= _HEAD.size:
            size, count = _HEAD.unpack_from(self._data)
            if size > MOST_BYTES:
                raise WireError(f"a message of {size} bytes")
            end = _HEAD.size + size
            if len(self._data) < end:
                return
            text = bytes(self._data[_HEAD.size : end])
            del self._data[:end]
            if count > len(self._descriptors):
                raise WireError("a message without its descriptors")
            descriptors = tuple(self._descriptors.popleft() for _ in range(count))
            message = Message(_parsed(text), descriptors)
            yield message


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a message that is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise WireError("a message that is no object")
    return body


def encoded(body: dict[str, Any], descriptors: Sequence[int] = ()) -> bytes:
    """The bytes of a message; the descriptors go with the first of them."""
    if len(descriptors) > MOST_DESCRIPTORS:
        raise ValueError(f"{len(descriptors)} descriptors with one message")
    text = json.dumps(body, separators=(",", ":")).encode()
    return _HEAD.pack(len(text), len(descriptors)) + text


class Wire:
    """A connected socket, used by somebody who waits: ``timeout`` seconds at most for each call."""

    def __init__(self, sock: socket.socket, timeout: float | None = None) -> None:
        sock.settimeout(timeout)
        self.socket = sock
        self._inbox = Inbox()
        self._messages: deque[Message] = deque()

    def send(self, body: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Raises ``OSError``."""
        data = encoded(body, descriptors)
        sent = _send(self.socket, data, descriptors)
        self.socket.sendall(data[sent:])

    def receive(self) -> Message:
        """The next message. Raises ``WireError`` or ``OSError``."""
        while not self._messages:
            self._messages.extend(self._inbox.read(self.socket))
        return self._messages.popleft()

    def watched(
        self, reactor: Reactor, heard: Callable[[Message], None], gone: Callable[[], None] = lambda: None
    ) -> Channel:
        """From now on the reactor watches it; what has come already is heard first."""
        channel = Channel(reactor, self.socket, heard, gone)
        channel.hear(self._inbox, self._messages)
        return channel

    def close(self) -> None:
        self._inbox.close()
        for message in self._messages:
            message.discard()
        self._messages.clear()
        self.socket.close()


class Channel:
    """
    A connected socket that the reactor watches. ``heard`` is told of each message, ``gone`` once, when the other side
    has hung up or says what cannot be understood. What cannot be sent at once is kept.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        heard: Callable[[Message], None],
        gone: Callable[[], None] = lambda: None,
    ) -> None:
        sock.setblocking(False)
        self._reactor = reactor
        self._socket = sock
        self._heard = heard
        self._gone = gone
        self._inbox = Inbox()
        self._early: list[Message] = []
        self._unsent: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._closed = False

    def start(self) -> None:
        """Listen from now on."""
        self._reactor.addReader(self)
        messages, self._early = self._early, []
        self._tell(messages)

    def hear(self, inbox: Inbox, messages: Iterable[Message]) -> None:
        """This has come before, and is told when it starts."""
        self._inbox = inbox
        self._early = list(messages)

    def send(self, body: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """The descriptors stay the caller's."""
        if self._closed:
            return
        kept = tuple(os.dup(descriptor) for descriptor in descriptors)
        self._unsent.append((encoded(body, kept), kept))
        if len(self._unsent) == 1:
            self.doWrite()

    def close(self) -> None:
        """Say and hear nothing more. ``gone`` is not told."""
        if self._closed:
            return
        self._closed = True
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._inbox.close()
        for _, descriptors in self._unsent:
            _close(descriptors)
        self._unsent.clear()
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "streamproxy"

    def doRead(self) -> None:
        try:
            messages = self._inbox.read(self._socket)
        except (BlockingIOError, InterruptedError):
            return
        except (WireError, OSError):
            self._lost()
            return
        self._tell(messages)

    def _tell(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if self._closed:
                message.discard()
                continue
            try:
                self._heard(message)
            except Exception:  # noqa: BLE001 - what another process says must not stop this one
                self._log.failure("a message of another process could not be acted on")

    def doWrite(self) -> None:
        while self._unsent:
            data, descriptors = self._unsent[0]
            try:
                sent = _send(self._socket, data, descriptors)
            except (BlockingIOError, InterruptedError):
                self._reactor.addWriter(self)
                return
            except OSError:
                self._reactor.callLater(0, self._lost)
                return
            _close(descriptors)
            if sent == len(data):
                self._unsent.popleft()
            else:
                self._unsent[0] = (data[sent:], ())
        self._reactor.removeWriter(self)

    def connectionLost(self, reason: Failure) -> None:
        self._lost()

    def _lost(self) -> None:
        if not self._closed:
            self.close()
            self._gone()


def _send(sock: socket.socket, data: bytes, descriptors: Sequence[int]) -> int:
    rights = array.array("i", descriptors)
    return sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else [])


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def peer(sock: socket.socket) -> tuple[int, int]:
    """The process id and user id of whoever connected (``SO_PEERCRED``, unix(7)). Raises ``OSError``."""
    pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return pid, uid


def listen(path: Path) -> socket.socket:
    """
    A listening socket at ``path``, mode 0600, in place of whatever had the name. Whoever connected to that before is
    not disturbed. Raises ``OSError``.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with contextlib.ExitStack() as undo:
        undo.callback(sock.close)
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        # Nobody can connect before it listens, so the mode is in force in time.
        _at(beside, sock.bind)
        beside.chmod(0o600)
        sock.listen(16)
        beside.rename(path)
        undo.pop_all()
    sock.setblocking(False)
    return sock


def connect(path: Path, timeout: float) -> socket.socket:
    """Raises ``OSError``."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with contextlib.ExitStack() as undo:
        undo.callback(sock.close)
        sock.settimeout(timeout)
        _at(path, sock.connect)
        undo.pop_all()
    return sock


def _at(path: Path, call: Callable[[str], None]) -> None:
    """``call`` with a name of ``path`` that is short enough for the kernel."""
    if len(os.fsencode(path)) <= _MOST_PATH:
        call(str(path))
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
