"""The hub: all sockets of an engine on one epoll, of which the reactor sees a single descriptor."""

from __future__ import annotations

import select
from typing import Any, Final, Protocol

from twisted.internet.error import ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure

from .seams import Reactor

# Events taken in one turn of the reactor: its timers and other descriptors wait no longer than these take.
MOST_EVENTS = 256

# How long the hub waits by itself for more, and how often, before the reactor has its turn again. Timers, threads,
# signals and other descriptors end it at once; these are for what a reactor keeps in nothing but its variables.
LONGEST_WAIT = 0.02
MOST_WAITS = 64

_READ: Final = 0x1
_WRITE: Final = 0x4
_READ_OR_WRITE: Final = _READ | _WRITE
# Never asked for and always told: an error (0x8), a hang-up in both directions (0x10).
_HUNG_UP: Final = 0x18

_LOST = Failure(ConnectionLost())


class Descriptor(Protocol):
    """What can be watched. ``fileno`` has to be what it was as long as it is."""

    def fileno(self) -> int: ...

    def doRead(self) -> None: ...

    def doWrite(self) -> None: ...

    def connectionLost(self, reason: Failure) -> None: ...


class Hub:
    """
    Watches descriptors as the reactor does, through the same methods and with the same calls back. What a reactor
    spends on each event (a log context, several layers of calls) is spent here once for all that are ready together.

    An exception that escapes from a descriptor is logged and ends that one (``connectionLost`` is told of it);
    the others do not notice. The epoll is open, and known to the reactor, as long as there is something to watch;
    the first ``add`` raises ``OSError`` when the kernel has no descriptor left for it.
    """

    _log = Logger()

    __slots__ = ("_descriptors", "_dwells", "_epoll", "_events", "_outer", "_reactor", "callLater", "seconds")

    def __init__(self, reactor: Reactor) -> None:
        self._reactor: Any = reactor
        self._outer = _epoll_of(reactor)
        self._dwells = False
        self._epoll: select.epoll | None = None
        self._descriptors: dict[int, Descriptor] = {}
        self._events: dict[int, int] = {}
        self.callLater = reactor.callLater
        self.seconds = reactor.seconds

    def addReader(self, reader: Any) -> None:
        number = reader.fileno()
        if self._epoll is None or number in self._descriptors:
            self._add(reader, _READ)
            return
        # Most often by far, and so without a further call.
        self._epoll.register(number, _READ)
        self._descriptors[number] = reader
        self._events[number] = _READ

    def addWriter(self, writer: Any) -> None:
        self._add(writer, _WRITE)

    def removeReader(self, reader: Any) -> None:
        self._remove(reader, _READ)

    def removeWriter(self, writer: Any) -> None:
        self._remove(writer, _WRITE)

    def __len__(self) -> int:
        return len(self._descriptors)

    # Inside

    def _add(self, descriptor: Descriptor, event: int) -> None:
        number = descriptor.fileno()
        epoll = self._epoll or self._open()
        if self._descriptors.get(number) is descriptor:
            events = self._events[number]
            if not events & event:
                epoll.modify(number, events | event)
                self._events[number] = events | event
            return
        # Any other that had the number was closed, and the kernel forgot it then.
        epoll.register(number, event)
        self._descriptors[number] = descriptor
        self._events[number] = event

    def _remove(self, descriptor: Descriptor, event: int) -> None:
        number = descriptor.fileno()
        epoll = self._epoll
        if epoll is None or self._descriptors.get(number) is not descriptor:
            return
        events = self._events[number]
        left = events & ~event
        if left == events:
            return
        if left:
            epoll.modify(number, left)
            self._events[number] = left
        else:
            # Watched for nothing it would still tell of hang-ups, without end.
            self._forget(epoll, number)

    def _open(self) -> select.epoll:
        epoll = self._epoll = select.epoll()
        self._reactor.addReader(self)
        return epoll

    def _forget(self, epoll: select.epoll, number: int) -> None:
        epoll.unregister(number)
        del self._descriptors[number], self._events[number]
        if not self._descriptors and not self._dwells:
            self._reactor.removeReader(self)
            self._close(epoll)

    def _close(self, epoll: select.epoll) -> None:
        self._epoll = None
        epoll.close()

    def _drop(self, number: int, descriptor: Descriptor, why: Failure) -> None:
        """Watch a descriptor no more, and tell it."""
        if self._epoll is not None and self._descriptors.get(number) is descriptor:
            self._forget(self._epoll, number)
        try:
            descriptor.connectionLost(why)
        except Exception:  # noqa: BLE001 - the other sessions are not to suffer
            self._log.failure("the end of a connection failed")

    # What the reactor calls

    def fileno(self) -> int:
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        return "streamproxy"

    def doRead(self) -> None:
        epoll = self._epoll
        if epoll is None:
            return
        self._handle(epoll.poll(0, MOST_EVENTS))
        outer, epoll = self._outer, self._epoll
        if outer is not None and epoll is not None and self._reactor.running:
            self._dwell(epoll, outer)

    def _dwell(self, epoll: select.epoll, outer: int) -> None:
        """
        Wait for the next events here, without the dozens of calls that each turn of the reactor is, as long as the
        reactor itself has nothing to do: its own epoll is one of the descriptors waited for.
        """
        reactor = self._reactor
        self._dwells = True
        reactor.removeReader(self)
        epoll.register(outer, _READ)
        try:
            for _ in range(MOST_WAITS):
                wait = reactor.timeout()
                if wait is None or wait > LONGEST_WAIT:
                    wait = LONGEST_WAIT
                elif wait <= 0:
                    break
                events = epoll.poll(wait, MOST_EVENTS)
                if not events or self._handle(events, outer):
                    break
        finally:
            self._dwells = False
            if self._descriptors:
                epoll.unregister(outer)
                reactor.addReader(self)
            else:
                self._close(epoll)

    def _handle(self, events: list[tuple[int, int]], outer: int | None = None) -> bool:
        """Tell whom it concerns. True: so it does the reactor."""
        descriptors = self._descriptors
        reactors = False
        for number, event in events:
            # An earlier one may have ended this one; it may even have left its number to another. Whoever is told
            # looks for itself.
            descriptor = descriptors.get(number)
            if descriptor is None:
                reactors = reactors or number == outer
                continue
            try:
                if event & _READ:
                    descriptor.doRead()
                    if event & _WRITE and descriptors.get(number) is descriptor:
                        descriptor.doWrite()
                elif event & _HUNG_UP:
                    self._drop(number, descriptor, _LOST)
                else:
                    descriptor.doWrite()
            except Exception:  # noqa: BLE001 - the other sessions are not to suffer
                self._log.failure("a connection failed")
                self._drop(number, descriptor, Failure())
        return reactors

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops, or has a quarrel with us: who is still there is watched on, should it go on."""
        if self._descriptors:
            self._reactor.addReader(self)


def _epoll_of(reactor: Any) -> int | None:
    """The number of the epoll of a reactor that waits on one, as Twisted's usual one on Linux does."""
    from twisted.internet.epollreactor import EPollReactor

    if type(reactor) is not EPollReactor:
        return None
    return int(reactor._poller.fileno())  # noqa: SLF001 - there is no other way to it


def hub_over(reactor: Reactor) -> Reactor:
    """A hub, or the reactor itself where the kernel has no epoll."""
    return Hub(reactor) if hasattr(select, "epoll") else reactor
