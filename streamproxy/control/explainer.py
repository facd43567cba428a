"""Explains sessions and made-up connections, by what the process knows."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast

from attrs import evolve
from twisted.internet.defer import Deferred, inlineCallbacks, succeed

from ..dialects.native.resources import declared
from ..errors import InvalidConfiguration, Problem
from ..interfaces import Explained
from ..model import (
    Certificate,
    CertificateChoice,
    Change,
    Ended,
    Json,
    ListenAddress,
    ListenerStatus,
    Ongoing,
    Put,
    Snapshot,
    UpstreamStatus,
)
from ..why import Source, Why, World, connection_of, explain_connection, explain_session, shaped
from .configuration import LiveConfiguration

# Deciding again takes some microseconds a route; beyond so many routes it is done in a thread.
MOST_AT_ONCE = 2000


class Certificates(Protocol):
    """Which certificate a name gets; ``objects`` take the place of those of documents."""

    def __call__(
        self, name: str | None, objects: tuple[Certificate, ...] | None = None
    ) -> CertificateChoice: ...


class Explainer:
    """
    ``upstreams`` and ``listeners`` are how they are now. ``in_thread`` calls a function that takes long and reads
    nothing that changes.
    """

    def __init__(
        self,
        configuration: LiveConfiguration,
        upstreams: Callable[[], Sequence[UpstreamStatus]],
        listeners: Callable[[], Sequence[ListenerStatus]],
        certificate_for: Certificates,
        in_thread: Callable[[Callable[[], Any]], Deferred[Any]],
    ) -> None:
        self._configuration = configuration
        self._upstreams = upstreams
        self._listeners = listeners
        self._certificate_for = certificate_for
        self._in_thread = in_thread

    @inlineCallbacks
    def session(self, record: Ended | Ongoing | None) -> Generator[Deferred[Any], Any, Explained | None]:
        """Why it goes where it does; nothing, where it is forgotten."""
        if record is None:
            return None
        snapshot, source = yield self._snapshot(record)
        why = yield self._decided(snapshot, partial(explain_session, self._world(snapshot, source), record))
        return _explained(why)

    @inlineCallbacks
    def question(self, description: Json) -> Generator[Deferred[Any], Any, Explained]:
        """
        Where a made-up connection would go; as ``configuration`` may be what a configuration file has as ``resources``,
        which is then thought of as put beside what there is. Raises ``InvalidConfiguration`` or ``StoreError``.
        """
        connection = connection_of(description)
        given = description.get("configuration") if isinstance(description, dict) else None
        source, problems = Source.CURRENT, tuple[Problem, ...]()
        snapshot = self._configuration.snapshot
        if given is not None:
            source = Source.CANDIDATE
            snapshot, problems = self._configuration.candidate(self._changes(given))
        why = yield self._decided(snapshot, partial(explain_connection, self._world(snapshot, source), connection))
        explained = _explained(why)
        shown = [{"path": each.path, "code": each.code, "message": each.message} for each in problems]
        return Explained({**explained.answer, "problems": shown}, explained.text)

    # Inside

    def _changes(self, given: Json) -> list[Change]:
        found = declared(given, "", self._configuration.vault, self._configuration.plugins)
        if found.problems:
            raise InvalidConfiguration(
                tuple(problem.under("configuration") for problem in map(_without_resources, found.problems))
            )
        return [Put(document.key, document.body) for document in found.documents]

    @inlineCallbacks
    def _snapshot(self, record: Ended | Ongoing) -> Generator[Deferred[Any], Any, tuple[Snapshot, Source]]:
        configuration = self._configuration
        kept = configuration.snapshots.find(record.revision, record.started)
        if kept is not None:
            return kept, Source.PINNED
        address = record.facts.listener
        if any(s.listener.address == address and s.revision == record.revision for s in self._listeners()):
            # No change since then had anything to do with this listener.
            return configuration.snapshot, Source.PINNED
        restored: Snapshot | None = yield configuration.snapshot_at(record.revision)
        if restored is not None:
            return restored, Source.RESTORED
        return configuration.snapshot, Source.CURRENT

    def _world(self, snapshot: Snapshot, source: Source) -> World:
        statuses: Mapping[str, UpstreamStatus] = {each.id: each for each in self._upstreams()}
        listening: Mapping[ListenAddress, ListenerStatus] = {
            each.listener.address: each for each in self._listeners()
        }
        objects = snapshot.certificates if source is Source.CANDIDATE else None
        return World(
            snapshot,
            source,
            statuses.get,
            listening.get,
            lambda name: self._certificate_for(name, objects),
            self._configuration.plugins,
        )

    def _decided(self, snapshot: Snapshot, explain: Callable[[], Why]) -> Deferred[Why]:
        routes = max((len(routing.routes) for routing in snapshot.routings.values()), default=0)
        return cast("Deferred[Why]", self._in_thread(explain)) if routes > MOST_AT_ONCE else succeed(explain())


def _without_resources(problem: Problem) -> Problem:
    """The path as it is seen from where the documents stand."""
    return evolve(problem, path=problem.path.removeprefix("resources").removeprefix("."))


def _explained(why: Why) -> Explained:
    answer = shaped(why)
    return Explained(answer, str(answer["text"]))
