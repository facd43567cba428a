"""Splicing: a direction in bulk between two sockets goes through a pipe in the kernel, and never comes to Python."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
from typing import TYPE_CHECKING, Protocol

from attrs import define

from .socket_leg import SocketLeg

if TYPE_CHECKING:
    from ..interfaces import Leg

# What a pipe holds, where the kernel lets us have that much: the more, the fewer turns for the same bytes. An
# unprivileged user has 64 of these before the kernel gives smaller ones (pipe-user-pages-soft, pipe(7)).
PIPE_SIZES = (1 << 20, 1 << 18)
DEFAULT_PIPE = 1 << 16

# Pipes of a process. Whoever finds none goes on copying.
MOST_PIPES = 64
# The share of the descriptor limit that they may take: a pipe is two.
DESCRIPTOR_SHARE = 1 / 16
# Empty pipes that are kept for the next direction.
KEPT_PIPES = 16

# A direction that brings no more than this (bytes) so many times in a row is a conversation again.
SMALL = 8192
SMALL_TURNS = 16


class Moved(Protocol):
    """Whose bytes they are: counts them."""

    moved: int


@define(eq=False)
class Pipe:
    """A pipe of the kernel's: two descriptors, and how many bytes it takes."""

    reading: int
    writing: int
    size: int

    @classmethod
    def open(cls) -> Pipe:
        """Raises ``OSError`` when there are no descriptors left."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for wanted in PIPE_SIZES:
            with contextlib.suppress(OSError):
                return cls(reading, writing, fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, wanted))
        return cls(reading, writing, DEFAULT_PIPE)

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)


class Pipes:
    """
    The pipes of a process: ``most`` at a time. Empty ones are used again; the last that is given back takes those that
    are kept with it, so that nothing is left open for nobody.
    """

    __slots__ = ("_free", "_most", "_used")

    def __init__(self, most: int | None = None) -> None:
        self._most = _affordable() if most is None else most
        self._free: list[Pipe] = []
        self._used = 0

    def join(self, source: Leg, sink: Leg, count: Moved) -> bool:
        """
        Let what ``source`` brings go straight to ``sink`` from now on, as long as it is much. False: they are not two
        sockets, or there is no pipe to be had. The source tells its end, and either leg its loss, as ever.
        """
        if not (isinstance(source, SocketLeg) and isinstance(sink, SocketLeg)) or source.flow is not None:
            return False
        pipe = self._take()
        if pipe is None:
            return False
        source.flow = sink.feed = Flow(self, pipe, source, sink, count)
        return True

    def give(self, pipe: Pipe, *, empty: bool) -> None:
        """A pipe is not needed any more. What is in it belonged to a session, so only an empty one is kept."""
        self._used -= 1
        if empty and self._used and len(self._free) < KEPT_PIPES:
            self._free.append(pipe)
            return
        pipe.close()
        if not self._used:
            free, self._free = self._free, []
            for kept in free:
                kept.close()

    @property
    def used(self) -> int:
        """How many directions have one."""
        return self._used

    def _take(self) -> Pipe | None:
        if self._used >= self._most:
            return None
        try:
            pipe = self._free.pop() if self._free else Pipe.open()
        except OSError:
            return None
        self._used += 1
        return pipe


class Flow:
    """
    One direction, spliced. Bytes are taken from the source only when the pipe is empty, so that the source waits while
    the sink is congested, as it does when bytes are copied.
    """

    __slots__ = ("_count", "_held", "_over", "_pipe", "_pipes", "_sink", "_small", "_source")

    def __init__(self, pipes: Pipes, pipe: Pipe, source: SocketLeg, sink: SocketLeg, count: Moved) -> None:
        self._pipes = pipes
        self._pipe = pipe
        self._source = source
        self._sink = sink
        self._count = count
        self._held = 0
        self._small = 0
        self._over = False

    def fill(self) -> None:
        """The source has something, or is at its end."""
        if self._held or self._over or self._sink.congested:
            # An event that came too late: the sink has not yet sent what came before.
            return
        pipe = self._pipe
        try:
            size = os.splice(self._source.fileno(), pipe.writing, pipe.size, flags=os.SPLICE_F_NONBLOCK)
        except (BlockingIOError, InterruptedError):
            # Woken for nothing, or an urgent byte is next (tcp(7)): past that only recv gets, and until it does the
            # source is there to be read without end. If it is bulk it turns into it again.
            self.stop()
            return
        except OSError as error:
            self.stop()
            self._source.broke(error)
            return
        if not size:
            self.stop()
            self._source.at_end()
            return
        self._held = size
        self._count.moved += size
        if size > SMALL:
            self._small = 0
        else:
            self._small += 1
        self._pour()
        if self._held:
            if not self._over:
                self._source.pause()
                self._sink.watch_writes(True)
        elif self._small >= SMALL_TURNS:
            self.stop()

    def drain(self) -> None:
        """The sink takes more."""
        if self._held:
            self._pour()
        if not self._held and not self._over:
            self._sink.watch_writes(False)
            self._source.resume()

    def stop(self) -> None:
        """Be no more. What is in the pipe is lost, so it is either empty or one of the legs is."""
        if not self._over:
            self._over = True
            self._source.flow = self._sink.feed = None
            self._pipes.give(self._pipe, empty=not self._held)

    def _pour(self) -> None:
        try:
            self._held -= os.splice(self._pipe.reading, self._sink.fileno(), self._held, flags=os.SPLICE_F_NONBLOCK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._sink.refused(error)


def pipes_here() -> Pipes | None:
    """Where the system can splice."""
    return Pipes() if hasattr(os, "splice") else None


def _affordable() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_PIPES
    return max(1, min(MOST_PIPES, int(soft * DESCRIPTOR_SHARE / 2)))
