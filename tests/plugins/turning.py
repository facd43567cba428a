"""A reactor that a test turns by hand, and servers that note what they are sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.python.failure import Failure

from tests.tls.pki import Issued

# How long a test waits for something that should happen at once, before it says that it did not.
PATIENCE = 10.0


@define(eq=False)
class Turning:
    """``reactor`` is Twisted's own, and is never run."""

    reactor: Any = field(factory=EPollReactor)

    def until(self, what: Callable[[], object], saying: str) -> None:
        end = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < end, f"in {PATIENCE:g} s it did not happen that {saying}"
            self.reactor.iterate(0.01)

    def settle(self) -> None:
        for _ in range(10):
            self.reactor.iterate(0.002)

    def result(self, waited: Deferred[None]) -> Failure | None:
        """How it ended: ``None`` is well."""
        ends: list[Failure | None] = []
        waited.addBoth(ends.append)
        self.until(lambda: ends, "what was waited for ended")
        return ends[0]

    def with_threads(self) -> None:
        """Names are looked up in threads."""
        self.reactor.getThreadPool().start()

    @property
    def open(self) -> int:
        """How many descriptors it watches, its own left out."""
        own = set(self.reactor._internalReaders)
        return len({*self.reactor.getReaders(), *self.reactor.getWriters()} - own)

    @property
    def timers(self) -> int:
        return len(self.reactor.getDelayedCalls())

    def close(self) -> None:
        if self.reactor.threadpool is not None:
            self.reactor.threadpool.stop()
        for reader in self.reactor.removeAll():
            with contextlib.suppress(Exception):
                reader.connectionLost(Failure(ConnectionError("the test is over")))
        self.reactor._poller.close()
        self.reactor.waker.connectionLost(None)


@define(eq=False)
class Sink:
    """A server on loopback. It reads, unless it is ``deaf``, and notes it by connection."""

    host: str = "127.0.0.1"
    issued: Issued | None = None
    deaf: bool = False
    directory: Path | None = None
    got: list[bytearray] = field(factory=list)
    refused: list[str] = field(factory=list)
    _connections: deque[socket.socket] = field(factory=deque)
    _listener: socket.socket = field(init=False)

    def __attrs_post_init__(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, 0), family=family)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def text(self) -> bytes:
        return b"".join(self.got)

    @property
    def connected(self) -> int:
        """How many connections it has."""
        return len(self._connections)

    def drop(self) -> None:
        """End the connections there are, orderly."""
        while self._connections:
            connection = self._connections.popleft()
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.deaf:
                self._connections.append(connection)
            else:
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        noted = bytearray()
        try:
            if self.issued is not None:
                connection = self._context().wrap_socket(connection, server_side=True)
            self._connections.append(connection)
            self.got.append(noted)
            while data := connection.recv(65536):
                noted += data
        except OSError as error:
            self.refused.append(str(error))
        finally:
            connection.close()

    def _context(self) -> ssl.SSLContext:
        assert self.issued is not None
        assert self.directory is not None
        path = self.directory / "sink.pem"
        path.write_bytes(self.issued.chain_pem + self.issued.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@contextlib.contextmanager
def sink(**options: Any) -> Iterator[Sink]:
    made = Sink(**options)
    try:
        yield made
    finally:
        made.close()
