"""The live sessions of a process, and the last that ended."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ..model import Ended, Ending

# How many ended sessions are remembered.
RECENT = 1000


class Live(Protocol):
    """A session that goes on."""

    number: int

    def kill(self, ending: Ending, detail: str = "") -> None:
        """End it now."""
        ...


class Tally:
    """Counts of one listener; they only grow, but for ``sessions``."""

    __slots__ = ("accepted", "bytes_in", "bytes_out", "ended", "sessions")

    def __init__(self) -> None:
        self.sessions = 0
        self.accepted = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.ended: Counter[Ending] = Counter()


class SessionTable:
    """
    Who is connected. ``listeners`` (of ended sessions) are called with each record; one that raises would hurt the
    session's end, so they must not.
    """

    def __init__(self, prefix: str, recent: int = RECENT) -> None:
        self._prefix = prefix
        self._number = 0
        self._live: dict[int, Live] = {}
        self._per_client: Counter[str] = Counter()
        self.recent: deque[Ended] = deque(maxlen=recent)
        self._listeners: list[Callable[[Ended], None]] = []

    def observe(self, listener: Callable[[Ended], None]) -> None:
        """From now on, tell ``listener`` of each ended session."""
        self._listeners.append(listener)

    def next_number(self) -> int:
        """A number no session of this process had before."""
        self._number += 1
        return self._number

    def id_of(self, number: int) -> str:
        """The session's name for people and logs: unique across restarts."""
        return f"{self._prefix}-{number:x}"

    def next_id(self) -> str:
        """The name of a session that this table does not hold (a datagram session is its listener's)."""
        return self.id_of(self.next_number())

    def find(self, session_id: str) -> Live | None:
        """The live session of that id."""
        prefix, _, number = session_id.rpartition("-")
        try:
            return self._live.get(int(number, 16)) if prefix == self._prefix else None
        except ValueError:
            return None

    def opened(self, session: Live, client: str) -> None:
        """A session began for this client address."""
        self._live[session.number] = session
        self._per_client[client] += 1

    def closed(self, session: Live, client: str, record: Ended) -> None:
        """A session that was opened is over."""
        if self._live.pop(session.number, None) is None:
            return
        left = self._per_client[client] - 1
        if left > 0:
            self._per_client[client] = left
        else:
            del self._per_client[client]
        self.ended(record)

    def ended(self, record: Ended) -> None:
        """Remember a session that is over (or never came to be)."""
        self.recent.append(record)
        for listener in self._listeners:
            listener(record)

    def of_client(self, client: str) -> int:
        """How many sessions this client address has open."""
        return self._per_client.get(client, 0)

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Live]:
        return iter(tuple(self._live.values()))

    def latest(self) -> Sequence[Ended]:
        """The remembered records, oldest first."""
        return tuple(self.recent)
