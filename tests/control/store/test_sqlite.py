"""What only the store in a file promises."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.python.threadpool import ThreadPool

from streamproxy.control.store import schema
from streamproxy.control.store.sqlite import SqliteStore
from streamproxy.errors import StoreError
from streamproxy.interfaces import Loaded, Revision
from streamproxy.model import Delete, Document, Key, Put

from .pumped import PumpedReactor

PG = Key("otoroshi", "tcp-services", "pg")
MYSQL = Key("otoroshi", "tcp-services", "mysql")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def reactor() -> PumpedReactor:
    return PumpedReactor()


@pytest.fixture
def open_store(path: Path, reactor: PumpedReactor) -> Iterator[Callable[..., SqliteStore]]:
    opened: list[SqliteStore] = []

    def open_store(**options: Any) -> SqliteStore:
        store = SqliteStore(str(path), reactor, clock=lambda: 1000.0, **options)
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        reactor.result_of(store.close())


def put(store: SqliteStore, key: Key = PG, port: int = 1) -> Deferred[Loaded]:
    return store.commit([Put(key, {"port": port})], author="ops")


def sql(path: Path, statement: str) -> list[Any]:
    """Do something to the file from outside."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


class TestTheFile:
    def test_what_was_committed_is_there_after_a_restart(
        self, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        first = open_store()
        reactor.result_of(put(first))
        reactor.result_of(first.commit([Put(MYSQL, {"b": 1, "a": [None]}), Delete(PG)], author="ann", reason="moved"))
        held = reactor.result_of(first.load())
        history = reactor.result_of(first.revisions())
        reactor.result_of(first.close())

        second = open_store()

        assert reactor.result_of(second.load()) == held
        assert reactor.result_of(second.revisions()) == history
        assert history[0] == Revision(
            2,
            1000.0,
            "ann",
            "moved",
            (
                (None, Document(MYSQL, {"b": 1, "a": [None]}, 2, 2, 1000.0, 1000.0)),
                (Document(PG, {"port": 1}, 1, 1, 1000.0, 1000.0), None),
            ),
        )

    def test_bodies_stand_in_it_as_json(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        reactor.result_of(open_store().commit([Put(PG, {"z": "\u00e9", "a": 1})], author="ops"))
        assert sql(path, "SELECT body FROM document") == [('{"z":"\\u00e9","a":1}',)]

    def test_it_is_its_owner_s_alone_whatever_the_umask(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        before = os.umask(0)
        try:
            reactor.result_of(put(open_store()))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        finally:
            os.umask(before)
        assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}

    def test_it_is_in_wal_mode_and_every_commit_is_synced(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        store = open_store()
        reactor.result_of(store.load())
        assert sql(path, "PRAGMA journal_mode") == [("wal",)]
        assert store._file._connection is not None
        assert store._file._connection.execute("PRAGMA synchronous").fetchone() == (2,)

    def test_a_name_that_means_something_in_a_uri_is_a_name(self, tmp_path: Path, reactor: PumpedReactor) -> None:
        path = tmp_path / "a?mode=memory#%41.db"
        store = SqliteStore(str(path), reactor)
        reactor.result_of(put(store))
        reactor.result_of(store.close())
        assert [file.name for file in tmp_path.iterdir()] == [path.name]

    def test_old_revisions_leave_the_file(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        store = open_store(history=2)
        for port in range(5):
            reactor.result_of(put(store, port=port))
        assert sql(path, "SELECT number FROM revision") == [(4,), (5,)]
        assert sql(path, "SELECT DISTINCT revision FROM change") == [(4,), (5,)]

    def test_a_history_without_the_newest_revision_is_refused(self, path: Path, reactor: PumpedReactor) -> None:
        with pytest.raises(ValueError, match="the newest one has to be kept"):
            SqliteStore(str(path), reactor, history=0)

    def test_a_daemon_that_changes_its_directory_keeps_its_file(
        self, path: Path, reactor: PumpedReactor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        store = SqliteStore("store.db", reactor)
        monkeypatch.chdir("/")
        reactor.result_of(put(store))
        reactor.result_of(store.close())
        assert path.exists()


class TestThreads:
    def test_before_the_reactor_runs_it_answers_at_once(
        self, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        reactor.running = False
        store = open_store()
        told: list[Loaded] = []
        store.watch(told.append)
        results: list[Loaded] = []
        store.load().addCallback(results.append)
        put(store).addCallback(results.append)
        assert [loaded.revision for loaded in results] == [0, 1]
        assert told == results[1:]

    def test_while_it_runs_nothing_is_done_in_its_thread(
        self, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        reactor.running = False
        store = open_store()
        put(store)
        reactor.running = True
        writing = put(store, port=2)
        assert not writing.called
        assert reactor.result_of(writing).revision == 2

    def test_what_was_begun_before_it_was_closed_is_finished(
        self, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        store = open_store()
        writes = [put(store, port=port) for port in range(5)]
        closing = store.close()
        assert [reactor.result_of(write).revision for write in writes] == [1, 2, 3, 4, 5]
        reactor.result_of(closing)

    def test_what_was_begun_before_the_reactor_stopped_is_written(
        self, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        store = open_store()
        for port in range(5):
            put(store, port=port)
        reactor.running = False
        reactor.result_of(store.close())
        assert reactor.result_of(open_store().load()).revision == 5

    def test_a_thread_pool_that_was_given_is_used_and_left_running(
        self, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        pool = ThreadPool(0, 4)
        pool.start()
        try:
            store = open_store(threadpool=pool)
            writes = [put(store, port=port) for port in range(20)]
            assert sorted(reactor.result_of(write).revision for write in writes) == list(range(1, 21))
            reactor.result_of(store.close())
            assert pool.started
            assert pool.threads, "the work was done in its threads"
        finally:
            pool.stop()

    def test_a_file_opened_before_the_fork_of_a_daemon_is_refused_after_it(
        self, reactor: PumpedReactor, open_store: Callable[..., SqliteStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = open_store()
        reactor.result_of(put(store))
        monkeypatch.setattr(os, "getpid", lambda: -1)
        assert "opened before the process went into the background" in str(reactor.failure_of(put(store, port=2)))


class TestOtherProcesses:
    def test_their_commits_are_told(self, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]) -> None:
        ours, theirs = open_store(), open_store()
        reactor.result_of(put(ours))
        told: list[Loaded] = []
        ours.watch(told.append)

        loaded = reactor.result_of(put(theirs, MYSQL))
        reactor.advance(1)
        reactor.run_until(lambda: bool(told))
        assert told == [loaded]

        for _ in range(3):
            reactor.advance(1)
            reactor.result_of(ours.load())
        assert told == [loaded], "once is enough"

    def test_what_they_did_not_touch_is_the_same_object_as_before(
        self, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        ours, theirs = open_store(), open_store()
        first = reactor.result_of(put(ours))
        reactor.result_of(put(theirs, MYSQL))
        second = reactor.result_of(ours.load())
        assert [document.key for document in second.documents] == [PG, MYSQL]
        assert second.documents[0] is first.documents[0]

    def test_a_commit_builds_on_theirs(self, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]) -> None:
        ours, theirs = open_store(), open_store()
        told: list[Loaded] = []
        reactor.result_of(ours.load())
        ours.watch(told.append)
        reactor.result_of(put(theirs))
        assert str(reactor.failure_of(ours.commit([], author="ops", expect=0))).startswith("the configuration is at")
        loaded = reactor.result_of(put(ours, MYSQL))
        assert [(document.key, document.revision) for document in loaded.documents] == [(PG, 1), (MYSQL, 2)]
        assert told == [loaded]

    def test_a_change_of_theirs_that_a_refused_write_came_upon_is_told(
        self, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        ours, theirs = open_store(), open_store()
        told: list[Loaded] = []
        reactor.result_of(ours.load())
        ours.watch(told.append)
        loaded = reactor.result_of(put(theirs))
        reactor.failure_of(ours.commit([], author="ops", expect=0))
        reactor.advance(1)
        reactor.run_until(lambda: bool(told))
        assert told == [loaded]

    def test_a_write_waits_for_theirs_and_gives_up_in_words(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        store = open_store(busy_timeout=0.01)
        reactor.result_of(put(store))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        error = reactor.failure_of(put(store, port=2))
        assert isinstance(error, StoreError)
        assert str(error) == (
            f"{path}: database is locked: another process keeps writing to it: try again; nothing was changed"
        )
        assert reactor.result_of(store.load()).revision == 1, "reading goes on"
        other.close()
        assert reactor.result_of(put(store, port=2)).revision == 2

    def test_trouble_while_looking_for_them_is_logged_once_and_passes(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        ours, theirs = open_store(), open_store()
        told: list[Loaded] = []
        reactor.result_of(ours.load())
        ours.watch(told.append)
        loaded = reactor.result_of(put(theirs))
        aside = path.with_name("aside.db")
        path.rename(aside)
        with capturedLogs() as events:
            for _ in range(3):
                reactor.advance(1)
                reactor.run_until(lambda: bool(reactor.getDelayedCalls()))
        assert told == []
        errors = [str(event["trouble"]) for event in events if event["log_level"] is LogLevel.error]
        assert len(errors) == 1
        assert f"{path} was removed or replaced while it was in use" in errors[0]

        aside.rename(path)
        reactor.advance(1)
        reactor.run_until(lambda: bool(told))
        assert told == [loaded]

    def test_several_processes_may_begin_the_file_and_write_at_once(self, path: Path) -> None:
        processes = [committer(path, name, 25) for name in ("a", "b", "c")]
        lines = [process.communicate(timeout=120)[0].split("\n")[:-1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0]
        acknowledged = sorted(int(line.split()[0]) for of_one in lines for line in of_one)
        assert acknowledged == list(range(1, 76)), "every write got a revision of its own"


def committer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.control.store.committer", str(path), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("round_", range(3))
def test_every_acknowledged_commit_survives_kill_9(
    path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore], round_: int
) -> None:
    enough = random.randint(1, 60)
    process = committer(path, "a", 10**6)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(enough)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.readlines()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL

    store = open_store()
    loaded = reactor.result_of(store.load())
    kept = {f"{document.revision} {document.key.id}\n" for document in loaded.documents}
    lost = [line for line in acknowledged if line not in kept]
    assert lost == [], f"killed after {enough} of {len(acknowledged)} lines were read"
    assert len(kept) - len(acknowledged) in (0, 1), "at most one commit was made and not acknowledged any more"
    assert reactor.result_of(put(store)).revision == len(kept) + 1, "and the store goes on"


class TestBadFiles:
    def failure(self, reactor: PumpedReactor, store: SqliteStore) -> str:
        error = reactor.failure_of(store.load())
        assert isinstance(error, StoreError), repr(error)
        return str(error)

    def test_one_that_is_no_database(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        path.write_text("port: 80\n" * 100)
        assert self.failure(reactor, open_store()) == (
            f"{path}: file is not a database: move it away to begin with an empty store, or name another file"
        )
        assert path.read_text() == "port: 80\n" * 100

    def test_one_that_is_damaged(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        store = open_store()
        for number in range(50):
            reactor.result_of(store.commit([Put(PG, {"text": "x" * 2000, "number": number})], author="ops"))
        reactor.result_of(store.close())
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))
        assert "malformed: restore it from a backup" in self.failure(reactor, open_store())

    @pytest.mark.parametrize("body", ["{", "[]", "7", "x'00'", "'" + "[" * 100_000 + "'"])
    def test_one_with_a_document_that_is_none(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore], body: str
    ) -> None:
        store = open_store()
        reactor.result_of(put(store))
        reactor.result_of(store.close())
        value = body if body[0] in "x'" else f"'{body}'"
        sql(path, f"UPDATE document SET body = {value}")
        assert self.failure(reactor, open_store()) == (
            f"{path}: a document in it cannot be read: restore it from a backup"
        )

    def test_one_with_a_past_that_cannot_be_read(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        store = open_store()
        reactor.result_of(put(store))
        sql(path, """UPDATE change SET after = '{"stranger": 1}'""")
        assert "a document in it cannot be read" in str(reactor.failure_of(store.revisions()))

    def test_one_of_another_program(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        sql(path, "CREATE TABLE cookies (name TEXT)")
        assert self.failure(reactor, open_store()) == (
            f"{path} is a database of another program: give the store a file of its own"
        )
        assert sql(path, "PRAGMA journal_mode") == [("delete",)], "nothing about it was changed"

    def test_one_of_a_newer_version(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        store = open_store()
        reactor.result_of(put(store))
        reactor.result_of(store.close())
        sql(path, "PRAGMA user_version = 99")
        known = len(schema.STEPS)
        assert self.failure(reactor, open_store()) == (
            f"{path} was written by a newer streamproxy (schema 99, this one knows up to {known}): "
            "run that version, or give the store another file"
        )

    def test_a_directory(self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]) -> None:
        path.mkdir()
        assert self.failure(reactor, open_store()) == (
            f"{path}: unable to open database file: check that it is a file, and the permissions of its directory"
        )

    def test_no_directory_until_there_is_one(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        path.parent.rmdir()
        store = open_store()
        assert self.failure(reactor, store) == (f"{path}: its directory does not exist: make it, or name another file")
        path.parent.mkdir()
        assert reactor.result_of(put(store)).revision == 1

    def test_a_file_in_place_of_its_directory(self, tmp_path: Path, reactor: PumpedReactor) -> None:
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "store.db"
        store = SqliteStore(str(path), reactor)
        assert self.failure(reactor, store) == (
            f"{path} cannot be made (Not a directory): make {path.parent} writable"
        )
        reactor.result_of(store.close())

    def test_one_that_is_full(self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]) -> None:
        store = open_store()
        reactor.result_of(put(store))
        assert store._file._connection is not None
        (pages,) = store._file._connection.execute("PRAGMA page_count").fetchone()
        store._file._connection.execute(f"PRAGMA max_page_count = {pages}")

        error = reactor.failure_of(store.commit([Put(MYSQL, {"text": "x" * 100_000})], author="ops"))

        assert str(error) == (
            f"{path}: database or disk is full: free some space on its file system; nothing was changed"
        )
        store._file._connection.execute("PRAGMA max_page_count = 1000000")
        assert reactor.result_of(store.load()).revision == 1
        assert reactor.result_of(put(store, MYSQL)).revision == 2

    def test_one_that_was_removed_while_in_use_takes_no_write_that_would_be_lost(
        self, path: Path, reactor: PumpedReactor, open_store: Callable[..., SqliteStore]
    ) -> None:
        store = open_store()
        reactor.result_of(put(store))
        path.unlink()
        assert str(reactor.failure_of(put(store, port=2))) == (
            f"{path} was removed or replaced while it was in use: put it back, or restart to use what is there now; "
            "nothing was changed"
        )
        assert not path.exists()


UNWRITABLE = """
import os, sys
from streamproxy.control.store.sqlite import SqliteStore
from streamproxy.model import Key, Put
from tests.control.store.pumped import PumpedReactor
directory, limit = sys.argv[1:]
if limit:
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
if not os.geteuid():
    os.setgid(65534)
    os.setuid(65534)
reactor = PumpedReactor(running=False)
store = SqliteStore(directory + "/store.db", reactor)
print(reactor.failure_of(store.commit([Put(Key("a", "b", "c"), {"text": "x" * 50_000})], author="ops")))
"""


@pytest.mark.parametrize(
    ("mode", "limit", "expected"),
    [
        (0o555, "", "{0}/store.db cannot be made (Permission denied): make {0} writable"),
        (0o777, "20000", "{0}/store.db: disk I/O error: check the disk and its free space, and the kernel's log"),
    ],
    ids=["a read-only directory", "a disk that takes no more"],
)
def test_where_an_unprivileged_process_cannot_write(mode: int, limit: str, expected: str) -> None:
    # Not below the test's own directory: only its owner may enter that.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", UNWRITABLE, directory, limit], capture_output=True, text=True, check=False
        )
        Path(directory).chmod(0o700)
    assert done.stdout == expected.format(directory) + "\n", done.stderr


class TestSchema:
    FIRST = ("CREATE TABLE a (x)",)
    SECOND = ("ALTER TABLE a ADD COLUMN y", "UPDATE a SET y = x + 1")

    @pytest.fixture
    def connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        yield connection
        connection.close()

    def test_each_version_comes_out_of_the_one_before(self, connection: sqlite3.Connection) -> None:
        schema.bring_up_to_date(connection, "store.db", [self.FIRST])
        connection.execute("INSERT INTO a VALUES (1)")
        schema.bring_up_to_date(connection, "store.db", [self.FIRST, self.SECOND])
        assert connection.execute("SELECT x, y FROM a").fetchall() == [(1, 2)]
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)

    def test_a_step_that_fails_leaves_all_as_it_was(self, connection: sqlite3.Connection) -> None:
        schema.bring_up_to_date(connection, "store.db", [self.FIRST])
        with pytest.raises(sqlite3.OperationalError, match="nonsense"):
            schema.bring_up_to_date(connection, "store.db", [self.FIRST, self.SECOND, ("UPDATE nonsense SET x = 1",)])
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert [name for _, name, *_ in connection.execute("PRAGMA table_info(a)")] == ["x"]
