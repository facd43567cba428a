from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix import SCHEMAS, StreamRoute, decode_stream_route
from streamproxy.model import Key, Match, NamePattern, Node, PatternKind, Upstream

from ..test_codec import json_values

KEY = Key("apisix", "stream_routes", "9")
NODES = {"nodes": {"127.0.0.1:1995": 1}, "type": "roundrobin"}


def made(**body: Any) -> StreamRoute:
    route, problems = decode_stream_route(KEY, {"upstream": NODES, **body})
    assert route is not None, problems
    return route


def refusals(body: Any) -> list[tuple[str, str, str]]:
    route, problems = decode_stream_route(KEY, body)
    assert route is None
    return [(problem.path, problem.code, problem.message) for problem in problems]


def test_a_route_with_an_upstream_of_its_own() -> None:
    route = made()
    assert route == StreamRoute(
        KEY, Match(), Upstream("apisix:stream_routes/9 upstream", (Node("127.0.0.1", 1995),)), bare=None
    )


def test_an_upstream_object_wins_over_its_own() -> None:
    assert made(upstream_id=1).upstream == "1"
    assert made(upstream_id="a").upstream == "a"


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
    assert refusals({"sni": "a", "snis": ["b"], "upstream_id": 1}) == [
        ("snis", "bad_value", "sni and snis cannot stand in one route")
    ]


@pytest.mark.parametrize(
    "address",
    [":/8", "", "a", "127.0.0.1/33", "127.0.0.1/255.0.0.0", "fe80::1%eth0", "127.0.0.1/", " 127.0.0.1", "1.2.3.4.5"],
)
def test_what_is_no_address(address: str) -> None:
    body = {"upstream_id": "1", "remote_addr": address, "server_addr": address}
    assert refusals(body) == [
        (name, "bad_value", f"invalid {name}: {address}") for name in ("remote_addr", "server_addr")
    ]


def test_metadata_is_accepted() -> None:
    assert made(id="9", name="n", desc="d", labels={"a": "b"}, plugins={}) == made()


def test_what_cannot_be_done_is_not_ignored() -> None:
    body = {
        "service_id": 1,
        "plugins": {"ip-restriction": {}},
        "protocol": {"name": "redis"},
        "upstream": {**NODES, "type": "chash"},
    }
    assert [(path, code) for path, code, _ in refusals(body)] == [
        ("service_id", "unsupported"),
        ("plugins", "unsupported"),
        ("protocol", "unsupported"),
        ("upstream.type", "unsupported"),
    ]
    assert [path for path, _, _ in refusals({"service_id": 1})] == ["service_id"]


def test_a_route_to_nowhere_is_refused() -> None:
    assert refusals({"server_port": 1}) == [
        ("upstream", "missing", "missing upstream configuration: write upstream or upstream_id")
    ]


def test_a_body_that_is_no_object() -> None:
    assert refusals([]) == [("", "wrong_type", "expected an object, got a list")]


@given(st.dictionaries(st.sampled_from(sorted(SCHEMAS["stream_routes"]["properties"])), json_values) | json_values)
def test_any_body_is_taken_or_refused(body: Any) -> None:
    route, problems = decode_stream_route(KEY, body)
    assert (route is None) == bool(problems)


@given(st.text("0123456789abcdef:./%", max_size=24), st.text("ab.*-", min_size=1, max_size=8))
def test_any_address_and_name_is_taken_or_refused(address: str, name: str) -> None:
    route, problems = decode_stream_route(KEY, {"upstream_id": 1, "remote_addr": address, "sni": name})
    assert (route is None) == bool(problems)
