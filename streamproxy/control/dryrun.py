"""What a change would do to what runs: pure comparisons of two snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from attrs import define, field, frozen

from ..interfaces import Rerouted
from ..model import Ended, ListenAddress, Listener, Order, Route, Routing, Snapshot, Transport, Upstream
from ..rules import Table

T = TypeVar("T")

# How many listeners, routes and sessions are named.
MOST_NAMED = 200
MOST_EXAMPLES = 10

BEGINS, CHANGES, ENDS = "begins", "changes", "ends"


@frozen
class Moved:
    """Of ``sessions`` so many would go ``elsewhere``; of so many it is ``unknown``."""

    sessions: int
    elsewhere: int
    unknown: int
    examples: tuple[Rerouted, ...]


def listeners(before: Snapshot, after: Snapshot) -> tuple[tuple[str, str], ...]:
    """The listeners that are not the same in both, each with what becomes of it."""
    old = {listener.address: listener for listener in before.listeners}
    new = {listener.address: listener for listener in after.listeners}
    return tuple(_bounded((str(address), word) for address, word in _differing(old, new)))


def routes(before: Snapshot, after: Snapshot) -> tuple[tuple[str, str], ...]:
    """The routes that are not the same in both, where they lead included, each with what becomes of it."""
    return tuple(_bounded(_differing(_routes(before), _routes(after))))


def moved(before: Snapshot, after: Snapshot, records: Iterable[Ended]) -> Moved:
    """
    Which of the sessions that ended would have gone elsewhere. What plugins would say is not asked: it is where the
    routes lead that is compared.
    """
    old, new = _World(before), _World(after)
    elsewhere = unknown = sessions = 0
    examples: list[Rerouted] = []
    for record in records:
        was = old.place(record)
        if was is None:
            # Its listener is not there any more, so it does not matter where it would be sent.
            continue
        sessions += 1
        would_be = new.place(record)
        if would_be is not None and new.asks_for_more(old, record):
            unknown += 1
        elif would_be is None or would_be.nodes != was.nodes:
            elsewhere += 1
            if len(examples) < MOST_EXAMPLES:
                after_words = "nowhere: nothing would listen there" if would_be is None else would_be.words
                examples.append(Rerouted(record, was.words, after_words))
    return Moved(sessions, elsewhere, unknown, tuple(examples))


@frozen
class _Place:
    """Where a session goes: in words, and what makes it the same place."""

    words: str
    nodes: frozenset[str]


@define
class _World:
    """A snapshot, compiled as far as it is asked."""

    snapshot: Snapshot
    _tables: dict[str, Table] = field(factory=dict)
    _listeners: dict[ListenAddress, Listener] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._listeners.update((listener.address, listener) for listener in self.snapshot.listeners)

    def place(self, record: Ended) -> _Place | None:
        """``None``: nothing listens where its client came in."""
        listener = self._listeners.get(record.facts.listener)
        if listener is None:
            return None
        route = self._table(listener).decide(record.facts).route
        if route is None:
            return _Place("nowhere: no route matches", frozenset())
        upstream = self.snapshot.upstreams.get(route.upstream)
        nodes = frozenset() if upstream is None else frozenset(node.label for node in upstream.nodes if node.weight)
        return _Place(f"{route.id} ({', '.join(sorted(nodes)) or 'no node'})", nodes)

    def asks_for_more(self, other: _World, record: Ended) -> bool:
        """Does it decide by a name that the ``other`` one did not look for?"""
        address = record.facts.listener
        if record.facts.name is not None or address.transport is Transport.UDP:
            return False
        return self._reads_names(address) and not other._reads_names(address)

    def _reads_names(self, address: ListenAddress) -> bool:
        listener = self._listeners[address]
        return bool(listener.sniff & self._table(listener).needs)

    def _table(self, listener: Listener) -> Table:
        table = self._tables.get(listener.routing)
        if table is None:
            table = self._tables[listener.routing] = Table.compile(self.snapshot.routings[listener.routing])
        return table


def _routes(snapshot: Snapshot) -> dict[str, tuple[Order, Route, Sequence[Upstream | None]]]:
    found: dict[str, tuple[Order, Route, Sequence[Upstream | None]]] = {}
    for routing in snapshot.routings.values():
        for route in routing.routes:
            found[_name(routing, route, found)] = (routing.order, route, _leads_to(snapshot, route))
    return found


def _name(routing: Routing, route: Route, taken: Mapping[str, object]) -> str:
    """One route may stand in several routings."""
    return route.id if route.id not in taken else f"{route.id} in {routing.name}"


def _leads_to(snapshot: Snapshot, route: Route) -> list[Upstream | None]:
    return [snapshot.upstreams.get(name) for name in route.leads_to]


def _differing(old: Mapping[T, object], new: Mapping[T, object]) -> Iterator[tuple[T, str]]:
    for key, value in new.items():
        if key not in old:
            yield key, BEGINS
        elif old[key] is not value and old[key] != value:
            yield key, CHANGES
    for key in old:
        if key not in new:
            yield key, ENDS


def _bounded(found: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    count = 0
    for item in found:
        count += 1
        if count <= MOST_NAMED:
            yield item
    if count > MOST_NAMED:
        yield f"and {count - MOST_NAMED} more", CHANGES
