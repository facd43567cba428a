"""What a plugin is, what it is asked, and what it may answer. Whoever writes one needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

from attrs import field, frozen
from prometheus_client import CollectorRegistry

from ..errors import Problem
from ..model import Ended, Facts, Key, PluginUse, Route
from ..rules.variables import variable


@frozen
class Visit:
    """
    A session that has its route and no node yet. ``window`` is what its client has said so far and will be relayed
    (a datagram's session: its first datagram), ``complete`` that it will say no more. ``variables`` is what plugins
    before this one found out.
    """

    facts: Facts
    route: Route
    window: bytes = b""
    complete: bool = False
    variables: Mapping[str, str] = field(factory=dict)

    def variable(self, name: str) -> str | None:
        """One of nginx's variables, or of the plugins'; ``None`` where this session has none of that name."""
        return variable(name, self.facts, self.route, self.variables)


@frozen
class Go:
    """
    The session goes on, after ``delay`` seconds. ``variables`` are added to the session's. ``upstream`` is the id of
    the upstream to use in place of the route's, one of :attr:`~streamproxy.model.PluginUse.upstreams`. ``release`` is
    called once, when the session is over, however it ends.
    """

    delay: float = 0.0
    variables: Mapping[str, str] = field(factory=dict)
    upstream: str | None = None
    release: Callable[[], None] | None = None


@frozen
class Reject:
    """The session is closed without a byte. ``code`` is the status in metrics and logs, ``why`` is for people."""

    code: int
    why: str


@frozen
class More:
    """
    Ask again when the client has said ``at_least`` so many bytes, or will say no more: then :attr:`Visit.complete` is
    set and this is no answer.
    """

    at_least: int


Verdict: TypeAlias = Go | Reject | More
GO = Go()


class Gate(Protocol):
    """
    One use of a plugin, made ready. It lives as long as its place and configuration do, through other changes, so
    what it counts survives them.
    """

    def admit(self, visit: Visit) -> Verdict:
        """Called in the reactor's thread for each session, and must not block. What it raises rejects the session."""
        ...

    def ended(self, record: Ended) -> None:
        """
        A session is over: one that ``admit`` was asked about, or that another plugin rejected before it could be.
        """
        ...

    def close(self) -> None:
        """It is not in use any more, though sessions that it admitted may still end."""
        ...


@frozen
class Place:
    """
    Where a gate stands: the route's id for people and its document; ``upstreams`` and ``inherited`` as in
    ``PluginUse``.
    """

    route: str
    document: Key | None = None
    name: str = ""
    service: str = ""
    upstreams: Mapping[str, str] = field(factory=dict)
    inherited: bool = False

    @classmethod
    def of(cls, route: Route, use: PluginUse) -> Place:
        """Where ``use``, one of the route's, stands."""
        return cls(route.id, route.document, route.name, route.service, use.upstreams, use.inherited)

    @property
    def route_id(self) -> str:
        """The id of the route's document, as its author gave it."""
        return self.route if self.document is None else self.document.id


@frozen
class Host:
    """
    What a plugin may use. ``reactor`` is Twisted's; ``now`` is seconds since the epoch; ``random`` a number in [0, 1);
    ``metadata`` gives what was configured for all uses of a plugin (APISIX's ``plugin_metadata``), by its name;
    ``log`` writes a line to the process's log (level ``debug``, ``info``, ``warn`` or ``error``); ``registry`` is where
    metrics are registered that are to be scraped.
    """

    reactor: Any
    now: Callable[[], float]
    random: Callable[[], float]
    metadata: Callable[[str], Mapping[str, Any]]
    log: Callable[[str, str], None]
    registry: CollectorRegistry


@frozen
class UpstreamReference:
    """
    A place in a plugin's configuration that leads to an upstream: ``path`` there, and the id of an upstream object or
    an upstream of its own (as APISIX writes one).
    """

    path: str
    target: str | Mapping[str, Any]


class Plugin(Protocol):
    """
    ``priority``: those with a greater one are asked first. ``schema`` is the JSON schema of its configuration,
    ``metadata_schema`` of what is configured for all its uses, ``encrypted`` names the fields that are sealed before
    they are stored (``a.b`` for one within another).
    """

    name: str
    version: float
    priority: int
    schema: Mapping[str, Any]
    metadata_schema: Mapping[str, Any]
    encrypted: tuple[str, ...]

    def problems(self, conf: Mapping[str, Any]) -> Iterable[Problem]:
        """What is wrong with a configuration that its schema has nothing against."""
        ...

    def references(self, conf: Mapping[str, Any]) -> Iterable[UpstreamReference]:
        """The upstreams the configuration leads to."""
        ...

    def gate(self, conf: Mapping[str, Any], place: Place, host: Host) -> Gate:
        """Make one use ready. ``conf`` has been checked; defaults are not filled in."""
        ...
