"""APISIX's Control API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from attrs import define, field

from streamproxy.admin.control_api import ControlApi, ControlSources
from streamproxy.errors import Problem
from streamproxy.model import Counters, Document, Json, Key, NodeHealth, NodeStatus, UpstreamStatus
from streamproxy.plugins import Gate, Host, Place, UpstreamReference

from .api import Reply
from .open import Caller

NODES: Json = {"127.0.0.1:1995": 1}
CHECKS: Json = {"active": {"type": "tcp"}}
HEALTHY = {
    "ip": "127.0.0.1",
    "port": 1995,
    "hostname": "127.0.0.1",
    "status": "healthy",
    "counter": {"success": 0, "http_failure": 0, "tcp_failure": 0, "timeout_failure": 0},
}


class Syslog:
    """A plugin with a secret."""

    name = "secretive"
    version = 0.1
    priority = 401
    schema: Mapping[str, Any] = {"type": "object"}
    metadata_schema: Mapping[str, Any] = {}
    encrypted: tuple[str, ...] = ("token", "inner.password")

    def problems(self, conf: Mapping[str, Any]) -> Iterable[Problem]:
        return ()

    def references(self, conf: Mapping[str, Any]) -> Iterable[UpstreamReference]:
        return ()

    def gate(self, conf: Mapping[str, Any], place: Place, host: Host) -> Gate:
        raise AssertionError("nobody is let in here")


@define
class World:
    """What is configured, how upstreams are, and how often the file was read again."""

    documents: tuple[Document, ...] = ()
    statuses: tuple[UpstreamStatus, ...] = ()
    reloads: int = 0
    broken: bool = False
    caller: Caller = field(init=False)

    def __attrs_post_init__(self) -> None:
        plugins = {"secretive": Syslog()}
        self.caller = Caller(ControlApi(ControlSources(self, self.upstreams, plugins, self.reload)))

    def get(self, key: Key) -> Document | None:
        return next((each for each in self.documents if each.key == key), None)

    def list(self, dialect: str, kind: str) -> tuple[Document, ...]:
        return tuple(each for each in self.documents if (each.key.dialect, each.key.kind) == (dialect, kind))

    def upstreams(self) -> tuple[UpstreamStatus, ...]:
        if self.broken:
            raise RuntimeError("the secret cause")
        return self.statuses

    def reload(self) -> None:
        self.reloads += 1

    def get_json(self, path: str) -> tuple[int, Any]:
        reply = self.caller.get(path)
        return reply.code, reply.json


def document(kind: str, id: str = "1", **body: Json) -> Document:  # noqa: A002
    return Document(Key("apisix", kind, id), body, created_revision=3, revision=5)


def checked(id: str, *nodes: NodeStatus, probe: str = "tcp") -> UpstreamStatus:  # noqa: A002
    return UpstreamStatus(id, "roundrobin", nodes, checked=True, probe=probe)


NODE = NodeStatus("127.0.0.1:1995", "127.0.0.1", 1995, 1, 0)
ROUTE = document("stream_routes", upstream={"nodes": NODES, "type": "roundrobin", "checks": CHECKS})


# Health


def test_the_health_of_a_stream_route_s_own_upstream() -> None:
    world = World((ROUTE,), (checked("apisix:stream_routes/1 upstream", NODE),))
    item = {"name": "/apisix/stream_routes/1", "type": "tcp", "nodes": [HEALTHY]}
    assert world.get_json("/v1/healthcheck") == (200, [item])
    assert world.get_json("/v1/healthcheck/stream_routes/1") == (200, item)


def test_upstreams_without_checks_are_not_shown() -> None:
    world = World((), (UpstreamStatus("apisix:upstreams/1", "roundrobin", (NODE,)),))
    assert world.get_json("/v1/healthcheck") == (200, {})


def test_a_node_by_name_has_its_address_and_counters() -> None:
    counters = Counters(1, 2, 3, 4)
    node = NodeStatus("a:1", "a", 1, 1, 0, NodeHealth.MOSTLY_UNHEALTHY, counters, ip="10.0.0.1")
    world = World((document("upstreams", checks=CHECKS),), (checked("apisix:upstreams/1", node, probe="http"),))
    _, item = world.get_json("/v1/healthcheck/upstreams/1")
    assert item == {
        "name": "/apisix/upstreams/1",
        "type": "http",
        "nodes": [
            {
                "ip": "10.0.0.1",
                "port": 1,
                "hostname": "a",
                "status": "mostly_unhealthy",
                "counter": {"success": 1, "tcp_failure": 2, "timeout_failure": 3, "http_failure": 4},
            }
        ],
    }


def test_other_dialects_upstreams_go_by_their_own_names() -> None:
    world = World((), (checked("otoroshi:tcp-services/pg rules[0]", NODE),))
    assert world.get_json("/v1/healthcheck")[1][0]["name"] == "otoroshi:tcp-services/pg rules[0]"


@pytest.mark.parametrize(
    ("checks", "probe"),
    [(CHECKS, "tcp"), ({"active": {}}, "http"), ({"active": {}, "passive": {"type": "tcp"}}, "tcp")],
)
def test_what_nobody_used_yet_has_no_nodes(checks: Json, probe: str) -> None:
    world = World((document("upstreams", "10", checks=checks),), (checked("apisix:upstreams/100", NODE),))
    expected = {"name": "/apisix/upstreams/10", "type": probe, "nodes": {}}
    assert world.get_json("/v1/healthcheck/upstreams/10") == (200, expected)


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("routes/1", 404, "routes[1] not found"),
        ("upstreams/9", 404, "upstreams[9] not found"),
        ("upstreams/1", 404, "no checker for upstreams[1]"),
        ("route/1", 400, "invalid src type route"),
        ("routes", 404, "missing src id for src type routes"),
        ("routes/", 404, "missing src id for src type routes"),
    ],
)
def test_what_cannot_be_told(path: str, code: int, message: str) -> None:
    world = World((document("upstreams", nodes=NODES),))
    assert world.get_json(f"/v1/healthcheck/{path}") == (code, {"error_msg": message})


def test_people_get_a_table() -> None:
    ill = NodeStatus("b:2", "b", 2, 1, 0, NodeHealth.UNHEALTHY)
    nasty = checked("otoroshi:tcp-services/<script>", ill)
    world = World((ROUTE,), (checked("apisix:stream_routes/1 upstream", NODE), nasty))
    reply = world.caller.get("/v1/healthcheck", Accept="text/html,application/xhtml+xml")
    assert reply.headers["content-type"].startswith("text/html")
    page = reply.data.decode()
    assert "<td>/apisix/stream_routes/1</td><td>tcp</td><td>127.0.0.1:1995</td><td>healthy</td>" in page
    assert '<tr bgcolor="#FF0000"><td>2</td><td>otoroshi:tcp-services/&lt;script&gt;</td>' in page
    one = world.caller.get("/v1/healthcheck/stream_routes/1", Accept="text/html").data.decode()
    assert one.count("<tr") == 2


def test_a_table_of_nothing() -> None:
    world = World((ROUTE,))
    page = world.caller.get("/v1/healthcheck/stream_routes/1", Accept="text/html").data.decode()
    assert page.count("<tr") == 1


# What is configured


def test_upstreams_and_services() -> None:
    world = World((document("upstreams", nodes=NODES), document("services", "s", upstream={"nodes": NODES})))
    upstream = {
        "key": "/apisix/upstreams/1",
        "value": {"id": "1", "nodes": NODES},
        "createdIndex": 3,
        "modifiedIndex": 5,
        "clean_handlers": {},
    }
    assert world.get_json("/v1/upstreams") == (200, [upstream])
    assert world.get_json("/v1/upstream/1") == (200, upstream)
    assert world.get_json("/v1/service/s")[1]["value"] == {"id": "s", "upstream": {"nodes": NODES}}
    assert len(world.get_json("/v1/services")[1]) == 1


@pytest.mark.parametrize("path", ["routes", "services", "upstreams", "stream_routes", "plugin_metadatas"])
def test_nothing_is_an_empty_object(path: str) -> None:
    assert World().get_json(f"/v1/{path}") == (200, {})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("route/5", "route[5] not found"),
        ("service/5", "service[5] not found"),
        ("upstream/5", "upstream[5] not found"),
        ("stream_route/5", "stream_route[5] not found"),
        ("plugin_metadata/syslog", "plugin metadata[syslog] not found"),
    ],
)
def test_what_is_not_there(path: str, message: str) -> None:
    assert World().get_json(f"/v1/{path}") == (404, {"error_msg": message})


def test_plugin_metadata() -> None:
    world = World((document("plugin_metadata", "syslog", log_format={"a": "$b"}),))
    shown = {"id": "syslog", "log_format": {"a": "$b"}}
    assert world.get_json("/v1/plugin_metadatas") == (200, [shown])
    assert world.get_json("/v1/plugin_metadata/syslog") == (200, shown)


def test_no_secret_is_shown() -> None:
    tls: Json = {"client_cert": "public", "client_key": "SECRET", "verify": True}
    plugins: Json = {
        "secretive": {"token": "SECRET", "inner": {"password": "SECRET", "user": "u"}},
        "unknown": {"a": 1},
    }
    world = World(
        (
            document("upstreams", nodes=NODES, tls=tls),
            document("stream_routes", upstream={"tls": tls}, plugins=plugins),
            document("stream_routes", "2", plugins={"secretive": {"inner": "odd"}}, upstream="odd"),
            document("ssls", key="SECRET"),
        )
    )
    for path in ("upstreams", "upstream/1", "stream_routes", "stream_route/1", "services", "healthcheck"):
        assert b"SECRET" not in world.caller.get(f"/v1/{path}").data, path
    value = world.get_json("/v1/stream_route/1")[1]["value"]
    assert value["upstream"]["tls"] == {"client_cert": "public", "verify": True}
    assert value["plugins"] == {"secretive": {"inner": {"user": "u"}}, "unknown": {"a": 1}}
    assert world.get_json("/v1/ssls")[0] == 404


def test_schemas() -> None:
    code, schema = World().get_json("/v1/schema")
    assert code == 200
    assert {"stream_route", "upstream", "service", "ssl"} <= set(schema["main"])
    assert schema["main"]["stream_route"]["type"] == "object"
    assert schema["plugins"] == {}
    secretive = schema["stream_plugins"]["secretive"]
    assert {name: secretive[name] for name in ("version", "priority")} == {"version": 0.1, "priority": 401}
    assert secretive["schema"]["properties"]["_meta"]["properties"]["disable"] == {"type": "boolean"}
    assert "metadata_schema" not in secretive


# What is done


def body(reply: Reply) -> tuple[int, bytes]:
    return reply.code, reply.data


def test_garbage_is_collected_and_the_file_read_again() -> None:
    world = World()
    assert body(world.caller.call("POST", "/v1/gc")) == (200, b"")
    assert body(world.caller.call("PUT", "/v1/plugins/reload")) == (200, b"done")
    assert world.reloads == 1
    cross = world.caller.call("PUT", "/v1/plugins/reload", {"Origin": "http://evil.example.com"})
    assert (cross.code, world.reloads) == (403, 1)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v1/"),
        ("GET", "/v2/upstreams"),
        ("GET", "/v1/gc"),
        ("POST", "/v1/upstreams"),
        ("DELETE", "/v1/upstream/1"),
        ("GET", "/v1/upstream/1/nodes"),
        ("GET", "/v1/%ff"),
        ("GET", "/v1/nothing"),
    ],
)
def test_there_is_nothing_else(method: str, path: str) -> None:
    reply = World((document("upstreams"),)).caller.call(method, path)
    assert reply.code == 404, path


def test_head_has_no_body() -> None:
    reply = World().caller.call("HEAD", "/v1/upstreams")
    assert body(reply) == (200, b"")


def test_a_mistake_in_here_is_not_told() -> None:
    reply = World(broken=True).caller.get("/v1/healthcheck")
    assert reply.code == 500
    assert b"secret" not in reply.data
