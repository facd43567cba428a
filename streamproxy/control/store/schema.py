"""The tables of the SQLite store, by version, and the way from each version to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from ...errors import StoreError

Step: TypeAlias = Sequence[str]

# "stpx": tells a store from a database of another program.
APPLICATION_ID = 0x73747078

# ``STEPS[n]`` makes version n + 1 out of version n; version 0 is an empty file. Steps are only ever appended.
STEPS: Sequence[Step] = (
    (
        # The order of ``position`` is the order of creation.
        """
        CREATE TABLE document (
            position INTEGER PRIMARY KEY,
            dialect TEXT NOT NULL,
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            body TEXT NOT NULL,
            created_revision INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            created REAL NOT NULL,
            updated REAL NOT NULL,
            UNIQUE (dialect, kind, id)
        )
        """,
        # The newest row is the revision the documents are at, so there is always one once anything was written.
        """
        CREATE TABLE revision (
            number INTEGER PRIMARY KEY,
            time REAL NOT NULL,
            author TEXT NOT NULL,
            reason TEXT NOT NULL
        )
        """,
        # ``before`` and ``after`` are documents as JSON objects: body, created_revision, revision, created, updated,
        # expires.
        """
        CREATE TABLE change (
            revision INTEGER NOT NULL REFERENCES revision (number) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            dialect TEXT NOT NULL,
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            before TEXT,
            after TEXT,
            PRIMARY KEY (revision, position)
        ) WITHOUT ROWID
        """,
    ),
    # When a document is deleted by itself; NULL: never.
    ("ALTER TABLE document ADD COLUMN expires REAL",),
    # Revisions that are taken back at their deadline, unless they are not in here any more.
    (
        """
        CREATE TABLE pending (
            revision INTEGER PRIMARY KEY REFERENCES revision (number) ON DELETE CASCADE,
            deadline REAL NOT NULL
        )
        """,
    ),
)


def bring_up_to_date(connection: sqlite3.Connection, path: str, steps: Sequence[Step] = STEPS) -> None:
    """
    Make the tables, or bring older ones to the version this program knows: all the way or not at all. The connection
    is in autocommit mode; ``path`` is for messages.

    Raises ``StoreError`` for a database of another program or of a newer version, ``sqlite3.Error`` for the rest.
    """
    if _version(connection, path, len(steps)) == len(steps):
        return
    with transaction(connection, write=True):
        # Again, with the lock in hand: another process may have been quicker.
        for step in steps[_version(connection, path, len(steps)) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")


def _version(connection: sqlite3.Connection, path: str, known: int) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or version or objects):
        raise StoreError(f"{path} is a database of another program: give the store a file of its own")
    if version > known:
        raise StoreError(
            f"{path} was written by a newer streamproxy (schema {version}, this one knows up to {known}): "
            "run that version, or give the store another file"
        )
    return int(version)


@contextmanager
def transaction(connection: sqlite3.Connection, *, write: bool) -> Iterator[None]:
    """
    Everything in it is done or nothing, and what is read is of one moment. With ``write`` the write lock is taken at
    the start: a reader that became a writer half-way could be refused without waiting.
    """
    connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have made SQLite roll back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
