"""The store that is kept in an SQLite file."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, TypeVar, cast

from twisted.internet import defer
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ...errors import StoreError
from ...interfaces import Loaded, Pending, Revision
from ...model import Change
from .store_file import StoreFile
from .watchers import Watchers

S = TypeVar("S")
T = TypeVar("T")

_log = Logger()

# How often, in seconds, other processes' writes are looked for; what that costs is a few microseconds.
POLL_INTERVAL = 1.0


class Reactor(Protocol):
    """What the store wants of a reactor."""

    running: bool

    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> None: ...  # noqa: A002

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any) -> IDelayedCall: ...  # noqa: A002

    def seconds(self) -> float: ...


class SqliteStore:
    """
    An ``interfaces.ConfigStore`` in the file ``path``, which several processes may share. It keeps the last
    ``history`` revisions; ``clock`` gives seconds since the epoch.

    While the reactor runs, all work on the file is done in one thread (of ``threadpool`` where one is given, which is
    then its owner's to stop), so that a slow disk stalls no connection. Before and after, it is done at once and the
    Deferreds have fired: listeners are bound before the reactor starts. The file is made and opened by the first call.

    ``busy_timeout`` is how many seconds a write waits for another process's. Unless it ``polls``, what other processes
    write is seen after :meth:`look` only.
    """

    def __init__(
        self,
        path: str,
        reactor: Reactor,
        *,
        clock: Callable[[], float] = time.time,
        history: int = 1000,
        threadpool: ThreadPool | None = None,
        busy_timeout: float = 5.0,
        polls: bool = True,
    ) -> None:
        self._file = StoreFile(path, clock=clock, history=history, busy_timeout=busy_timeout)
        self._reactor = reactor
        self._given_pool = threadpool
        self._own_pool: ThreadPool | None = None
        # The thread and the calls before and after the reactor's run may meet while it stops.
        self._lock = threading.Lock()
        self._watchers = Watchers()
        self._told: int | None = None
        self._poll_trouble = ""
        self._polling: LoopingCall | None = None
        self._closed = False
        self._polls = polls

    def load(self) -> defer.Deferred[Loaded]:
        return self._do(self._file.load, self._tell)

    def commit(
        self,
        changes: Sequence[Change],
        *,
        author: str,
        reason: str = "",
        expect: int | None = None,
        confirm_by: float | None = None,
        settles: Collection[int] = (),
    ) -> defer.Deferred[Loaded]:
        commit = functools.partial(
            self._file.commit,
            tuple(changes),
            author=author,
            reason=reason,
            expect=expect,
            confirm_by=confirm_by,
            settles=tuple(settles),
        )
        return self._do(commit, self._tell)

    def pending(self) -> defer.Deferred[tuple[Pending, ...]]:
        return self._do(self._file.pending)

    def revisions(self, limit: int = 50, before: int | None = None) -> defer.Deferred[tuple[Revision, ...]]:
        return self._do(lambda: self._file.revisions(limit, before))

    def watch(self, changed: Callable[[Loaded], None]) -> None:
        """``changed`` is also called within two seconds after another process has written to the file."""
        self._watchers.add(changed)
        if self._polls and self._polling is None and not self._closed:
            self._polling = LoopingCall(self._poll)
            self._polling.clock = cast(IReactorTime, self._reactor)
            self._polling.start(POLL_INTERVAL, now=False)

    def look(self) -> defer.Deferred[None]:
        """See at once what other processes have written."""
        return self._poll()

    def close(self) -> defer.Deferred[None]:
        """After what is under way. A second call does nothing."""
        if self._closed:
            return defer.succeed(None)
        if self._polling is not None:
            self._polling.stop()
        if not self._reactor.running:
            # What a thread still has to do comes first, though nobody can be told of it any more.
            self._stop_thread()
        closing = self._do(self._file.close)
        self._closed = True
        self._watchers.clear()
        return closing.addBoth(self._stopped)

    def _do(self, job: Callable[[], T], done: Callable[[T], None] | None = None) -> defer.Deferred[T]:
        """
        ``done`` is called even when the caller has cancelled its Deferred by then: what was written was written.
        """
        if self._closed:
            return defer.fail(StoreError(f"{self._file.path}: the store is closed"))
        if not self._reactor.running:
            return defer.execute(self._do_now, job, done)
        answer: defer.Deferred[T] = defer.Deferred()

        def finished(success: bool, result: Any) -> None:
            self._reactor.callFromThread(self._answer, answer, done, success, result)

        self._pool().callInThreadWithCallback(finished, self._alone, job)
        return answer

    def _do_now(self, job: Callable[[], T], done: Callable[[T], None] | None) -> T:
        result = self._alone(job)
        if done is not None:
            done(result)
        return result

    def _alone(self, job: Callable[[], T]) -> T:
        with self._lock:
            return job()

    @staticmethod
    def _answer(answer: defer.Deferred[T], done: Callable[[T], None] | None, success: bool, result: Any) -> None:
        if not success:
            answer.errback(result)
            return
        if done is not None:
            done(result)
        answer.callback(result)

    def _pool(self) -> ThreadPool:
        if self._given_pool is not None:
            return self._given_pool
        if self._own_pool is None:
            self._own_pool = ThreadPool(0, 1, "streamproxy-store")
            # A store that nobody closed must not keep the process from ending.
            self._own_pool.threadFactory = functools.partial(threading.Thread, daemon=True)  # type: ignore[assignment]
            self._own_pool.start()
        return self._own_pool

    def _stopped(self, result: S) -> S:
        self._stop_thread()
        return result

    def _stop_thread(self) -> None:
        pool, self._own_pool = self._own_pool, None
        if pool is not None:
            pool.stop()

    def _tell(self, loaded: Loaded) -> None:
        if self._told is None:
            self._told = self._file.first_revision
        if loaded.revision != self._told:
            self._told = loaded.revision
            self._watchers.tell(loaded)

    def _poll(self) -> defer.Deferred[None]:
        return self._do(self._file.poll, self._tell).addCallbacks(self._poll_worked, self._poll_failed)

    def _poll_worked(self, _: Loaded) -> None:
        self._poll_trouble = ""

    def _poll_failed(self, failure: Failure) -> None:
        trouble = failure.getErrorMessage()
        if trouble != self._poll_trouble:
            self._poll_trouble = trouble
            _log.error("Changes of other processes are not seen: {trouble}", trouble=trouble)
