"""The access log: one line for each ended session."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ..model import Ended
from .logformat import compile_format
from .tcpevent import ServiceLookup

STANDARD_OUTPUT = "-"

# Lines are written out when this many characters wait, or when the first has waited ``flush_interval``.
FLUSH_AT = 65_536
# What may wait for a disk or a reader that takes nothing; lines beyond it are lost.
MOST_WAITING = 1_048_576
# Seconds until a pipe that was full is looked at again: its reader may empty it many times in a ``flush_interval``.
FULL_PIPE_RETRY = 0.02

_STDOUT = 1
_NEWLINE = ord("\n")


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> object: ...


class Clock(Protocol):
    """Whatever calls ``function()`` in ``seconds``: a Twisted reactor does."""

    def callLater(self, seconds: float, function: Callable[[], object], /) -> Timer: ...


class AccessLog:
    """
    Writes to the file ``path``, or to standard output where it is ``-``; ``format`` and ``escape`` are what
    ``compile_format`` takes, and raise ``ValueError`` as they do there.

    Nothing that goes wrong while writing is raised: ``problem`` says in words what is wrong now (``None``: nothing),
    it is tried again every ``flush_interval`` seconds, and ``lost`` counts the lines that there was no room to keep
    until then. A reader of a pipe that does not read delays nobody.
    """

    def __init__(
        self,
        path: str,
        format: str,  # noqa: A002 - as in the configuration
        clock: Clock,
        *,
        service: ServiceLookup | None = None,
        escape: str = "default",
        flush_interval: float = 1.0,
    ) -> None:
        self._line = compile_format(format, service, escape)
        # Absolute, since a daemon changes its directory before it writes the first line.
        self._path = None if path == STANDARD_OUTPUT else str(Path(path).absolute())
        self._name = self._path or "standard output"
        self._clock = clock
        self._flush_interval = flush_interval
        self._descriptor: int | None = None
        self._identity = (0, 0)
        self._is_file = False
        self._lines: list[str] = []
        self._waiting = 0
        self._rest = b""
        self._cut = False
        self._timer: Timer | None = None
        self._stopped = False
        self.lost = 0
        self.problem: str | None = None

    def start(self) -> None:
        """Open the file, so that what is wrong with it shows before the first session has ended."""
        self.flush()

    def write(self, record: Ended) -> None:
        """Log an ended session."""
        if self._waiting >= MOST_WAITING or self._stopped:
            self.lost += 1
            return
        line = self._line(record)
        self._lines.append(line)
        self._waiting += len(line) + 1
        if self._timer is None:
            self._set_timer(self._flush_interval)
        # What could not be written is tried again when it is time, not for each session.
        if self._waiting >= FLUSH_AT and not self._rest:
            self.flush()

    def flush(self) -> None:
        """Write out what waits, as far as it can be."""
        if self._stopped:
            return
        if self._lines:
            self._rest += "".join(f"{line}\n" for line in self._lines).encode("utf-8", "backslashreplace")
            self._lines.clear()
        waited = len(self._rest)
        retry = self._flush_interval
        try:
            if not self._write_rest(self._open()):
                retry = FULL_PIPE_RETRY
            stuck = 0 < waited == len(self._rest)
            self.problem = f"{self._name}: its reader does not read" if stuck else None
        except OSError as error:
            self.problem = f"{self._name}: {error.strerror or error}"
            self._close()
        self._waiting = len(self._rest)
        if self._rest:
            self._set_timer(retry)

    def reopen(self) -> None:
        """Go on in a new file of the same name: the old one was moved away."""
        self.flush()
        self._close()
        self.flush()

    def stop(self) -> None:
        """Write out what waits and close the file; what cannot be written now is lost. Later lines are too."""
        if self._stopped:
            return
        self.flush()
        self._stopped = True
        self.lost += self._rest.count(b"\n")
        self._rest = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._close()

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.flush()

    def _open(self) -> int:
        if self._descriptor is None:
            if self._path is None:
                descriptor = _STDOUT
            else:
                # Without O_NONBLOCK, opening a named pipe would wait for its reader.
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
                descriptor = os.open(self._path, flags, 0o640)
            found = os.fstat(descriptor)
            self._is_file = stat.S_ISREG(found.st_mode)
            self._descriptor = descriptor
            identity, self._identity = self._identity, (found.st_dev, found.st_ino)
            if self._cut and self._identity != identity:
                # What waits begins with the end of a line whose beginning is in another file.
                self._rest = self._rest[self._rest.index(b"\n") + 1 :]
                self._cut = False
                self.lost += 1
        return self._descriptor

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None and descriptor != _STDOUT:
            # A network file system may complain here, too late for us to do anything.
            with suppress(OSError):
                os.close(descriptor)

    def _write_rest(self, descriptor: int) -> bool:
        """
        Write what was encoded; False where the descriptor takes no more now. Raises ``OSError``. What was not written
        is still in ``_rest``.
        """
        waiting = memoryview(self._rest)
        written = 0
        try:
            while written < len(waiting):
                if self._is_file:
                    end = len(waiting)
                elif _is_ready(descriptor):
                    end = self._end_of_chunk(written)
                else:
                    return False
                written += os.write(descriptor, waiting[written:end])
        except BlockingIOError:
            return False
        finally:
            if written:
                self._cut = waiting[written - 1] != _NEWLINE
                self._rest = self._rest[written:]
        return True

    def _end_of_chunk(self, start: int) -> int:
        """
        How far to write to what may be a pipe: one that is ready takes this much and does not block, though it was not
        made for that (standard output is shared, its modes are not ours to change). Whole lines where possible, since
        others may write there too.
        """
        most = start + select.PIPE_BUF
        return self._rest.rfind(b"\n", start, most) + 1 or most


def _is_ready(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
