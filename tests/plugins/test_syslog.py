"""A line for each session, sent to a syslog server."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from streamproxy.dialects.apisix.jsonschema import violations
from streamproxy.errors import Problem
from streamproxy.model import Ending
from streamproxy.plugins import GO, Place
from streamproxy.plugins.syslog import syslog
from tests.tls.pki import Authority

from .kit import PLACE, World, ended, visit
from .turning import Turning, sink

LINE = re.compile(rb"<46>1 2023-11-14T22:13:20\.500Z - apisix (\d+) - - (\{.*\})\n")
NOT_SET = "syslog's log_format is not set"
FORMAT = {"client_ip": "$remote_addr"}


def entries(text: bytes) -> list[dict[str, Any]]:
    """What the lines say, once it is sure that they are lines."""
    lines = text.splitlines(keepends=True)
    found = [LINE.fullmatch(line) for line in lines]
    assert all(found), f"these are no lines of syslog: {lines}"
    assert {int(each[1]) for each in found if each} <= {os.getpid()}
    return [json.loads(each[2]) for each in found if each]


class Logged:
    """One gate and the TCP server it logs to."""

    def __init__(self, turning: Turning, server: Any, world: World, place: Place = PLACE, **conf: Any) -> None:
        self.world, self._turning, self._server = world, turning, server
        conf = {"host": "127.0.0.1", "port": server.port, "batch_max_size": 1, **conf}
        self.gate = syslog.gate(conf, place, world.host)

    def says(self, *records: Any) -> list[dict[str, Any]]:
        """What the server knows when these sessions have ended."""
        for record in records:
            self.gate.ended(record)
        wanted = len(records)
        self._turning.until(lambda: self._server.text.count(b"\n") >= wanted, f"{wanted} lines arrived")
        self.gate.close()
        self._turning.until(lambda: not self._turning.open and not self._turning.timers, "everything was freed")
        return entries(self._server.text)


def logged(turning: Turning, record: Any, world: World | None = None, place: Place = PLACE, **conf: Any) -> Any:
    with sink() as server:
        (entry,) = Logged(turning, server, world or World(turning.reactor), place, **conf).says(record)
        return entry


def test_without_a_format_nothing_is_sent() -> None:
    world = World()
    gate = syslog.gate({"host": "127.0.0.1", "port": 514, "batch_max_size": 1}, PLACE, world.host)
    assert gate.admit(visit()) is GO
    unset: list[dict[str, Any]] = [{}, {"log_format": {}}, {"log_format": []}]
    for metadata in unset:
        world.metadata["syslog"] = metadata
        gate.ended(ended())
    gate.close()
    assert world.lines == [("error", NOT_SET)] * 3
    assert not world.reactor.getDelayedCalls()


def test_a_format_of_all_uses(turning: Turning) -> None:
    world = World(turning.reactor, metadata={"syslog": {"log_format": FORMAT}})
    assert logged(turning, ended(), world) == {"client_ip": "127.0.0.1", "service_id": "7", "route_id": "1"}


def test_a_format_of_its_own_goes_first(turning: Turning) -> None:
    world = World(turning.reactor, metadata={"syslog": {"log_format": FORMAT}})
    assert logged(turning, ended(), world, log_format={"vip": "$remote_addr"}) == {
        "vip": "127.0.0.1",
        "service_id": "7",
        "route_id": "1",
    }


@pytest.mark.parametrize("empty", [{}, []])
def test_one_that_is_empty_is_one(turning: Turning, empty: object) -> None:
    assert logged(turning, ended(), place=Place("bare"), log_format=empty) == {"route_id": "bare"}


def test_a_change_of_the_metadata_is_followed(turning: Turning) -> None:
    world = World(turning.reactor, metadata={"syslog": {"log_format": {"a": "1"}}})
    with sink() as server:
        desk = Logged(turning, server, world, Place("r"))
        desk.gate.ended(ended())
        world.metadata["syslog"] = {"log_format": {"b": "2"}}
        assert desk.says(ended())[0] == {"a": "1", "route_id": "r"}
        turning.until(lambda: server.text.count(b"\n") == 2, "both arrived")
        assert entries(server.text)[1] == {"b": "2", "route_id": "r"}


def test_what_is_known_of_a_session_can_be_said(turning: Turning) -> None:
    record = ended(variables={"mqtt_client_id": "foo\n\ud800"}, ending=Ending.REJECTED, code=503)
    names = ["mqtt_client_id", "server_port", "bytes_sent", "session_time", "upstream_addr", "status", "no_such"]
    names += ["ssl_server_name", "route_id", "route_name", "service_id"]
    entry = logged(turning, record, log_format={name: f"${name}" for name in names} | {"text": "$bytes_sent out"})
    assert entry == {
        "mqtt_client_id": "foo\n\ud800",
        "server_port": "1985",
        "bytes_sent": "20",
        "session_time": "12.346",
        "upstream_addr": "db/10.0.0.1:5432",
        "status": "001",
        "route_id": "1",
        "route_name": "the first",
        "service_id": "7",
        "text": "20 out",
    }


def test_a_session_that_never_got_anywhere_has_little_to_say(turning: Turning) -> None:
    record = evolve(ended(), node=None, connect_time=None)
    names = {"a": "$upstream_addr", "b": "$upstream_connect_time", "c": "$route_name"}
    assert logged(turning, record, place=Place("r"), log_format=names) == {"route_id": "r"}


def test_a_metadata_format_that_cannot_be_used_is_logged() -> None:
    format_: dict[str, Any] = {}
    for _ in range(20):
        format_ = {"a": format_}
    world = World(metadata={"syslog": {"log_format": format_}})
    syslog.gate({"host": "127.0.0.1", "port": 514}, PLACE, world.host).ended(ended())
    assert world.lines == [("error", "syslog's log_format cannot be used: it is nested more than 8 deep")]


def test_lines_wait_for_each_other() -> None:
    world = World()
    gate = syslog.gate({"host": "127.0.0.1", "port": 514, "log_format": FORMAT}, PLACE, world.host)
    gate.ended(ended())
    (timer,) = world.reactor.getDelayedCalls()
    assert timer.getTime() == 5.0


def test_what_may_wait_is_said_in_the_metadata() -> None:
    world = World(metadata={"syslog": {"log_format": FORMAT, "max_pending_entries": 2}})
    gate = syslog.gate({"host": "127.0.0.1", "port": 514}, PLACE, world.host)
    for _ in range(4):
        gate.ended(ended())
    text = "Batch Processor[stream sys logger] max pending entries limit exceeded. discarding entry"
    assert world.lines == [("error", text)]


def test_a_server_that_is_away_is_logged(turning: Turning) -> None:
    world = World(turning.reactor)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        conf = {"host": "127.0.0.1", "port": unused.getsockname()[1], "batch_max_size": 1, "log_format": FORMAT}
        syslog.gate({**conf, "name": "mine"}, PLACE, world.host).ended(ended())
        turning.until(lambda: len(world.lines) == 2, "that was logged")
    assert "Batch Processor[mine] failed to process entries: " in world.lines[0][1]
    assert world.lines[1] == ("error", "Batch Processor[mine] exceeded the max_retry_count[1] dropping the entries")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]"])
def test_over_udp(turning: Turning, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind((host.strip("[]"), 0))
        server.settimeout(10)
        conf = {"host": host, "port": server.getsockname()[1], "sock_type": "udp", "log_format": FORMAT}
        gate = syslog.gate({**conf, "batch_max_size": 2}, PLACE, World(turning.reactor).host)
        for _ in range(2):
            gate.ended(ended())
        for _ in range(2):
            assert entries(server.recv(9999)) == [{"client_ip": "127.0.0.1", "service_id": "7", "route_id": "1"}]
        gate.close()
        turning.until(lambda: not turning.open, "the socket was closed")


def test_over_tls(turning: Turning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Authority.root("the root")
    (tmp_path / "roots.pem").write_bytes(root.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    with sink(issued=root.issue("127.0.0.1"), directory=tmp_path) as server:
        desk = Logged(turning, server, World(turning.reactor), tls=True, log_format=FORMAT)
        assert [entry["client_ip"] for entry in desk.says(ended())] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"host": ""}, "host"),
        ({"host": "a b"}, "host"),
        ({"host": "a\0"}, "host"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"sock_type": "udp", "tls": True}, "tls"),
        ({"log_format": {"a": [[[[[[[[[]]]]]]]]]}}, "log_format"),
    ],
)
def test_what_could_not_work_is_refused(changes: dict[str, Any], path: str) -> None:
    conf = {"host": "logs.example.com", "port": 514, **changes}
    (problem,) = syslog.problems(conf)
    assert isinstance(problem, Problem)
    assert problem.path == path


@pytest.mark.parametrize("host", ["logs", "logs.example.com", "127.0.0.1", "::1", "[::1]", "log_server"])
def test_what_could_is_not(host: str) -> None:
    conf = {"host": host, "port": 514, "tls": True, "log_format": {"a": "$remote_addr"}}
    assert list(syslog.problems(conf)) == []
    assert list(violations(conf, syslog.schema)) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"flush_limit": 0}, 'property "flush_limit" validation failed: expected 0 to be at least 1'),
        ({"pool_size": 4}, 'property "pool_size" validation failed: expected 4 to be at least 5'),
        ({"sock_type": "unix"}, 'property "sock_type" validation failed: matches none of the enum values'),
        ({"timeout": 1.5}, 'property "timeout" validation failed: wrong type: expected integer, got number'),
    ],
)
def test_what_the_schema_says(changes: dict[str, Any], text: str) -> None:
    (found,) = violations({"host": "logs", "port": 514, **changes}, syslog.schema)
    assert found.text == text


def test_the_schema_of_the_metadata() -> None:
    assert list(violations({"log_format": FORMAT, "max_pending_entries": 5}, syslog.metadata_schema)) == []
    (found,) = violations({"max_pending_entries": 0}, syslog.metadata_schema)
    assert found.text == 'property "max_pending_entries" validation failed: expected 0 to be at least 1'
