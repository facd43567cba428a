"""Limits and access as their users set them: in the file, on a listener, on a service, while the process runs."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from typing import Any

from .harness import Proxy, free_port, is_dropped, read_exactly, rule, target, until
from .targets import Echo, UdpEcho

Echoes = Callable[..., Echo]
Make = Callable[..., Proxy]

LISTENERS = "/streamproxy/v1/listeners"
QUICK = {"shutdown_timeout": "1s"}


def ended(proxy: Proxy, port: int, transport: str = "tcp") -> dict[str, int]:
    listener = proxy.listener(port, transport)
    assert listener is not None
    return dict(listener["ended"])


def counted(proxy: Proxy, port: int, name: str, count: int, transport: str = "tcp") -> None:
    until(
        lambda: ended(proxy, port, transport).get(name, 0) >= count,
        f"{name} was counted {count} times: {ended(proxy, port, transport)}",
    )


def refused(proxy: Proxy, port: int) -> bool:
    try:
        with proxy.connect(port) as client:
            return is_dropped(client)
    except ConnectionResetError:
        return True


def served(proxy: Proxy, port: int) -> bool:
    try:
        with proxy.connect(port) as client:
            return read_exactly(client, 3) == b"E1\n"
    except ConnectionResetError:
        return False


def route(port: int, **conditions: Any) -> dict[str, Any]:
    return {"id": "r", "upstream": {"type": "roundrobin", "nodes": {f"127.0.0.1:{port}": 1}}, **conditions}


def udp_client(port: int) -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(5)
    client.connect(("127.0.0.1", port))
    return client


def answers(client: socket.socket) -> bool:
    client.send(b"?")
    return client.recv(100) == b"U1:?"


def test_who_may_come_in_changes_while_it_runs(make_proxy: Make, echoes: Echoes) -> None:
    echo, opened = echoes("E1"), free_port()
    proxy = make_proxy({"resources": {"stream_routes": [route(echo.port)]}, "limits": QUICK}).start()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    live = proxy.connect(service["port"])
    assert read_exactly(live, 3) == b"E1\n"

    denied = {**service, "access": {"deny": ["127.0.0.0/8"]}}
    answer = proxy.put(f"/api/tcp/services/{service['id']}", denied)
    assert answer.status == 200, answer
    assert answer.json["access"] == {"deny": ["127.0.0.0/8"]}
    assert refused(proxy, service["port"])
    counted(proxy, service["port"], "refused:denied", 1)
    live.sendall(b"still here")
    assert read_exactly(live, 10) == b"still here"
    live.close()
    assert proxy.put(f"/api/tcp/services/{service['id']}", service).status == 200
    assert served(proxy, service["port"])

    document = {"addr": f"127.0.0.1:{opened}", "access": {"allow": ["192.0.2.0/24"]}}
    assert proxy.put(f"{LISTENERS}/mine", document).status == 201
    assert refused(proxy, opened)
    assert proxy.request("PATCH", f"{LISTENERS}/mine", {"access": {"allow": ["127.0.0.1"]}}).status == 200
    assert served(proxy, opened)

    proxy.config["access"] = {"deny": ["127.0.0.1"]}
    proxy.write_config()
    proxy.hang_up()
    until(lambda: refused(proxy, opened) and refused(proxy, service["port"]), "everybody is denied at every listener")
    assert any("refuses 127.0.0.1: denied" in line for line in proxy.lines), proxy.output


def test_who_may_send_datagrams_changes_while_it_runs(make_proxy: Make) -> None:
    echo, port = UdpEcho(), free_port(socket.SOCK_DGRAM)
    proxy = make_proxy({"resources": {"stream_routes": [route(echo.port)]}, "limits": QUICK}).start()
    document = {"addr": f"127.0.0.1:{port}", "transport": "udp"}
    assert proxy.put(f"{LISTENERS}/mine", {**document, "access": {"deny": ["127.0.0.1"]}}).status == 201
    with udp_client(port) as client:
        client.send(b"?")
        counted(proxy, port, "dropped_denied", 1, "udp")
        assert proxy.put(f"{LISTENERS}/mine", document).status == 200
        assert answers(client)
    echo.close()


def test_a_listener_has_limits_of_its_own(make_proxy: Make, echoes: Echoes) -> None:
    echo, port = echoes("E1"), free_port()
    limits = {**QUICK, "max_sessions_per_listener": 1}
    proxy = make_proxy({"resources": {"stream_routes": [route(echo.port)]}, "limits": limits}).start()
    document = {"addr": f"127.0.0.1:{port}", "limits": {"max_sessions_per_listener": 2, "max_duration": "1s"}}
    assert proxy.put(f"{LISTENERS}/mine", document).status == 201
    held = [proxy.connect(port) for _ in range(2)]
    for client in held:
        assert read_exactly(client, 3) == b"E1\n"
    assert refused(proxy, port)
    assert ended(proxy, port) == {"refused:max_sessions_per_listener": 1}
    for client in held:
        assert is_dropped(client)
        client.close()
    counted(proxy, port, "max_duration", 2)
    recent = proxy.get("/streamproxy/v1/sessions/recent").json["sessions"]
    assert {(each["ending"], each["detail"]) for each in recent} == {("max_duration", "it lasted 1 s")}
    until(lambda: echo.open == 0, "the target's sides were closed, too")


def test_clients_begin_no_more_sessions_than_they_may(make_proxy: Make, echoes: Echoes) -> None:
    echo = echoes("E1")
    limits = {**QUICK, "session_rate_per_client": {"rate": 0.01, "burst": 3}}
    proxy = make_proxy({"limits": limits}).start()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    assert [served(proxy, service["port"]) for _ in range(5)] == [True, True, True, False, False]
    counted(proxy, service["port"], "refused:session_rate_per_client", 2)
    with socket.create_connection(("127.0.0.1", service["port"]), 10, ("127.0.0.9", 0)) as other:
        assert read_exactly(other, 3) == b"E1\n"


def test_bandwidth_is_what_it_may_be_in_bulk(make_proxy: Make, echoes: Echoes) -> None:
    echo = echoes("E1")
    proxy = make_proxy({"limits": {**QUICK, "bandwidth": "1m"}}).start()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    size = 2 << 20
    with proxy.connect(service["port"]) as client:
        assert read_exactly(client, 3) == b"E1\n"
        begun = time.monotonic()
        client.setblocking(False)
        sent = got = 0
        while got < size:
            readable, writable, _ = select.select([client], [client] if sent < size else [], [], 20)
            assert readable or writable, f"{got} bytes came, and then nothing"
            if writable:
                sent += client.send(bytes(min(65536, size - sent)))
            if readable:
                got += len(client.recv(65536))
        elapsed = time.monotonic() - begun
    # It cannot be faster, however slow the machine is; how much slower says nothing.
    assert elapsed > 1.5, f"2 MiB at 1 MiB a second took {elapsed:.2f} s"


def test_who_finds_all_nodes_full_waits(make_proxy: Make, echoes: Echoes) -> None:
    echo = echoes("E1")
    proxy = make_proxy({"limits": QUICK}).start()
    limits = {"max_sessions_per_node": 1, "max_queue": 2, "queue_timeout": "2s"}
    service = proxy.create(rules=[rule("*", target(echo.port))], limits=limits)
    port = service["port"]
    first = proxy.connect(port)
    assert read_exactly(first, 3) == b"E1\n"
    second, third = proxy.connect(port), proxy.connect(port)
    until(lambda: (proxy.listener(port) or {})["sessions"] == 3, "all are there")
    assert refused(proxy, port)
    counted(proxy, port, "queue_full", 1)
    first.close()
    assert read_exactly(second, 3) == b"E1\n", "the first in the queue comes first"
    assert is_dropped(third)
    counted(proxy, port, "queue_timeout", 1)
    assert echo.connections == 2
    for client in (second, third):
        client.close()


def test_descriptors_run_out_and_those_who_look_after_it_do_not_notice(make_proxy: Make, echoes: Echoes) -> None:
    echo, udp_echo, udp_port = echoes("E1"), UdpEcho(), free_port(socket.SOCK_DGRAM)
    config = {
        "limits": {**QUICK, "max_sessions": 10_000},
        "stream_proxy": {"udp": [f"127.0.0.1:{udp_port}"]},
        "resources": {"stream_routes": [route(udp_echo.port)]},
    }
    proxy = make_proxy(config, descriptors=256).start()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    with udp_client(udp_port) as early, udp_client(udp_port) as late:
        assert answers(early)
        files = proxy.open_files
        clients = [proxy.connect(service["port"]) for _ in range(400)]
        counted(proxy, service["port"], "accept_paused", 1)
        until(lambda: len(select.select(clients, [], [], 0)[0]) > 50, "as many as could be were served")
        assert 200 < proxy.open_files < 256

        late.send(b"?")
        counted(proxy, udp_port, "dropped_no_descriptor", 1, "udp")
        assert answers(early), "a datagram session that was there goes on"
        for number in range(5):
            more = proxy.create(name=f"more {number}", rules=[rule("*", target(echo.port))])
            assert proxy.get(f"/api/tcp/services/{more['id']}").status == 200
            assert proxy.delete(f"/api/tcp/services/{more['id']}").status == 200

        for client in clients:
            client.close()
        until(lambda: served(proxy, service["port"]), "a client is served again")
        until(lambda: answers(late), "a new client's datagrams are relayed again")
        until(lambda: proxy.open_files <= files + 2, f"the descriptors came back to {files}: {proxy.open_files}")
    counts = ended(proxy, service["port"])
    assert counts.get("connect_failed", 0) == 0, "a node is not to blame"
    udp_echo.close()


def test_the_sessions_of_a_node_that_dies_end_where_that_is_asked_for(make_proxy: Make, echoes: Echoes) -> None:
    """The checks ask another port, so that the session itself has nothing to notice."""
    echo, pulse, port = echoes("E1"), echoes("E2"), free_port()
    checks = {
        "active": {
            "type": "tcp",
            "port": pulse.port,
            "healthy": {"interval": 1, "successes": 1},
            "unhealthy": {"interval": 1, "tcp_failures": 1},
        },
        "close_sessions": True,
    }
    upstream = {"type": "roundrobin", "nodes": {f"127.0.0.1:{echo.port}": 1}, "checks": checks}
    config = {
        "stream_proxy": {"tcp": [f"127.0.0.1:{port}"]},
        "resources": {"stream_routes": [{"id": "r", "upstream": upstream}]},
        "limits": QUICK,
    }
    proxy = make_proxy(config).start()
    with proxy.connect(port) as client:
        assert read_exactly(client, 3) == b"E1\n"
        until(lambda: pulse.connections, "the node is asked")
        pulse.close()
        assert is_dropped(client)
    counted(proxy, port, "node_down", 1)
    until(lambda: echo.open == 0, "the target's side ended, too")
