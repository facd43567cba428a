"""Lines on their way to a server, some at a time, tried again where it fails, and never too many."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure


class Transmitter(Protocol):
    """Where lines go."""

    def send(self, lines: deque[bytes]) -> Deferred[None]:
        """
        Send ``lines`` and take out what was sent. It fails with what is left in them. It is not called again before it
        has fired, and raises nothing.
        """
        ...

    def close(self) -> None:
        """Free what is held: there will be nothing to send for some time."""
        ...


@frozen
class BatchSettings:
    """
    ``size`` lines are a batch, and so is what waits when none came for ``inactive`` seconds or the first came
    ``duration`` seconds ago. A batch that could not be sent is tried ``retries`` times more, ``retry_delay`` seconds
    after each failure, and then dropped. ``most_bytes`` is what may wait, all batches together.
    """

    name: str
    size: int
    inactive: float
    duration: float
    retries: int
    retry_delay: float
    most_bytes: int


@define(eq=False)
class _Batch:
    lines: deque[bytes]
    size: int
    count: int
    failures: int = 0


@define(eq=False)
class Batches:
    """
    Batches are sent one after another, so that lines arrive in their order. ``entries`` and ``waiting`` are how many
    lines and bytes are here now; ``dropped`` counts the lines that there was no room for.
    """

    _clock: IReactorTime
    _transmitter: Transmitter
    _settings: BatchSettings
    _log: Callable[[str, str], None]
    entries: int = field(init=False, default=0)
    waiting: int = field(init=False, default=0)
    dropped: int = field(init=False, default=0)
    _filling: deque[bytes] = field(init=False, factory=deque)
    _filled: int = field(init=False, default=0)
    _first: float = field(init=False, default=0.0)
    _last: float = field(init=False, default=0.0)
    _due: deque[_Batch] = field(init=False, factory=deque)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _busy: bool = field(init=False, default=False)
    _working: bool = field(init=False, default=False)
    _refusing: bool = field(init=False, default=False)
    _closed: bool = field(init=False, default=False)

    def push(self, line: bytes, most: int | None = None) -> None:
        """Have ``line`` sent, unless ``most`` lines are waiting already."""
        if self.waiting + len(line) > self._settings.most_bytes or (most is not None and self.entries >= most):
            self._drop()
            return
        self._refusing = False
        now = self._clock.seconds()
        if not self._filling:
            self._first = now
        self._last = now
        self._filling.append(line)
        self._filled += len(line)
        self.waiting += len(line)
        self.entries += 1
        if len(self._filling) >= self._settings.size or self._closed:
            self.flush()
        elif self._timer is None:
            self._set_timer()

    def flush(self) -> None:
        """Have what waits sent now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._filling:
            self._due.append(_Batch(self._filling, self._filled, len(self._filling)))
            self._filling, self._filled = deque(), 0
        self._work()

    def close(self) -> None:
        """Have what waits sent now, and close the transmitter then. What comes later is sent at once."""
        self._closed = True
        self.flush()

    def _drop(self) -> None:
        """A server that is away does not fill our log as well."""
        self.dropped += 1
        if not self._refusing:
            self._refusing = True
            name = self._settings.name
            self._log("error", f"Batch Processor[{name}] max pending entries limit exceeded. discarding entry")

    def _set_timer(self) -> None:
        wait = self._ready_at() - self._clock.seconds()
        self._timer = self._clock.callLater(max(wait, 0.0), self._on_timer)

    def _ready_at(self) -> float:
        return min(self._last + self._settings.inactive, self._first + self._settings.duration)

    def _on_timer(self) -> None:
        self._timer = None
        if self._clock.seconds() >= self._ready_at():
            self.flush()
        else:
            self._set_timer()

    def _work(self) -> None:
        if self._working:
            return
        self._working = True
        while self._due and not self._busy:
            self._busy = True
            sending = self._transmitter.send(self._due[0].lines)
            sending.addCallbacks(self._sent, self._failed)
        self._working = False
        if self._closed and not self._due:
            self._transmitter.close()

    def _sent(self, _: None) -> None:
        self._done()

    def _failed(self, failure: Failure) -> None:
        batch, name = self._due[0], self._settings.name
        batch.failures += 1
        self._log("error", f"Batch Processor[{name}] failed to process entries: {failure.getErrorMessage()}")
        if batch.failures <= self._settings.retries and batch.lines:
            self._clock.callLater(self._settings.retry_delay, self._again)
            return
        # The number in brackets is APISIX's: how often it was tried.
        tried = f"exceeded the max_retry_count[{batch.failures}] dropping the entries"
        self._log("error", f"Batch Processor[{name}] {tried}")
        self._done()

    def _again(self) -> None:
        self._busy = False
        self._work()

    def _done(self) -> None:
        batch = self._due.popleft()
        self.waiting -= batch.size
        self.entries -= batch.count
        self._busy = False
        self._work()
