"""The queue of an upstream: who waits until one of its nodes has room for one more session."""

from __future__ import annotations

from itertools import islice
from typing import Protocol

# How many are asked when the first in the queue has no use for what has become free (it has tried that node before).
LOOKED_AT = 4


class Waiting(Protocol):
    """Whoever waits."""

    def your_turn(self) -> bool:
        """
        There may be room. True: there was, and it has left the queue (and may have joined it again). False: not for it.
        Sessions may end meanwhile.
        """
        ...


class Queue:
    """First come, first served."""

    __slots__ = ("_again", "_busy", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[Waiting, None] = {}
        self._busy = False
        self._again = False

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, who: Waiting) -> None:
        """Wait behind everybody else."""
        self._waiting[who] = None

    def leave(self, who: Waiting) -> None:
        """Wait no more. Does nothing for one who does not wait."""
        self._waiting.pop(who, None)

    def advance(self) -> None:
        """There may be room. May be called by those who are told, too."""
        if self._busy:
            self._again = True
            return
        self._busy = True
        try:
            self._again = True
            while self._again and self._waiting:
                self._again = False
                self._serve()
        finally:
            self._busy = False

    def _serve(self) -> None:
        in_vain: list[Waiting] = []
        while True:
            first = islice(self._waiting, LOOKED_AT)
            who = next((each for each in first if each not in in_vain), None)
            if who is None:
                return
            if not who.your_turn():
                in_vain.append(who)
