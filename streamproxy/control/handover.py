"""The running process's side of an upgrade: it leaves its sockets to the next one, or goes on if there is none."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from . import wire
from .estate import VERSION, Estate, messages
from .wire import Channel, Message

# How long (seconds) the next process may take until it is ready: to read its documents, and to bind what is new.
PATIENCE = 120.0

Spawn = Callable[[], "tuple[subprocess.Popen[bytes], socket.socket]"]


class Testator(Protocol):
    """The process that is to be taken over."""

    def bequeath(self) -> Deferred[Estate]:
        """Cease to write, and say what there is to be left."""
        ...

    def keep(self) -> None:
        """It came to nothing: go on."""
        ...

    def cede(self, heir: int) -> None:
        """The process ``heir`` is ready: accept nothing more, and end when the last session has."""
        ...


class Handover:
    """
    Answers at the unix socket ``path``. Who connects there may take the process over (``{"want": "estate"}``), or have
    it start its successor by ``spawn`` (``{"want": "upgrade"}``). Only this user and root may.
    """

    _log = Logger()

    def __init__(self, reactor: Any, path: Path, testator: Testator, spawn: Spawn) -> None:
        self._reactor = reactor
        self._path = path
        self._testator = testator
        self._spawn = spawn
        self._socket: socket.socket | None = None
        self._identity = (0, 0)
        self._transfer: Transfer | None = None
        self._ceded = False

    def start(self) -> None:
        """Without the socket the proxy works as well; it just cannot be taken over."""
        try:
            self._socket = wire.listen(self._path)
            found = self._path.stat()
        except OSError as error:
            self._log.error("{path}: {why}: this process cannot be upgraded", path=str(self._path), why=error)
            return
        self._identity = found.st_dev, found.st_ino
        self._reactor.addReader(self)

    def stop(self) -> None:
        sock, self._socket = self._socket, None
        if sock is None:
            return
        self._reactor.removeReader(self)
        sock.close()
        try:
            found = self._path.stat()
            # By now it may be another process's.
            if (found.st_dev, found.st_ino) == self._identity:
                self._path.unlink()
        except OSError:
            return

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        return "streamproxy"

    def connectionLost(self, reason: Failure) -> None:
        """A listening socket does not hang up."""

    def doRead(self) -> None:
        if self._socket is None:
            return
        try:
            sock, _ = self._socket.accept()
        except OSError:
            return
        try:
            pid, uid = wire.peer(sock)
        except OSError:
            sock.close()
            return
        if uid not in (os.geteuid(), 0):
            self._log.error("user {uid} (process {pid}) may not take this process over", uid=uid, pid=pid)
            sock.close()
            return
        _Caller(self._reactor, sock, self)

    # What a caller may want

    def give(
        self,
        sock: socket.socket,
        told: Callable[[dict[str, Any]], None] = lambda outcome: None,
        *,
        asked: bool = True,
    ) -> str:
        """
        Leave everything to whoever is at the other end of ``sock``, when he has ``asked`` for it, and say what became
        of it to ``told``. Answers why not, if so.
        """
        if self._ceded or self._transfer is not None:
            return "another process is taking over already"

        def over(heir: int, why: str) -> None:
            self._transfer = None
            if heir:
                self._ceded = True
                told({"upgraded": heir})
            else:
                self._log.error("the upgrade came to nothing, this process goes on: {why}", why=why)
                told({"failed": why})

        self._transfer = Transfer(self._reactor, sock, self._testator, over)
        self._transfer.begin(asked=asked)
        return ""

    def upgrade(self, told: Callable[[dict[str, Any]], None]) -> None:
        """Start the successor."""
        if self._ceded or self._transfer is not None:
            told({"failed": "another process is taking over already"})
            return
        try:
            process, sock = self._spawn()
        except (OSError, ValueError) as error:
            told({"failed": f"the new process cannot be started: {error}"})
            return

        def outcome(body: dict[str, Any]) -> None:
            if "failed" in body:
                _bury(self._reactor, process)
            told(body)

        self.give(sock, outcome, asked=False)


class _Caller:
    """Somebody who connected, and has to say what he wants."""

    def __init__(self, reactor: Any, sock: socket.socket, handover: Handover) -> None:
        self._handover = handover
        self._socket = sock
        self._channel = Channel(reactor, sock, self._heard)
        self._channel.start()

    def _heard(self, message: Message) -> None:
        message.discard()
        wanted = message.body.get("want")
        if message.body.get("version") != VERSION:
            self._say({"failed": f"the running process speaks version {VERSION} of this, and not another"})
        elif wanted == "upgrade":
            self._handover.upgrade(self._say)
        elif wanted == "estate":
            sock = self._socket.dup()
            self._channel.close()
            refused = self._handover.give(sock)
            if refused:
                wire.Wire(sock, 1.0).send({"failed": refused})
                sock.close()
        else:
            self._say({"failed": "the running process does not know what is wanted"})

    def _say(self, body: dict[str, Any]) -> None:
        self._channel.send(body)


class Transfer:
    """One attempt. ``over`` is told once: the heir's process id (0: it failed), and why it failed."""

    def __init__(self, reactor: Any, sock: socket.socket, testator: Testator, over: Callable[[int, str], None]) -> None:
        self._reactor = reactor
        self._testator = testator
        self._over = over
        self._channel = Channel(reactor, sock, self._heard, self._gone)
        self._patience: IDelayedCall | None = None
        self._asked = self._given = False
        self._done = False

    def begin(self, *, asked: bool) -> None:
        """At once, or when the other side has asked."""
        self._channel.start()
        self._patience = self._reactor.callLater(PATIENCE, self._fail, f"it was not ready in {PATIENCE:g} s")
        if asked:
            self._bequeath()

    def _bequeath(self) -> None:
        self._asked = True
        self._testator.bequeath().addCallbacks(self._give, self._cannot)

    def _give(self, estate: Estate) -> None:
        if self._done:
            # It was given up while this process finished its writes.
            self._testator.keep()
            return
        self._given = True
        for body, descriptors in messages(estate):
            self._channel.send(body, descriptors)

    def _cannot(self, failure: Failure) -> None:
        self._channel.send({"failed": failure.getErrorMessage()})
        self._fail(failure.getErrorMessage())

    def _heard(self, message: Message) -> None:
        message.discard()
        body = message.body
        if "failed" in body:
            self._fail(str(body["failed"]))
        elif "want" in body and not self._asked:
            self._bequeath()
        elif "ready" in body and not self._done:
            self._done = True
            self._calm()
            heir = int(body["ready"])
            self._testator.cede(heir)
            self._channel.send({"done": True})
            self._over(heir, "")
            # Closed a little later: what was said has to be on its way.
            self._reactor.callLater(1, self._channel.close)

    def _gone(self) -> None:
        self._fail("the new process ended before it was ready: its log says why")

    def _fail(self, why: str) -> None:
        if self._done:
            return
        self._done = True
        self._calm()
        self._channel.close()
        if self._given:
            self._testator.keep()
        self._over(0, why)

    def _calm(self) -> None:
        if self._patience is not None and self._patience.active():
            self._patience.cancel()


def _bury(reactor: Any, process: subprocess.Popen[bytes], tries: int = 100) -> None:
    """Leave no zombie."""
    if process.poll() is not None:
        return
    if not tries:
        process.kill()
        process.wait()
        return
    reactor.callLater(0.1, _bury, reactor, process, tries - 1)
