"""Datagrams through a real process, by APISIX stream routes of the configuration file."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .harness import Proxy, free_port, until
from .targets import UdpEcho


@pytest.fixture
def echo() -> Iterator[UdpEcho]:
    server = UdpEcho()
    yield server
    server.close()


def config(port: int, target_port: int, listen: str = "127.0.0.1", **more: Any) -> dict[str, Any]:
    route = {
        "id": "echo",
        "server_port": port,
        "upstream": {"type": "roundrobin", "nodes": {f"127.0.0.1:{target_port}": 1}},
    }
    return {
        "stream_proxy": {"udp": [f"{listen}:{port}"]},
        "resources": {"stream_routes": [route]},
        **more,
    }


def ask(client: socket.socket, data: bytes) -> bytes:
    client.send(data)
    return client.recv(65535)


def client_of(port: int, host: str = "127.0.0.1") -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(10)
    client.connect((host, port))
    return client


@pytest.mark.parametrize("size", [0, 1, 1400, 9000, 65507])
def test_datagrams_of_every_size_arrive_whole(make_proxy: Callable[..., Proxy], echo: UdpEcho, size: int) -> None:
    port = free_port(socket.SOCK_DGRAM)
    make_proxy(config(port, echo.port)).start()
    data = os.urandom(size)
    with client_of(port) as client:
        assert ask(client, data) in (echo.name + data, data)


def test_two_clients_do_not_mix_and_each_has_its_own_socket(make_proxy: Callable[..., Proxy], echo: UdpEcho) -> None:
    port = free_port(socket.SOCK_DGRAM)
    proxy = make_proxy(config(port, echo.port)).start()
    with client_of(port) as one, client_of(port) as two:
        for number in range(20):
            assert ask(one, b"one%d" % number) == b"U1:one%d" % number
            assert ask(two, b"two%d" % number) == b"U1:two%d" % number
    assert len(set(echo.peers)) == 2
    listener = proxy.listener(port, "udp")
    assert listener is not None
    assert listener["accepted"] == 2
    assert listener["sessions"] == 2


def test_a_session_ends_when_it_is_idle(make_proxy: Callable[..., Proxy], echo: UdpEcho) -> None:
    port = free_port(socket.SOCK_DGRAM)
    limits = {"udp_idle_timeout": "300ms", "shutdown_timeout": "1s"}
    proxy = make_proxy(config(port, echo.port, limits=limits)).start()
    with client_of(port) as client:
        assert ask(client, b"x") == b"U1:x"
        until(lambda: (proxy.listener(port, "udp") or {})["ended"].get("idle_timeout") == 1, "it ended by itself")
        assert ask(client, b"y") == b"U1:y"
    assert len(set(echo.peers)) == 2


def test_answers_come_from_the_address_that_was_asked(make_proxy: Callable[..., Proxy], echo: UdpEcho) -> None:
    port = free_port(socket.SOCK_DGRAM)
    make_proxy(config(port, echo.port, listen="0.0.0.0")).start()
    # A connected socket hears nothing from any other address.
    with client_of(port, "127.0.0.77") as client:
        assert ask(client, b"who are you") == b"U1:who are you"


def test_a_flood_of_ports_stays_within_the_cap(make_proxy: Callable[..., Proxy], echo: UdpEcho) -> None:
    port = free_port(socket.SOCK_DGRAM)
    limits = {"max_udp_sessions": 50, "shutdown_timeout": "1s"}
    proxy = make_proxy(config(port, echo.port, limits=limits)).start()
    with client_of(port) as first:
        assert ask(first, b"x") == b"U1:x"
        for _ in range(500):
            with client_of(port) as other:
                other.send(b"flood")
        until(
            lambda: (proxy.listener(port, "udp") or {})["ended"].get("dropped_over_limit", 0) >= 400,
            "what was too much was dropped and counted",
        )
        listener = proxy.listener(port, "udp")
        assert listener is not None
        assert listener["sessions"] <= 50
        assert ask(first, b"still") == b"U1:still"


def test_a_node_that_is_not_there_is_counted_and_found_when_it_is(make_proxy: Callable[..., Proxy]) -> None:
    port, target_port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    proxy = make_proxy(config(port, target_port)).start()
    with client_of(port) as client:
        client.send(b"anybody?")
        until(lambda: (proxy.listener(port, "udp") or {})["ended"].get("icmp_errors"), "the ICMP error was counted")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", target_port))
            server.settimeout(10)
            client.send(b"now?")
            data, peer = server.recvfrom(100)
            server.sendto(b"yes", peer)
            assert (data, client.recv(100)) == (b"now?", b"yes")


def test_tcp_and_udp_share_a_port_and_a_route(make_proxy: Callable[..., Proxy], echo: UdpEcho) -> None:
    port = free_port(socket.SOCK_DGRAM)
    with socket.create_server(("127.0.0.1", echo.port)) as tcp_echo:
        settings = config(port, echo.port)
        settings["stream_proxy"]["tcp"] = [f"127.0.0.1:{port}"]
        proxy = make_proxy(settings).start()
        with proxy.connect(port):
            tcp_echo.accept()[0].close()
        with client_of(port) as client:
            assert ask(client, b"x") == b"U1:x"


def test_without_a_route_nothing_is_answered_and_it_is_counted(make_proxy: Callable[..., Proxy], echo: UdpEcho) -> None:
    port = free_port(socket.SOCK_DGRAM)
    settings = config(port, echo.port)
    settings["resources"]["stream_routes"][0]["remote_addr"] = "10.0.0.0/8"
    proxy = make_proxy(settings).start()
    with client_of(port) as client:
        client.send(b"x")
        until(lambda: (proxy.listener(port, "udp") or {})["ended"].get("dropped_no_route") == 1, "it was counted")
    assert echo.peers == []
