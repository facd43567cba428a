"""Notices that files have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

# Time of the last change in nanoseconds, size, inode. ``None``: the file is not there, or not to be seen.
_State: TypeAlias = tuple[int, int, int] | None


class FileWatch:
    """
    Calls ``changed()`` when one of ``paths`` is no longer what it was when the watch was made, or when ``changed`` was
    last called: written to, replaced, removed, there again. It looks every ``interval`` seconds, and waits until it
    has found the same twice, so that nobody reads a file that is half written.

    So make the watch before the files are read, and no change is missed. (A look costs a few microseconds a file; the
    kernel's notifications know nothing of network file systems, and little of the links that containers swap.)
    """

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, paths: Iterable[Path], changed: Callable[[], None], interval: float = 0.5
    ) -> None:
        self._paths = tuple(paths)
        self._changed = changed
        self._interval = interval
        self._known = self._seen = self._look()
        self._polling = LoopingCall(self._poll)
        self._polling.clock = clock

    def start(self) -> None:
        """Begin to look. What changed while nobody looked counts too. Does nothing on a watch that goes on."""
        if not self._polling.running:
            self._polling.start(self._interval, now=False)

    def stop(self) -> None:
        """Look no more, until it is started again."""
        if self._polling.running:
            self._polling.stop()

    def _poll(self) -> None:
        before, self._seen = self._seen, self._look()
        if self._seen == before and self._seen != self._known:
            self._known = self._seen
            with self._log.failuresHandled("A changed file could not be taken over"):
                self._changed()

    def _look(self) -> tuple[_State, ...]:
        return tuple(_state(path) for path in self._paths)


def _state(path: Path) -> _State:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
