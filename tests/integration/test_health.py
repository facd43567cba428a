"""Targets that die, come back, or only seem to be there, behind a running process."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tls.pki import Authority

from .conftest import Make
from .harness import PATIENCE, Proxy, free_port, read_exactly, until
from .targets import Echo, Server, UdpEcho

Echoes = Callable[..., Echo]

# Nodes are asked as often as may be, and one report is enough.
QUICK: dict[str, Any] = {
    "timeout": 1,
    "healthy": {"interval": 1, "successes": 1},
    "unhealthy": {"interval": 1, "tcp_failures": 1, "timeouts": 1, "http_failures": 1},
}


class Behind:
    """A process with one listener whose route leads to one upstream, ``u``."""

    def __init__(self, make_proxy: Make, nodes: list[dict[str, Any]], udp: bool = False, **upstream: Any) -> None:
        self.port = free_port(socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        body = {"id": "u", "type": "roundrobin", "nodes": nodes, **upstream}
        self.proxy: Proxy = make_proxy(
            {
                "stream_proxy": {"udp" if udp else "tcp": [f"127.0.0.1:{self.port}"]},
                "resources": {"upstreams": [body], "stream_routes": [{"id": "1", "upstream_id": "u"}]},
            }
        ).start()

    def session(self) -> str:
        """Who greets a client; empty when it is dropped."""
        try:
            with self.proxy.connect(self.port) as client:
                return read_exactly(client, 3).decode().strip()
        except ConnectionResetError:
            return ""

    @property
    def status(self) -> dict[str, Any]:
        found = [each for each in self.proxy.get("/streamproxy/v1/upstreams").json["upstreams"] if "u" in each["id"]]
        return dict(found[0])

    def node(self, port: int) -> dict[str, Any]:
        """What is known of the node at that port."""
        return dict(next(node for node in self.status["nodes"] if node["port"] == port))

    def becomes(self, port: int, health: str) -> dict[str, Any]:
        until(
            lambda: self.node(port)["health"] == health,
            f"port {port} becomes {health}; it is {self.node(port)}\n{self.proxy.output}",
        )
        return self.node(port)

    def logged(self, text: str) -> None:
        until(lambda: text in self.proxy.output, f"the log says {text!r}; it says:\n{self.proxy.output}")


def node(port: int, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "weight": 100, **more}


@contextlib.contextmanager
def web(port: int, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Answers every request with 200."""

    def serve(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        sock.recv(4096)

    server = Server(serve, port=port, context=context)
    try:
        yield server
    finally:
        server.close()


def test_c48_active_health_check(make_proxy: Make, echoes: Echoes) -> None:
    echo, dead = echoes("E1"), free_port()
    active = {**QUICK, "type": "tcp", "healthy": {"interval": 1, "successes": 2}}
    behind = Behind(
        make_proxy,
        [node(echo.port, priority=0), node(dead, priority=1)],
        retries=0,
        checks={"active": active},
    )
    assert not behind.status["checked"]
    assert behind.session() == "", "nobody knows yet that the first node is dead"

    behind.becomes(dead, "unhealthy")
    assert [behind.session() for _ in range(3)] == ["E1"] * 3
    behind.logged("create new checker")
    behind.logged(f"unhealthy TCP increment (1/1) for '127.0.0.1(127.0.0.1:{dead})'")
    status = behind.status
    assert (status["checked"], status["probe"]) == (True, "tcp")
    assert status["users"] == ["apisix:stream_routes/1"]
    assert "refused" in behind.node(dead)["detail"]


def test_c50_a_healthy_node_counts_nothing(make_proxy: Make, echoes: Echoes) -> None:
    echo = echoes("E1")
    behind = Behind(make_proxy, [node(echo.port)], checks={"active": {**QUICK, "type": "tcp"}})
    assert behind.session() == "E1"
    until(lambda: echo.connections >= 3, "the node was asked twice")
    found = behind.node(echo.port)
    assert found["health"] == "healthy"
    assert found["counters"] == {"success": 0, "tcp_failure": 0, "timeout_failure": 0, "http_failure": 0}


def test_a_target_that_dies_and_comes_back(make_proxy: Make, echoes: Echoes) -> None:
    first, second = echoes("E1"), echoes("E2")
    behind = Behind(
        make_proxy,
        [node(first.port, priority=1), node(second.port)],
        retries=0,
        checks={"active": {**QUICK, "type": "tcp"}},
    )
    assert behind.session() == "E1"
    until(lambda: behind.status["checked"], "the nodes are asked")
    files = behind.proxy.open_files

    first.close()
    behind.becomes(first.port, "unhealthy")
    assert [behind.session() for _ in range(5)] == ["E2"] * 5, "no client notices"

    echoes("E3", port=first.port)
    found = behind.becomes(first.port, "healthy")
    assert found["detail"] is None
    assert behind.session() == "E3"
    behind.logged(f"healthy SUCCESS increment (1/1) for '127.0.0.1(127.0.0.1:{first.port})'")
    until(lambda: behind.proxy.open_files <= files + 1, "every look gave back its descriptor")


def test_what_sessions_meet_counts_as_well(make_proxy: Make, echoes: Echoes) -> None:
    """The checks ask another port, which is well all the time."""
    echo, helper, dead = echoes("E1"), echoes("E2"), free_port()
    behind = Behind(
        make_proxy,
        [node(echo.port), node(dead, priority=1)],
        retries=0,
        checks={
            "active": {"type": "tcp", "port": helper.port, "healthy": {"interval": 3600, "successes": 100}},
            "passive": {"type": "tcp", "unhealthy": {"tcp_failures": 1}},
        },
    )
    assert [behind.session() for _ in range(5)] == ["", "E1", "E1", "E1", "E1"]
    behind.logged(f"unhealthy TCP increment (1/1) for '127.0.0.1(127.0.0.1:{dead})'")
    assert behind.node(dead)["health"] in ("unhealthy", "mostly_unhealthy"), "a check may have found the helper since"


def test_where_all_are_dead_all_are_tried(make_proxy: Make, echoes: Echoes) -> None:
    first, second = free_port(), free_port()
    behind = Behind(make_proxy, [node(first), node(second)], checks={"active": {**QUICK, "type": "tcp"}})
    assert behind.session() == ""
    behind.becomes(first, "unhealthy")
    behind.becomes(second, "unhealthy")
    assert behind.session() == ""
    behind.logged("all upstream nodes is unhealthy, use default")
    echoes("E1", port=second)
    until(lambda: behind.session() == "E1", "the one that came back is found")


def test_https_is_asked_and_verified(
    make_proxy: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, stranger = Authority.root("Root"), Authority.root("Stranger")
    (tmp_path / "root.pem").write_bytes(root.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
    ports = {"good": free_port(), "stranger": free_port()}
    active = {**QUICK, "type": "https", "host": "web.example"}
    behind = Behind(make_proxy, [node(port) for port in ports.values()], checks={"active": active})
    behind.session()
    for port in ports.values():
        behind.becomes(port, "unhealthy")

    with contextlib.ExitStack() as stack:
        for name, authority in (("good", root), ("stranger", stranger)):
            issued = authority.issue("web.example")
            pair = tmp_path / f"{name}.pem"
            pair.write_bytes(issued.key_pem + issued.chain_pem)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair)
            stack.enter_context(web(ports[name], context))
        behind.becomes(ports["good"], "healthy")
        until(
            lambda: "certificate" in (behind.node(ports["stranger"])["detail"] or ""),
            "it is said what is wrong with the other",
        )
        assert behind.node(ports["stranger"])["health"] == "unhealthy"


def test_datagrams_are_asked_for_and_expected(make_proxy: Make) -> None:
    target, mute = UdpEcho(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mute.bind(("127.0.0.1", 0))
    nodes = [node(target.port), node(mute.getsockname()[1])]
    active = {**QUICK, "type": "udp", "send": "ping", "expect": "^U1:ping$"}
    try:
        behind = Behind(make_proxy, nodes, udp=True, checks={"active": active})
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"hello", ("127.0.0.1", behind.port))
        found = behind.becomes(mute.getsockname()[1], "unhealthy")
        assert found["counters"]["timeout_failure"] == 1
        assert behind.node(target.port)["health"] == "healthy"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            for _ in range(3):
                client.sendto(b"hello", ("127.0.0.1", behind.port))
                assert client.recv(100) == b"U1:hello"
    finally:
        mute.close()
        target.close()


def test_health_survives_edits_of_other_things_and_of_weights(make_proxy: Make, echoes: Echoes) -> None:
    echo, dead = echoes("E1"), free_port()
    active = {**QUICK, "type": "tcp", "unhealthy": {"interval": 3600, "tcp_failures": 1}}
    behind = Behind(make_proxy, [node(echo.port), node(dead)], checks={"active": active})
    behind.session()
    behind.becomes(dead, "unhealthy")
    asked = behind.proxy.output.count("increment")

    behind.proxy.create(rules=[])
    body = behind.proxy.config["resources"]["upstreams"][0]
    body["nodes"] = [node(echo.port), {**node(dead), "weight": 7}]
    behind.proxy.write_config()
    behind.proxy.hang_up()
    until(lambda: behind.node(dead)["weight"] == 7, "the new weight is in force")
    assert behind.node(dead)["health"] == "unhealthy"
    assert [behind.session() for _ in range(4)] == ["E1"] * 4
    assert behind.proxy.output.count("increment") == asked, "nobody had to find it out again"

    del body["checks"]
    behind.proxy.write_config()
    behind.proxy.hang_up()
    behind.becomes(dead, "healthy")
    behind.logged("try to release checker")
    assert not behind.status["checked"]
