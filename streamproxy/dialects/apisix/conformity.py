"""
Does a document conform to its schema? The same as :mod:`.jsonschema` says, but not why not, in a fraction of its time.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import re2

from .jsonschema import TYPES, Schema, types_of, violations

Check: TypeAlias = Callable[[Any], bool]

# Names that are shown as they are.
_PLAIN = re.compile(r"[ !#-\[\]-~]*").fullmatch
# More than anything that a document could hold.
_NO_LIMIT = float("inf")


def conformity(schema: Schema) -> Check:
    """
    What says of any value whether ``schema`` has nothing against it. Making it takes its time: it is for schemas that
    there are for good.
    """
    types = tuple(TYPES[name] for name in types_of(schema))
    by_type: Mapping[type, Check] = {
        str: _text(schema),
        int: _number(schema),
        float: _number(schema),
        list: _list(schema),
        dict: _object(schema),
        bool: _anything,
        type(None): _anything,
    }
    combined = _combined(schema)

    def conforms(value: Any) -> bool:
        kind = type(value)
        check = by_type.get(kind)
        if check is None or (not value and (kind is dict or kind is list)):
            # Nothing that JSON has; or what is empty, of which the type is a matter of opinion.
            return not any(violations(value, schema))
        if types and not any(is_one(value) for is_one in types):
            return False
        return check(value) and all(each(value) for each in combined)

    return conforms


def _anything(_: Any) -> bool:
    return True


def _text(schema: Schema) -> Check:
    least, most = schema.get("minLength", 0), schema.get("maxLength", _NO_LIMIT)
    search = re2.compile(schema["pattern"]).search if "pattern" in schema else None

    def conforms(value: str) -> bool:
        if not value.isascii():
            return not any(violations(value, schema))
        return least <= len(value) <= most and (search is None or search(value) is not None)

    return conforms


def _number(schema: Schema) -> Check:
    if not {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"} & schema.keys():
        return _anything
    least, most = schema.get("minimum", -_NO_LIMIT), schema.get("maximum", _NO_LIMIT)
    above, below = schema.get("exclusiveMinimum", -_NO_LIMIT), schema.get("exclusiveMaximum", _NO_LIMIT)

    def conforms(value: float) -> bool:
        return bool(
            least <= value <= most
            and (value > above or "exclusiveMinimum" not in schema)
            and (value < below or "exclusiveMaximum" not in schema)
        )

    return conforms


def _list(schema: Schema) -> Check:
    if schema.get("uniqueItems") or "minItems" in schema or "maxItems" in schema:
        return lambda value: not any(violations(value, schema))
    if "items" not in schema:
        return _anything
    item = conformity(schema["items"])
    return lambda value: all(map(item, value))


def _object(schema: Schema) -> Check:
    required = tuple(schema.get("required", ()))
    members = {name: conformity(each) for name, each in schema.get("properties", {}).items()}
    others = _others(schema)
    bounded = "minProperties" in schema or "maxProperties" in schema
    dependents = tuple(schema.get("dependencies", ()))

    def conforms(value: dict[Any, Any]) -> bool:
        if bounded or (dependents and any(name in value for name in dependents)):
            return not any(violations(value, schema))
        if any(name not in value for name in required):
            return False
        for name, item in value.items():
            member = members.get(name)
            if not (others(name, item) if member is None else member(item)):
                return False
        return True

    return conforms


def _others(schema: Schema) -> Callable[[Any, Any], bool]:
    """What says of the members that have no schema of their own."""
    additional = schema.get("additionalProperties", True)
    alone = {name: schema[name] for name in ("patternProperties", "additionalProperties") if name in schema}
    patterns = [
        (re2.compile(pattern).search, conformity(each)) for pattern, each in schema.get("patternProperties", {}).items()
    ]
    if not patterns and not isinstance(additional, Mapping):
        return lambda name, item: additional is not False and type(name) is str

    def conforms(name: Any, item: Any) -> bool:
        if type(name) is not str or not _PLAIN(name):
            return not any(violations({name: item}, alone))
        matching = [check for search, check in patterns if search(name) is not None]
        if not matching:
            return not any(violations({name: item}, alone))
        return all(check(item) for check in matching)

    return conforms


def _combined(schema: Schema) -> list[Check]:
    checks: list[Check] = []
    if "enum" in schema:
        checks.append(lambda value: value in schema["enum"])
    for keyword, is_met in _BRANCHING.items():
        if keyword in schema:
            branches = [conformity(branch) for branch in schema[keyword]]
            checks.append(functools.partial(is_met, branches))
    if "not" in schema:
        refused = conformity(schema["not"])
        checks.append(lambda value: not refused(value))
    if "if" in schema:
        condition, then, otherwise = (conformity(schema.get(name, {})) for name in ("if", "then", "else"))
        checks.append(lambda value: then(value) if condition(value) else otherwise(value))
    return checks


_BRANCHING: Final[Mapping[str, Callable[[list[Check], Any], bool]]] = {
    "allOf": lambda branches, value: all(branch(value) for branch in branches),
    "anyOf": lambda branches, value: any(branch(value) for branch in branches),
    "oneOf": lambda branches, value: sum(branch(value) for branch in branches) == 1,
}
