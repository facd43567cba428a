from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix import SCHEMAS, UpstreamPlan, Vault, decode_upstream
from streamproxy.dialects.apisix.upstream import to_upstream
from streamproxy.model import ActiveCheck, Checks, HashKey, Key, Node, Policy, Timeouts, Upstream

from ..test_codec import json_values

KEY = Key("apisix", "upstreams", "1")
NAME = "apisix:upstreams/1"


def made(**body: Any) -> Upstream:
    plan, problems = decode_upstream(KEY, body, Vault())
    assert problems == ()
    assert plan is not None
    return plan.upstream


def found(**body: Any) -> tuple[tuple[Node, ...], list[tuple[str, str]]]:
    plan, problems = decode_upstream(KEY, body, Vault())
    assert plan is not None, problems
    return plan.upstream.nodes, [(problem.path, problem.code) for problem in problems]


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


@pytest.mark.parametrize("nodes", [{"_db._tcp.x": 2}, {"_DB._tcp.x:9": 2}, [{"host": "_db._tcp.x", "weight": 2}]])
def test_a_service_needs_no_port(nodes: Any) -> None:
    assert made(nodes=nodes) == Upstream(NAME, (Node("_db._tcp.x", 0, weight=2),))


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


class TestHowANodeIsChosen:
    @pytest.mark.parametrize("policy", [Policy.ROUND_ROBIN, Policy.LEAST_CONN, Policy.EWMA])
    def test_without_a_key(self, policy: Policy) -> None:
        upstream = made(nodes={"a:1": 1}, type=policy.value, key="remote_addr")
        assert (upstream.policy, upstream.hash_key) == (policy, None)

    @pytest.mark.parametrize(
        ("fields", "key"),
        [
            ({"key": "mqtt_client_id"}, HashKey("mqtt_client_id")),
            ({"key": "arg_user-id", "hash_on": "vars"}, HashKey("arg_user-id")),
            (
                {"key": "$remote_addr$server_port", "hash_on": "vars_combinations"},
                HashKey("$remote_addr$server_port", True),
            ),
            ({"key": "X-User", "hash_on": "header"}, HashKey("remote_addr")),
            ({"key": "session", "hash_on": "cookie"}, HashKey("remote_addr")),
            ({"hash_on": "consumer"}, HashKey("remote_addr")),
        ],
    )
    def test_by_a_hash(self, fields: dict[str, Any], key: HashKey) -> None:
        upstream = made(nodes={"a:1": 1}, type="chash", **fields)
        assert (upstream.policy, upstream.hash_key) == (Policy.CHASH, key)

    def test_inside_a_route_a_key_may_be_missing_or_odd(self) -> None:
        for fields, key in (({}, HashKey("remote_addr")), ({"key": "not_support"}, HashKey("not_support"))):
            plan, problems = to_upstream({"nodes": {"a:1": 1}, "type": "chash", **fields}, "x", Vault())
            assert problems == ()
            assert (plan.upstream.policy, plan.upstream.hash_key) == (Policy.CHASH, key)

    def test_of_an_object_it_is_wanted(self) -> None:
        assert found(nodes={"a:1": 1}, type="chash") == ((), [("key", "missing")])
        assert found(nodes={"a:1": 1}, type="chash", key="b c", hash_on="header") == ((), [("key", "bad_value")])

    def test_in_a_way_nobody_knows(self) -> None:
        plan, (problem,) = decode_upstream(KEY, {"nodes": {"a:1": 1}, "type": "whatever"}, Vault())
        assert str(problem) == 'type: type "whatever" is not known here: there is roundrobin, chash, least_conn, ewma'
        assert plan == UpstreamPlan(Upstream(NAME, ()))


def test_checks() -> None:
    assert made(nodes={}, checks={"active": {}}).checks == Checks(ActiveCheck())
    assert found(nodes={"a:1": 1}, checks={"active": {"timeout": 0}}) == ((), [("checks.active.timeout", "bad_value")])


def test_service_discovery_is_not_there() -> None:
    assert found(service_name="s", discovery_type="dns") == ((), [("service_name", "unsupported")])


def test_a_name_to_rewrite_to_is_wanted() -> None:
    assert found(nodes={}, pass_host="rewrite") == ((), [("upstream_host", "missing")])
    assert made(nodes={}, pass_host="rewrite", upstream_host="h") == Upstream(NAME, ())
    _, problems = to_upstream({"nodes": {}, "pass_host": "rewrite"}, "x", Vault())
    assert problems == ()


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
            [{"host": "*.a", "port": 80, "weight": 1}],
            "nodes[0].host",
            'expected a host name or an IP address, got "*.a"',
        ),
    ],
)
def test_nodes_that_cannot_be_reached_leave_the_others(nodes: Any, path: str, message: str) -> None:
    others = {**nodes, "good:1": 1} if isinstance(nodes, dict) else [*nodes, {"host": "good", "port": 1, "weight": 1}]
    plan, (problem,) = decode_upstream(KEY, {"nodes": others}, Vault())
    assert plan is not None
    assert plan.upstream.nodes == (Node("good", 1),)
    assert (problem.path, problem.message) == (path, message)


def test_a_body_that_is_no_object() -> None:
    assert [str(problem) for problem in decode_upstream(KEY, [], Vault())[1]] == [
        "expected an object, got a list",
    ]


@given(st.dictionaries(st.sampled_from(sorted(SCHEMAS["upstreams"]["properties"])), json_values) | json_values)
def test_any_body_is_taken_or_refused(body: Any) -> None:
    plan, problems = decode_upstream(KEY, body, Vault())
    assert plan is not None or problems


@given(st.dictionaries(st.text("ab.:[]0123456789-*", max_size=12), st.integers(-1, 3), max_size=4))
def test_any_map_of_nodes_is_taken_or_refused(nodes: dict[str, int]) -> None:
    plan, problems = decode_upstream(KEY, {"nodes": nodes}, Vault())
    if plan is None:
        assert problems
    else:
        assert len(plan.upstream.nodes) + len(problems) == len(nodes)
        assert all(node.host and 1 <= node.port <= 65535 for node in plan.upstream.nodes)
