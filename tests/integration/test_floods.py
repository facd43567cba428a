"""Floods: caps hold, memory is bounded, and whoever is no part of it is served meanwhile."""

from __future__ import annotations

import resource
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from tests.tls.pki import Authority

from .harness import Proxy, free_port, read_exactly, rule, target, until
from .targets import Echo, UdpEcho

Echoes = Callable[..., Echo]
Make = Callable[..., Proxy]

MANY = 5000
MIB = 1 << 20
ROOT = Authority.root("flood root")
SNI = {"enabled": True, "forwardIfNoMatch": False}
# Where the ordinary client comes from; the flood is from elsewhere.
ORDINARY = "127.0.0.9"


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3 * MANY:
        pytest.skip(f"no more than {hard} descriptors are to be had")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Gusher:
    """Sends each client so many bytes, as fast as it takes them, and one thread does it all."""

    def __init__(self, size: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._server = socket.socket()
        # What waits here is not what is measured.
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self._server.bind(("127.0.0.1", 0))
        self._server.listen(4096)
        self._server.setblocking(False)
        self.port = int(self._server.getsockname()[1])
        self.connections = 0
        self._size = size
        self._left: dict[socket.socket, int] = {}
        self._over = False
        self._selector.register(self._server, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.1):
                with suppress(OSError):
                    self._handle(key.fileobj)
        for sock in (*self._left, self._server):
            sock.close()

    def _handle(self, sock: Any) -> None:
        if sock is self._server:
            client, _ = sock.accept()
            client.setblocking(False)
            self.connections += 1
            self._left[client] = self._size
            self._selector.register(client, selectors.EVENT_WRITE)
            return
        try:
            self._left[sock] -= sock.send(bytes(min(65536, self._left[sock])))
        except BlockingIOError:
            return
        except OSError:
            self._left[sock] = 0
        if not self._left[sock]:
            self._selector.unregister(sock)
            del self._left[sock]
            sock.close()

    def close(self) -> None:
        self._over = True
        self._thread.join(10)


def flood(stack: ExitStack, port: int, count: int, receive_buffer: int = 0) -> list[socket.socket]:
    """Clients that say nothing."""
    clients = []
    for _ in range(count):
        client = stack.enter_context(socket.socket())
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(20)
        with suppress(ConnectionResetError):
            client.connect(("127.0.0.1", port))
        clients.append(client)
    return clients


def ordinary(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 20, (ORDINARY, 0))


def counts(proxy: Proxy, port: int, transport: str = "tcp") -> dict[str, int]:
    listener = proxy.listener(port, transport)
    assert listener is not None
    return dict(listener["ended"])


def sessions(proxy: Proxy, port: int, transport: str = "tcp") -> int:
    return int((proxy.listener(port, transport) or {})["sessions"])


def reset_all(clients: list[socket.socket]) -> None:
    """So that nothing of them stays with the kernel."""
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()


def test_silent_clients_at_a_port_that_asks_for_a_name(make_proxy: Make, echoes: Echoes) -> None:
    echo = echoes("E1")
    limits = {"sniff_timeout": "30s", "max_sessions_per_client": MANY - 500, "shutdown_timeout": "1s"}
    proxy = make_proxy({"limits": limits}, descriptors=3 * MANY).start()
    port = proxy.create(tls="PassThrough", sni=SNI, rules=[rule("a.example.com", target(echo.port))])["port"]
    before = proxy.memory
    with ExitStack() as stack:
        clients = flood(stack, port, MANY)
        until(lambda: counts(proxy, port).get("refused:max_sessions_per_client", 0) >= 500, "what was too much went")
        assert sessions(proxy, port) == MANY - 500
        with ordinary(port) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
            assert read_exactly(client, 3) == b"E1\n"
        grown = proxy.memory - before
        assert grown < MANY * 12_000, f"the process grew by {grown / MIB:.0f} MiB for {MANY} silent clients"
        reset_all(clients)
        until(lambda: sessions(proxy, port) == 0, "all are gone")


def test_silent_clients_at_a_port_that_terminates_tls(make_proxy: Make, echoes: Echoes) -> None:
    echo = echoes("E1")
    limits = {"handshake_timeout": "30s", "max_sessions_per_client": MANY, "shutdown_timeout": "1s"}
    proxy = make_proxy({"limits": limits}, descriptors=3 * MANY).start()
    issued = ROOT.issue("a.example.com")
    ssl_object = {"cert": issued.chain_pem.decode(), "key": issued.key_pem.decode(), "snis": ["a.example.com"]}
    assert proxy.put("/apisix/admin/ssls/1", ssl_object).status == 201
    port = proxy.create(tls="Enabled", rules=[rule("*", target(echo.port))])["port"]
    before = proxy.memory
    with ExitStack() as stack:
        clients = flood(stack, port, MANY)
        until(lambda: sessions(proxy, port) == MANY, "all are there")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=ROOT.pem.decode())
        with ordinary(port) as raw, context.wrap_socket(raw, server_hostname="a.example.com") as client:
            assert read_exactly(client, 3) == b"E1\n"
        grown = proxy.memory - before
        assert grown < MANY * 12_000, f"the process grew by {grown / MIB:.0f} MiB for {MANY} silent clients"
        reset_all(clients)
        until(lambda: sessions(proxy, port) == 0, "all are gone")


def test_clients_that_never_read(make_proxy: Make, echoes: Echoes) -> None:
    gusher, echo = Gusher(256 * 1024), echoes("E1")
    limits = {"max_sessions": 2 * MANY, "shutdown_timeout": "1s"}
    proxy = make_proxy({"limits": limits}, descriptors=3 * MANY).start()
    port = proxy.create(rules=[rule("*", target(gusher.port))])["port"]
    other = proxy.create(name="other", rules=[rule("*", target(echo.port))])["port"]
    before = proxy.memory
    with ExitStack() as stack:
        clients = flood(stack, port, MANY, receive_buffer=4096)
        until(lambda: gusher.connections == MANY, "each has its session", patience=60)
        moved = -1
        while moved != (moved := int((proxy.listener(port) or {})["bytes_out"])):
            time.sleep(0.5)
        with ordinary(other) as client:
            client.sendall(b"served")
            assert read_exactly(client, 9) == b"E1\nserved"
        grown = proxy.memory - before
        # What the documentation says of a session, and what it is itself.
        assert grown < MANY * (64 * 1024 + 16_000), f"it grew by {grown / MIB:.0f} MiB for {MANY} clients"
        reset_all(clients)
        until(lambda: sessions(proxy, port) == 0, "all are gone", patience=60)
    gusher.close()


def udp_config(port: int, target_port: int, **limits: Any) -> dict[str, Any]:
    upstream = {"type": "roundrobin", "nodes": {f"127.0.0.1:{target_port}": 1}}
    return {
        "stream_proxy": {"udp": [f"127.0.0.1:{port}"]},
        "resources": {"stream_routes": [{"id": "r", "server_port": port, "upstream": upstream}]},
        "limits": {"shutdown_timeout": "1s", **limits},
    }


def datagram_client(host: str, port: int) -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(0.5)
    client.bind((host, 0))
    client.connect(("127.0.0.1", port))
    return client


def is_answered(client: socket.socket) -> bool:
    """Datagrams get lost in a flood: the kernel's buffer is full. Who asks again is heard."""
    for _ in range(40):
        client.send(b"?")
        with suppress(TimeoutError):
            return client.recv(100) == b"U1:?"
    return False


def send_from(ports: range, port: int) -> None:
    for number in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.3", number))
            with suppress(OSError):
                sock.sendto(b"flood", ("127.0.0.1", port))


def test_datagrams_from_twenty_thousand_ports(make_proxy: Make) -> None:
    echo, port = UdpEcho(), free_port(socket.SOCK_DGRAM)
    config = udp_config(port, echo.port, max_udp_sessions=4096, max_sessions_per_client=2000)
    proxy = make_proxy(config, descriptors=3 * MANY).start()
    with datagram_client(ORDINARY, port) as early, datagram_client(ORDINARY, port) as late:
        assert is_answered(early)
        before = proxy.memory
        flooding = threading.Thread(target=send_from, args=(range(20_000, 40_000), port))
        flooding.start()
        assert is_answered(early), "who had a session"
        assert is_answered(late), "who had none"
        flooding.join()
        until(
            lambda: counts(proxy, port, "udp").get("dropped_max_sessions_per_client", 0) > 1000,
            "what was too much was dropped and counted",
        )
        assert sessions(proxy, port, "udp") <= 2002
        assert is_answered(early)
        grown = proxy.memory - before
        assert grown < 24 * MIB, f"the process grew by {grown / MIB:.0f} MiB"
    echo.close()


def test_a_flood_to_a_node_that_is_not_there_is_no_flood_of_records(make_proxy: Make) -> None:
    port, nobody = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    config = {**udp_config(port, nobody), "access_log": {"path": "access.log"}}
    proxy = make_proxy(config).start()
    begun = time.monotonic()
    send_from(range(20_000, 24_000), port)
    until(lambda: counts(proxy, port, "udp").get("dropped_unreachable", 0) > 500, "most were dropped at once")
    elapsed = time.monotonic() - begun
    failed = counts(proxy, port, "udp")["connect_failed"]
    # Some at once each second, and those that were open when it was found out.
    assert failed < 200 * (elapsed + 2), f"{failed} records in {elapsed:.1f} s"
