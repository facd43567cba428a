"""A reactor whose thread is the test: what other threads send to it runs when the test waits for a result."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

T = TypeVar("T")

# Long enough for any disk; only a test that would hang for ever waits it out.
PATIENCE = 60.0


class PumpedReactor(Clock):
    """A clock to advance, and ``callFromThread``. ``running`` is what the test says."""

    def __init__(self, *, running: bool = True) -> None:
        super().__init__()
        self.running = running
        self._calls: queue.Queue[Callable[[], object]] = queue.Queue()

    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> None:  # noqa: A002
        self._calls.put(lambda: callable(*args))

    def result_of(self, deferred: Deferred[T]) -> T:
        """What the Deferred fires with; raises what it fails with."""
        results: list[T | Failure] = []
        deferred.addBoth(results.append)
        self.run_until(lambda: bool(results))
        result = results[0]
        if isinstance(result, Failure):
            result.raiseException()
        return result

    def failure_of(self, deferred: Deferred[Any]) -> Exception:
        """What the Deferred fails with."""
        try:
            result = self.result_of(deferred)
        except Exception as error:  # noqa: BLE001
            return error
        raise AssertionError(f"it did not fail but answered {result!r}")

    def run_until(self, done: Callable[[], bool]) -> None:
        """Run what threads ask for until ``done()``."""
        while not done():
            self._calls.get(timeout=PATIENCE)()
