from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix import SCHEMAS, decode_upstream
from streamproxy.model import Key, Node, Timeouts, Upstream

from ..test_codec import json_values

KEY = Key("apisix", "upstreams", "1")
NAME = "apisix:upstreams/1"


def made(**body: Any) -> Upstream:
    upstream, problems = decode_upstream(KEY, body)
    assert upstream is not None, problems
    return upstream


def refusals(**body: Any) -> list[tuple[str, str]]:
    upstream, problems = decode_upstream(KEY, body)
    assert upstream is None
    return [(problem.path, problem.code) for problem in problems]


def test_nodes_as_a_map() -> None:
    assert made(nodes={"127.0.0.1:1995": 1, "[::1]:80": 0, "DB.example:5432": 3}) == Upstream(
        NAME,
        (Node("127.0.0.1", 1995), Node("::1", 80, weight=0), Node("db.example", 5432, weight=3)),
    )


def test_nodes_as_a_list() -> None:
    nodes = [{"host": "127.0.0.1", "port": 1, "weight": 100, "priority": -1}, {"host": "[::1]", "port": 2, "weight": 0}]
    assert made(nodes=nodes) == Upstream(
        NAME, (Node("127.0.0.1", 1, weight=100, priority=-1), Node("::1", 2, weight=0))
    )


@pytest.mark.parametrize("nodes", [{}, []])
def test_no_nodes(nodes: Any) -> None:
    assert made(nodes=nodes) == Upstream(NAME, ())


def test_times_and_retries() -> None:
    upstream = made(nodes={}, retries=0, retry_timeout=10**400, timeout={"connect": 1, "send": 5, "read": 2.5})
    assert upstream == Upstream(NAME, (), retries=0, retry_timeout=1e9, timeouts=Timeouts(connect=1.0, idle=5.0))


@pytest.mark.parametrize("scheme", ["http", "https", "grpc", "grpcs", "tcp", "udp", "kafka"])
def test_what_means_nothing_to_a_stream_is_accepted(scheme: str) -> None:
    upstream = made(
        nodes={"a:1": 1},
        scheme=scheme,
        type="roundrobin",
        hash_on="vars",
        key="remote_addr",
        pass_host="node",
        upstream_host="h",
        keepalive_pool={},
        name="n",
        desc="d",
        labels={"a": "b"},
        tls={"verify": True},
        id="2",
    )
    assert upstream == Upstream(NAME, (Node("a", 1),))


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"nodes": {}, "type": "chash"}, "type"),
        ({"nodes": {}, "type": "whatever"}, "type"),
        ({"nodes": {}, "scheme": "tls"}, "scheme"),
        ({"nodes": {}, "checks": {}}, "checks"),
        ({"service_name": "s", "discovery_type": "dns"}, "service_name"),
    ],
)
def test_what_cannot_be_done_is_not_ignored(body: dict[str, Any], path: str) -> None:
    assert refusals(**body) == [(path, "unsupported")]


@pytest.mark.parametrize(
    ("nodes", "path", "message"),
    [
        ({"localhost": 1}, "nodes.localhost", "needs a port: a stream has no default one"),
        ([{"host": "h", "weight": 1}], "nodes[0]", "needs a port: a stream has no default one"),
        ({"h:0": 1}, 'nodes["h:0"]', "invalid port 0"),
        ({"h:65536": 1}, 'nodes["h:65536"]', "invalid port 65536"),
        ({"h:x": 1}, 'nodes["h:x"]', 'expected host:port, got "h:x"'),
        ({"h:123456": 1}, 'nodes["h:123456"]', 'expected host:port, got "h:123456"'),
        ({":80": 1}, 'nodes[":80"]', "expected a host name or an IP address, got nothing"),
        ({"a b:80": 1}, 'nodes["a b:80"]', 'expected a host name or an IP address, got "a b"'),
        ({"::1:80": 1}, 'nodes["::1:80"]', "IPv6 address must be enclosed with '[' and ']'"),
        ({"[::g]:80": 1}, 'nodes["[::g]:80"]', 'expected a host name or an IP address, got "[::g]"'),
        (
            [{"host": "::1", "port": 80, "weight": 1}],
            "nodes[0].host",
            "IPv6 address must be enclosed with '[' and ']'",
        ),
        (
            [{"host": "a", "port": 1, "weight": 1}, {"host": "*.a", "port": 80, "weight": 1}],
            "nodes[1].host",
            'expected a host name or an IP address, got "*.a"',
        ),
    ],
)
def test_nodes_that_cannot_be_reached(nodes: Any, path: str, message: str) -> None:
    upstream, (problem,) = decode_upstream(KEY, {"nodes": nodes})
    assert upstream is None
    assert (problem.path, problem.message) == (path, message)


def test_a_body_that_is_no_object() -> None:
    _, (problem,) = decode_upstream(KEY, [])
    assert str(problem) == "expected an object, got a list"


@given(st.dictionaries(st.sampled_from(sorted(SCHEMAS["upstreams"]["properties"])), json_values) | json_values)
def test_any_body_is_taken_or_refused(body: Any) -> None:
    upstream, problems = decode_upstream(KEY, body)
    assert (upstream is None) == bool(problems)


@given(st.dictionaries(st.text("ab.:[]0123456789-*", max_size=12), st.integers(-1, 3), max_size=4))
def test_any_map_of_nodes_is_taken_or_refused(nodes: dict[str, int]) -> None:
    upstream, problems = decode_upstream(KEY, {"nodes": nodes})
    assert (upstream is None) == bool(problems)
    if upstream is not None:
        assert len(upstream.nodes) == len(nodes)
        assert all(node.host and 1 <= node.port <= 65535 for node in upstream.nodes)
