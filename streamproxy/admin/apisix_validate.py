"""Whole configurations of APISIX's, looked at without being stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from streamproxy.dialects.apisix.check import Get

from .apisix_answer import ApisixError
from .apisix_body import Conf, id_text, lua_type
from .apisix_kinds import CONFIG_KINDS, KINDS, why_not
from .apisix_resource import Resources

MARK = "modifiedIndex"
"""An item may have it, a document not: by it, APISIX sees whether an item is another one than before."""

# Of a configuration with more wrong than this, no more is told.
MOST_ERRORS = 100

# Whoever refers to something that is not in the configuration may have it elsewhere, but it has to be of this sort.
_ELSEWHERE: Mapping[str, Mapping[str, Any]] = {"ssls": {"type": "client"}}


@frozen
class Fault:
    """``index`` counts from 0; ``None``: it is about the kind as a whole."""

    kind: str
    error: str
    index: int | None = None
    id: str | None = None

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"resource_type": self.kind}
        if self.id is not None:
            found["resource_id"] = self.id
        if self.index is not None:
            found["index"] = self.index
        return {**found, "error": self.error}


def items_of(conf: Conf, kind: str) -> list[Any]:
    """The items of a ``kind`` that :func:`faults` has nothing against."""
    return conf.get(kind) or []


def item_id(item: Mapping[str, Any], number: int) -> str:
    """The id that the item, the ``number``-th of its kind (from 1), is stored under."""
    return id_text(item.get("id")) or f"arr_{number}"


def unmarked(item: Mapping[str, Any]) -> Conf:
    """The document in an item."""
    return {name: value for name, value in item.items() if name != MARK}


def faults(conf: Conf, resources: Resources) -> Iterator[Fault]:
    """What is wrong with ``conf``, but for references to what is not in it."""
    get = _references(conf)
    for kind in CONFIG_KINDS:
        version = conf.get(f"{kind}_conf_version")
        if version is not None and (isinstance(version, bool) or not isinstance(version, (int, float))):
            yield Fault(kind, f"{kind}_conf_version must be a number")
        items = conf.get(kind)
        if items in (None, [], {}):
            continue
        if not isinstance(items, list):
            yield Fault(kind, f"{kind} must be an array, got {lua_type(items)}")
            continue
        yield from _item_faults(kind, items, resources, get)


def _item_faults(kind: str, items: list[Any], resources: Resources, get: Get) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        field = "username" if kind == "consumers" and isinstance(item, dict) and "id" not in item else "id"
        own = id_text(item.get(field)) if isinstance(item, dict) else None
        why = _why(kind, item, index, resources, get)
        if why is not None:
            yield Fault(kind, f"invalid {kind} at index {index}, err: {why}", index, own)
        # One without an id has its place for one, which somebody else may have taken.
        name = own or item_id({}, index + 1)
        if name in seen:
            yield Fault(kind, f"found duplicate {field} {name} in {kind}", index, own)
        seen.add(name)


def _why(kind: str, item: Any, index: int, resources: Resources, get: Get) -> str | None:
    if kind not in KINDS:
        return why_not(kind)
    if not isinstance(item, dict):
        return f"invalid configuration: wrong type: expected object, got {lua_type(item)}"
    mark = item.get(MARK, 0)
    if isinstance(mark, bool) or not isinstance(mark, int):
        got = f"wrong type: expected integer, got {lua_type(mark)}"
        return f'invalid configuration: property "{MARK}" validation failed: {got}'
    id = item_id(item, index + 1)  # noqa: A001
    try:
        resources.check(kind, id, {"id": id, **unmarked(item)}, get)
    except ApisixError as error:
        return error.description
    return None


def _references(conf: Conf) -> Get:
    known: dict[tuple[str, str], Mapping[str, Any]] = {}
    for kind in KINDS:
        items = conf.get(kind)
        for number, item in enumerate(items if isinstance(items, list) else (), start=1):
            if isinstance(item, dict):
                known.setdefault((kind, item_id(item, number)), item)

    def get(kind: str, id: str) -> Mapping[str, Any]:  # noqa: A002
        return known.get((kind, str(id)), _ELSEWHERE.get(kind, {}))

    return get
