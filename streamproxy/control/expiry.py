"""Deletes the documents whose time is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import RevisionConflict
from ..interfaces import Outcome
from ..model import Change, Delete, Key

# Seconds between two looks; times to live are given in seconds.
INTERVAL = 1.0


class Perishable(Protocol):
    """What is wanted of a configuration."""

    def revision(self) -> int: ...

    def expired(self, now: float) -> tuple[Key, ...]: ...

    def change(
        self, changes: Sequence[Change], *, author: str, reason: str, expect: int | None, force: bool
    ) -> Deferred[Outcome]: ...


class Expiry:
    """
    Looks each second, since a database that several processes share may change under us at any time, and deletes what
    has expired even if something leads to it. ``clock`` gives seconds since the epoch.
    """

    _log = Logger()

    def __init__(self, reactor: Any, configuration: Perishable, clock: Callable[[], float]) -> None:
        self._configuration = configuration
        self._clock = clock
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def start(self) -> None:
        self._looking.start(INTERVAL)

    def stop(self) -> None:
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> Deferred[Any] | None:
        keys = self._configuration.expired(self._clock())
        if not keys:
            return None
        # Whoever renews one of them in the meantime has the last word.
        deleting = self._configuration.change(
            [Delete(key) for key in keys],
            author="streamproxy",
            reason="expired",
            expect=self._configuration.revision(),
            force=True,
        )
        return deleting.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(RevisionConflict) is None:
            self._log.error("expired documents are still there: {why}", why=failure.getErrorMessage())
