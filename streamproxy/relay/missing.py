"""Nodes of which the network said lately that they are not there, so that a flood to one does not become a log."""

from __future__ import annotations

from ..balance.member import MemberKey, member_key
from ..model import Ended, Ending, Node

# A session that fails within so many seconds has found out nothing but that.
MOMENT = 1.0
# So many in a row, within so many seconds, and for the rest of these no further session tries.
ENOUGH = 16
MEMORY = 1.0
# Of so many nodes at a time.
MOST_NODES = 4096


class Missing:
    """Which they are. ``now`` is in seconds, on any clock that does not go back."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        # Since when, and how often.
        self._found: dict[MemberKey, tuple[float, int]] = {}

    def note(self, node: Node, record: Ended, now: float) -> None:
        """A session with ``node`` is over."""
        if record.ending is not Ending.CONNECT_FAILED or record.duration > MOMENT:
            return
        key = member_key(node)
        since, count = self._found.get(key, (now, 0))
        if now - since >= MEMORY:
            since, count = now, 0
        if len(self._found) >= MOST_NODES:
            self._found.clear()
        self._found[key] = since, count + 1

    def holds(self, node: Node, now: float) -> bool:
        """Is there no use in trying?"""
        if not self._found:
            return False
        key = member_key(node)
        since, count = self._found.get(key, (now, 0))
        if now - since >= MEMORY:
            self._found.pop(key, None)
            return False
        return count >= ENOUGH
