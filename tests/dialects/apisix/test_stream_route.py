from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix import SCHEMAS, StreamRoute, UpstreamPlan, decode_stream_route
from streamproxy.model import Key, Match, NamePattern, Node, PatternKind, Upstream

from ..test_codec import json_values
from .asking import PLUGINS, VAULT

KEY = Key("apisix", "stream_routes", "9")
NODES = {"nodes": {"127.0.0.1:1995": 1}, "type": "roundrobin"}


def decoded(body: Any) -> tuple[StreamRoute | None, list[tuple[str, str, str]]]:
    route, problems = decode_stream_route(KEY, body, VAULT, PLUGINS)
    return route, [(problem.path, problem.code, problem.message) for problem in problems]


def made(**body: Any) -> StreamRoute:
    route, problems = decoded({"upstream": NODES, **body})
    assert problems == []
    assert route is not None
    return route


def test_a_route_with_an_upstream_of_its_own() -> None:
    upstream = UpstreamPlan(Upstream("apisix:stream_routes/9 upstream", (Node("127.0.0.1", 1995),)))
    assert made(name="mine") == StreamRoute(KEY, Match(), upstream, name="mine")


def test_objects_by_their_ids() -> None:
    route = made(upstream_id=1, service_id="a")
    assert (route.upstream_id, route.service_id) == ("1", "a")


def test_addresses_and_ports() -> None:
    route = made(remote_addr="127.0.0.1/26", server_addr="::1", server_port=1985)
    assert route.match == Match(remote=ip_network("127.0.0.0/26"), server=ip_network("::1/128"), server_port=1985)


@pytest.mark.parametrize(
    ("sni", "kind", "text"),
    [
        ("a.test.com", PatternKind.EXACT, "a.test.com"),
        ("A.Test.com.", PatternKind.EXACT, "a.test.com"),
        ("*.Test.com", PatternKind.SUFFIX, ".test.com"),
        ("*", PatternKind.ANY, "*"),
        ("*.", PatternKind.ANY, "*"),
    ],
)
def test_names(sni: str, kind: PatternKind, text: str) -> None:
    assert made(sni=sni).match.names == (NamePattern(kind, text, sni),)
    assert made(sni=sni).bare is None


def test_a_wildcard_without_a_dot_also_matches_with_nothing_in_its_place() -> None:
    route = made(sni="*test.com", server_port=1)
    assert route.match.names == (NamePattern(PatternKind.SUFFIX, "test.com", "*test.com"),)
    assert route.bare == Match(names=(NamePattern(PatternKind.EXACT, "test.com", "*test.com"),), server_port=1)


def test_several_names() -> None:
    names = made(snis=["a.test.com", "*.test.com"]).match.names
    assert [name.kind for name in names] == [PatternKind.EXACT, PatternKind.SUFFIX]
    assert decoded({"sni": "a", "snis": ["b"], "upstream_id": 1}) == (
        None,
        [("", "bad_value", "sni and snis cannot stand together")],
    )


@pytest.mark.parametrize("address", [":/8", "127.0.0.1/33", "1.2.3.400", ":::", "::1/129"])
def test_what_looks_like_an_address_and_is_none(address: str) -> None:
    assert decoded({"upstream_id": "1", "remote_addr": address, "server_addr": address}) == (
        None,
        [(name, "bad_value", f"invalid {name}: {address}") for name in ("remote_addr", "server_addr")],
    )


@pytest.mark.parametrize(
    "address", ["", "a", "127.0.0.1/255.0.0.0", "fe80::1%eth0", "127.0.0.1/", " 127.0.0.1", "1.2.3.4.5"]
)
def test_what_does_not_even_look_like_one(address: str) -> None:
    assert decoded({"upstream_id": "1", "remote_addr": address}) == (
        None,
        [("remote_addr", "bad_value", "expected an IP address or a network")],
    )


def test_metadata_is_accepted() -> None:
    assert made(id="9", desc="d", labels={"a": "b"}, plugins={}) == made()


def test_whether_tls_passes() -> None:
    assert [made(**said).passthrough for said in ({}, {"tls_passthrough": False}, {"tls_passthrough": True})] == [
        False,
        False,
        True,
    ]


def test_plugins() -> None:
    plans = made(plugins={"prometheus": {}, "probe": {"_meta": {"disable": True}}}).plugins
    assert {name: plan is not None for name, plan in plans.items()} == {"prometheus": True, "probe": False}


def test_one_whose_plugins_cannot_be_used_closes_what_it_matches() -> None:
    route, problems = decoded({"sni": "a", "upstream": NODES, "plugins": {"nobody": {}}})
    assert [path for path, _, _ in problems] == ["plugins.nobody"]
    assert route is not None
    assert route.broken
    assert [name.text for name in route.match.names] == ["a"]


def test_a_protocol_is_unknown() -> None:
    protocol: dict[str, Any] = {"name": "redis"}
    route, problems = decoded({"upstream": NODES, "protocol": protocol})
    assert problems == [("protocol.name", "unsupported", "unknown protocol [redis]")]
    assert route is not None
    assert route.broken
    assert decoded({"upstream": NODES, "protocol": {**protocol, "superior_id": 1}}) == (None, problems)


def test_an_upstream_of_its_own_that_cannot_work() -> None:
    route, problems = decoded({"upstream": {**NODES, "type": "x"}})
    assert [path for path, _, _ in problems] == ["upstream.type"]
    assert route is not None
    assert route.upstream == UpstreamPlan(Upstream("apisix:stream_routes/9 upstream", ()))


def test_a_route_to_nowhere_is_refused() -> None:
    missing = ("upstream", "missing", "missing upstream configuration: write upstream, upstream_id or service_id")
    bodies: list[Any] = [{"server_port": 1}, {"plugins": {"prometheus": {}}}]
    for body in bodies:
        assert decoded(body)[1] == [missing]
    split = {"rules": [{"weighted_upstreams": [{"upstream_id": 1}]}]}
    assert decoded({"plugins": {"traffic-split": split}})[1] == []


def test_a_body_that_is_no_object() -> None:
    assert decoded([]) == (None, [("", "wrong_type", "expected an object, got a list")])


@given(st.dictionaries(st.sampled_from(sorted(SCHEMAS["stream_routes"]["properties"])), json_values) | json_values)
def test_any_body_is_taken_or_refused(body: Any) -> None:
    route, problems = decoded(body)
    assert route is not None or problems


@given(st.text("0123456789abcdef:./%", max_size=24), st.text("ab.*-", min_size=1, max_size=8))
def test_any_address_and_name_is_taken_or_refused(address: str, name: str) -> None:
    route, problems = decoded({"upstream_id": 1, "remote_addr": address, "sni": name})
    assert (route is None) == bool(problems)
