"""Ending the sessions that a change of the configuration took the way from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from attrs import define, evolve, frozen
from twisted.logger import Logger

from ..model import (
    Ending,
    Fate,
    ListenAddress,
    Listener,
    ListenerLimits,
    Node,
    Route,
    Routing,
    SessionPolicy,
    Snapshot,
    Upstream,
)
from ..observe.sessions import Course, SessionTable
from .drain import Drain

K = TypeVar("K")
V = TypeVar("V")


@frozen
class Lost:
    """
    What is not in a snapshot as it was in the one before: listeners; routes, by listener and id; upstreams; and nodes
    that an upstream has no more, by its id and their label. That a node was added, or has another weight, is no loss
    to those who are on another one or stay.
    """

    listeners: frozenset[ListenAddress]
    routes: frozenset[tuple[ListenAddress, str]]
    upstreams: frozenset[str]
    nodes: frozenset[tuple[str, str]]

    @classmethod
    def between(cls, before: Snapshot, after: Snapshot) -> Lost:
        old = {listener.address: listener for listener in before.listeners}
        new = {listener.address: listener for listener in after.listeners}
        routes = []
        compared: dict[tuple[str, str], frozenset[str]] = {}
        for address in old.keys() & new.keys():
            names = old[address].routing, new[address].routing
            if names not in compared:
                compared[names] = _routes(before.routings[names[0]], after.routings[names[1]])
            routes += [(address, route) for route in compared[names]]
        common = before.upstreams.keys() & after.upstreams.keys()
        return cls(
            frozenset(_lost(_by_address(before), _by_address(after))),
            frozenset(routes),
            frozenset(_lost(_bare(before.upstreams), _bare(after.upstreams))),
            frozenset(
                (name, label) for name in common for label in _nodes(before.upstreams[name], after.upstreams[name])
            ),
        )

    def __bool__(self) -> bool:
        return bool(self.listeners or self.routes or self.upstreams or self.nodes)

    def took(self, course: Course) -> bool:
        """Is something gone of the way that a session takes?"""
        if course.listener in self.listeners:
            return True
        if course.route is not None and (course.listener, course.route) in self.routes:
            return True
        upstream = course.upstream
        return upstream is not None and (
            upstream in self.upstreams or (course.node is not None and (upstream, course.node) in self.nodes)
        )


def _lost(old: Mapping[K, V], new: Mapping[K, V]) -> set[K]:
    return {key for key, value in old.items() if new.get(key) != value}


def _routes(old: Routing, new: Routing) -> frozenset[str]:
    if old is new:
        return frozenset()
    return frozenset(_lost(_by_id(old), _by_id(new)))


def _by_id(routing: Routing) -> dict[str, Route]:
    return {route.id: evolve(route, name="") for route in routing.routes}


def _by_address(snapshot: Snapshot) -> dict[ListenAddress, Listener]:
    """Without what is for people, and for new sessions only."""
    return {
        each.address: evolve(each, owner="", documents=(), routing="", access=(), limits=ListenerLimits())
        for each in snapshot.listeners
    }


def _bare(upstreams: Mapping[str, Upstream]) -> dict[str, Upstream]:
    """Without what concerns new sessions only."""
    return {
        name: Upstream(name, (), timeouts=upstream.timeouts, hash_key=upstream.hash_key)
        for name, upstream in upstreams.items()
    }


def _nodes(old: Upstream, new: Upstream) -> set[str]:
    if old is new or old.nodes == new.nodes:
        return set()
    left = {_place(node) for node in new.nodes}
    return {node.label for node in old.nodes if _place(node) not in left}


def _place(node: Node) -> Node:
    return evolve(node, weight=1, priority=0)


@define
class Retirement:
    """Does it to the sessions of ``table``."""

    _log = Logger()

    table: SessionTable
    drain: Drain

    def retire(self, before: Snapshot, after: Snapshot, policy: SessionPolicy) -> int:
        """What ran by ``before`` runs by ``after``. How many sessions end for it, now or soon."""
        if policy.fate is Fate.KEEP:
            return 0
        lost = Lost.between(before, after)
        if not lost:
            return 0
        concerned = [session for session in self.table.everybody() if lost.took(session.course)]
        if not concerned:
            return 0
        seconds = after.limits.drain_time if policy.drain_time is None else policy.drain_time
        over = 0.0 if policy.fate is Fate.CLOSE else seconds
        self._log.info(
            "revision {revision} ends {count} sessions within {seconds:g} s",
            revision=after.revision,
            count=len(concerned),
            seconds=over,
        )
        detail = f"its way is not in revision {after.revision} as it was"
        self.drain.end(concerned, over, Ending.DRAINED, detail)
        return len(concerned)
