"""Whether there is something against a document, and what: the two have to agree, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamproxy.dialects.apisix.conformity import conformity
from streamproxy.dialects.apisix.jsonschema import violations
from streamproxy.dialects.apisix.schema import CONFORMS, SCHEMAS

from ..test_codec import json_values
from .test_hostile import WHOLE, odd, places, replaced

PLACES = [(kind, path) for kind, body in WHOLE.items() if kind in SCHEMAS for path in places(body)]
KEYWORDS: dict[str, Any] = {
    "type": st.sampled_from(["object", "array", "string", "boolean", "integer", "number", "null", ["string", "null"]]),
    "minLength": st.integers(0, 3),
    "maxLength": st.integers(0, 3),
    "pattern": st.sampled_from(["^a", r"^\S+$", "b$"]),
    "minimum": st.integers(-2, 2),
    "maximum": st.integers(-2, 2),
    "exclusiveMinimum": st.integers(-2, 2),
    "exclusiveMaximum": st.integers(-2, 2),
    "minItems": st.integers(0, 2),
    "maxItems": st.integers(0, 2),
    "uniqueItems": st.booleans(),
    "minProperties": st.integers(0, 2),
    "maxProperties": st.integers(0, 2),
    "required": st.lists(st.sampled_from(["a", "b"]), max_size=2),
    "enum": st.lists(st.sampled_from([1, "a", None, True]), min_size=1),
}


def extended(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    branches = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            **KEYWORDS,
            "items": inner,
            "properties": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", ".*"]), inner, max_size=2),
            "additionalProperties": st.booleans() | inner,
            "dependencies": st.dictionaries(st.sampled_from(["a", "b"]), st.just(["b"]) | inner, max_size=1),
            "anyOf": branches,
            "allOf": branches,
            "oneOf": branches,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
        },
    )


schemas = st.recursive(st.fixed_dictionaries({}, optional=KEYWORDS), extended, max_leaves=4)
names = st.sampled_from(["a", "b", "ab", "\u00e9", 'a"b', "a\\b"])
values = json_values | st.dictionaries(names, json_values, max_size=3)


@settings(max_examples=500)
@given(schemas, values)
def test_of_any_schema(schema: Any, value: Any) -> None:
    assert conformity(schema)(value) == (not any(violations(value, schema)))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(PLACES), odd), max_size=1), st.sampled_from(list(SCHEMAS)))
def test_of_apisix_s(changes: list[tuple[tuple[str, tuple[Any, ...]], Any]], kind: str) -> None:
    body: Any = WHOLE[kind]
    for (of, path), value in changes:
        kind, body = of, replaced(WHOLE[of], path, value)
    assert CONFORMS[id(SCHEMAS[kind])](body) == (not any(violations(body, SCHEMAS[kind])))


@pytest.mark.parametrize("value", [(), {1: 2}, {"a": {1}}, object(), float("nan"), float("inf"), {"id": float("inf")}])
def test_of_what_no_json_says(value: Any) -> None:
    for schema in SCHEMAS.values():
        assert CONFORMS[id(schema)](value) == (not any(violations(value, schema)))


def test_what_is_right_conforms() -> None:
    for kind, schema in SCHEMAS.items():
        assert CONFORMS[id(schema)](WHOLE[kind]), kind
