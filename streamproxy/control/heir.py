"""The new process's side of an upgrade: it takes over what the running one has."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from ..errors import StoreError
from ..model import Config, Put, StoreType
from . import wire
from .estate import VERSION, documents, sockets
from .inherited import Passed
from .wire import Channel, Message, Wire, WireError

# The running process first lets what is being written be finished; so long (seconds) it may take.
PATIENCE = 30.0


class Heir:
    """
    The connection to the process that is taken over, ``sock``. What it leaves is received at once, before there is a
    reactor (``passed`` and ``documents``); then the reactor watches it.
    """

    _log = Logger()

    def __init__(self, sock: socket.socket) -> None:
        """Raises ``OSError``."""
        self._wire = Wire(sock, PATIENCE)
        self._channel: Channel | None = None
        self.passed: list[Passed] = []
        self.documents: tuple[Put, ...] | None = None

    @classmethod
    def of(cls, path: Path) -> Heir:
        """Of the process that answers at ``path``. Raises ``StoreError``."""
        try:
            return cls(wire.connect(path, PATIENCE))
        except OSError as error:
            why = error.strerror or error
            raise StoreError(f"{path}: no running process can be taken over there: {why}") from error

    def receive(self) -> None:
        """Ask. Raises ``StoreError``: nothing was taken over, and the other process goes on."""
        try:
            self._wire.send({"want": "estate", "version": VERSION, "pid": os.getpid()})
            while True:
                message = self._wire.receive()
                if "failed" in message.body:
                    message.discard()
                    raise StoreError(f"the running process cannot be taken over: {message.body['failed']}")
                self.passed += sockets(message)
                if message.body.get("complete"):
                    self.documents = documents(message)
                    return
        except (OSError, WireError) as error:
            self.close()
            raise StoreError(f"the running process cannot be taken over: {error}") from error

    def fail(self, why: str) -> None:
        """Tell the other process that it is not needed to wait any longer."""
        try:
            self._wire.send({"failed": why})
        except OSError:
            return
        finally:
            self.close()

    def close(self) -> None:
        self._wire.close()

    def ready(self, reactor: Any, done: Callable[[], None]) -> None:
        """
        All is bound. ``done`` is called when the other process accepts nothing any more, which may be because it is no
        more.
        """

        def heard(message: Message) -> None:
            message.discard()
            gone()

        def gone() -> None:
            if self._channel is not None:
                self._channel.close()
                self._channel = None
                done()

        self._channel = self._wire.watched(reactor, heard, gone)
        self._channel.start()
        self._channel.send({"ready": os.getpid()})


def handover_path(config: Config) -> Path:
    """Where a process with this configuration can be asked to hand over: beside its database, or else its file."""
    beside = config.path if config.store.type is StoreType.MEMORY else config.store.path
    return Path(f"{beside}.handover").absolute()
