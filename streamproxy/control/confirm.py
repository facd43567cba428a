"""Takes back what nobody confirmed in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

# Seconds between two looks; times to confirm are given in seconds.
INTERVAL = 1.0


class Revertible(Protocol):
    """What is wanted of a configuration."""

    def take_back_overdue(self, now: float) -> Deferred[None] | None: ...


class Confirmation:
    """Looks each second, and tries again where the store could not be written. ``clock``: seconds since the epoch."""

    _log = Logger()

    def __init__(self, reactor: Any, configuration: Revertible, clock: Callable[[], float]) -> None:
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
        taking_back = self._configuration.take_back_overdue(self._clock())
        return None if taking_back is None else taking_back.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self._log.error("what nobody confirmed could not be taken back: {why}", why=failure.getErrorMessage())
