"""Servers to be proxied to, in threads of the test's own process."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable


class Server:
    """A TCP server that handles each connection in a thread with ``serve(sock)``."""

    def __init__(
        self,
        serve: Callable[[socket.socket], None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._serve = serve
        self._context = context
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = socket.create_server((host, port), family=family, backlog=256)
        self.port = int(self._server.getsockname()[1])
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(sock)
            threading.Thread(target=self._handle, args=(sock,), daemon=True).start()

    def _handle(self, sock: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                if self._context is not None:
                    with self._context.wrap_socket(sock, server_side=True) as wrapped:
                        self._serve(wrapped)
                else:
                    self._serve(sock)
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    @property
    def open(self) -> int:
        """How many connections are being handled."""
        with self._lock:
            return len(self._open)

    def close(self) -> None:
        """Stop listening, and cut every connection."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


class Echo(Server):
    """Says its name at once, then everything it is told."""

    def __init__(
        self, name: str = "E1", *, host: str = "127.0.0.1", port: int = 0, context: ssl.SSLContext | None = None
    ) -> None:
        self.name = name
        self.greeting = f"{name}\n".encode()
        self.heard = bytearray()
        super().__init__(self._echo, host=host, port=port, context=context)

    def _echo(self, sock: socket.socket) -> None:
        sock.sendall(self.greeting)
        while data := sock.recv(65536):
            self.heard += data
            sock.sendall(data)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)


class UdpEcho:
    """Answers each datagram with its own name and the datagram."""

    def __init__(self, name: bytes = b"U1:", host: str = "127.0.0.1") -> None:
        self.name = name
        self._sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((host, 0))
        self.port = int(self._sock.getsockname()[1])
        self.peers: list[tuple[str, int]] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = self._sock.recvfrom(65535)
                if peer is None:  # what a socket that was shut down says
                    return
                self.peers.append(peer)
                # A datagram of the greatest length leaves no room for a name.
                self._sock.sendto(self.name + data if len(data) + len(self.name) <= 65507 else data, peer)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
