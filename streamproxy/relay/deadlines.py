"""Many deadlines of the same length, with one timer: starting and calling off one costs a dictionary entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall

from .seams import Reactor

T = TypeVar("T")


class Deadlines(Generic[T]):
    """
    Calls ``expired(item)`` for each item ``seconds`` after it was added and not removed. Because all wait equally long
    the oldest is always first, and only it needs a timer.
    """

    __slots__ = ("_expired", "_items", "_reactor", "_seconds", "_timer")

    def __init__(self, reactor: Reactor, seconds: float, expired: Callable[[T], None]) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._expired = expired
        self._items: dict[T, float] = {}
        self._timer: IDelayedCall | None = None

    def add(self, item: T) -> None:
        """Start the item's time; an item that is in already starts anew."""
        self._items.pop(item, None)
        self._items[item] = self._reactor.seconds() + self._seconds
        if self._timer is None:
            self._timer = self._reactor.callLater(self._seconds, self._tick)

    def remove(self, item: T) -> None:
        """Call it off. Does nothing for an item that is not in."""
        self._items.pop(item, None)

    def rest(self) -> None:
        """Leave no timer behind, if there is nothing to wait for."""
        if self._timer is not None and not self._items:
            self._timer.cancel()
            self._timer = None

    def __len__(self) -> int:
        return len(self._items)

    def _tick(self) -> None:
        # Set until the end, so that an expiry that adds starts no second timer.
        now = self._reactor.seconds()
        due = []
        wait: float | None = None
        for item, deadline in self._items.items():
            if deadline > now:
                wait = deadline - now
                break
            due.append(item)
        for item in due:
            # An earlier one's expiry may have called off a later one.
            if self._items.pop(item, None) is not None:
                self._expired(item)
        if wait is None and self._items:
            wait = self._seconds
        self._timer = None if wait is None else self._reactor.callLater(wait, self._tick)
