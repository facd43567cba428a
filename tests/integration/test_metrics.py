"""Metrics, the Control API, the status server and the access log of a real process."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.observe.numbers import numbers_in

from .conftest import Make
from .harness import PATIENCE, Answer, Proxy, free_port, is_dropped, read_exactly, until
from .targets import Echo, Server, UdpEcho

CONNECT = bytes.fromhex("100f00044d51545404020 03c0003666f6f".replace(" ", ""))


class Watched:
    """A process with one stream listener and every server beside it."""

    def __init__(self, make: Make, routes: list[dict[str, Any]], **more: Any) -> None:
        ports = {name: free_port() for name in ("stream", "metrics", "control", "status")}
        self.port = ports["stream"]
        self.listen = f"127.0.0.1:{self.port}"
        self._urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        config = {
            "stream_proxy": {"tcp": [self.listen], "udp": [self.listen]},
            "stream_plugins": ["mqtt-proxy", "ip-restriction", "prometheus"],
            "metrics": {"listen": f"127.0.0.1:{ports['metrics']}"},
            "control": {"listen": f"127.0.0.1:{ports['control']}"},
            "status": {"listen": f"127.0.0.1:{ports['status']}"},
            "resources": {"stream_routes": routes},
            **more,
        }
        self.proxy: Proxy = make(config).start()

    def ask(self, server: str, path: str, method: str = "GET", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self._urls[server] + path, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return Answer(response.status, dict(response.headers), response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read().decode())

    def numbers(self, path: str = "/apisix/prometheus/metrics") -> Mapping[str, Mapping[str, float]]:
        answer = self.ask("metrics", path)
        assert answer.status == 200, answer
        return numbers_in(answer.text)

    def shows(self, name: str, labels: str, value: float) -> None:
        """It does so soon: a session ends a moment after its client has seen the end."""
        until(
            lambda: self.numbers().get(name, {}).get(labels) == value,
            f"{name} {labels} is {value:g}; it is {self.numbers().get(name)}",
        )

    def client(self) -> socket.socket:
        return self.proxy.connect(self.port)


def node(port: int) -> dict[str, Any]:
    return {"type": "roundrobin", "nodes": {f"127.0.0.1:{port}": 1}}


def route(id: str = "1", **fields: Any) -> dict[str, Any]:  # noqa: A002
    return {"id": id, **fields}


# Metrics


def test_c55_a_route_with_the_plugin_is_counted_by_its_id(make_proxy: Make, echoes: Callable[..., Echo]) -> None:
    echo = echoes()
    plugins = {"prometheus": {}, "mqtt-proxy": {"protocol_level": 4}}
    watched = Watched(make_proxy, [route("mqtt", plugins=plugins, upstream=node(echo.port))])
    with watched.client() as client:
        client.sendall(CONNECT)
        assert read_exactly(client, 3 + len(CONNECT)) == b"E1\n" + CONNECT
    watched.shows("apisix_stream_connection_total", "mqtt", 1)
    watched.shows("apisix_stream_status", f"200 {watched.listen} 127.0.0.1:{echo.port}", 1)
    with watched.client() as client:
        client.sendall(b"mmmmmmm")
        assert is_dropped(client)
    watched.shows("apisix_stream_connection_total", "mqtt", 2)
    watched.shows("apisix_stream_status", f"503 {watched.listen} ", 1)


def test_c55_a_node_that_refuses_is_named(make_proxy: Make) -> None:
    port = free_port()
    watched = Watched(make_proxy, [route(upstream=node(port))])
    # It may be reset before the client knows that it was there.
    with pytest.raises(ConnectionResetError), watched.client() as client:
        client.recv(1)
    watched.shows("apisix_stream_status", f"502 {watched.listen} 127.0.0.1:{port}", 1)
    assert watched.numbers()["streamproxy_sessions_ended_total"] == {f"{watched.listen} connect_failed tcp": 1}


def test_c56_an_open_session_is_seen_while_it_lasts(make_proxy: Make, echoes: Callable[..., Echo]) -> None:
    echo = echoes()
    watched = Watched(make_proxy, [route(upstream=node(echo.port))])
    with watched.client() as client:
        client.sendall(b"hello")
        read_exactly(client, 8)
        watched.shows("apisix_stream_active_connections", watched.listen, 1)
        bandwidth = watched.numbers()["apisix_stream_bandwidth"]
        assert bandwidth == {
            f"{watched.listen} downstream ingress": 5,
            f"{watched.listen} upstream egress": 5,
            f"{watched.listen} upstream ingress": 8,
            f"{watched.listen} downstream egress": 8,
        }
    watched.shows("apisix_stream_active_connections", watched.listen, 0)
    assert watched.numbers()["apisix_stream_bandwidth"] == bandwidth


def test_c56_an_idle_session_is_a_gateway_s_failure(make_proxy: Make, echoes: Callable[..., Echo]) -> None:
    echo = echoes()
    upstream = {**node(echo.port), "timeout": {"connect": 1, "send": 0.4, "read": 0.4}}
    log = "$status $code $ending"
    watched = Watched(make_proxy, [route(upstream=upstream)], access_log={"path": "log", "format": log})
    with watched.client() as client:
        read_exactly(client, 3)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    watched.shows("apisix_stream_status", f"502 {watched.listen} 127.0.0.1:{echo.port}", 1)
    path = watched.proxy.directory / "log"
    assert until(path.read_text, "the access log has a line") == "200 502 idle_timeout\n"


def test_datagrams(make_proxy: Make) -> None:
    echo = UdpEcho()
    try:
        watched = Watched(make_proxy, [route(upstream=node(echo.port))])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", watched.port))
            client.send(b"ask")
            assert client.recv(100) == b"U1:ask"
            numbers = watched.numbers()
    finally:
        echo.close()
    assert numbers["streamproxy_sessions"] == {f"{watched.listen} tcp": 0, f"{watched.listen} udp": 1}
    assert numbers["streamproxy_udp_datagrams_total"] == {f"in {watched.listen}": 1, f"out {watched.listen}": 1}
    assert numbers["apisix_stream_bandwidth"][f"{watched.listen} downstream egress"] == 6


def test_who_asks_for_it_gets_it_in_his_format(make_proxy: Make) -> None:
    watched = Watched(make_proxy, [])
    answer = watched.ask("metrics", "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    names = {family.name for family in parse_openmetrics(answer.text)}
    assert {"streamproxy_build", "apisix_node_info", "process_open_fds", "streamproxy_listener_up"} <= names
    assert watched.ask("metrics", "/").status == 404
    assert watched.ask("metrics", "/metrics", Host="evil.example.com").status == 403


def test_apisix_s_own_keys(make_proxy: Make) -> None:
    port = free_port()
    exported = {"export_addr": {"ip": "127.0.0.1", "port": port}, "export_uri": "/m", "metric_prefix": "mine_"}
    make_proxy({"plugin_attr": {"prometheus": exported}}).start()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/m", timeout=PATIENCE) as response:
        assert "mine_node_info" in numbers_in(response.read().decode())


# The Control API and the status server


def test_c50_the_health_of_nodes(make_proxy: Make, echoes: Callable[..., Echo]) -> None:
    echo = echoes()
    active = {"type": "tcp", "healthy": {"interval": 1}, "unhealthy": {"interval": 1, "tcp_failures": 1}}
    upstream = {**node(echo.port), "checks": {"active": active}}
    watched = Watched(make_proxy, [route(upstream=upstream)])
    with watched.client() as client:
        read_exactly(client, 3)
    item = until(lambda: watched.ask("control", "/v1/healthcheck").json, "the node is shown")[0]
    counter = item["nodes"][0].pop("counter")
    assert set(counter) == {"success", "http_failure", "tcp_failure", "timeout_failure"}
    shown = {"ip": "127.0.0.1", "port": echo.port, "hostname": "127.0.0.1", "status": "healthy"}
    assert item == {"name": "/apisix/stream_routes/1", "type": "tcp", "nodes": [shown]}
    assert watched.ask("control", "/v1/healthcheck/stream_routes/1").json["name"] == "/apisix/stream_routes/1"
    page = watched.ask("control", "/v1/healthcheck", Accept="text/html").text
    assert f"<td>127.0.0.1:{echo.port}</td><td>healthy</td>" in page
    labels = f"127.0.0.1 /apisix/stream_routes/1 {echo.port}"
    watched.shows("apisix_upstream_status", labels, 1)
    echo.close()
    watched.shows("apisix_upstream_status", labels, 0)


def test_c50_what_the_control_api_knows(make_proxy: Make) -> None:
    watched = Watched(make_proxy, [route("r", upstream=node(1))])
    assert watched.ask("control", "/v1/healthcheck").json == {}
    (shown,) = watched.ask("control", "/v1/stream_routes").json
    assert shown["value"] == {"id": "r", "upstream": node(1)}
    missing = watched.ask("control", "/v1/healthcheck/routes/1")
    assert (missing.status, missing.json) == (404, {"error_msg": "routes[1] not found"})
    wrong = watched.ask("control", "/v1/healthcheck/route/1")
    assert (wrong.status, wrong.json) == (400, {"error_msg": "invalid src type route"})
    plugins = watched.ask("control", "/v1/schema").json["stream_plugins"]
    assert plugins["prometheus"]["priority"] == 500
    assert watched.ask("control", "/v1/gc", "POST").status == 200
    assert watched.ask("control", "/v1/plugins/reload", "PUT").text == "done"


def test_the_status_server(make_proxy: Make) -> None:
    watched = Watched(make_proxy, [])
    for path in ("/status", "/status/ready"):
        answer = watched.ask("status", path)
        assert (answer.status, answer.json) == (200, {"status": "ok"})


# The access log


def test_what_a_plugin_found_out_is_in_the_log(make_proxy: Make, echoes: Callable[..., Echo]) -> None:
    echo = echoes()
    plugins = {"mqtt-proxy": {"protocol_level": 4}}
    watched = Watched(
        make_proxy, [route("mqtt", plugins=plugins, upstream=node(echo.port))], access_log={"path": "log.json"}
    )
    with watched.client() as client:
        client.sendall(CONNECT)
        read_exactly(client, 3 + len(CONNECT))
    with watched.client() as client:
        client.sendall(b"mmmmmmm")
        assert is_dropped(client)
    lines = until(lambda: _lines(watched.proxy.directory / "log.json", 2), "both sessions are logged")
    good, bad = sorted(lines, key=lambda line: str(line["ending"]))
    assert (good["variables"], good["code"]) == ({"mqtt_client_id": "foo"}, None)
    assert (bad["variables"], bad["ending"], bad["code"]) == ({}, "rejected", 503)
    assert good["route"] == bad["route"] == "apisix:stream_routes/mqtt"


def test_a_log_that_cannot_be_written_is_told(make_proxy: Make) -> None:
    proxy = make_proxy({"access_log": {"path": "not/there/access.log", "format": "json"}}).start()
    found = until(lambda: proxy.get("/streamproxy/v1/problems").json["problems"], "there is a problem")
    assert [(each["path"], each["message"].rpartition(": ")[2]) for each in found] == [
        ("access_log.path", "No such file or directory")
    ]


def test_the_log_can_be_sent_to_a_web_server(make_proxy: Make, echoes: Callable[..., Echo]) -> None:
    heard: list[bytes] = []

    def answer(sock: socket.socket) -> None:
        data = bytearray()
        while not (data.endswith(b"}]")):
            data += sock.recv(65536)
        heard.append(bytes(data))
        sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    server = Server(answer)
    try:
        log = {"path": f"http://127.0.0.1:{server.port}/events", "format": "otoroshi"}
        watched = Watched(make_proxy, [route(upstream=node(echoes().port))], access_log=log)
        with watched.client() as client:
            read_exactly(client, 3)
        (request,) = until(lambda: heard, "the event was posted")
    finally:
        server.close()
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /events HTTP/1.1\r\n")
    assert [event["@type"] for event in json.loads(body)] == ["TcpEvent"]


def test_or_to_syslog(make_proxy: Make, echoes: Callable[..., Echo]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(PATIENCE)
        server.bind(("127.0.0.1", 0))
        path = f"syslog:server=127.0.0.1:{server.getsockname()[1]},tag=edge,nohostname"
        log = {"path": path, "format": "$protocol $status $route_id"}
        watched = Watched(make_proxy, [route("r", upstream=node(echoes().port))], access_log=log)
        with watched.client() as client:
            read_exactly(client, 3)
        line = server.recv(65535).decode()
    assert re.fullmatch(rf"<190>1 \S+Z - edge {watched.proxy.pid} - - TCP 200 r", line), line


def _lines(path: Path, count: int) -> list[Any] | None:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return found if len(found) == count else None


# What ships with it


def test_the_dashboard_asks_for_what_there_is(make_proxy: Make) -> None:
    dashboard = json.loads((Path(__file__).parents[2] / "examples" / "grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    asked += [each["query"]["query"] for each in dashboard["templating"]["list"] if isinstance(each["query"], dict)]
    names = {name for text in asked for name in re.findall(r"\b(?:apisix|streamproxy|process)_\w+", text)}
    assert names
    text = Watched(make_proxy, [route(upstream=node(1))]).ask("metrics", "/metrics").text
    there = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert {name for name in names if re.sub("_(bucket|sum|count)$", "", name) not in there} == set()
