"""The rows of the SQLite store: documents and revisions, written and read within a transaction of the caller's."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import astuple

from ...interfaces import Pending, Revision
from ...model import Document, Key
from .changeset import body_text

# The message of the ``sqlite3.DatabaseError`` raised for a row that none of us wrote.
DAMAGED = "a document in it cannot be read"

_STAMPS = ("created_revision", "revision", "created", "updated", "expires")
_DOCUMENT_COLUMNS = f"dialect, kind, id, body, {', '.join(_STAMPS)}"
_LARGEST = 2**63 - 1


def latest_revision(connection: sqlite3.Connection) -> int:
    """The number of the newest revision; 0 where nothing was written yet."""
    (number,) = connection.execute("SELECT coalesce(max(number), 0) FROM revision").fetchone()
    return int(number)


def read_documents(connection: sqlite3.Connection, known: Mapping[Key, Document]) -> dict[Key, Document]:
    """All documents in order of creation. Those in ``known`` that were not written since are taken from there."""
    rows = connection.execute(f"SELECT {_DOCUMENT_COLUMNS} FROM document ORDER BY position")  # noqa: S608
    documents = {}
    for dialect, kind, id_, body, *stamps in rows:
        key = Key(dialect, kind, id_)
        held = known.get(key)
        if held is None or [getattr(held, name) for name in _STAMPS] != stamps:
            held = Document(key, _parsed(body), **dict(zip(_STAMPS, stamps, strict=True)))
        documents[key] = held
    return documents


def write_revision(connection: sqlite3.Connection, revision: Revision, history: int) -> None:
    """Do what the revision says, and keep the newest ``history`` revisions."""
    connection.execute(
        "INSERT INTO revision (number, time, author, reason) VALUES (?, ?, ?, ?)",
        (revision.number, revision.time, revision.author, revision.reason),
    )
    for position, (before, after) in enumerate(revision.changes):
        name = astuple(_key(before, after))
        connection.execute(
            "INSERT INTO change (revision, position, dialect, kind, id, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (revision.number, position, *name, _kept(before), _kept(after)),
        )
        if after is None:
            connection.execute("DELETE FROM document WHERE (dialect, kind, id) = (?, ?, ?)", name)
            continue
        body = body_text(after.key, after.body)
        if before is None:
            connection.execute(
                f"INSERT INTO document ({_DOCUMENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (*name, body, *(getattr(after, stamp) for stamp in _STAMPS)),
            )
        else:
            connection.execute(
                "UPDATE document SET (body, revision, updated, expires) = (?, ?, ?, ?)"
                " WHERE (dialect, kind, id) = (?, ?, ?)",
                (body, after.revision, after.updated, after.expires, *name),
            )
    connection.execute(
        "DELETE FROM revision WHERE number <= ? AND number NOT IN (SELECT revision FROM pending)",
        (revision.number - history,),
    )


def write_pending(connection: sqlite3.Connection, pending: Pending) -> None:
    connection.execute("INSERT INTO pending (revision, deadline) VALUES (?, ?)", (pending.revision, pending.deadline))


def settle(connection: sqlite3.Connection, revisions: Iterable[int]) -> None:
    """They are not pending any more."""
    connection.executemany("DELETE FROM pending WHERE revision = ?", [(number,) for number in revisions])


def read_pending(connection: sqlite3.Connection) -> tuple[Pending, ...]:
    """The oldest first."""
    rows = connection.execute("SELECT revision, deadline FROM pending ORDER BY revision")
    return tuple(Pending(int(number), float(deadline)) for number, deadline in rows)


def read_revisions(connection: sqlite3.Connection, limit: int, before: int | None) -> tuple[Revision, ...]:
    """The newest first, those below ``before`` where given; any integers will do."""
    below = _LARGEST if before is None else max(min(before, _LARGEST), 0)
    rows = connection.execute(
        "SELECT number, time, author, reason, dialect, kind, id, before, after"
        " FROM (SELECT * FROM revision WHERE number < ? ORDER BY number DESC LIMIT ?)"
        " JOIN change ON change.revision = number ORDER BY number DESC, position",
        (below, max(min(limit, _LARGEST), 0)),
    )
    revisions = []
    for (number, time, author, reason), changes in itertools.groupby(rows, key=lambda row: row[:4]):
        pairs = tuple((_past(Key(*row[4:7]), row[7]), _past(Key(*row[4:7]), row[8])) for row in changes)
        revisions.append(Revision(number, time, author, reason, pairs))
    return tuple(revisions)


def _key(before: Document | None, after: Document | None) -> Key:
    document = after or before
    assert document is not None  # noqa: S101
    return document.key


def _kept(document: Document | None) -> str | None:
    """A state of a document, for the history."""
    if document is None:
        return None
    stamps = {name: getattr(document, name) for name in _STAMPS}
    return json.dumps({**stamps, "body": document.body}, separators=(",", ":"))


def _past(key: Key, kept: str | None) -> Document | None:
    if kept is None:
        return None
    fields = _parsed(kept)
    try:
        return Document(key, **fields)
    except TypeError:
        raise sqlite3.DatabaseError(DAMAGED) from None


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise sqlite3.DatabaseError(DAMAGED)
    return value
