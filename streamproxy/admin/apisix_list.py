"""Lists of APISIX's documents, as functions of values: filtered, sorted, cut into pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import re2
from attrs import frozen

from .apisix_answer import ApisixText, Item, refused
from .apisix_body import number
from .apisix_kinds import Kind
from .incoming import Query

_LONGEST_PATTERN = 4096
_LEAST, _MOST = 10, 500
_MOST_FILTERS = 100
# Whoever asks for a later page has long gone through all of them.
_MOST_PAGES = 10**9

Predicate = Callable[[Mapping[str, Any]], bool]


@frozen
class Page:
    items: tuple[Item, ...]
    total: int


def listed(kind: Kind, items: Iterable[Item], query: Query) -> Page:
    """
    Those of ``items`` that ``query`` asks for, and how many there are of them on all pages. By key, but pages by age.

    Raises :class:`ApisixError` and :class:`ApisixText` (400).
    """
    page = _page(query)
    wanted = _wanted(kind, query)
    kept = [item for item in items if all(keeps(item.value) for keeps in wanted)]
    total = len(kept)
    if page is None:
        return Page(tuple(sorted(kept, key=lambda item: item.key)), total)
    kept.sort(key=lambda item: item.document.created_revision)
    return Page(tuple(kept[page]), total)


def _page(query: Query) -> slice | None:
    given = [number(_first(query, name) or "") for name in ("page", "page_size")]
    page, size = given
    if page is None or size is None:
        return None
    if not _LEAST <= size <= _MOST:
        raise ApisixText(400, "bad_query", f"page_size must be between {_LEAST} and {_MOST}")
    count = int(size)
    start = (int(min(max(page, 1), _MOST_PAGES)) - 1) * count
    return slice(start, start + count)


def _wanted(kind: Kind, query: Query) -> Sequence[Predicate]:
    wanted: list[Predicate] = []
    name, label, uri = (_first(query, key) for key in ("name", "label", "uri"))
    if name is not None:
        matches = _expression("name", name)
        wanted.append(lambda value: isinstance(value.get("name"), str) and matches(value["name"]))
    if label is not None:
        wanted.append(lambda value: isinstance(value.get("labels"), dict) and label in value["labels"])
    if uri is not None:
        _expression("uri", uri)
        # Only what there is none of here has any.
        wanted.append(lambda _: False)
    for field, text in _filters(kind, _first(query, "filter") or ""):
        wanted.append(lambda value, field=field, text=text: value.get(field) == text)  # type: ignore[misc]
    return wanted


def _filters(kind: Kind, text: str) -> Iterable[tuple[str, str]]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FILTERS)
    except ValueError as error:
        raise refused(f"invalid argument filter: {error}") from None
    return [(field, value) for field, value in pairs if field in kind.filters]


def _expression(name: str, text: str) -> Callable[[str], bool]:
    """RE2 takes time in proportion to what it looks at, whatever the expression."""
    if len(text) > _LONGEST_PATTERN:
        raise refused(f"invalid argument {name}: more than {_LONGEST_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        expression = re2.compile(text, options)
    except re2.error as error:
        why = error.args[0]
        raise refused(f"invalid argument {name}: {why.decode('utf-8', 'replace')}") from None
    return lambda value: expression.search(value) is not None


def _first(query: Query, name: str) -> str | None:
    return query[name][0] if name in query else None
