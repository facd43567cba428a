"""The pump: two legs, two directions, back-pressure and half-close. It knows nothing but :class:`Leg`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..interfaces import Leg
from ..model import Ending

# What comes in reads so full (bytes), so many with less than one more's worth between each two, is no conversation: it
# may be relayed in a way that costs more to set up and less to run.
BULK_READ = 65536
BULK_READS = 4


class Joiner(Protocol):
    """Knows how two legs can be joined so that bytes in bulk pass by the pump."""

    def join(self, source: Leg, sink: Leg, count: Half) -> bool:
        """
        From now on move what ``source`` brings to ``sink`` and add it to ``count.moved``; everything but the bytes is
        told as before. The two keep the order: of what ``sink`` was given before, of the source's end after.
        """
        ...


class Half:
    """
    One direction. It hears what its ``source`` leg tells and feeds the ``sink``. ``moved`` counts the bytes taken from
    the source.
    """

    __slots__ = ("_bulk", "_closed", "_mark", "_pump", "_reset", "finished", "moved", "over", "sink", "source", "twin")

    twin: Half

    def __init__(self, pump: Pump, source: Leg, sink: Leg, closed: Ending, reset: Ending) -> None:
        self._pump: Pump | _Over = pump
        self.source = source
        self.sink = sink
        self._closed = closed
        self._reset = reset
        self.moved = 0
        self._bulk = 0
        self._mark = 0
        self.over = False
        self.finished = False

    def received(self, data: bytes) -> None:
        size = len(data)
        self.moved += size
        if not self.sink.write(data):
            self.source.pause()
        if size >= BULK_READ:
            self._gush(size)

    def _gush(self, size: int) -> None:
        """A full read. Is it one of many?"""
        self._bulk = self._bulk + 1 if self.moved - self._mark < size + BULK_READ else 1
        self._mark = self.moved
        if self._bulk >= BULK_READS:
            self._bulk = 0
            self._pump.join(self)

    def inject(self, data: bytes) -> None:
        """Relay what was taken from the source before there was a sink. The source goes on if the sink keeps up."""
        self.moved += len(data)
        if self.sink.write(data):
            self.source.resume()
        else:
            self.source.pause()

    def drained(self) -> None:
        # Told by our source about what the other direction wrote to it.
        twin = self.twin
        if twin.over:
            twin.flushed()
        else:
            twin.source.resume()

    def ended(self) -> None:
        if self.over:
            return
        self.over = True
        self._pump.first_end(self._closed)
        if self.sink.finish():
            self.flushed()

    def flushed(self) -> None:
        """All that the source said is with the sink's peer's kernel, or on the way there, its end included."""
        if self.finished or self._pump is OVER:
            return
        self.finished = True
        if not self.sink.can_half_close:
            # The sink could only end in both directions at once.
            self.twin.ended()
        self._pump.half_finished()

    def lost(self, why: str, *, reset: bool) -> None:
        self._pump.stop(self._reset, why)

    def let_go(self) -> None:
        """
        Nothing will happen any more: leave no circle of references, which only the garbage collector could free. It
        would run all the time.
        """
        self._pump = OVER
        del self.twin


class _Over:
    """Stands where the pump was, for a call that is still under way."""

    __slots__ = ()

    def first_end(self, ending: Ending) -> None: ...

    def half_finished(self) -> None: ...

    def stop(self, ending: Ending, detail: str = "") -> None: ...

    def join(self, half: Half) -> None: ...


OVER = _Over()


class _Deaf:
    """Hears a leg whose session is over, so that the leg does not keep the session's objects alive."""

    __slots__ = ()

    def received(self, data: bytes) -> None: ...

    def ended(self) -> None: ...

    def drained(self) -> None: ...

    def lost(self, why: str, *, reset: bool) -> None: ...


DEAF = _Deaf()


class Pump:
    """
    Relays between two started legs until both directions are over or one leg breaks, then calls ``done`` with the
    ending and its detail, once. In user space a direction holds at most what one read brought. ``joiner`` may take
    over a direction that is in bulk.
    """

    __slots__ = ("_done", "_ending", "_joiner", "to_client", "to_target")

    def __init__(
        self, client: Leg, target: Leg, done: Callable[[Ending, str], None], joiner: Joiner | None = None
    ) -> None:
        self._joiner = joiner
        self._done: Callable[[Ending, str], None] | None = done
        self._ending: Ending | None = None
        self.to_target = Half(self, client, target, Ending.CLIENT_CLOSED, Ending.CLIENT_RESET)
        self.to_client = Half(self, target, client, Ending.TARGET_CLOSED, Ending.TARGET_RESET)
        self.to_target.twin = self.to_client
        self.to_client.twin = self.to_target
        client.receiver = self.to_target
        target.receiver = self.to_client

    @property
    def moved(self) -> int:
        """Bytes taken from both legs so far."""
        return self.to_target.moved + self.to_client.moved

    def join(self, half: Half) -> None:
        """A direction is in bulk."""
        if self._joiner is not None:
            self._joiner.join(half.source, half.sink, half)

    def stop(self, ending: Ending, detail: str = "") -> None:
        """End now: both legs are reset."""
        done, self._done = self._done, None
        if done is not None:
            client, target = self._let_go()
            client.abort()
            target.abort()
            done(ending, detail)

    def first_end(self, ending: Ending) -> None:
        """Note who ended first: that is how the session ended."""
        if self._ending is None:
            self._ending = ending

    def half_finished(self) -> None:
        """A direction is over; with the second one, so is the session."""
        if not (self.to_target.finished and self.to_client.finished):
            return
        done, self._done = self._done, None
        if done is not None:
            client, target = self._let_go()
            client.close()
            target.close()
            done(self._ending or Ending.CLIENT_CLOSED, "")

    def _let_go(self) -> tuple[Leg, Leg]:
        client, target = self.to_target.source, self.to_target.sink
        client.receiver = target.receiver = DEAF
        self.to_target.let_go()
        self.to_client.let_go()
        return client, target
