"""A reactor for tests: Twisted's own epoll for descriptors, a clock that only the test moves for time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.task import Clock

# How long a test waits for something that should happen at once, before it says that it did not.
PATIENCE = 10.0


class Loop(Clock):
    """An ``IReactorFDSet`` and ``IReactorTime``. ``until`` turns it until something is true."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll = EPollReactor()

    def addReader(self, reader: Any) -> None:
        self._epoll.addReader(reader)

    def removeReader(self, reader: Any) -> None:
        self._epoll.removeReader(reader)

    def addWriter(self, writer: Any) -> None:
        self._epoll.addWriter(writer)

    def removeWriter(self, writer: Any) -> None:
        self._epoll.removeWriter(writer)

    def turn(self, wait: float = 0.0) -> None:
        """Handle what is ready, waiting ``wait`` seconds at most for something to be."""
        self._epoll.doPoll(wait)

    def until(self, what: Callable[[], object], saying: str) -> None:
        """Turn until ``what()`` is true; fails with ``saying`` if that does not come."""
        end = time.monotonic() + PATIENCE
        while not what():
            if time.monotonic() > end:
                raise AssertionError(f"in {PATIENCE:g} s it did not happen that {saying}")
            self.turn(0.02)

    def settle(self) -> None:
        """Turn until nothing is ready any more."""
        for _ in range(20):
            self.turn(0.002)

    @property
    def descriptors(self) -> int:
        """How many descriptors it watches, its own waker left out."""
        own = {self._epoll.waker} if hasattr(self._epoll, "waker") else set()
        return len({*self._epoll.getReaders(), *self._epoll.getWriters()} - own)

    def close(self) -> None:
        """Free its own descriptors."""
        self._epoll._poller.close()
        waker = getattr(self._epoll, "waker", None)
        if waker is not None:
            waker.connectionLost(None)
