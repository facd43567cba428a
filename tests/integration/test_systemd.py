"""As systemd starts it: with sockets that are bound already, and somebody who wants to know how it is."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .harness import PATIENCE, Proxy, free_port, read_exactly, rule, target, tcp_service, until
from .targets import Echo, UdpEcho

Echoes = Callable[..., Echo]
Make = Callable[..., Proxy]


class Manager:
    """The other end of ``NOTIFY_SOCKET``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._sock.setblocking(False)
        self.heard: list[str] = []

    def hears(self, text: str, times: int = 1) -> bool:
        while True:
            try:
                self.heard += self._sock.recv(4096).decode().split("\n")
            except BlockingIOError:
                break
        return sum(line.startswith(text) for line in self.heard) >= times

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def test_it_says_how_it_is(make_proxy: Make, manager: Manager) -> None:
    environment = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "400000"}
    proxy = make_proxy(environment=environment).start()
    until(lambda: manager.hears("READY=1"), "it said that it is ready")
    until(lambda: manager.hears("WATCHDOG=1", 4), "the watchdog is fed")
    assert manager.hears("STATUS=0 sessions, 0 of 0 listeners listen"), manager.heard
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    proxy.hang_up()
    until(lambda: manager.hears("RELOADING=1") and manager.hears("READY=1", 2), "it read its file again, and said so")
    (moment,) = [int(line.partition("=")[2]) for line in manager.heard if line.startswith("MONOTONIC_USEC=")]
    assert before < moment <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    os.kill(proxy.pid, signal.SIGTERM)
    until(lambda: manager.hears("STOPPING=1"), "it said that it stops")


def is_there(proxy: Proxy, port: int, wanted: bool) -> None:
    until(lambda: (proxy.listener(port) is not None) is wanted, f"there is a listener: {wanted}")


def inherit(*sockets: socket.socket) -> tuple[str, ...]:
    """A command that starts another with these as descriptors 3, 4, ... and says so, as systemd does."""
    descriptors = [sock.fileno() for sock in sockets]
    program = f"""import os, sys
above = [os.dup2(number, 100 + index) for index, number in enumerate({descriptors})]
for index, number in enumerate(above):
    os.dup2(number, 3 + index)
    os.close(number)
names = ":".join("unknown" for _ in above)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(above)), LISTEN_FDNAMES=names)
os.execv(sys.argv[1], sys.argv[1:])"""
    return (sys.executable, "-c", program)


def test_it_serves_on_sockets_that_were_bound_before(make_proxy: Make, echoes: Echoes, manager: Manager) -> None:
    echo, answers = echoes("E1"), UdpEcho(b"U:")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.create_server(("127.0.0.1", 0)) as admin,
    ):
        udp.bind(("127.0.0.1", 0))
        port, udp_port = tcp.getsockname()[1], udp.getsockname()[1]
        upstream = {"type": "roundrobin", "nodes": {f"127.0.0.1:{answers.port}": 1}}
        service = {**tcp_service(port=port, rules=[rule("*", target(echo.port))]), "id": "s"}
        proxy = make_proxy(
            {
                "stream_proxy": {"udp": [f"127.0.0.1:{udp_port}"]},
                "resources": {
                    "tcp_services": [service],
                    "stream_routes": [{"id": "u", "server_port": udp_port, "upstream": upstream}],
                },
            },
            environment={"NOTIFY_SOCKET": str(manager.path)},
            prefix=inherit(tcp, udp, admin),
            pass_fds=(tcp.fileno(), udp.fileno(), admin.fileno()),
        )
        proxy.admin_port = admin.getsockname()[1]
        proxy.config["admin"]["listen"] = f"127.0.0.1:{proxy.admin_port}"
        # Who comes before the proxy is there waits for it.
        early = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        proxy.start()
        assert read_exactly(early, 3) == b"E1\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", udp_port))
            client.send(b"hello")
            assert client.recv(100) == b"U:hello"
        # A listener that comes back finds its socket again.
        for enabled in (False, True):
            proxy.config["resources"]["tcp_services"] = [{**service, "enabled": enabled}]
            proxy.write_config()
            proxy.hang_up()
            is_there(proxy, port, enabled)
        listener = proxy.listener(port)
        assert listener is not None
        assert listener["state"] == "listening", listener
        with proxy.connect(port) as client:
            assert read_exactly(client, 3) == b"E1\n"
        early.close()
        assert free_port() != port
    answers.close()
