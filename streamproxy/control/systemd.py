"""What systemd gives to a service, and wants to hear from it: sd_listen_fds(3), sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..model import ListenAddress, Transport
from .inherited import Passed, adopted

# SD_LISTEN_FDS_START
FIRST_DESCRIPTOR: Final = 3
# Seconds between two looks at what STATUS= should say.
STATUS_INTERVAL: Final = 10.0

_log = Logger()


def passed_sockets(environ: MutableMapping[str, str], pid: int) -> list[Passed]:
    """
    The internet sockets among those that systemd opened for the process ``pid``; the rest are closed. What says so in
    ``environ`` is removed, so that no other process takes itself to be meant.
    """
    meant = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if meant != str(pid) or not count.isdecimal():
        return _taken_by_twisted()
    return _sockets(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)))


def _taken_by_twisted() -> list[Passed]:
    # Importing Twisted's endpoints takes them out of the environment, and keeps them for string descriptions of
    # endpoints; somebody may have imported those before us.
    from twisted.internet.endpoints import _SystemdParser

    return _sockets(_SystemdParser._sddaemon.inheritedDescriptors())  # noqa: SLF001 - nobody else has them


def _sockets(descriptors: Iterable[int]) -> list[Passed]:
    found = []
    for descriptor in descriptors:
        try:
            os.set_inheritable(descriptor, False)
            sock = adopted(descriptor)
        except OSError:
            continue
        address = _address(sock)
        if address is None:
            _log.warn("a socket of systemd's is neither a listening TCP socket nor a UDP socket: {socket}", socket=sock)
            sock.close()
        else:
            found.append(Passed(address, sock, lasting=True))
    return found


def _address(sock: socket.socket) -> ListenAddress | None:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    interface, port = sock.getsockname()[:2]
    if sock.type == socket.SOCK_DGRAM:
        return ListenAddress(Transport.UDP, interface, port)
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return ListenAddress(Transport.TCP, interface, port)
    return None


class Notifier:
    """
    Tells systemd how the service is, where ``environ`` says that it wants to know; else does nothing. ``status`` is
    asked now and then for a line for people, as ``systemctl status`` shows it.
    """

    def __init__(
        self,
        reactor: Any,
        environ: Mapping[str, str],
        pid: int,
        status: Callable[[], str] = str,
        microseconds: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000,
    ) -> None:
        self._socket: socket.socket | None = None
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._status = status
        self._microseconds = microseconds
        self._interval = _watchdog(environ, pid)
        self._telling = LoopingCall(self._tell_status)
        self._beating = LoopingCall(self.send, "WATCHDOG=1")
        self._telling.clock = self._beating.clock = reactor
        if self._address[:1] in ("/", "@"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def ready(self, pid: int | None = None) -> None:
        """It serves; from now on its life is shown. ``pid``: it is the service's main process now."""
        main = () if pid is None else (f"MAINPID={pid}",)
        self.send(*main, "READY=1", f"STATUS={self._status()}")
        if self._socket is not None and not self._telling.running:
            self._telling.start(STATUS_INTERVAL, now=False)
            if self._interval is not None:
                self._beating.start(self._interval / 2)

    def reloading(self) -> None:
        """It reads its configuration again; :meth:`ready` says when it has."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={self._microseconds()}")

    def stopping(self) -> None:
        """It ends when the last session has."""
        self.send("STOPPING=1", f"STATUS={self._status()}")

    def ceded(self, pid: int) -> None:
        """The process ``pid`` is the service from now on, and this one has nothing more to say."""
        self.send(f"MAINPID={pid}")
        self.close()

    def close(self) -> None:
        for each in (self._telling, self._beating):
            if each.running:
                each.stop()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, *lines: str) -> None:
        """Say this. Whatever goes wrong, the service goes on."""
        if self._socket is None:
            return
        address = self._address
        try:
            self._socket.sendto("\n".join(lines).encode(), f"\0{address[1:]}" if address[0] == "@" else address)
        except OSError as error:
            _log.warn("systemd does not listen at {address}: {why}", address=address, why=error)

    def _tell_status(self) -> None:
        self.send(f"STATUS={self._status()}")


def _watchdog(environ: Mapping[str, str], pid: int) -> float | None:
    """Within how many seconds systemd wants to hear of us again and again; ``None``: it does not care."""
    text = environ.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or int(text) == 0 or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(text) / 1_000_000
