"""
The part of JSON Schema that APISIX's schemas and those of plugins use, with its validator's words.

Every violation is found, where APISIX's validator stops at one of them. ``[]`` and ``{}`` are interchangeable, as they
are for Lua. An integer is one that is written as one. Other keywords (``default``, ``format``) mean nothing here.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

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

    @classmethod
    def plain(cls, path: str, code: str, message: str) -> Violation:
        """Of what is said in the same words in both."""
        return cls(Problem(path, code, message), message)

    def tolerated(self) -> Violation:
        """What APISIX stores: it would find out only when a session comes."""
        return Violation(self.problem.tolerated(), self.text)


def violations(value: object, schema: Schema, path: str = "") -> Iterator[Violation]:
    """What ``schema`` has against the parsed JSON ``value``, which stands at ``path``."""
    types = types_of(schema)
    if value in ([], {}):
        value = next((_EMPTY[name] for name in types if name in _EMPTY), value)
    if types and not any(TYPES[name](value) for name in types):
        expected = types[0] if len(types) == 1 else f"one of {', '.join(types)}"
        yield Violation.plain(path, "wrong_type", f"wrong type: expected {expected}, got {_lua_type(value)}")
        return
    if isinstance(value, str):
        yield from _text(value, schema, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number(value, schema, path)
    elif isinstance(value, list):
        yield from _list(value, schema, path)
    elif isinstance(value, Mapping):
        yield from _object(value, schema, path)
    for keyword, check in _COMBINING:
        if keyword in schema:
            yield from check(value, schema, path)


def types_of(schema: Schema) -> tuple[str, ...]:
    """The names of the types that it takes; empty: any."""
    expected = schema.get("type", ())
    return (expected,) if isinstance(expected, str) else tuple(expected)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_integer(value) or (isinstance(value, float) and math.isfinite(value))


_EMPTY: Mapping[str, object] = {"object": {}, "array": []}
TYPES: Mapping[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": _is_number,
    "null": lambda value: value is None,
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


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    """Those of schemas, of which there are few."""
    return re2.compile(pattern)


def _text(value: str, schema: Schema, path: str) -> Iterator[Violation]:
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        yield Violation.plain(path, "bad_value", "half of a surrogate pair is no text")
        return
    least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    if len(value) < least:
        yield Violation.plain(path, "bad_value", f"string too short, expected at least {least}, got {len(value)}")
    if len(value) > most:
        yield Violation.plain(path, "bad_value", f"string too long, expected at most {most}, got {len(value)}")
    elif "pattern" in schema and _compiled(schema["pattern"]).search(value) is None:
        quoted = f'"{schema["pattern"]}" with {shown(value)}'
        yield Violation.plain(path, "bad_value", f"failed to match pattern {quoted}")


def _number(value: float, schema: Schema, path: str) -> Iterator[Violation]:
    got = _shown(value)
    if "minimum" in schema and value < schema["minimum"]:
        yield Violation.plain(path, "bad_value", f"expected {got} to be at least {schema['minimum']}")
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield Violation.plain(path, "bad_value", f"expected {got} to be greater than {schema['exclusiveMinimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        yield Violation.plain(path, "bad_value", f"expected {got} to be at most {schema['maximum']}")
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield Violation.plain(path, "bad_value", f"expected {got} to be smaller than {schema['exclusiveMaximum']}")


def _list(value: list[Any], schema: Schema, path: str) -> Iterator[Violation]:
    least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    if len(value) < least:
        yield Violation.plain(path, "bad_value", f"expect array to have at least {least} items")
    if len(value) > most:
        yield Violation.plain(path, "bad_value", f"expect array to have at most {most} items")
    elif schema.get("uniqueItems"):
        yield from _unique(value, path)
    if "items" in schema:
        for index, item in enumerate(value):
            for inner in violations(item, schema["items"], f"{path}[{index}]"):
                yield Violation(inner.problem, f"failed to validate item {index + 1}: {inner.text}")


def _unique(value: list[Any], path: str) -> Iterator[Violation]:
    first: dict[str, int] = {}
    for number, item in enumerate(value, 1):
        earlier = first.setdefault(_identity(item), number)
        if earlier != number:
            yield Violation.plain(path, "conflict", f"expected unique items but items {earlier} and {number} are equal")
            return


def _identity(item: object) -> str:
    """Equal for what JSON calls equal."""
    try:
        return json.dumps(item, sort_keys=True)
    except (ValueError, TypeError, RecursionError):
        return f"object {id(item)}"


def _object(value: Mapping[Any, Any], schema: Schema, path: str) -> Iterator[Violation]:
    for key in schema.get("required", ()):
        if key not in value:
            yield _missing(path, key)
    least, most = schema.get("minProperties", 0), schema.get("maxProperties", math.inf)
    if len(value) < least:
        yield Violation.plain(path, "bad_value", f"expect object to have at least {least} properties")
    if len(value) > most:
        yield Violation.plain(path, "bad_value", f"expect object to have at most {most} properties")
    for key, needed in schema.get("dependencies", {}).items():
        if key in value:
            dependent = needed if isinstance(needed, Mapping) else {"required": needed}
            for inner in violations(value, dependent, path):
                yield Violation(inner.problem, f'failed to validate dependent schema for "{key}": {inner.text}')
    for key, item in value.items():
        if isinstance(key, str):
            yield from _member(key, item, schema, member(path, key))
        else:
            yield Violation.plain(path, "wrong_type", f"expected strings for keys, got {_lua_type(key)}")


def _member(key: str, value: object, schema: Schema, path: str) -> Iterator[Violation]:
    if key in schema.get("properties", {}):
        for inner in violations(value, schema["properties"][key], path):
            yield Violation(inner.problem, f'property "{shown(key)[1:-1]}" validation failed: {inner.text}')
        return
    name = shown(key)[1:-1]
    matching = [pattern for pattern in schema.get("patternProperties", {}) if _compiled(pattern).search(name)]
    for pattern in matching:
        for inner in violations(value, schema["patternProperties"][pattern], path):
            yield Violation(inner.problem, f'failed to validate {name} (matching "{pattern}"): {inner.text}')
    others = schema.get("additionalProperties", True)
    if not matching and others is False:
        yield Violation.plain(path, "unknown_key", f"additional properties forbidden, found {name}")
    elif not matching and isinstance(others, Mapping):
        for inner in violations(value, others, path):
            yield Violation(inner.problem, f"failed to validate additional property {name}: {inner.text}")


def _missing(path: str, key: str) -> Violation:
    return Violation.plain(member(path, key), "missing", f'property "{key}" is required')


def _enum(value: object, schema: Schema, path: str) -> Iterator[Violation]:
    if value not in schema["enum"]:
        yield Violation.plain(path, "bad_value", "matches none of the enum values")


def _all_of(value: object, schema: Schema, path: str) -> Iterator[Violation]:
    for branch in schema["allOf"]:
        yield from violations(value, branch, path)


def _any_of(value: object, schema: Schema, path: str) -> Iterator[Violation]:
    """
    Where the type of the value leaves one branch, the problem is what that one has against it; else the ``title`` of
    the schema, where it has one, says what was expected.
    """
    branches: Sequence[Schema] = schema["anyOf"]
    found = [list(violations(value, branch, path)) for branch in branches]
    if not all(found):
        return
    required = [json.dumps(branch["required"], separators=(",", ":")) for branch in branches if "required" in branch]
    text = "object matches none of the required" + (f": {' or '.join(required)}" if required else "")
    fitting = [each for branch, each in zip(branches, found, strict=True) if _fits(value, branch)]
    if len(fitting) == 1:
        for inner in fitting[0]:
            yield Violation(inner.problem, text)
    else:
        message = f"expected {schema['title']}" if "title" in schema else text
        yield Violation(Problem(path, "bad_value", message), text)


def _fits(value: object, branch: Schema) -> bool:
    types = types_of(branch)
    return not types or any(TYPES[name](value) for name in types)


def _one_of(value: object, schema: Schema, path: str) -> Iterator[Violation]:
    branches = enumerate(schema["oneOf"], 1)
    matching = [number for number, branch in branches if not any(violations(value, branch, path))]
    if not matching:
        yield Violation.plain(path, "bad_value", "value should match only one schema, but matches none")
    elif len(matching) > 1:
        first, second = matching[:2]
        message = f"value should match only one schema, but matches both schemas {first} and {second}"
        yield Violation.plain(path, "bad_value", message)


def _not(value: object, schema: Schema, path: str) -> Iterator[Violation]:
    refused: Schema = schema["not"]
    if any(violations(value, refused, path)):
        return
    text = "value wasn't supposed to match schema"
    names = " and ".join(refused.get("required", ()))
    yield Violation(Problem(path, "bad_value", f"{names} cannot stand together" if names else text), text)


def _conditional(value: object, schema: Schema, path: str) -> Iterator[Violation]:
    clause = "else" if any(violations(value, schema["if"], path)) else "then"
    if any(violations(value, schema.get(clause, {}), path)):
        yield Violation.plain(path, "bad_value", f"{clause} clause did not match")


_COMBINING: Final[Sequence[tuple[str, Callable[[object, Schema, str], Iterator[Violation]]]]] = (
    ("enum", _enum),
    ("allOf", _all_of),
    ("anyOf", _any_of),
    ("oneOf", _one_of),
    ("not", _not),
    ("if", _conditional),
)
