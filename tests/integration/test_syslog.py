"""A server that people really log to understands what the syslog plugin sends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator

import pytest

from streamproxy.plugins.syslog import syslog
from tests.plugins.kit import PLACE, World, ended
from tests.plugins.turning import Turning

from . import servers
from .harness import Proxy, free_port, read_exactly, until
from .servers import Running
from .targets import Echo


@pytest.fixture
def rsyslog() -> Iterator[Running]:
    with servers.syslog() as running:
        yield running


@pytest.fixture
def turning() -> Iterator[Turning]:
    made = Turning()
    yield made
    made.close()


def understood(rsyslog: Running) -> list[list[str]]:
    """The fields of each message, the text last."""
    path = rsyslog.directory / "messages"
    return [line.split(" ", 5) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("sock_type", ["tcp", "udp"])
def test_rsyslog_understands_every_line(turning: Turning, rsyslog: Running, sock_type: str) -> None:
    world = World(turning.reactor)
    log_format = {"client": "$remote_addr:$remote_port", "id": "$mqtt_client_id", "sent": "$bytes_sent"}
    conf = {"host": "127.0.0.1", "port": rsyslog.port, "sock_type": sock_type, "log_format": log_format}
    gate = syslog.gate({**conf, "batch_max_size": 7}, PLACE, world.host)
    ids = [f"client {number} é \n" for number in range(50)]
    for client_id in ids:
        gate.ended(ended(variables={"mqtt_client_id": client_id}))
    gate.close()
    turning.until(lambda: len(understood(rsyslog)) >= len(ids), "rsyslog had written all of them")
    found = understood(rsyslog)
    assert {(facility, severity) for facility, severity, *_ in found} == {("syslog", "info")}
    assert {(program, process) for _, _, _, program, process, _ in found} == {("apisix", str(os.getpid()))}
    entries = [json.loads(message[-1]) for message in found]
    assert [entry["id"] for entry in entries] == ids
    assert {entry["client"] for entry in entries} == {"127.0.0.1:51234"}
    assert {(entry["route_id"], entry["service_id"]) for entry in entries} == {("1", "7")}
    assert world.lines == []


def test_a_session_through_the_proxy_is_a_line(
    make_proxy: Callable[..., Proxy], echoes: Callable[..., Echo], rsyslog: Running
) -> None:
    port, echo = free_port(), echoes()
    plugin = {"host": "127.0.0.1", "port": rsyslog.port, "batch_max_size": 1, "log_format": {"status": "$status"}}
    route = {"id": "logged", "plugins": {"syslog": plugin}, "upstream": {"nodes": {f"127.0.0.1:{echo.port}": 1}}}
    proxy = make_proxy({"stream_proxy": {"tcp": [f"127.0.0.1:{port}"]}, "resources": {"stream_routes": [route]}})
    with proxy.start().connect(port) as client:
        assert read_exactly(client, 3) == b"E1\n"
    until(lambda: understood(rsyslog), "rsyslog heard of the session")
    ((*_, message),) = understood(rsyslog)
    assert json.loads(message) == {"status": "200", "route_id": "logged"}
