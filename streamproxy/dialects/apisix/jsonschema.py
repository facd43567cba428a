"""
The part of JSON Schema that APISIX's schemas use, with its validator's words.

Every violation is found, where APISIX's validator stops at one of them. ``[]`` and ``{}`` are interchangeable, as they
are for Lua. An integer is one that is written as one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import re2
from attrs import frozen

from streamproxy.errors import Problem

from ..codec import member, shown

Schema: TypeAlias = Mapping[str, Any]


@frozen
class Violation:
    """``text`` is how APISIX would put it, seen from the whole document; ``problem`` is where it is and its core."""

    problem: Problem
    text: str


def violations(value: object, schema: Schema, path: str = "") -> Iterator[Violation]:
    """What ``schema`` has against the parsed JSON ``value``, which stands at ``path``."""
    expected = schema.get("type")
    if value in ([], {}):
        value = _EMPTY.get(str(expected), value)
    if expected is not None and not _TYPES[expected](value):
        yield _violation(path, "wrong_type", f"wrong type: expected {expected}, got {_lua_type(value)}")
        return
    if "enum" in schema and value not in schema["enum"]:
        yield _violation(path, "bad_value", "matches none of the enum values")
    if isinstance(value, str):
        yield from _text(value, schema, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number(value, schema, path)
    elif isinstance(value, list):
        yield from _list(value, schema, path)
    elif isinstance(value, Mapping):
        yield from _object(value, schema, path)
    if "anyOf" in schema:
        yield from _any_of(value, schema["anyOf"], path)
    if "oneOf" in schema:
        yield from _one_of(value, schema["oneOf"], path)
    if "if" in schema:
        yield from _conditional(value, schema, path)


def _violation(path: str, code: str, message: str) -> Violation:
    return Violation(Problem(path, code, message), message)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_integer(value) or (isinstance(value, float) and math.isfinite(value))


_EMPTY: Mapping[str, object] = {"object": {}, "array": []}
_TYPES: Mapping[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": _is_number,
}


def _lua_type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "userdata" if value is None else "table"


def _shown(number: float) -> str:
    return json.dumps(number) if abs(number) < 10**20 else f"{'-' if number < 0 else ''}1e+20 or more"


def _text(value: str, schema: Schema, path: str) -> Iterator[Violation]:
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        yield _violation(path, "bad_value", "half of a surrogate pair is no text")
        return
    least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    if len(value) < least:
        yield _violation(path, "bad_value", f"string too short, expected at least {least}, got {len(value)}")
    if len(value) > most:
        yield _violation(path, "bad_value", f"string too long, expected at most {most}, got {len(value)}")
    elif "pattern" in schema and re2.search(schema["pattern"], value) is None:
        quoted = f'"{schema["pattern"]}" with {shown(value)}'
        yield _violation(path, "bad_value", f"failed to match pattern {quoted}")


def _number(value: float, schema: Schema, path: str) -> Iterator[Violation]:
    got = _shown(value)
    if "minimum" in schema and value < schema["minimum"]:
        yield _violation(path, "bad_value", f"expected {got} to be at least {schema['minimum']}")
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield _violation(path, "bad_value", f"expected {got} to be greater than {schema['exclusiveMinimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        yield _violation(path, "bad_value", f"expected {got} to be at most {schema['maximum']}")


def _list(value: list[Any], schema: Schema, path: str) -> Iterator[Violation]:
    least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    if len(value) < least:
        yield _violation(path, "bad_value", f"expect array to have at least {least} items")
    if len(value) > most:
        yield _violation(path, "bad_value", f"expect array to have at most {most} items")
    elif schema.get("uniqueItems"):
        yield from _unique(value, path)
    if "items" in schema:
        for index, item in enumerate(value):
            for inner in violations(item, schema["items"], f"{path}[{index}]"):
                yield Violation(inner.problem, f"failed to validate item {index + 1}: {inner.text}")


def _unique(value: list[Any], path: str) -> Iterator[Violation]:
    """Where APISIX asks for it, the items are text."""
    first: dict[str, int] = {}
    for number, item in enumerate(value, 1):
        earlier = first.setdefault(item, number) if isinstance(item, str) else number
        if earlier != number:
            yield _violation(path, "conflict", f"expected unique items but items {earlier} and {number} are equal")
            return


def _object(value: Mapping[Any, Any], schema: Schema, path: str) -> Iterator[Violation]:
    for key in schema.get("required", ()):
        if key not in value:
            yield _missing(path, key)
    for key, needed in schema.get("dependencies", {}).items():
        for other in needed:
            if key in value and other not in value:
                inner = _missing(path, other)
                yield Violation(inner.problem, f'failed to validate dependent schema for "{key}": {inner.text}')
    for key, item in value.items():
        if isinstance(key, str):
            yield from _member(key, item, schema, member(path, key))
        else:
            yield _violation(path, "wrong_type", f"expected strings for keys, got {_lua_type(key)}")


def _member(key: str, value: object, schema: Schema, path: str) -> Iterator[Violation]:
    name = shown(key)[1:-1]
    if key in schema.get("properties", {}):
        for inner in violations(value, schema["properties"][key], path):
            yield Violation(inner.problem, f'property "{name}" validation failed: {inner.text}')
        return
    matching = [pattern for pattern in schema.get("patternProperties", {}) if re2.search(pattern, name)]
    for pattern in matching:
        for inner in violations(value, schema["patternProperties"][pattern], path):
            yield Violation(inner.problem, f'failed to validate {name} (matching "{pattern}"): {inner.text}')
    if not matching and schema.get("additionalProperties") is False:
        yield _violation(path, "unknown_key", f"additional properties forbidden, found {name}")


def _missing(path: str, key: str) -> Violation:
    return _violation(member(path, key), "missing", f'property "{key}" is required')


def _any_of(value: object, branches: list[Schema], path: str) -> Iterator[Violation]:
    """Where the type of the value leaves one branch, what that one has against it says more than that none fits."""
    fitting = [branch for branch in branches if "type" not in branch or _TYPES[branch["type"]](value)]
    found = [list(violations(value, branch, path)) for branch in fitting]
    if all(found):
        if len(found) == 1:
            yield from found[0]
        else:
            yield _violation(path, "bad_value", "object matches none of the required")


def _one_of(value: object, branches: list[Schema], path: str) -> Iterator[Violation]:
    matching = [number for number, branch in enumerate(branches, 1) if not any(violations(value, branch, path))]
    if not matching:
        yield _violation(path, "bad_value", "value should match only one schema, but matches none")
    elif len(matching) > 1:
        first, second = matching[:2]
        message = f"value should match only one schema, but matches both schemas {first} and {second}"
        yield _violation(path, "bad_value", message)


def _conditional(value: object, schema: Schema, path: str) -> Iterator[Violation]:
    clause = "else" if any(violations(value, schema["if"], path)) else "then"
    if any(violations(value, schema[clause], path)):
        yield _violation(path, "bad_value", f"{clause} clause did not match")
