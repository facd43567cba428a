"""The SQLite file of a store: everything that blocks."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import StoreError
from ...interfaces import Loaded, Pending, Revision
from ...model import Change, Document, Key
from .changeset import revise
from .rows import (
    DAMAGED,
    latest_revision,
    read_documents,
    read_pending,
    read_revisions,
    settle,
    write_pending,
    write_revision,
)
from .schema import bring_up_to_date, transaction

# The beginning of SQLite's message, and what to do about it.
_ADVICE = (
    ("file is not a database", "move it away to begin with an empty store, or name another file"),
    ("database disk image is malformed", "restore it from a backup, or move it and its -wal and -shm files away"),
    ("unable to open database file", "check that it is a file, and the permissions of its directory"),
    ("attempt to write a readonly database", "make the file and its directory writable for this user"),
    ("database or disk is full", "free some space on its file system; nothing was changed"),
    ("database is locked", "another process keeps writing to it: try again; nothing was changed"),
    (DAMAGED, "restore it from a backup"),
    ("disk I/O error", "check the disk and its free space, and the kernel's log"),
)


class StoreFile:
    """
    The file at ``path``, made (mode 0600) and opened by the first call. Calls come one at a time, from any thread,
    and block: for the disk, and up to ``busy_timeout`` seconds for another process that writes.

    Every method raises ``StoreError``, which names the file and what to do.
    """

    def __init__(self, path: str, *, clock: Callable[[], float], history: int, busy_timeout: float) -> None:
        if history < 1:
            raise ValueError(f"a history of {history} revisions: the newest one has to be kept")
        # Absolute, since a daemon changes its directory between here and the first use.
        self.path = str(Path(path).absolute())
        self._clock = clock
        self._history = history
        self._busy_timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._process = 0
        self._version = 0
        self._documents: Mapping[Key, Document] = {}
        self._held: Loaded | None = None
        self.first_revision: int | None = None
        """What the file was at when it was opened."""

    def load(self) -> Loaded:
        with self._open() as connection, transaction(connection, write=False):
            return self._current(connection)

    def poll(self) -> Loaded:
        """The same, for the price of one look at shared memory as long as no other process wrote."""
        with self._open() as connection:
            self._check_in_place()
            if self._held is not None and self._version == _data_version(connection):
                return self._held
            with transaction(connection, write=False):
                return self._current(connection)

    def commit(
        self,
        changes: Sequence[Change],
        *,
        author: str,
        reason: str,
        expect: int | None,
        confirm_by: float | None,
        settles: Collection[int],
    ) -> Loaded:
        """On disk when it returns. Also raises ``RevisionConflict``."""
        with self._open() as connection:
            self._check_in_place()
            with transaction(connection, write=True):
                held = self._current(connection)
                documents, revision = revise(
                    self._documents,
                    changes,
                    latest=held.revision,
                    time=self._clock(),
                    author=author,
                    reason=reason,
                    expect=expect,
                )
                settle(connection, settles)
                if revision is None:
                    return held
                write_revision(connection, revision, self._history)
                if confirm_by is not None:
                    write_pending(connection, Pending(revision.number, confirm_by))
            self._documents = documents
            self._held = Loaded(revision.number, tuple(documents.values()))
            return self._held

    def revisions(self, limit: int, before: int | None) -> tuple[Revision, ...]:
        with self._open() as connection, transaction(connection, write=False):
            return read_revisions(connection, limit, before)

    def pending(self) -> tuple[Pending, ...]:
        with self._open() as connection, transaction(connection, write=False):
            return read_pending(connection)

    def close(self) -> None:
        """Does nothing for a file that is not open."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with self._explained():
                connection.close()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._explained():
            if self._connection is None:
                self._create()
                self._connection = self._connect()
                self._process = os.getpid()
            elif self._process != os.getpid():
                # SQLite's locks do not come along in a fork, though it believes they do.
                raise StoreError(f"{self.path} was opened before the process went into the background: open it after")
            yield self._connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            text = str(error)
            advice = next(
                (advice for start, advice in _ADVICE if text.startswith(start)), "check the file and its disk"
            )
            raise StoreError(f"{self.path}: {text}: {advice}") from error

    def _create(self) -> None:
        directory = Path(self.path).parent
        try:
            # An empty file is an empty database; made here because SQLite would take the umask's mode.
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return
        except FileNotFoundError as error:
            raise StoreError(f"{self.path}: its directory does not exist: make it, or name another file") from error
        except OSError as error:
            raise StoreError(f"{self.path} cannot be made ({error.strerror}): make {directory} writable") from error
        # The name has to survive a power cut as well as what is in it; some file systems cannot promise that.
        with suppress(OSError):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{Path(self.path).as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            # Before anything is written: the file may be somebody else's.
            bring_up_to_date(connection, self.path)
            connection.execute("PRAGMA journal_mode = WAL")
            with transaction(connection, write=False):
                self.first_revision = self._current(connection).revision
            self._identity = self._on_disk()
        except BaseException:
            connection.close()
            raise
        return connection

    def _on_disk(self) -> tuple[int, int] | None:
        try:
            found = Path(self.path).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _check_in_place(self) -> None:
        """What is written to a file without a name is gone at the next start."""
        if self._on_disk() != self._identity:
            raise StoreError(
                f"{self.path} was removed or replaced while it was in use: put it back, or restart to use what is "
                "there now; nothing was changed"
            )

    def _current(self, connection: sqlite3.Connection) -> Loaded:
        """What the file holds, within a transaction."""
        number = latest_revision(connection)
        if self._held is None or self._held.revision != number:
            self._documents = read_documents(connection, self._documents)
            self._held = Loaded(number, tuple(self._documents.values()))
        # Last, so that after a failure the next poll reads again.
        self._version = _data_version(connection)
        return self._held


def _data_version(connection: sqlite3.Connection) -> int:
    """Another number than before: another connection has committed since."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)
