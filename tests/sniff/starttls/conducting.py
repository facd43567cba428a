"""Machines on real sockets: the acting that a relay does, in threads."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from attrs import define, field

from streamproxy.sniff import Need
from streamproxy.sniff.starttls import Answering, Ask, Asking, Done, Plain, Preamble, Refuse, Reply, Upgrade

from ...tls.pki import Issued, self_signed

PATIENCE = 20.0

Inside = Callable[[ssl.SSLSocket], None]


class Stream(Protocol):
    """Where a machine's window comes from."""

    def peek(self, at_least: int) -> bytes:
        """Wait for so many bytes, if any; the window as it is then."""
        ...

    def take(self, count: int) -> None: ...

    def send(self, data: bytes) -> None: ...


@define
class Peeked:
    """The bytes stay in the kernel until they are taken, so that what follows them is still there for TLS."""

    connection: socket.socket

    def peek(self, at_least: int) -> bytes:
        if not at_least and not select.select([self.connection], [], [], 0)[0]:
            return b""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, max(1, at_least))
        window = self.connection.recv(65536, socket.MSG_PEEK)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        if len(window) < at_least:
            raise EOFError(f"the peer ended after {window!r}")
        return window

    def take(self, count: int) -> None:
        taken = self.connection.recv(count) if count else b""
        assert len(taken) == count, f"took {len(taken)} of {count} bytes"

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)


@define
class Decrypted:
    """What comes over TLS, which cannot be peeked at."""

    connection: ssl.SSLSocket
    window: bytes = b""

    def peek(self, at_least: int) -> bytes:
        while len(self.window) < at_least:
            more = self.connection.recv(65536)
            if not more:
                raise EOFError(f"the peer ended after {self.window!r}")
            self.window += more
        return self.window

    def take(self, count: int) -> None:
        self.window = self.window[count:]

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)


def conduct(stream: Stream, machine: Preamble | Ask, *, greet: bool = True) -> Answering | Asking:
    """Do what the machine says until it ends; its last step. ``greet``: with its opening."""
    if greet:
        stream.send(machine.opening())
    at_least = 0
    while True:
        step = machine.step(stream.peek(at_least))
        at_least = step.at_least if isinstance(step, Need) else 0
        if isinstance(step, (Reply, Upgrade, Done)):
            stream.take(step.consume)
        if isinstance(step, (Reply, Upgrade, Refuse)):
            stream.send(step.send)
        if isinstance(step, (Upgrade, Plain, Done, Refuse)):
            return step


@define
class Server:
    """
    Takes one connection, leads it through a preamble and, in TLS, to what is ``inside``: the preamble once more, unless
    something else is said to be. ``steps`` are the last ones of either machine.
    """

    preamble: Callable[[], Preamble]
    inside: Inside | None = None
    identity: Issued = field(factory=lambda: self_signed("mx.example.com"))
    steps: list[Answering | Asking] = field(factory=list)
    port: int = 0

    def serve(self, listener: socket.socket, directory: Path) -> None:
        connection, _ = listener.accept()
        connection.settimeout(PATIENCE)
        with connection:
            self.steps.append(conduct(Peeked(connection), self.preamble()))
            if isinstance(self.steps[0], Upgrade):
                with self._context(directory).wrap_socket(connection, server_side=True) as secured:
                    self._talk(secured)

    def _talk(self, secured: ssl.SSLSocket) -> None:
        if self.inside is not None:
            self.inside(secured)
        else:
            self.steps.append(conduct(Decrypted(secured), self.preamble(), greet=False))

    def _context(self, directory: Path) -> ssl.SSLContext:
        (directory / "pair.pem").write_bytes(self.identity.key_pem + self.identity.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "pair.pem")
        return context

    def client_context(self) -> ssl.SSLContext:
        """Of a client that trusts this server and nobody else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=self.identity.der)
        return context


@contextlib.contextmanager
def serving(server: Server, directory: Path) -> Iterator[Server]:
    """Serve for as long as the test talks; what goes wrong on this side fails the test."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        server.port = listener.getsockname()[1]
        with ThreadPoolExecutor(1) as pool:
            served = pool.submit(server.serve, listener, directory)
            yield server
            served.result(PATIENCE)
