"""Bandwidth: legs that bring no more than they may, because they are paused meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interfaces import Leg, Receiver
from .pump import DEAF

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from ..model import Limits
    from .limits import Crowd
    from .pace import Paces
    from .seams import Reactor

# What is due within this many seconds goes at once: a timer a read would be many timers where there is much bandwidth.
SLACK = 0.02
# And where there is little, what goes at once is worth no more than this (seconds), so that it comes evenly.
SLICE = 0.1
# Who was still, or woken late, may make up for this much (seconds).
CREDIT = 0.25


class Meter:
    """
    How fast one direction of a session may be: ``own`` bytes a second, and together with the client's other sessions
    ``each`` bytes a second, which are booked in ``shared``.
    """

    __slots__ = ("_client", "_due", "_each", "_own", "_shared", "quantum")

    def __init__(self, own: int | None, each: int | None, shared: Paces, client: str, now: float) -> None:
        self._own = own
        self._each = each
        self._shared = shared
        self._client = client
        self._due = now
        slowest = min(rate for rate in (own, each) if rate is not None)
        self.quantum = max(1, int(slowest * SLICE))

    def book(self, size: int, now: float) -> float:
        """Take as long as ``size`` bytes do; when they may go (seconds)."""
        begins = now - CREDIT
        if self._own is not None:
            begins = max(self._due, begins)
            self._due = begins + size / self._own
        if self._each is not None:
            begins = max(begins, self._shared.book(self._client, size / self._each, now, CREDIT))
        return begins

    def admits(self, size: int, now: float) -> bool:
        """May a datagram of ``size`` bytes go now? Then it is booked. What is a little early may."""
        soon = now + CREDIT
        if self._own is not None and self._due > soon:
            return False
        if self._each is not None and self._shared.due(self._client, now) > soon:
            return False
        self.book(size, now)
        return True


def meters(limits: Limits, crowd: Crowd, client: str, now: float) -> tuple[Meter, Meter] | None:
    """For what a client sends and for what it gets; ``None`` where nothing bounds them."""
    own, each = limits.bandwidth, limits.bandwidth_per_client
    if own is None and each is None:
        return None
    return Meter(own, each, crowd.inwards, client, now), Meter(own, each, crowd.outwards, client, now)


def valves(
    reactor: Reactor, found: tuple[Meter, Meter] | None, client: Leg, said: int, target: Leg, beyond: int
) -> tuple[Leg, Leg]:
    """
    Both legs, as fast as :func:`meters` says they may be. ``said`` bytes from the client and ``beyond`` from the target
    are about to be relayed already.
    """
    if found is None:
        return client, target
    inwards, outwards = found
    now = reactor.seconds()
    inwards.book(said, now)
    outwards.book(beyond, now)
    return Valve(reactor, client, inwards), Valve(reactor, target, outwards)


class Valve:
    """
    A leg that lets through what another one brings as fast as its meter allows, and what it is given as it is. The
    other one is paused meanwhile, so that what is kept here is no more than one read. Bytes that pass a valve are
    never spliced.
    """

    __slots__ = (
        "_at",
        "_booked",
        "_ended",
        "_held",
        "_leg",
        "_meter",
        "_over",
        "_pouring",
        "_reactor",
        "_stopped",
        "_timer",
        "can_half_close",
        "receiver",
    )

    receiver: Receiver

    def __init__(self, reactor: Reactor, leg: Leg, meter: Meter) -> None:
        self._reactor = reactor
        self._leg = leg
        self._meter = meter
        self._held = b""
        self._at = 0
        # What of it was booked and has to wait for its time.
        self._booked = 0
        self._timer: IDelayedCall | None = None
        self._stopped = False
        self._ended = False
        self._pouring = False
        self._over = False
        self.can_half_close = leg.can_half_close
        leg.receiver = self

    # What the pump calls

    def start(self) -> None:
        self._leg.start()

    def write(self, data: bytes) -> bool:
        return self._leg.write(data)

    def pause(self) -> None:
        self._stopped = True
        self._leg.pause()

    def resume(self) -> None:
        self._stopped = False
        self._pour()

    def finish(self) -> bool:
        return self._leg.finish()

    def close(self) -> None:
        self._shut()
        self._leg.close()

    def abort(self) -> None:
        self._shut()
        self._leg.abort()

    # What the leg tells

    def received(self, data: bytes) -> None:
        self._held = self._held[self._at :] + data if self._held else data
        self._at = 0
        self._pour()

    def ended(self) -> None:
        self._ended = True
        self._pour()

    def drained(self) -> None:
        self.receiver.drained()

    def lost(self, why: str, *, reset: bool) -> None:
        # There is nobody left to keep waiting.
        last, receiver = self._held[self._at :], self.receiver
        self._shut()
        if last:
            receiver.received(last)
        receiver.lost(why, reset=reset)

    # Inside

    def _pour(self) -> None:
        """Pass on what may go now."""
        if self._pouring or self._timer is not None:
            return
        self._pouring = True
        now = self._reactor.seconds()
        while self._held and not self._stopped:
            if not self._booked:
                self._booked = min(len(self._held) - self._at, self._meter.quantum)
                when = self._meter.book(self._booked, now)
                if when > now + SLACK:
                    self._leg.pause()
                    self._timer = self._reactor.callLater(when - now, self._open)
                    break
            start, self._at = self._at, self._at + self._booked
            self._booked = 0
            piece = self._held[start : self._at]
            if self._at == len(self._held):
                self._held, self._at = b"", 0
            self.receiver.received(piece)
        self._pouring = False
        if self._over or self._held or self._stopped:
            return
        if self._ended:
            self._ended = False
            self.receiver.ended()
        else:
            self._leg.resume()

    def _open(self) -> None:
        self._timer = None
        self._pour()

    def _shut(self) -> None:
        """Let go of everybody who could keep the others alive."""
        self._over = True
        self._held, self._at, self._ended = b"", 0, False
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._leg.receiver = self.receiver = DEAF
