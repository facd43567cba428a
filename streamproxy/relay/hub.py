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

    __slots__ = ("_descriptors", "_epoll", "_events", "_reactor", "callLater", "seconds")

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
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
        if not self._descriptors:
            self._reactor.removeReader(self)
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
        descriptors, epoll = self._descriptors, self._epoll
        if epoll is None:
            return
        for number, event in epoll.poll(0, MOST_EVENTS):
            # An earlier one may have ended this one; it may even have left its number to another. Whoever is told
            # looks for itself.
            descriptor = descriptors.get(number)
            if descriptor is None:
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

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops, or has a quarrel with us: who is still there is watched on, should it go on."""
        if self._descriptors:
            self._reactor.addReader(self)


def hub_over(reactor: Reactor) -> Reactor:
    """A hub, or the reactor itself where the kernel has no epoll."""
    return Hub(reactor) if hasattr(select, "epoll") else reactor
