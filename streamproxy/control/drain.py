"""Ending sessions not all at once, so that their clients do not all come back at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from attrs import define
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ..model import Ending

# How often it is looked whether the last session has gone (seconds).
LOOK = 0.1
# How often it is said how many are left (seconds).
PROGRESS = 5.0
# The part of the time to end in which the sessions are ended that did not end by themselves.
LAST_PART = 0.25


class Ends(Protocol):
    """A session."""

    def kill(self, ending: Ending, detail: str = "") -> None:
        """End it now; does nothing when it is over."""
        ...


def moments(count: int, over: float, random: Callable[[], float]) -> Iterator[float]:
    """
    When (in seconds) each of ``count`` is to happen within ``over`` seconds: evenly spread, each at random within its
    share of the time. ``random`` answers numbers from 0 up to 1. In order.
    """
    share = over / count if count else 0.0
    for number in range(count):
        yield (number + random()) * share


@define
class Drain:
    """Ends sessions within a time."""

    _log = Logger()

    reactor: Any
    random: Callable[[], float]

    def end(self, sessions: Iterable[Ends], over: float, ending: Ending, detail: str) -> Callable[[], None]:
        """End these within ``over`` seconds. Call the answer to end those at once that are left."""
        waiting = list(sessions)
        # The order they are in is that of their age or of their listeners.
        waiting = [session for _, session in sorted(((self.random(), each) for each in waiting), key=_first)]
        due = list(moments(len(waiting), over, self.random))
        begun = self.reactor.seconds()
        waiting.reverse()
        due.reverse()
        timer: IDelayedCall | None = None

        def work() -> None:
            nonlocal timer
            timer = None
            elapsed = self.reactor.seconds() - begun
            while waiting and due[-1] <= elapsed:
                due.pop()
                waiting.pop().kill(ending, detail)
            if waiting:
                # One timer for many: they are rounded up to a hundredth of a second.
                timer = self.reactor.callLater(max(due[-1] - elapsed, 0.01), work)

        def hurry() -> None:
            nonlocal timer
            if timer is not None:
                timer.cancel()
                timer = None
            while waiting:
                waiting.pop().kill(ending, detail)

        if over <= 0:
            hurry()
        else:
            work()
        return hurry

    def wait(self, left: Callable[[], Sequence[Ends]], seconds: float, ending: Ending, detail: str) -> Deferred[None]:
        """
        Wait until nothing is ``left``, ``seconds`` at most; in the last part of them end one after the other what is.
        """
        if not left():
            return succeed(None)
        begun = self.reactor.seconds()
        self._log.info("waiting up to {seconds:g} s for {count} sessions to end", seconds=seconds, count=len(left()))
        done: Deferred[None] = Deferred()
        hurry: Callable[[], None] | None = None
        told = begun

        def look() -> None:
            nonlocal hurry, told
            now = self.reactor.seconds()
            elapsed, open_ = now - begun, left()
            if not open_ or elapsed >= seconds:
                if hurry is not None:
                    hurry()
                for session in left():
                    session.kill(ending, detail)
                done.callback(None)
                return
            if hurry is None and elapsed >= seconds * (1 - LAST_PART):
                self._log.info("{count} sessions are still open: they are ended now", count=len(open_))
                hurry = self.end(open_, max(seconds - elapsed, 0.0), ending, detail)
            if now - told >= PROGRESS:
                told = now
                remaining = max(seconds - elapsed, 0.0)
                self._log.info(
                    "{count} sessions are still open, for up to {seconds:.0f} s", count=len(open_), seconds=remaining
                )
            self.reactor.callLater(min(LOOK, max(seconds - elapsed, 0.0)), look)

        look()
        return done


def _first(pair: tuple[float, Ends]) -> float:
    return pair[0]
