"""A write as a function: documents and changes in, documents and the revision they make out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve

from ...errors import RevisionConflict, StoreError
from ...interfaces import Revision
from ...model import Change, Document, Json, Key, Put

# Far more than any dialect nests, far less than what a JSON reader deep in somebody's call stack can take.
MAX_DEPTH = 100

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def body_text(key: Key, body: Mapping[str, Json]) -> str:
    """
    The one spelling of a body: JSON in ASCII, no spaces, keys in the order of the author.

    Raises ``StoreError`` for what JSON cannot say (not a number, a number of thousands of digits) and for a body
    nested deeper than ``MAX_DEPTH``.
    """
    try:
        text = _encode(dict(body))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{_shown(str(key))} cannot be kept as JSON: {error}") from error
    if _deeper_than(MAX_DEPTH, body):
        raise StoreError(f"{_shown(str(key))} cannot be kept: it is nested more than {MAX_DEPTH} levels deep")
    return text


def revise(
    documents: Mapping[Key, Document],
    changes: Sequence[Change],
    *,
    latest: int,
    time: float,
    author: str,
    reason: str = "",
    expect: int | None = None,
) -> tuple[Mapping[Key, Document], Revision | None]:
    """
    What ``documents``, which are at revision ``latest``, become at ``time`` (seconds since the epoch), and the
    revision that this is; ``None`` where nothing changes.

    Where several changes name one document the last one counts. A body that reads as it did before (spelled out,
    order of keys included) and expires when it did, and the deletion of what is not there are no change. A replaced
    document keeps its place in the order of creation.

    Raises ``RevisionConflict`` when ``expect`` is not ``latest``, ``StoreError`` for a document no store can keep.
    """
    if expect is not None and expect != latest:
        raise RevisionConflict(expect, latest)
    wanted = {change.key: change for change in changes}
    number = latest + 1
    pairs: list[tuple[Document | None, Document | None]] = []
    revised = dict(documents)
    for key, change in wanted.items():
        before = documents.get(key)
        after = _revised(before, change, number, time)
        if after is before:
            continue
        pairs.append((before, after))
        if after is None:
            del revised[key]
        else:
            revised[key] = after
    if not pairs:
        return documents, None
    return revised, Revision(number, time, _shown(author), _shown(reason), tuple(pairs))


def _revised(before: Document | None, change: Change, number: int, time: float) -> Document | None:
    if not isinstance(change, Put):
        return None
    text = body_text(change.key, change.body)
    if before is not None and before.expires == change.expires and body_text(before.key, before.body) == text:
        return before
    # Read back, so that a caller who goes on to change what it passed does not change what is kept.
    body = json.loads(text)
    if before is not None:
        return evolve(before, body=body, revision=number, updated=time, expires=change.expires)
    if _shown(str(change.key)) != str(change.key):
        raise StoreError(f"{_shown(str(change.key))} cannot be a name: it is not Unicode text")
    return Document(change.key, body, number, number, time, time, expires=change.expires)


def _deeper_than(limit: int, body: Mapping[str, Json]) -> bool:
    level: list[Json] = list(body.values())
    for _ in range(limit):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return False
    return True


def _inside(value: Json) -> Iterable[Json]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _shown(text: str) -> str:
    """The text with what no file could hold (half a surrogate pair, from a JSON escape) spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()
