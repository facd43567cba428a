from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix import SCHEMAS, violations

from ..test_codec import json_values

NODES: dict[str, Any] = {"nodes": {"127.0.0.1:8080": 1}}
ROUTE: dict[str, Any] = {"upstream": NODES}


EQUAL = "expected unique items but items 1 and 3 are equal"


def found(kind: str, value: Any) -> list[tuple[str, str, str]]:
    return [(one.problem.path, one.problem.code, one.text) for one in violations(value, SCHEMAS[kind])]


def spelled_out(text: str) -> str:
    """``weight > `` is short for how APISIX puts that something is wrong with that property."""
    return re.sub(r"(\w+) > ", r'property "\1" validation failed: ', text)


@pytest.mark.parametrize(
    "upstream",
    [
        NODES,
        {"nodes": {}},
        {"nodes": []},
        {"nodes": [{"host": "127.0.0.1", "port": 80, "weight": 0, "priority": -1, "metadata": {"a": 1}}]},
        {**NODES, "id": 1, "name": "n", "desc": "", "labels": {"a": "b"}, "create_time": 1, "update_time": 2},
        {**NODES, "labels": [], "keepalive_pool": {"size": 1, "idle_timeout": 0, "requests": 1}},
        {**NODES, "checks": {"active": {}, "passive": {}, "unknown": 1}, "tls": {"client_cert_id": 1}},
        {**NODES, "type": "chash", "hash_on": "vars", "key": "remote_addr", "pass_host": "node", "upstream_host": "h"},
        {**NODES, "retries": 0, "retry_timeout": 0.5, "timeout": {"connect": 0.1, "send": 1, "read": 2}},
        {**NODES, "scheme": "tls", "tls": {"client_cert": "c" * 128, "client_key": "k" * 64, "verify": True}},
        {"service_name": "s", "discovery_type": "dns", "discovery_args": {"group_name": "g"}},
    ],
)
def test_upstreams_it_takes(upstream: dict[str, Any]) -> None:
    assert found("upstreams", upstream) == []
    assert found("stream_routes", {"upstream": upstream}) == []


PATTERN = r"^\*$|^\*?[0-9a-zA-Z-._\[\]:]+$"


@pytest.mark.parametrize(
    ("value", "path", "code", "text"),
    [
        ("x", "", "wrong_type", "wrong type: expected object, got string"),
        ({"foo": 1}, "foo", "unknown_key", "additional properties forbidden, found foo"),
        ({1: 2}, "", "wrong_type", "expected strings for keys, got number"),
        ({"server_port": 65536}, "server_port", "bad_value", "server_port > expected 65536 to be at most 65535"),
        ({"server_port": "80"}, "server_port", "wrong_type", "server_port > wrong type: expected integer, got string"),
        ({"server_port": True}, "server_port", "wrong_type", "server_port > wrong type: expected integer, got boolean"),
        ({"server_port": 80.0}, "server_port", "wrong_type", "server_port > wrong type: expected integer, got number"),
        ({"snis": {}}, "snis", "bad_value", "snis > expect array to have at least 1 items"),
        (
            {"snis": ["a", "b c"]},
            "snis[1]",
            "bad_value",
            f'snis > failed to validate item 2: failed to match pattern "{PATTERN}" with "b c"',
        ),
        (
            {"upstream_id": "*x"},
            "upstream_id",
            "bad_value",
            "upstream_id > object matches none of the required",
        ),
        ({"upstream_id": 0}, "upstream_id", "bad_value", "upstream_id > object matches none of the required"),
        ({"upstream_id": None}, "upstream_id", "bad_value", "upstream_id > object matches none of the required"),
        (
            {"upstream": {}},
            "upstream",
            "bad_value",
            "upstream > value should match only one schema, but matches none",
        ),
        ({"plugins": None}, "plugins", "wrong_type", "plugins > wrong type: expected object, got userdata"),
    ],
)
def test_what_it_says_of_routes(value: Any, path: str, code: str, text: str) -> None:
    assert found("stream_routes", value) == [(path, code, spelled_out(text))]


@pytest.mark.parametrize(
    ("value", "path", "code", "text"),
    [
        (
            {"timeout": {"connect": 0, "send": 1, "read": 1}},
            "timeout.connect",
            "bad_value",
            "timeout > connect > expected 0 to be greater than 0",
        ),
        (
            {"timeout": {"connect": 1, "read": 1}},
            "timeout.send",
            "missing",
            'timeout > property "send" is required',
        ),
        ({"retries": -1}, "retries", "bad_value", "retries > expected -1 to be at least 0"),
        (
            {"retry_timeout": -(10**30)},
            "retry_timeout",
            "bad_value",
            "retry_timeout > expected -1e+20 or more to be at least 0",
        ),
        (
            {"retry_timeout": float("nan")},
            "retry_timeout",
            "wrong_type",
            "retry_timeout > wrong type: expected number, got number",
        ),
        ({"hash_on": "aabbcc"}, "hash_on", "bad_value", "hash_on > matches none of the enum values"),
        ({"name": ""}, "name", "bad_value", "name > string too short, expected at least 1, got 0"),
        ({"desc": "d" * 257}, "desc", "bad_value", "desc > string too long, expected at most 256, got 257"),
        ({"name": "\ud800"}, "name", "bad_value", "name > half of a surrogate pair is no text"),
        (
            {"labels": {"a.b": "x y"}},
            'labels["a.b"]',
            "bad_value",
            r'labels > failed to validate a.b (matching ".*"): failed to match pattern "^\S+$" with "x y"',
        ),
        (
            {"nodes": [{"host": "a", "weight": -1}]},
            "nodes[0].weight",
            "bad_value",
            "nodes > object matches none of the required",
        ),
        (
            {"nodes": {"a:1": "1"}},
            'nodes["a:1"]',
            "wrong_type",
            "nodes > object matches none of the required",
        ),
        ({"nodes": 1}, "nodes", "bad_value", "nodes > object matches none of the required"),
        (
            {"service_name": "s", "discovery_type": "dns"},
            "",
            "bad_value",
            "value should match only one schema, but matches both schemas 1 and 2",
        ),
        (
            {"tls": {"client_cert": "c" * 128}},
            "tls.client_key",
            "missing",
            'tls > failed to validate dependent schema for "client_cert": property "client_key" is required',
        ),
    ],
)
def test_what_it_says_of_upstreams(value: Any, path: str, code: str, text: str) -> None:
    assert found("upstreams", {**NODES, **value}) == [(path, code, spelled_out(text))]


def test_routes_it_takes() -> None:
    route = {"snis": ["a", "*"], "server_port": 65535, "upstream_id": "a-b_C.0"}
    assert found("stream_routes", route) == []
    assert found("stream_routes", {"sni": "*.test.com", "remote_addr": "::/0"}) == []
    assert found("stream_routes", []) == []


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


@pytest.mark.parametrize(
    ("schema", "good", "bad", "text"),
    [
        ({"type": ["string", "integer"]}, 1, 1.5, "wrong type: expected one of string, integer, got number"),
        ({"type": ["null", "array"]}, {}, 1, "wrong type: expected one of null, array, got number"),
        ({"exclusiveMaximum": 3}, 2, 3, "expected 3 to be smaller than 3"),
        ({"minProperties": 1}, {"a": 1}, {}, "expect object to have at least 1 properties"),
        ({"maxProperties": 1}, {"a": 1}, {"a": 1, "b": 2}, "expect object to have at most 1 properties"),
        ({"maxItems": 1}, [1], [1, 2], "expect array to have at most 1 items"),
        ({"uniqueItems": True}, [1, True, "1"], [{"a": [1]}, 2, {"a": [1]}], EQUAL),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, 1, 3, "expected 3 to be at most 2"),
        ({"not": {"type": "string"}}, 1, "a", "value wasn't supposed to match schema"),
        (
            {"additionalProperties": {"type": "string"}},
            {"a": "b"},
            {"a": 1},
            "failed to validate additional property a: wrong type: expected string, got number",
        ),
        (
            {"dependencies": {"a": {"not": {"required": ["b"]}}}},
            {"b": 1},
            {"a": 1, "b": 1},
            'failed to validate dependent schema for "a": value wasn\'t supposed to match schema',
        ),
        ({"if": {"minimum": 5}, "then": {"maximum": 6}}, 1, 7, "then clause did not match"),
        (
            {"anyOf": [{"required": ["a"]}, {"required": ["b", "c"]}]},
            {"a": 1},
            {"b": 1},
            'object matches none of the required: ["a"] or ["b","c"]',
        ),
    ],
)
def test_the_other_keywords(schema: dict[str, Any], good: Any, bad: Any, text: str) -> None:
    assert list(violations(good, schema)) == []
    assert [violation.text for violation in violations(bad, schema)] == [text]


def test_items_that_cannot_be_compared_are_not_equal() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert list(violations([deep, [deep]], {"uniqueItems": True})) == []


def test_what_no_property_or_pattern_names_is_free_unless_forbidden() -> None:
    assert list(violations({"b": 1}, {"type": "object", "patternProperties": {"^a": {"type": "string"}}})) == []


@given(st.sampled_from(sorted(SCHEMAS)), json_values)
def test_any_value_is_taken_or_refused(kind: str, value: Any) -> None:
    for violation in violations(value, SCHEMAS[kind]):
        str(violation).encode()
