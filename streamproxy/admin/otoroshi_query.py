"""
Otoroshi's list queries, as functions of values: filter, search, sort, project, page.

``filter.<path>=v`` keeps equals, ``filtered=<path>:v,...`` keeps what contains ``v`` (``a|b``: either) whatever the
case, ``sorted=<path>:<reverse>,...`` orders, ``fields=<path>,...`` projects, ``page`` (from 1) and ``pageSize`` cut. A
path is dotted (``sni.enabled``) or a JSON pointer (``/sni/enabled``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import frozen

from streamproxy.errors import StreamProxyError
from streamproxy.model import Json

Entity = Mapping[str, Json]
Path = tuple[str, ...]
T = TypeVar("T")

# What Otoroshi answers as X-Page-Size where none was asked for.
NO_PAGE_SIZE = 2_147_483_647

_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?")
_COUNT = re.compile(r"[0-9]{1,9}")
_ABSENT = object()


@frozen(auto_exc=True)
class QueryError(StreamProxyError):
    """The query cannot be understood; ``why`` is for its author."""

    why: str

    def __str__(self) -> str:
        return self.why


@frozen
class Listing:
    """One page of the answer. ``total`` counts what there is, ``found`` what the filters left of it."""

    items: tuple[Entity, ...]
    total: int
    found: int


@frozen
class ListQuery:
    equal: tuple[tuple[Path, str], ...] = ()
    containing: tuple[tuple[Path, tuple[str, ...]], ...] = ()
    order: tuple[tuple[Path, bool], ...] = ()
    fields: tuple[Path, ...] = ()
    page: int = 1
    page_size: int | None = None

    @property
    def offset(self) -> int:
        return (self.page - 1) * (self.page_size or 0)

    def pages(self, found: int) -> int:
        """How many pages ``found`` entities fill; -1 where they are not paged."""
        return -1 if self.page_size is None else -(-found // self.page_size)

    def keeps(self, entity: Entity) -> bool:
        return all(_equals(resolve(entity, path), text) for path, text in self.equal) and all(
            any(_contains(resolve(entity, path), text) for text in texts) for path, texts in self.containing
        )

    def select(self, entities: Sequence[Entity]) -> Listing:
        found = [entity for entity in entities if self.keeps(entity)]
        # The last key first: sorting is stable, so that the first key has the last word.
        for path, reverse in reversed(self.order):
            found.sort(key=lambda entity: _rank(resolve(entity, path)), reverse=reverse)
        end = None if self.page_size is None else self.offset + self.page_size
        items = found[self.offset : end] if self.page_size is not None or self.page == 1 else []
        return Listing(tuple(self.project(entity) for entity in items), len(entities), len(found))

    def project(self, entity: Entity) -> Entity:
        return project(entity, self.fields) if self.fields else entity


def parse(query: Mapping[str, Sequence[str]], known: Container[str]) -> ListQuery:
    """
    ``known`` are the keys an entity may have: a filter on another one is a mistake, for it could match nothing.

    Raises :class:`QueryError`.
    """
    equal = []
    for name, values in query.items():
        if name.startswith("filter."):
            path = parse_path(name.removeprefix("filter."))
            if path[0] not in known:
                raise QueryError(f"{name}: there is no such field")
            equal += [(path, value) for value in values]
    return ListQuery(
        tuple(equal),
        tuple(_items(query, "filtered", _searched)),
        tuple(_items(query, "sorted", _sorted)),
        tuple(_items(query, "fields", parse_path)),
        _count(query, "page") or 1,
        _count(query, "pageSize"),
    )


def parse_path(text: str) -> Path:
    """Raises :class:`QueryError`."""
    if text.startswith("$"):
        raise QueryError(f"{text[:80]}: JSONPath is not understood here: write a.b or /a/b")
    if text.startswith("/"):
        parts = [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]
    else:
        parts = text.split(".")
    if not all(parts):
        raise QueryError(f"{text[:80]!r} is no path of a field")
    return tuple(parts)


def resolve(entity: Json | Entity, path: Path) -> Any:
    """What stands at ``path``; a marker that equals nothing where nothing does."""
    value: Any = entity
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and _COUNT.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            return _ABSENT
    return value


def project(entity: Entity, fields: Iterable[Path]) -> dict[str, Json]:
    """Only ``fields`` of ``entity``, where they were; what it does not have is left out."""
    result: dict[str, Any] = {}
    for path in fields:
        value = resolve(entity, path)
        if value is _ABSENT:
            continue
        inner = result
        for part in path[:-1]:
            under = inner.get(part)
            if not isinstance(under, dict):
                under = inner[part] = {}
            inner = under
        inner[path[-1]] = value
    return result


def _items(query: Mapping[str, Sequence[str]], name: str, read: Callable[[str], T]) -> list[T]:
    return [read(item.strip()) for value in query.get(name, ()) for item in value.split(",") if item.strip()]


def _searched(item: str) -> tuple[Path, tuple[str, ...]]:
    path, colon, text = item.partition(":")
    if not colon:
        raise QueryError(f"filtered: expected field:text, got {item[:80]!r}")
    return parse_path(path), tuple(text.split("|"))


def _sorted(item: str) -> tuple[Path, bool]:
    path, _, reverse = item.rpartition(":")
    if not path or reverse not in ("true", "false"):
        raise QueryError(f"sorted: expected field:true (reversed) or field:false, got {item[:80]!r}")
    return parse_path(path), reverse == "true"


def _count(query: Mapping[str, Sequence[str]], name: str) -> int | None:
    values = query.get(name)
    if not values:
        return None
    if not _COUNT.fullmatch(values[-1]) or int(values[-1]) == 0:
        raise QueryError(f"{name}: expected a number from 1, got {values[-1][:80]!r}")
    return int(values[-1])


def _equals(value: Any, text: str) -> bool:
    if isinstance(value, str):
        return value == text
    if isinstance(value, list):
        return any(_equals(item, text) or (isinstance(item, str) and text in item) for item in value)
    return _scalar_equals(value, text)


def _contains(value: Any, text: str) -> bool:
    if isinstance(value, str):
        return text.casefold() in value.casefold()
    if isinstance(value, list):
        return any(_contains(item, text) for item in value)
    return _scalar_equals(value, text)


def _scalar_equals(value: Any, text: str) -> bool:
    if isinstance(value, bool):
        return text.lower() == ("true" if value else "false")
    if isinstance(value, (int, float)):
        return bool(_NUMBER.fullmatch(text)) and float(text) == value
    return False


def _rank(value: Any) -> tuple[int, float, str, str]:
    """Booleans, numbers by size, text whatever the case, then what has no order, then what is not there."""
    if isinstance(value, bool):
        return 0, float(value), "", ""
    if isinstance(value, (int, float)):
        return 1, float(value), "", ""
    if isinstance(value, str):
        return 2, 0.0, value.casefold(), value
    return (4 if value is None or value is _ABSENT else 3), 0.0, "", ""
