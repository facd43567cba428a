"""The snapshots that were in force lately, so that what they decided can be decided again."""

from __future__ import annotations

from collections import deque

from attrs import define, field, frozen

from ..model import Snapshot

# How many are kept, and how many routes and upstreams they may hold together: each of those takes some 100 bytes of its
# own, and shares the rest with the others.
MOST = 50
MOST_ENTRIES = 400_000


@frozen
class Kept:
    """A snapshot, in force from ``since`` on (seconds since the epoch)."""

    snapshot: Snapshot
    since: float
    size: int


@define(eq=False)
class Snapshots:
    """The last ones, the newest always among them."""

    _kept: deque[Kept] = field(factory=deque)
    _size: int = 0

    def keep(self, snapshot: Snapshot, now: float) -> None:
        """This one is in force."""
        size = len(snapshot.upstreams) + sum(len(routing.routes) for routing in snapshot.routings.values())
        self._kept.append(Kept(snapshot, now, size))
        self._size += size
        while len(self._kept) > 1 and (len(self._kept) > MOST or self._size > MOST_ENTRIES):
            self._size -= self._kept.popleft().size

    def find(self, revision: int, when: float) -> Snapshot | None:
        """
        The one of this revision that was in force at ``when``: a file that is read anew makes another snapshot of the
        same revision.
        """
        of_revision = [kept for kept in self._kept if kept.snapshot.revision == revision]
        before = [kept for kept in of_revision if kept.since <= when]
        chosen = before[-1] if before else next(iter(of_revision), None)
        return None if chosen is None else chosen.snapshot

    def __len__(self) -> int:
        return len(self._kept)
