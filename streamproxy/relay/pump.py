"""The pump: two legs, two directions, back-pressure and half-close. It knows nothing but :class:`Leg`."""

from __future__ import annotations

from collections.abc import Callable

from ..interfaces import Leg
from ..model import Ending


class Half:
    """
    One direction. It hears what its ``source`` leg tells and feeds the ``sink``. ``moved`` counts the bytes taken from
    the source.
    """

    __slots__ = ("_closed", "_pump", "_reset", "finished", "moved", "over", "sink", "source", "twin")

    twin: Half

    def __init__(self, pump: Pump, source: Leg, sink: Leg, closed: Ending, reset: Ending) -> None:
        self._pump = pump
        self.source = source
        self.sink = sink
        self._closed = closed
        self._reset = reset
        self.moved = 0
        self.over = False
        self.finished = False

    def received(self, data: bytes) -> None:
        self.moved += len(data)
        if not self.sink.write(data):
            self.source.pause()

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
        if self.finished:
            return
        self.finished = True
        if not self.sink.can_half_close:
            # The sink could only end in both directions at once.
            self.twin.ended()
        self._pump.half_finished()

    def lost(self, why: str, *, reset: bool) -> None:
        self._pump.stop(self._reset, why)


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
    ending and its detail, once. In user space a direction holds at most what one read brought.
    """

    __slots__ = ("_done", "_ending", "to_client", "to_target")

    def __init__(self, client: Leg, target: Leg, done: Callable[[Ending, str], None]) -> None:
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
        return client, target
