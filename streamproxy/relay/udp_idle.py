"""When to look at which UDP session again."""

from __future__ import annotations

import math
from typing import Generic, Protocol, TypeVar


class Idler(Protocol):
    """What a wheel holds. ``slot`` belongs to the wheel."""

    slot: int


T = TypeVar("T", bound=Idler)


class IdleWheel(Generic[T]):
    """
    Items by the time they are due, in slots of ``tick`` seconds. An item's traffic does not move it: when it comes up
    it is asked how long it has really been idle, and goes back for the rest. So a datagram costs one timestamp, and a
    tick costs as much as there is in its slot.
    """

    __slots__ = ("_slots", "tick")

    def __init__(self, tick: float) -> None:
        self.tick = tick
        self._slots: dict[int, set[T]] = {}

    def add(self, item: T, due: float) -> None:
        """Never comes up before ``due``."""
        item.slot = math.ceil(due / self.tick)
        self._slots.setdefault(item.slot, set()).add(item)

    def remove(self, item: T) -> None:
        """Does nothing for an item that is not in."""
        items = self._slots.get(item.slot)
        if items is not None:
            items.discard(item)
            if not items:
                del self._slots[item.slot]

    def take_due(self, now: float) -> list[T]:
        """Take out everything due by ``now``."""
        current = math.floor(now / self.tick)
        slots = [slot for slot in self._slots if slot <= current]
        return [item for slot in slots for item in self._slots.pop(slot)]

    def __bool__(self) -> bool:
        return bool(self._slots)
