"""APISIX's configuration, pasted: a data plane with its file of documents (C58), and its static listeners."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import yaml

from .harness import PATIENCE, Proxy, free_port, is_dropped, read_exactly, until
from .targets import Echo

Echoes = Callable[..., Echo]
Make = Callable[..., Proxy]

DATA_PLANE = {"role": "data_plane", "role_data_plane": {"config_provider": "yaml"}}


def route(listen: int, port: int, **more: Any) -> dict[str, Any]:
    """As C58 writes it."""
    upstream = {"nodes": {f"127.0.0.1:{port}": 1}, "type": "roundrobin"}
    return {"server_addr": "127.0.0.1", "server_port": listen, "id": 1, "upstream": upstream, **more}


def write(proxy: Proxy, *routes: dict[str, Any], end: str = "#END\n", **more: Any) -> None:
    path = proxy.directory / "apisix.yaml"
    beside = path.with_suffix(".new")
    beside.write_text(f"{yaml.safe_dump({'stream_routes': list(routes), **more})}{end}")
    beside.replace(path)


def greets(proxy: Proxy, port: int) -> str:
    with proxy.connect(port) as client:
        return read_exactly(client, 3).decode().strip()


def test_c58_a_data_plane_serves_its_file(make_proxy: Make, echoes: Echoes) -> None:
    first, second, listen = echoes("E1"), echoes("E2"), free_port()
    # The Admin API, which a data plane has none of, is asked for here to see when the process is ready.
    proxy = make_proxy({"deployment": DATA_PLANE, "stream_proxy": {"tcp": [f"127.0.0.1:{listen}"]}})
    write(proxy, route(listen, first.port))
    proxy.start()
    assert greets(proxy, listen) == "E1"

    write(proxy, route(listen, second.port))
    until(lambda: greets(proxy, listen) == "E2", "the new route is served")
    assert f"config file {proxy.directory / 'apisix.yaml'} reloaded." in proxy.output

    # Without its end it is not whole: the old one is served.
    write(proxy, route(listen, first.port), end="")
    until(lambda: "missing valid end flag in file" in proxy.output, "it was said that the file is not whole")
    assert greets(proxy, listen) == "E2"

    # A document that is wrong is not served, and the log says why.
    write(proxy, route(listen, first.port, plugins={"mqtt-proxy": {}}))
    until(lambda: 'property "protocol_level" is required' in proxy.output, "it was said what is missing")
    with proxy.connect(listen) as client:
        assert is_dropped(client)

    write(proxy, route(listen, first.port, plugins={"syslog": {"host": "127.0.0.1", "port": 1}}), plugins=[])
    until(lambda: "unknown plugin [syslog]" in proxy.output, "it was said that there is no such plugin")
    with proxy.connect(listen) as client:
        assert is_dropped(client)


def test_a_data_plane_has_no_admin_api_and_no_database(make_proxy: Make, echoes: Echoes) -> None:
    echo, listen = echoes("E1"), free_port()
    proxy = make_proxy()
    proxy.config = {"deployment": DATA_PLANE, "apisix": {"stream_proxy": {"tcp": [f"127.0.0.1:{listen}"]}}}
    write(proxy, route(listen, echo.port))
    proxy.spawn()

    until(lambda: greets(proxy, listen) == "E1", "the file is served")

    assert "Admin API" not in proxy.output
    assert not list(proxy.directory.glob("*.db"))


def test_ranges_of_ports_in_every_spelling(make_proxy: Make) -> None:
    """test_stream_port_range.sh: what starts."""
    proxy = make_proxy(
        {"apisix": {"stream_proxy": {"tcp": ["127.0.0.1:19300-19305", {"addr": "127.0.0.1:12000-12002", "tls": True}]}}}
    ).start()

    ports = [listener["port"] for listener in proxy.get("/streamproxy/v1/listeners").json["listeners"]]

    assert ports == [12000, 12001, 12002, *range(19300, 19306)]


def test_ports_that_there_are_not_stop_the_start(make_proxy: Make) -> None:
    """test_stream_port_range.sh: what does not start, and why."""
    proxy = make_proxy({"apisix": {"stream_proxy": {"tcp": [0, 65536, "3000-2000", 80.5]}}})

    assert proxy.spawn().wait(PATIENCE) == 1

    until(lambda: "not started" in proxy.output, "it said that it did not start")
    for words in (
        "port out of range (1-65535): 0",
        "port out of range (1-65535): 65536",
        "invalid port range (start > end): 3000-2000",
        "port must be an integer, got: 80.5",
    ):
        assert f"invalid stream_proxy.tcp entry: {words}" in proxy.output


def test_one_datagram_is_one_line_of_the_access_log(make_proxy: Make) -> None:
    """test_access_log.sh."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        listen = free_port(socket.SOCK_DGRAM)
        stream = {
            "enable_access_log": True,
            "access_log_format": "$remote_addr $protocol test_stream_access_log_format",
        }
        proxy = make_proxy(
            {
                "nginx_config": {"stream": stream},
                "apisix": {"stream_proxy": {"udp": [f"127.0.0.1:{listen}"]}},
                "resources": {"stream_routes": [route(listen, server.getsockname()[1])]},
                "limits": {"udp_idle_timeout": "500ms", "shutdown_timeout": "1s"},
            }
        ).start()

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"x", ("127.0.0.1", listen))
            log = proxy.directory / "logs" / "access_stream.log"
            line = until(lambda: log.read_text(), "the session was logged")

    assert line == "127.0.0.1 UDP test_stream_access_log_format\n"


def test_c04_in_the_mode_http_nobody_gets_a_stream_route(make_proxy: Make) -> None:
    proxy = make_proxy({"apisix": {"proxy_mode": "http"}}).start()
    body = {"remote_addr": "127.0.0.1", "upstream": {"nodes": {"127.0.0.1:8080": 1}, "type": "roundrobin"}}

    for method, sent in (("PUT", {**body, "desc": "new route"}), ("GET", None), ("DELETE", None)):
        answer = proxy.request(method, "/apisix/admin/stream_routes/1", sent)
        assert answer.status == 400, answer
        assert answer.json == {"error_msg": "stream mode is disabled, can not add stream routes"}


def test_what_is_only_said_in_api_driven_standalone_mode(make_proxy: Make) -> None:
    deployment = {"role": "traditional", "role_traditional": {"config_provider": "yaml"}}
    proxy = make_proxy({"deployment": deployment}).start()

    assert proxy.get("/apisix/admin/configs").status == 200
