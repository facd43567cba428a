"""A proxy with enough going on to be looked at: services, routes, certificates, sessions that live, end and fail."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.tls.pki import Authority

from .harness import Proxy, free_port, rule, target, until
from .targets import Echo

CLIENTS = 6
# Seconds between two rounds of traffic.
PAUSE = 0.25


def ssl_files(directory: Path) -> None:
    """Certificates that last, and one that will not for long."""
    directory.mkdir()
    authority = Authority.root("Example Root")
    for name, days in (("www.example.com", 80.0), ("db.example.com", 12.0), ("mail.example.com", 300.0)):
        issued = authority.issue(name, valid=(-1, days))
        (directory / f"{name}.crt").write_bytes(issued.chain_pem)
        (directory / f"{name}.key").write_bytes(issued.key_pem)


class Scene:
    """``proxy`` with services over ``echoes``, and a thread of clients until ``stop``."""

    def __init__(self, proxy: Proxy, echoes: list[Echo], route_port: int) -> None:
        self.proxy = proxy
        self.echoes = echoes
        self.route_port = route_port
        self.ports = {name: free_port() for name in ("pg", "mail", "web", "ssh")}
        self._over = threading.Event()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._traffic, daemon=True)

    def set_up(self) -> Scene:
        """Write everything."""
        proxy, echoes = self.proxy, self.echoes
        sni = {"enabled": True, "forwardIfNoMatch": False}
        proxy.create(
            id="reporting",
            name="Reporting databases",
            description="Read and write replicas, told apart by name",
            port=self.ports["pg"],
            tls="PassThrough",
            sni=sni,
            rules=[
                rule("*read*.db.example.com", target(echoes[0].port), target(echoes[1].port)),
                rule("*.db.example.com", target(echoes[2].port)),
            ],
            tags=["database"],
        )
        proxy.create(
            id="web",
            name="Public web",
            description="TLS ends here",
            port=self.ports["web"],
            tls="Enabled",
            sni=sni,
            rules=[rule("www.example.com", target(echoes[0].port)), rule("*", target(echoes[1].port))],
        )
        proxy.create(
            id="mail",
            name="Mail relay",
            description="",
            port=self.ports["mail"],
            rules=[rule("*", target(free_port()))],
        )
        proxy.create(
            id="ssh", name="Bastion", description="Off since the move", enabled=False, port=self.ports["ssh"], rules=[]
        )
        nodes = [
            {"host": "127.0.0.1", "port": echo.port, "weight": weight}
            for echo, weight in zip(echoes, (3, 1, 1), strict=True)
        ]
        check = {"active": {"type": "tcp", "healthy": {"interval": 1}, "unhealthy": {"interval": 1, "tcp_failures": 1}}}
        nodes.append({"host": "127.0.0.1", "port": free_port(), "weight": 1})
        self._put("upstreams/cache", {"name": "cache", "type": "least_conn", "nodes": nodes, "checks": check})
        self._put("services/cache", {"name": "Cache", "upstream_id": "cache"})
        self._put("stream_routes/cache", {"name": "Cache", "server_port": self.route_port, "service_id": "cache"})
        office = {"remote_addr": "10.0.0.0/8", "server_port": self.route_port, "upstream_id": "cache"}
        self._put("stream_routes/office", {"name": "Cache for the office", **office})
        return self

    def _put(self, path: str, body: dict[str, Any]) -> None:
        answer = self.proxy.put(f"/apisix/admin/{path}", body, headers={"X-Reason": f"set up {path}"})
        assert answer.status in (200, 201), answer

    def start(self) -> Scene:
        self._thread.start()
        until(lambda: len(self.proxy.get("/streamproxy/v1/sessions/recent").json["sessions"]) > 20, "clients come")
        return self

    def stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for sock in self._open:
            sock.close()

    # Clients

    def _traffic(self) -> None:
        turns: list[Callable[[int], None]] = [self._stay, self._ask, self._web, self._database, self._mail, self._reset]
        number = 0
        while not self._over.wait(PAUSE):
            for turn in turns:
                with contextlib.suppress(OSError):
                    turn(number)
            # Each of them does all it can in turn.
            number += 1

    def _stay(self, number: int) -> None:
        if len(self._open) < CLIENTS * 2:
            self._open.append(self._connected(self.route_port))
        for sock in self._open:
            sock.sendall(b"x" * (3000 + 977 * (number % 7)))
            sock.recv(65536)

    def _ask(self, number: int) -> None:
        with self._connected(self.route_port) as sock:
            sock.sendall(b"y" * 20_000)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass

    def _web(self, number: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        name = ("www.example.com", "db.example.com", "nobody.example.net")[number % 3]
        with self._connected(self.ports["web"]) as sock, context.wrap_socket(sock, server_hostname=name) as wrapped:
            wrapped.sendall(b"hello")
            wrapped.recv(100)

    def _database(self, number: int) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = ("eu-read.db.example.com", "eu.db.example.com", "db.example.org")[number % 3]
        context = ssl.create_default_context()
        with contextlib.suppress(ssl.SSLWantReadError):
            context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
        with self._connected(self.ports["pg"]) as sock:
            sock.sendall(outgoing.read())
            sock.recv(1000)

    def _mail(self, number: int) -> None:
        if number % 3 == 0:
            with self._connected(self.ports["mail"]) as sock:
                sock.recv(10)

    def _reset(self, number: int) -> None:
        with self._connected(self.route_port) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            sock.recv(10)

    def _connected(self, port: int) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", port), timeout=3)
        sock.settimeout(3)
        return sock


@contextlib.contextmanager
def scene(directory: Path) -> Iterator[Scene]:
    """Everything above, for as long as somebody looks."""
    directory.mkdir(exist_ok=True)
    ssl_files(directory / "certs")
    port = free_port()
    echoes = [Echo(f"E{number}") for number in range(3)]
    config = {"stream_proxy": {"tcp": [f"127.0.0.1:{port}"]}, "tls": {"certificates": "certs"}}
    proxy = Proxy(directory, config).start()
    made = Scene(proxy, echoes, port)
    try:
        made.set_up().start()
        yield made
    finally:
        made.stop()
        proxy.stop()
        for echo in echoes:
            echo.close()
