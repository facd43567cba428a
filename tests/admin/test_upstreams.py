"""Upstreams and how their nodes are."""

from __future__ import annotations

import pytest

from streamproxy.model import Counters, NodeHealth, NodeStatus, UpstreamStatus

from .api import Api, FakeRuntime

ILL = NodeStatus(
    "a.example:1",
    "a.example",
    1,
    weight=3,
    priority=-1,
    health=NodeHealth.MOSTLY_UNHEALTHY,
    counters=Counters(success=1),
    sessions=2,
    latency=0.01234567,
    ip="10.0.0.1",
    detail="Connection refused",
)
FIRST = UpstreamStatus(
    "apisix:stream_routes/1 upstream", "chash", (ILL,), checked=True, probe="tcp", users=("apisix:stream_routes/1",)
)
SECOND = UpstreamStatus("apisix:upstreams/2", "roundrobin", (NodeStatus("b:2", "b", 2, 1, 0),))


@pytest.fixture
def api() -> Api:
    return Api(runtime=FakeRuntime(pools=(FIRST, SECOND)))


def test_all_of_them(api: Api) -> None:
    answer = api.get("/streamproxy/v1/upstreams").json

    assert answer["total"] == 2
    assert answer["upstreams"][0] == {
        "id": "apisix:stream_routes/1 upstream",
        "policy": "chash",
        "checked": True,
        "probe": "tcp",
        "users": ["apisix:stream_routes/1"],
        "nodes": [
            {
                "node": "a.example:1",
                "host": "a.example",
                "ip": "10.0.0.1",
                "port": 1,
                "weight": 3,
                "priority": -1,
                "health": "mostly_unhealthy",
                "detail": "Connection refused",
                "counters": {"success": 1, "tcp_failure": 0, "timeout_failure": 0, "http_failure": 0},
                "sessions": 2,
                "latency": 0.012346,
            }
        ],
    }
    second = answer["upstreams"][1]
    assert (second["checked"], second["probe"], second["users"]) == (False, None, [])
    assert {name: second["nodes"][0][name] for name in ("health", "ip", "detail", "latency")} == {
        "health": "healthy",
        "ip": None,
        "detail": None,
        "latency": None,
    }


@pytest.mark.parametrize(
    ("query", "ids"),
    [("limit=1", [FIRST.id]), ("offset=1", [SECOND.id]), ("limit=1&offset=1", [SECOND.id]), ("limit=0", [])],
)
def test_some_of_them(api: Api, query: str, ids: list[str]) -> None:
    answer = api.get(f"/streamproxy/v1/upstreams?{query}").json
    assert [each["id"] for each in answer["upstreams"]] == ids
    assert answer["total"] == 2


def test_one_of_them(api: Api) -> None:
    assert api.get("/streamproxy/v1/upstreams/apisix:upstreams/2").json["id"] == SECOND.id
    assert api.get("/streamproxy/v1/upstreams/apisix%3Astream_routes%2F1%20upstream").json["id"] == FIRST.id


def test_none_of_them(api: Api) -> None:
    reply = api.get("/streamproxy/v1/upstreams/apisix:upstreams/3")
    assert reply.code == 404
    assert "apisix:upstreams/3" in reply.data.decode()


def test_a_stranger_learns_nothing(api: Api) -> None:
    assert api.get("/streamproxy/v1/upstreams", auth=None).code == 401
