"""Ports that a running process opens and closes when it is told to, without a reload."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from .harness import Proxy, free_port, is_dropped, read_exactly, until
from .targets import Echo

Echoes = Callable[..., Echo]
Make = Callable[..., Proxy]

PATH = "/streamproxy/v1/listeners"


def route(port: int, **conditions: Any) -> dict[str, Any]:
    return {"id": "r", "upstream": {"type": "roundrobin", "nodes": {f"127.0.0.1:{port}": 1}}, **conditions}


def refuses(proxy: Proxy, port: int) -> bool:
    try:
        proxy.connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_listener_is_opened_and_closed_and_live_sessions_go_on(make_proxy: Make, echoes: Echoes) -> None:
    echo, port = echoes("E1"), free_port()
    proxy = make_proxy({"resources": {"stream_routes": [route(echo.port)]}}).start()
    assert refuses(proxy, port)

    opened = proxy.post(PATH, {"id": "mail", "addr": f"127.0.0.1:{port}"})
    live = proxy.connect(port)
    assert read_exactly(live, 3) == b"E1\n"
    assert opened.status == 201, opened
    assert [status["state"] for status in opened.json["status"]] == ["listening"]

    closed = proxy.delete(f"{PATH}/mail")
    assert closed.status == 200, closed
    assert refuses(proxy, port)
    live.sendall(b"still here")
    assert read_exactly(live, 10) == b"still here"
    live.close()


def test_it_moves_and_is_there_after_a_restart(make_proxy: Make, echoes: Echoes) -> None:
    echo, first, second = echoes("E1"), free_port(), free_port()
    proxy = make_proxy({"resources": {"stream_routes": [route(echo.port)]}}).start()
    assert proxy.put(f"{PATH}/mail", {"addr": f"127.0.0.1:{first}"}).status == 201

    moved = proxy.request("PATCH", f"{PATH}/mail", {"addr": f"127.0.0.1:{second}"})

    assert moved.status == 200, moved
    assert refuses(proxy, first)
    proxy.restart()
    with proxy.connect(second) as client:
        assert read_exactly(client, 3) == b"E1\n"
    assert proxy.get(f"{PATH}/mail").json["listener"] == {"id": "mail", "addr": f"127.0.0.1:{second}"}


def test_a_route_for_one_port_closes_the_others(make_proxy: Make, echoes: Echoes) -> None:
    echo, first, second = echoes("E1"), free_port(), free_port()
    proxy = make_proxy({"resources": {"stream_routes": [route(echo.port, server_port=first)]}}).start()
    for port in (first, second):
        assert proxy.put(f"{PATH}/p{port}", {"addr": f"127.0.0.1:{port}"}).status == 201

    with proxy.connect(first) as served, proxy.connect(second) as closed:
        assert read_exactly(served, 3) == b"E1\n"
        assert is_dropped(closed)


def test_a_port_of_datagrams(make_proxy: Make) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        port = free_port(socket.SOCK_DGRAM)
        proxy = make_proxy({"resources": {"stream_routes": [route(server.getsockname()[1])]}}).start()
        assert proxy.post(PATH, {"addr": f"127.0.0.1:{port}", "transport": "udp"}).status == 201

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(20)
            client.sendto(b"question", ("127.0.0.1", port))
            question, address = server.recvfrom(100)
            server.sendto(b"answer", address)
            assert (question, client.recv(100)) == (b"question", b"answer")


def test_a_port_that_somebody_else_has_is_shown_and_taken_when_it_is_free(make_proxy: Make, echoes: Echoes) -> None:
    echo = echoes("E1")
    proxy = make_proxy({"resources": {"stream_routes": [route(echo.port)]}}).start()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        opened = proxy.post(PATH, {"id": "a", "addr": f"127.0.0.1:{port}"})

        assert opened.status == 201, opened
        (status,) = opened.json["status"]
        assert status["state"] == "failed"
        assert "in use" in status["error"]
    until(
        lambda: proxy.get(f"{PATH}/a").json["status"][0]["state"] == "listening",
        "the port is taken once it is free",
    )
    with proxy.connect(port) as client:
        assert read_exactly(client, 3) == b"E1\n"


def test_what_the_file_declares_is_opened_with_the_process(make_proxy: Make, echoes: Echoes) -> None:
    echo, port = echoes("E1"), free_port()
    listeners = [{"id": "declared", "addr": f"127.0.0.1:{port}"}]
    resources: dict[str, Any] = {"stream_routes": [route(echo.port)], "listeners": listeners}
    proxy = make_proxy({"resources": resources}).start()

    with proxy.connect(port) as client:
        assert read_exactly(client, 3) == b"E1\n"
    refused = proxy.delete(f"{PATH}/declared")
    assert refused.status == 409, refused
    assert "streamproxy.yaml" in refused.text

    moved = free_port()
    listeners[0]["addr"] = f"127.0.0.1:{moved}"
    proxy.write_config()
    proxy.hang_up()
    until(lambda: proxy.listener(moved), "the port has moved with the file")
    assert refuses(proxy, port)


def test_the_ports_of_the_process_are_its_own(proxy: Proxy) -> None:
    answer = proxy.post(PATH, {"addr": proxy.admin_port})

    assert answer.status == 400, answer
    assert "already taken by admin.listen" in answer.text
