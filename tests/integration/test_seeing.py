"""Seeing sessions and steering the configuration of a process that runs."""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamproxy.testing import hello_bytes

from .harness import (
    KEY,
    PATIENCE,
    ROOT,
    VIEWER_KEY,
    Proxy,
    free_port,
    is_dropped,
    read_exactly,
    rule,
    target,
    tcp_service,
    until,
)
from .targets import Echo, UdpEcho

Echoes = Callable[..., Echo]
Make = Callable[..., Proxy]

V1 = "/streamproxy/v1"


def by_name(*rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A service that routes by name."""
    return {"tls": "PassThrough", "sni": {"enabled": True}, "rules": list(rules), **fields}


def sessions(proxy: Proxy, query: str = "") -> list[dict[str, Any]]:
    return list(proxy.get(f"{V1}/sessions?{query}", key=VIEWER_KEY).json["sessions"])


def test_live_sessions_are_listed_and_one_is_killed(proxy: Proxy, echoes: Echoes) -> None:
    echo = echoes()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    with proxy.connect(service["port"]) as first, proxy.connect(service["port"]) as second:
        for client in (first, second):
            assert read_exactly(client, 3) == b"E1\n"
        live = sessions(proxy, f"state=live&listener={service['port']}&sort=started")
        assert [each["phase"] for each in live] == ["relaying", "relaying"]
        assert live[0]["client"] == f"127.0.0.1:{first.getsockname()[1]}"
        assert live[0]["bytes_out"] == 3

        assert proxy.delete(f"{V1}/sessions/{live[0]['id']}", key=VIEWER_KEY).status == 403
        assert proxy.delete(f"{V1}/sessions/{live[0]['id']}").json == {"killed": [live[0]["id"]]}
        assert is_dropped(first)
        second.sendall(b"still here")
        assert read_exactly(second, 10) == b"still here"

        record = proxy.get(f"{V1}/sessions/{live[0]['id']}").json
        assert (record["state"], record["ending"], record["detail"]) == ("ended", "killed", "by test")
        assert "somebody meant it" in proxy.get(f"{V1}/sessions/{live[0]['id']}/why").json["text"]
        assert proxy.delete(f"{V1}/sessions/{live[0]['id']}").status == 409
    until(lambda: not sessions(proxy, "state=live"), "the other ended, too")


def test_sessions_of_datagrams(make_proxy: Make) -> None:
    echo = UdpEcho()
    port = free_port(socket.SOCK_DGRAM)
    proxy = make_proxy(
        {
            "stream_proxy": {"udp": [f"127.0.0.1:{port}"]},
            "resources": {
                "stream_routes": [
                    {"id": "dns", "upstream": {"type": "roundrobin", "nodes": {f"127.0.0.1:{echo.port}": 1}}}
                ]
            },
        }
    ).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.sendto(b"query", ("127.0.0.1", port))
        assert client.recv(100) == b"U1:query"
        (live,) = sessions(proxy, "transport=udp&state=live")
        assert (live["bytes_in"], live["bytes_out"], live["node"]) == (5, 8, f"127.0.0.1:{echo.port}")
        assert "apisix:stream_routes/dns" in proxy.get(f"{V1}/sessions/{live['id']}/why").json["text"]
        assert proxy.delete(f"{V1}/sessions/{live['id']}").status == 200
        assert proxy.get(f"{V1}/sessions/{live['id']}").json["ending"] == "killed"
    echo.close()


class Stream:
    """Reads the event stream in a thread."""

    def __init__(self, proxy: Proxy, query: str = "") -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.connection = http.client.HTTPConnection("127.0.0.1", proxy.admin_port, timeout=PATIENCE)
        self.connection.request("GET", f"{V1}/sessions/events?{query}", headers={"X-API-KEY": VIEWER_KEY})
        self.response = self.connection.getresponse()
        assert self.response.status == 200
        assert self.response.getheader("Content-Type", "").startswith("text/event-stream")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        event = ""
        try:
            for raw in self.response:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self.events.append((event, json.loads(line.removeprefix("data: "))))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            return


def test_what_happens_to_sessions_is_streamed(proxy: Proxy, echoes: Echoes) -> None:
    echo = echoes()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    other = proxy.create(rules=[rule("*", target(echo.port))])
    stream = Stream(proxy, f"listener={service['port']}")
    for port in (other["port"], service["port"]):
        with proxy.connect(port) as client:
            assert read_exactly(client, 3) == b"E1\n"
    until(lambda: len(stream.events) == 3, "all was told")
    assert [event for event, _ in stream.events] == ["opened", "routed", "ended"]
    assert len({session["id"] for _, session in stream.events}) == 1
    assert stream.events[1][1]["node"] == f"127.0.0.1:{echo.port}"
    assert stream.events[2][1]["ending"] == "client_closed"
    before = proxy.open_files
    stream.connection.close()
    until(lambda: proxy.open_files < before, "it was noticed that nobody listens any more")


def test_a_subscriber_that_does_not_read_is_cut(proxy: Proxy, echoes: Echoes) -> None:
    echo = echoes()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    slow.connect(("127.0.0.1", proxy.admin_port))
    slow.settimeout(PATIENCE)
    request = f"GET {V1}/sessions/events HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {VIEWER_KEY}\r\n\r\n"
    slow.sendall(request.encode())
    assert slow.recv(15) == b"HTTP/1.1 200 OK"

    def cut() -> bool:
        for _ in range(100):
            with proxy.connect(service["port"]) as client:
                read_exactly(client, 3)
        poll = select.poll()
        poll.register(slow, select.POLLRDHUP)
        return any(event & (select.POLLERR | select.POLLHUP | select.POLLRDHUP) for _, event in poll.poll(0))

    until(cut, "it was cut", patience=60)
    slow.close()
    assert proxy.get(f"{V1}/ready").status == 200


def test_why_a_connection_went_elsewhere_than_it_was_meant_to(proxy: Proxy, echoes: Echoes) -> None:
    """A rule too wide stands before the one that was meant, and a change since has set it right."""
    reader, writer = echoes("RR"), echoes("WW")
    rules = [rule("*.example.com", target(writer.port)), rule("pg-read.example.com", target(reader.port))]
    service = proxy.create(**by_name(*rules))
    with proxy.connect(service["port"]) as client:
        client.sendall(hello_bytes("pg-read.example.com"))
        assert read_exactly(client, 3) == b"WW\n"
    (session,) = until(lambda: sessions(proxy, "sni=pg-read.example.com&state=ended"), "it ended")
    assert proxy.put(f"/api/tcp/services/{service['id']}", {**service, "rules": rules[::-1]}).status == 200

    answer = proxy.get(f"{V1}/sessions/{session['id']}/why", key=VIEWER_KEY).json

    assert (answer["source"], answer["revision"]) == ("pinned", 1)
    assert [(each["outcome"], each["conditions"][0]["wants"]) for each in answer["rules"]["considered"]] == [
        ("won", "*.example.com"),
        ("not reached", "pg-read.example.com"),
    ]
    assert "it would have matched" in answer["rules"]["considered"][1]["verdict"]
    text = proxy.get(f"{V1}/sessions/{session['id']}/why", headers={"Accept": "text/plain"}).text
    assert " =>   1  " in text

    now = proxy.post(f"{V1}/explain", {"port": service["port"], "sni": "pg-read.example.com"}, key=VIEWER_KEY).json
    assert [node["label"] for node in now["upstream"]["nodes"]] == [f"127.0.0.1:{reader.port}"]
    listening = {**tcp_service(), "id": service["id"], **by_name(rules[0]), "port": service["port"]}
    asked = {"port": service["port"], "sni": "pg-read.example.com", "configuration": {"tcp_services": [listening]}}
    candidate = proxy.post(f"{V1}/explain", asked, key=VIEWER_KEY).json
    assert (candidate["source"], candidate["ending"]["ending"], candidate["problems"]) == ("candidate", "relayed", [])
    broken = proxy.post(f"{V1}/explain", {"port": 1, "configuration": {"tcp_services": [{}]}})
    assert broken.json["problems"][0]["path"] == "configuration.tcp_services[0].id"


def test_why_after_a_restart_and_many_revisions(proxy: Proxy, echoes: Echoes) -> None:
    """The snapshots of before are gone with the process that had them; nobody knows the session either."""
    service = proxy.create(**by_name(rule("a.example.com", target(echoes().port))))
    with proxy.connect(service["port"]) as client:
        client.sendall(hello_bytes("b.example.com"))
        assert is_dropped(client)
    (session,) = sessions(proxy, "ending=no_route")
    for number in range(60):
        proxy.put(f"/api/tcp/services/{service['id']}", {**service, "description": str(number)})
        proxy.put("/api/tcp/services/other", {**tcp_service(enabled=False), "name": str(number)})
    proxy.put(f"/api/tcp/services/{service['id']}", {**service, **by_name(rule("b.example.com", target(1)))})
    answer = proxy.get(f"{V1}/sessions/{session['id']}/why").json
    assert answer["source"] == "restored"
    assert answer["rules"]["winner"] is None
    assert "No rule matches b.example.com" in answer["ending"]["words"]


def test_a_dry_run_tells_whom_it_would_move(proxy: Proxy, echoes: Echoes) -> None:
    one, two = echoes("E1"), echoes("E2")
    rules = [rule("a.example.com", target(one.port)), rule("*.example.com", target(two.port))]
    service = proxy.create(**by_name(*rules))
    for name in ("a", "b", "b"):
        with proxy.connect(service["port"]) as client:
            client.sendall(hello_bytes(f"{name}.example.com"))
            read_exactly(client, 3)
    until(lambda: len(sessions(proxy, "state=ended")) == 3, "they ended")
    changed = {**service, "rules": [rule("b.example.com", target(one.port)), rules[1]]}
    report = proxy.put(f"/api/tcp/services/{service['id']}?dry_run=true", changed).json
    assert (report["valid"], report["sessions"]["recent"], report["sessions"]["elsewhere"]) == (True, 3, 3)
    assert {each["path"] for each in report["documents"][0]["diff"]} == {"rules[0].domain"}
    assert proxy.get(f"/api/tcp/services/{service['id']}").json == service, "nothing was written"
    assert proxy.get(f"{V1}/revisions").json["revision"] == 1


def test_the_way_back(proxy: Proxy, echoes: Echoes) -> None:
    one, two = echoes("E1"), echoes("E2")
    service = proxy.create(rules=[rule("*", target(one.port))])
    changed = {**service, "rules": [rule("*", target(two.port))]}
    headers = {"X-Reason": "the second is faster"}
    assert proxy.put(f"/api/tcp/services/{service['id']}", changed, headers=headers).headers["X-Revision"] == "2"

    def greeting() -> bytes:
        with proxy.connect(service["port"]) as client:
            return read_exactly(client, 3)

    assert greeting() == b"E2\n"
    newest = proxy.get(f"{V1}/revisions", key=VIEWER_KEY).json["revisions"][0]
    assert (newest["author"], newest["reason"]) == ("test", "the second is faster")
    assert proxy.post(f"{V1}/revisions/1/rollback", None, key=VIEWER_KEY).status == 403
    assert proxy.post(f"{V1}/revisions/1/rollback", None).json == {"revision": 3, "restored": 1, "changes": 1}
    assert greeting() == b"E1\n"
    assert proxy.get(f"/api/tcp/services/{service['id']}").json == service


def test_a_change_that_nobody_confirms_is_taken_back(proxy: Proxy, echoes: Echoes) -> None:
    service = proxy.create(rules=[rule("*", target(echoes().port))])
    answer = proxy.put(f"/api/tcp/services/{service['id']}?confirm_within=2s", {**service, "port": free_port()})
    assert answer.status == 200
    assert proxy.get(f"{V1}/status").json["pending"][0]["revision"] == 2
    until(lambda: proxy.get(f"/api/tcp/services/{service['id']}").json == service, "it was taken back")
    until(lambda: (proxy.listener(service["port"]) or {}).get("state") == "listening", "the old port is back")
    assert proxy.get(f"{V1}/status").json["pending"] == []
    assert "not confirmed in time" in proxy.get(f"{V1}/revisions/3").json["reason"]


def test_a_change_whose_process_is_killed_before_it_is_confirmed_is_taken_back_at_the_next_start(
    make_proxy: Make, echoes: Echoes
) -> None:
    proxy = make_proxy().start()
    kept, port = proxy.create(rules=[rule("*", target(echoes().port))]), free_port()
    confirmed = proxy.post("/api/tcp/services?confirm_within=10m", {**tcp_service(), "id": "confirmed"})
    assert proxy.post(f"{V1}/revisions/{confirmed.headers['X-Revision']}/confirm", None).status == 200
    assert proxy.post("/api/tcp/services?confirm_within=10m", {**tcp_service(port=port), "id": "new"}).status == 201
    assert proxy.delete(f"/api/tcp/services/{kept['id']}?confirm_within=10m").status == 200
    until(lambda: proxy.listener(port) is not None, "the change is in force")

    proxy.kill()
    proxy.start()

    assert {each["id"] for each in proxy.get("/api/tcp/services").json} == {"confirmed", kept["id"]}
    assert proxy.listener(port) is None
    with proxy.connect(kept["port"]) as client:
        assert read_exactly(client, 3) == b"E1\n"
    newest = proxy.get(f"{V1}/revisions").json["revisions"]
    assert [each["reason"].partition("was ")[2] for each in newest[:2]] == [
        "not confirmed before the process ended"
    ] * 2
    assert proxy.get(f"{V1}/status").json["pending"] == []
    proxy.kill()
    proxy.start()
    assert len(proxy.get(f"{V1}/revisions").json["revisions"]) == len(newest), "once is enough"


def test_the_description_is_served(proxy: Proxy) -> None:
    found = proxy.get(f"{V1}/openapi.json", key=VIEWER_KEY).json
    assert f"{V1}/sessions/{{id}}/why" in found["paths"]


def test_the_command_asks_a_running_proxy(proxy: Proxy, echoes: Echoes) -> None:
    service = proxy.create(**by_name(rule("a.example.com", target(echoes().port))))
    command = [
        str(Path(sys.executable).parent / "streamproxy"),
        "explain",
        "--url",
        f"http://127.0.0.1:{proxy.admin_port}",
    ]

    def run(*arguments: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "STREAMPROXY_KEY": key, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=60, env=environment, check=False
        )

    found = run("--listener", str(service["port"]), "--sni", "a.example.com", key=VIEWER_KEY)
    assert (found.returncode, " =>   1" in found.stdout) == (0, True), found
    assert run("--listener", str(service["port"]), "--sni", "b.example.com").returncode == 1
    assert run("--listener", "1", key="wrong-wrong").returncode == 2
