"""Several processes serve the same listeners."""

from __future__ import annotations

import os
import re
import signal
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .harness import PATIENCE, Proxy, free_port, read_exactly, rule, target, tcp_service, until
from .load import Load
from .targets import Echo, UdpEcho

Echoes = Callable[..., Echo]
Make = Callable[..., Proxy]


def children(proxy: Proxy) -> list[int]:
    text = Path(f"/proc/{proxy.pid}/task/{proxy.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


def workers_of(proxy: Proxy, count: int = 1) -> list[int]:
    """The processes beside the first, when all of them serve."""

    def all_serve() -> bool:
        return all(f"(process {pid}) serves" in proxy.output for pid in children(proxy))

    until(lambda: len(children(proxy)) == count and all_serve(), f"{count} more serve:\n{proxy.output}")
    return children(proxy)


def serving(pid: int, port: int) -> bool:
    """Does the process hold a socket that listens there?"""
    wanted = f":{port:04X}"
    inodes = {
        line.split()[9]
        for name in ("tcp", "udp")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if line.split()[1].endswith(wanted)
    }
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
        except OSError:
            continue
        if found and found[1] in inodes:
            return True
    return False


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as page:
        text = page.read().decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def accepted_by(proxy: Proxy, port: int) -> int:
    listener = proxy.listener(port)
    return 0 if listener is None else int(listener["accepted"])


@pytest.mark.parametrize("store", ["sqlite", "memory"])
def test_they_follow_one_configuration_and_count_together(make_proxy: Make, echoes: Echoes, store: str) -> None:
    first, second = echoes("F1"), echoes("S1")
    metrics = free_port()
    proxy = make_proxy({"workers": 3, "store": {"type": store}, "metrics": {"listen": f"127.0.0.1:{metrics}"}}).start()
    workers = workers_of(proxy, 2)
    service = proxy.create(rules=[rule("*", target(first.port))])
    port = service["port"]
    until(lambda: all(serving(pid, port) for pid in workers), "each of them has the listening socket")
    opened = [proxy.connect(port) for _ in range(90)]
    for sock in opened:
        assert read_exactly(sock, 3) == b"F1\n"
    until(lambda: (proxy.listener(port) or {}).get("sessions") == 90, "the sessions of all are counted")
    assert metric(metrics, "streamproxy_sessions{") == 90
    assert metric(metrics, "streamproxy_config_revision") == proxy.get("/streamproxy/v1/status").json["revision"]
    listed = proxy.get("/streamproxy/v1/sessions?limit=500").json
    live = [session for session in listed["sessions"] if session["state"] == "live"]
    assert len(live) == 90
    # Ids begin with what is each process's own.
    assert len({session["id"].partition("-")[0] for session in live}) > 1
    for session in live[:: len(live) // 5]:
        assert proxy.get(f"/streamproxy/v1/sessions/{session['id']}").json["id"] == session["id"]
        assert proxy.delete(f"/streamproxy/v1/sessions/{session['id']}").status == 200
    until(lambda: (proxy.listener(port) or {}).get("sessions", 90) < 90, "those that were killed are gone")
    # A change is everywhere within a second, and what it says about sessions too.
    answer = proxy.put(
        f"/api/tcp/services/{service['id']}?sessions=close", {**service, "rules": [rule("*", target(second.port))]}
    )
    assert answer.status == 200
    until(lambda: (proxy.listener(port) or {}).get("sessions") == 0, "all sessions were closed, wherever they were")
    for _ in range(40):
        with proxy.connect(port) as client:
            assert read_exactly(client, 3) == b"S1\n"
    for sock in opened:
        sock.close()
    assert proxy.delete(f"/api/tcp/services/{service['id']}").status in (200, 204)
    until(lambda: not any(serving(pid, port) for pid in (proxy.pid, *workers)), "nobody listens any more")
    assert proxy.stop() in (0, -signal.SIGTERM)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_a_worker_that_dies_is_replaced_and_nobody_is_refused(make_proxy: Make, echoes: Echoes) -> None:
    load = Load(short=4, long=0)
    proxy = make_proxy({"workers": 2}).start()
    try:
        service = proxy.create(rules=[rule("*", target(load.target))])
        (worker,) = workers_of(proxy)
        until(lambda: serving(worker, service["port"]), "it serves")
        load.begin(service["port"])
        until(lambda: load.connects > 100, "clients come")
        counted = until(lambda: accepted_by(proxy, service["port"]), "they are counted")
        os.kill(worker, signal.SIGKILL)
        until(lambda: worker not in children(proxy), "the dead one is gone")
        (another,) = workers_of(proxy)
        until(lambda: serving(another, service["port"]), "another one has taken its place")
        before = load.connects
        until(lambda: load.connects > before + 200, "clients still come")
    finally:
        load.end()
    # Sessions that were open in it are gone with it, and nothing else.
    assert not [why for _, why in load.failures if why.startswith("connect")], load.reasons
    assert len(load.failures) <= 4, load.reasons
    assert accepted_by(proxy, service["port"]) >= counted + 200, "what the dead one counted is lost"


def test_a_client_of_datagrams_stays_with_one_of_them(make_proxy: Make) -> None:
    port = free_port(socket.SOCK_DGRAM)
    echo = UdpEcho(b"")
    upstream: dict[str, Any] = {"type": "roundrobin", "nodes": {f"127.0.0.1:{echo.port}": 1}}
    proxy = make_proxy(
        {
            "workers": 2,
            "stream_proxy": {"udp": [f"127.0.0.1:{port}"]},
            "resources": {"stream_routes": [{"id": "u", "server_port": port, "upstream": upstream}]},
        }
    ).start()
    (worker,) = workers_of(proxy)
    until(lambda: serving(worker, port), "it serves")
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(32)]
    for turn in range(5):
        for number, client in enumerate(clients):
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", port))
            client.send(b"%d %d" % (turn, number))
            assert client.recv(100) == b"%d %d" % (turn, number)
    # As many sessions as clients: no client had two.
    assert len(set(echo.peers)) == 32
    until(lambda: (proxy.listener(port, "udp") or {}).get("sessions") == 32, "all are counted")
    listed = proxy.get("/streamproxy/v1/sessions?limit=100").json["sessions"]
    assert len({session["id"].partition("-")[0] for session in listed}) == 2
    for client in clients:
        client.close()
    echo.close()


def test_the_whole_is_upgraded(make_proxy: Make, request: pytest.FixtureRequest) -> None:
    load = Load(short=2, long=40)
    proxy = make_proxy({"workers": 2, "limits": {"shutdown_timeout": "30s"}}).start()
    after = Proxy(proxy.directory, arguments=("--takeover",))
    after.admin_port, after.config = proxy.admin_port, proxy.config
    request.addfinalizer(after.stop)
    try:
        service = proxy.create(rules=[rule("*", target(load.target))])
        (worker,) = workers_of(proxy)
        until(lambda: serving(worker, service["port"]), "it serves")
        load.begin(service["port"])
        until(lambda: load.settled == 40, "sessions are open")
        after.spawn()
        until(lambda: "has taken over" in proxy.output, f"it was taken over:\n{proxy.output}\n{after.output}")
        (successor,) = workers_of(after)
        until(lambda: serving(successor, service["port"]), "its worker serves")
        before = load.connects
        until(lambda: load.connects > before + 100, "clients come")
        assert Path(f"/proc/{worker}").exists(), "the old worker ended with sessions of its own"
    finally:
        load.end()
    assert load.reasons == {}, load.reasons
    until(lambda: proxy.process is not None and proxy.process.poll() is not None, "the old process ended")
    assert not Path(f"/proc/{worker}").exists()


def test_a_changed_file_is_read_by_all(make_proxy: Make, echoes: Echoes) -> None:
    first, second = echoes("F1"), echoes("S1")
    port = free_port()

    def declared(echo: Echo) -> dict[str, Any]:
        return {"tcp_services": [{**tcp_service(port=port, rules=[rule("*", target(echo.port))]), "id": "s"}]}

    proxy = make_proxy({"workers": 2, "resources": declared(first)}).start()
    (worker,) = workers_of(proxy)
    until(lambda: serving(worker, port), "it serves")
    proxy.config["resources"] = declared(second)
    proxy.write_config()
    proxy.hang_up()

    def all_second() -> bool:
        for _ in range(20):
            with proxy.connect(port) as client:
                if read_exactly(client, 3) != b"S1\n":
                    return False
        return True

    until(all_second, "both processes serve what the file says")
