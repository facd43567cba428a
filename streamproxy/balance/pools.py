"""Pools: the live side of all upstreams. They outlive snapshots, so that an unrelated edit resets nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import define

from ..model import Node, Upstream, UpstreamStatus
from .member import Members
from .pool import Means, Pool


class Watcher(Protocol):
    """Who asks nodes how they are, and acts on what is found."""

    def in_use(self, pool: Pool) -> None:
        """A session came to this upstream for the first time, or what it came to before was changed to this."""
        ...

    def gone(self, upstream_id: str) -> None:
        """An upstream that was in use is no more."""
        ...


class Closer(Protocol):
    """Who can end sessions. It is called in the middle of a report: what it ends should end a moment later."""

    def __call__(self, upstream: Upstream, node: Node) -> None: ...


class Expander(Protocol):
    """Who knows what stands behind nodes that are no places but names of several."""

    def nodes(self, upstream: Upstream) -> tuple[Node, ...]:
        """Those to choose from, as of now. Whoever made the pools is told when they change, until :meth:`forget`."""
        ...

    def forget(self, upstream_id: str) -> None:
        """Nobody wants to know any more."""
        ...


class _AsTheyAre:
    def nodes(self, upstream: Upstream) -> tuple[Node, ...]:
        return upstream.nodes

    def forget(self, upstream_id: str) -> None:
        """There is nothing to remember."""


@define(eq=False)
class _Entry:
    """``earlier`` is for sessions that began before the last change, and still ask."""

    current: Pool
    members: Members
    earlier: Pool | None = None
    used: bool = False


class Pools:
    """Every pool of a process, by upstream id. What is known of a node survives every change that leaves it in."""

    def __init__(self, means: Means = Means()) -> None:
        self._means = means
        self._entries: dict[str, _Entry] = {}
        self._wanted: Mapping[str, Upstream] | None = None
        self._watchers: list[Watcher] = []
        self.closer: Closer = lambda upstream, node: None
        self.expander: Expander = _AsTheyAre()

    def of(self, upstream: Upstream) -> Pool:
        """The pool of this upstream, in the version that is given: a session may have begun before a change."""
        entry = self._entries.get(upstream.id)
        if entry is None:
            members = Members()
            newest = upstream
            if self._wanted is not None:
                if upstream.id not in self._wanted:
                    nodes = self.expander.nodes(upstream)
                    self.expander.forget(upstream.id)
                    return Pool(upstream, members, self._means, nodes=nodes)
                newest = self._wanted[upstream.id]
            entry = self._entries[upstream.id] = _Entry(self._pool(newest, members), members)
        for pool in (entry.current, entry.earlier):
            if pool is not None and (pool.upstream is upstream or pool.upstream == upstream):
                return pool
        entry.earlier = self._pool(upstream, entry.members)
        return entry.earlier

    def keep(self, upstreams: Mapping[str, Upstream]) -> None:
        """These are all there are: follow their changes, and forget the others."""
        self._wanted = upstreams
        for gone in self._entries.keys() - upstreams.keys():
            entry = self._entries.pop(gone)
            self.expander.forget(gone)
            if entry.used:
                for watcher in self._watchers:
                    watcher.gone(gone)
        for name, entry in self._entries.items():
            upstream = upstreams[name]
            if entry.current.upstream is not upstream and entry.current.upstream != upstream:
                self._change(entry, upstream)

    def _change(self, entry: _Entry, upstream: Upstream) -> None:
        was = entry.current
        self.expander.forget(upstream.id)
        self._replace(entry, upstream)
        entry.earlier = was

    def renew(self, upstream_id: str) -> None:
        """What stands behind this upstream's nodes may have changed."""
        entry = self._entries.get(upstream_id)
        if entry is not None and self.expander.nodes(entry.current.upstream) != entry.current.nodes:
            self._replace(entry, entry.current.upstream)
            entry.members.queue.advance()

    def _replace(self, entry: _Entry, upstream: Upstream) -> None:
        entry.current = self._pool(upstream, entry.members)
        entry.members.keep(entry.current.nodes)
        if upstream.checks is None:
            # Nobody would ever find out that a node has recovered.
            entry.members.recover()
        if entry.used:
            entry.current.use()

    def watch(self, watcher: Watcher) -> None:
        """Tell ``watcher`` of the upstreams in use, those that are already and those to come."""
        self._watchers.append(watcher)
        for entry in self._entries.values():
            if entry.used:
                watcher.in_use(entry.current)

    def unwatch(self, watcher: Watcher) -> None:
        """Tell it no more."""
        self._watchers.remove(watcher)

    def status(self, users: Mapping[str, Sequence[str]] = {}) -> tuple[UpstreamStatus, ...]:
        """Every upstream, by id; ``users`` are the documents that lead to each."""
        found = []
        for name, upstream in sorted((self._wanted or {}).items()):
            entry = self._entries.get(name)
            pool = entry.current if entry is not None else Pool(upstream)
            found.append(pool.status(users.get(name, ())))
        return tuple(found)

    def __len__(self) -> int:
        return len(self._entries)

    # Inside

    def _pool(self, upstream: Upstream, members: Members) -> Pool:
        nodes = self.expander.nodes(upstream)
        return Pool(upstream, members, self._means, self._first_used, self._close, nodes)

    def _first_used(self, pool: Pool) -> None:
        entry = self._entries.get(pool.upstream.id)
        if entry is None or pool.members is not entry.members:
            return
        again, entry.used = entry.used, True
        if pool is entry.current or not again:
            for watcher in self._watchers:
                watcher.in_use(entry.current)

    def _close(self, upstream: Upstream, node: Node) -> None:
        self.closer(upstream, node)
