from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix import SCHEMAS, violations

from ..test_codec import json_values

NODES: dict[str, Any] = {"nodes": {"127.0.0.1:8080": 1}}
ROUTE: dict[str, Any] = {"upstream": NODES}


def found(kind: str, value: Any) -> list[tuple[str, str, str]]:
    return [
        (violation.problem.path, violation.problem.code, violation.text)
        for violation in violations(value, SCHEMAS[kind])
    ]


@pytest.mark.parametrize(
    "upstream",
    [
        NODES,
        {"nodes": {}},
        {"nodes": []},
        {"nodes": [{"host": "127.0.0.1", "port": 80, "weight": 0, "priority": -1, "metadata": {"a": 1}}]},
        {**NODES, "id": 1, "name": "n", "desc": "", "labels": {"a": "b"}, "create_time": 1, "update_time": 2},
        {**NODES, "labels": [], "keepalive_pool": {"size": 1, "idle_timeout": 0, "requests": 1}},
        {**NODES, "type": "chash", "hash_on": "vars", "key": "remote_addr", "pass_host": "node", "upstream_host": "h"},
        {**NODES, "retries": 0, "retry_timeout": 0.5, "timeout": {"connect": 0.1, "send": 1, "read": 2}},
        {**NODES, "scheme": "tls", "tls": {"client_cert": "c" * 128, "client_key": "k" * 64, "verify": True}},
        {"service_name": "s", "discovery_type": "dns", "discovery_args": {"group_name": "g"}},
    ],
)
def test_upstreams_it_takes(upstream: dict[str, Any]) -> None:
    assert found("upstreams", upstream) == []
    assert found("stream_routes", {"upstream": upstream}) == []


@pytest.mark.parametrize(
    ("kind", "value", "violation"),
    [
        ("stream_routes", [], None),
        (
            "stream_routes",
            {"sni": "*.test.com", "snis": ["a", "*"], "server_port": 65535, "upstream_id": "a-b_C.0"},
            None,
        ),
        ("stream_routes", "x", ("", "wrong_type", "wrong type: expected object, got string")),
        ("stream_routes", {"foo": 1}, ("foo", "unknown_key", "additional properties forbidden, found foo")),
        ("stream_routes", {1: 2}, ("", "wrong_type", "expected strings for keys, got number")),
        (
            "stream_routes",
            {"server_port": 65536},
            (
                "server_port",
                "bad_value",
                'property "server_port" validation failed: expected 65536 to be at most 65535',
            ),
        ),
        (
            "stream_routes",
            {"server_port": "80"},
            (
                "server_port",
                "wrong_type",
                'property "server_port" validation failed: wrong type: expected integer, got string',
            ),
        ),
        (
            "stream_routes",
            {"server_port": True},
            (
                "server_port",
                "wrong_type",
                'property "server_port" validation failed: wrong type: expected integer, got boolean',
            ),
        ),
        (
            "stream_routes",
            {"server_port": 80.0},
            (
                "server_port",
                "wrong_type",
                'property "server_port" validation failed: wrong type: expected integer, got number',
            ),
        ),
        (
            "stream_routes",
            {"snis": {}},
            ("snis", "bad_value", 'property "snis" validation failed: expect array to have at least 1 items'),
        ),
        (
            "stream_routes",
            {"snis": ["a", "b c"]},
            (
                "snis[1]",
                "bad_value",
                'property "snis" validation failed: failed to validate item 2: failed to match pattern '
                r'"^\*$|^\*?[0-9a-zA-Z-._\[\]:]+$" with "b c"',
            ),
        ),
        (
            "stream_routes",
            {"upstream_id": "*x"},
            (
                "upstream_id",
                "bad_value",
                'property "upstream_id" validation failed: failed to match pattern "^[a-zA-Z0-9-_.]+$" with "*x"',
            ),
        ),
        (
            "stream_routes",
            {"upstream_id": 0},
            ("upstream_id", "bad_value", 'property "upstream_id" validation failed: expected 0 to be at least 1'),
        ),
        (
            "stream_routes",
            {"upstream_id": None},
            (
                "upstream_id",
                "bad_value",
                'property "upstream_id" validation failed: object matches none of the required',
            ),
        ),
        (
            "stream_routes",
            {"upstream": {}},
            (
                "upstream",
                "bad_value",
                'property "upstream" validation failed: value should match only one schema, but matches none',
            ),
        ),
        (
            "stream_routes",
            {"plugins": None},
            (
                "plugins",
                "wrong_type",
                'property "plugins" validation failed: wrong type: expected object, got userdata',
            ),
        ),
        (
            "upstreams",
            {**NODES, "timeout": {"connect": 0, "send": 1, "read": 1}},
            (
                "timeout.connect",
                "bad_value",
                'property "timeout" validation failed: property "connect" validation failed: '
                "expected 0 to be greater than 0",
            ),
        ),
        (
            "upstreams",
            {**NODES, "timeout": {"connect": 1, "read": 1}},
            ("timeout.send", "missing", 'property "timeout" validation failed: property "send" is required'),
        ),
        (
            "upstreams",
            {**NODES, "retries": -1},
            ("retries", "bad_value", 'property "retries" validation failed: expected -1 to be at least 0'),
        ),
        (
            "upstreams",
            {**NODES, "retry_timeout": -(10**30)},
            (
                "retry_timeout",
                "bad_value",
                'property "retry_timeout" validation failed: expected -1e+20 or more to be at least 0',
            ),
        ),
        (
            "upstreams",
            {**NODES, "retry_timeout": float("nan")},
            (
                "retry_timeout",
                "wrong_type",
                'property "retry_timeout" validation failed: wrong type: expected number, got number',
            ),
        ),
        (
            "upstreams",
            {**NODES, "hash_on": "aabbcc"},
            ("hash_on", "bad_value", 'property "hash_on" validation failed: matches none of the enum values'),
        ),
        (
            "upstreams",
            {**NODES, "name": ""},
            ("name", "bad_value", 'property "name" validation failed: string too short, expected at least 1, got 0'),
        ),
        (
            "upstreams",
            {**NODES, "desc": "d" * 257},
            ("desc", "bad_value", 'property "desc" validation failed: string too long, expected at most 256, got 257'),
        ),
        (
            "upstreams",
            {**NODES, "name": "\ud800"},
            ("name", "bad_value", 'property "name" validation failed: half of a surrogate pair is no text'),
        ),
        (
            "upstreams",
            {**NODES, "labels": {"a.b": "x y"}},
            (
                'labels["a.b"]',
                "bad_value",
                'property "labels" validation failed: failed to validate a.b (matching ".*"): '
                r'failed to match pattern "^\S+$" with "x y"',
            ),
        ),
        (
            "upstreams",
            {"nodes": [{"host": "a", "weight": -1}]},
            (
                "nodes[0].weight",
                "bad_value",
                'property "nodes" validation failed: failed to validate item 1: property "weight" validation failed: '
                "expected -1 to be at least 0",
            ),
        ),
        (
            "upstreams",
            {"nodes": {"a:1": "1"}},
            (
                'nodes["a:1"]',
                "wrong_type",
                'property "nodes" validation failed: failed to validate a:1 (matching ".*"): '
                "wrong type: expected integer, got string",
            ),
        ),
        (
            "upstreams",
            {"nodes": 1},
            ("nodes", "bad_value", 'property "nodes" validation failed: object matches none of the required'),
        ),
        (
            "upstreams",
            {**NODES, "service_name": "s", "discovery_type": "dns"},
            ("", "bad_value", "value should match only one schema, but matches both schemas 1 and 2"),
        ),
        (
            "upstreams",
            {**NODES, "tls": {"client_cert": "c" * 128}},
            (
                "tls.client_key",
                "missing",
                'property "tls" validation failed: failed to validate dependent schema for "client_cert": '
                'property "client_key" is required',
            ),
        ),
    ],
)
def test_what_it_says(kind: str, value: Any, violation: tuple[str, str, str] | None) -> None:
    assert found(kind, value) == ([] if violation is None else [violation])


def test_every_violation_is_found() -> None:
    route = {"upstream": {"nodes": [{"port": 0}], "retries": "1"}, "sni": 1, "x": 1}
    assert {path for path, _, _ in found("stream_routes", route)} == {
        "upstream.nodes[0].host",
        "upstream.nodes[0].weight",
        "upstream.nodes[0].port",
        "upstream.retries",
        "sni",
        "x",
    }


def test_alternatives_of_one_type_are_not_told_apart() -> None:
    schema = {"anyOf": [{"type": "string", "pattern": "^a$"}, {"type": "string", "pattern": "^b$"}]}
    assert list(violations("b", schema)) == []
    (violation,) = violations("c", schema)
    assert violation.text == "object matches none of the required"


def test_what_no_property_or_pattern_names_is_free_unless_forbidden() -> None:
    assert list(violations({"b": 1}, {"type": "object", "patternProperties": {"^a": {"type": "string"}}})) == []


@given(st.sampled_from(sorted(SCHEMAS)), json_values)
def test_any_value_is_taken_or_refused(kind: str, value: Any) -> None:
    for violation in violations(value, SCHEMAS[kind]):
        str(violation).encode()
