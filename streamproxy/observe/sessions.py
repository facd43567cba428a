"""The live sessions of a process, and the last that ended."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

from ..interfaces import LiveSession, SessionWatcher
from ..model import Ended, Ending, ListenAddress

# How many ended sessions are remembered.
RECENT = 1000


class Course(NamedTuple):
    """The way a session takes, as far as it is known: names of a snapshot's, and the label of the node."""

    listener: ListenAddress
    route: str | None
    upstream: str | None
    node: str | None


class Shown(LiveSession, Protocol):
    """A session that goes on, over TCP or of datagrams."""

    @property
    def course(self) -> Course:
        """Where it goes."""
        ...


class House(Protocol):
    """Where sessions live that the table does not hold itself."""

    def __iter__(self) -> Iterator[Shown]: ...

    def find(self, session_id: str) -> Shown | None:
        """The live session of that id."""
        ...


class Live(Shown, Protocol):
    """A session that goes on."""

    number: int

    @property
    def listener(self) -> ListenAddress:
        """Where its client came in."""
        ...

    @property
    def bytes_in(self) -> int:
        """What was relayed from the client to the target so far."""
        ...

    @property
    def bytes_out(self) -> int:
        """What was relayed from the target to the client so far."""
        ...


class Tally:
    """
    Counts of one listener; they only grow, but for ``sessions``. ``refused`` are connections that became none, by the
    limit they met.
    """

    __slots__ = ("_clients", "accepted", "bytes_in", "bytes_out", "ended", "refused", "sessions")

    def __init__(self) -> None:
        self.sessions = 0
        self.accepted = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.ended: Counter[Ending] = Counter()
        self.refused: dict[str, int] = {}
        self._clients: dict[str, int] = {}

    def came(self, client: str) -> None:
        """A session of this client address began."""
        self._clients[client] = self._clients.get(client, 0) + 1

    def left(self, client: str) -> None:
        """It is over, or turned out to be somebody else's."""
        left = self._clients[client] - 1
        if left:
            self._clients[client] = left
        else:
            del self._clients[client]

    def began(self, client: str) -> None:
        """A session of this client address was accepted."""
        self.sessions += 1
        self.accepted += 1
        self.came(client)

    def over(self, record: Ended) -> None:
        """A session that began is over."""
        self.left(record.facts.peer.host)
        self.sessions -= 1
        self.bytes_in += record.bytes_in
        self.bytes_out += record.bytes_out
        self.ended[record.ending] += 1

    def of_client(self, client: str) -> int:
        """How many sessions this client address has open here."""
        return self._clients.get(client, 0)


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
        self._houses: list[House] = []
        self.watchers: tuple[SessionWatcher, ...] = ()

    def watch(self, watcher: SessionWatcher) -> None:
        """Tell ``watcher`` of what happens, until :meth:`unwatch`. As long as nobody watches, nobody pays."""
        self.watchers = (*self.watchers, watcher)

    def unwatch(self, watcher: SessionWatcher) -> None:
        """Tell it no more."""
        self.watchers = tuple(each for each in self.watchers if each is not watcher)

    def house(self, house: House) -> None:
        """Sessions live there, too."""
        self._houses.append(house)

    def raze(self, house: House) -> None:
        """They do not any more."""
        self._houses.remove(house)

    def everybody(self) -> Iterator[Shown]:
        """All that go on, the datagrams' included. The table must not change meanwhile."""
        return chain(self._live.values(), *self._houses)

    def shown(self, session_id: str) -> Shown | None:
        """The live session of that id, one of datagrams included."""
        found: Shown | None = self.find(session_id)
        for house in self._houses:
            found = house.find(session_id) if found is None else found
        return found

    def began(self, session: Shown) -> None:
        """A session that the table does not hold began."""
        for watcher in self.watchers:
            watcher.opened(session)

    def routed(self, session: Shown) -> None:
        """A session has its node."""
        for watcher in self.watchers:
            watcher.routed(session)

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
        if self.watchers:
            self.began(session)

    def moved(self, session: Live, before: str, client: str) -> None:
        """An open session turned out to be of another client address."""
        if session.number in self._live and before != client:
            self._forget_client(before)
            self._per_client[client] += 1

    def _forget_client(self, client: str) -> None:
        left = self._per_client[client] - 1
        if left > 0:
            self._per_client[client] = left
        else:
            del self._per_client[client]

    def closed(self, session: Live, client: str, record: Ended) -> None:
        """A session that was opened is over."""
        if self._live.pop(session.number, None) is None:
            return
        self._forget_client(client)
        self.ended(record)

    def ended(self, record: Ended) -> None:
        """Remember a session that is over (or never came to be)."""
        self.recent.append(record)
        for listener in self._listeners:
            listener(record)
        for watcher in self.watchers:
            watcher.ended(record)

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
