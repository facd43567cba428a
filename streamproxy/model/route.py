"""Routing as data: conditions, routes, and what was decided."""

from __future__ import annotations

import enum
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from attrs import frozen

from .document import Key
from .plugin import PluginUse

Network: TypeAlias = IPv4Network | IPv6Network


class PatternKind(enum.Enum):
    """
    ``EXACT``: this very name. ``SUFFIX``: any non-empty run, dots included, then ``text`` (which keeps its leading
    dot where it has one: ``.example.com``). ``REGEX``: an RE2 expression that has to match the whole name. ``ANY``:
    every name, but there has to be one.
    """

    EXACT = "exact"
    SUFFIX = "suffix"
    REGEX = "regex"
    ANY = "any"


@frozen
class NamePattern:
    """A condition on a name. ``source`` is how the user wrote it; names are compared lower-case."""

    kind: PatternKind
    text: str
    source: str


@frozen
class Match:
    """
    Every condition that is there has to hold. ``names``: one of them matches the name the client asked for (no name
    at all matches none). ``remote``, ``server``: the client's address, the address it came in at, lies in the network.
    ``server_port``: the port it came in at. With no condition it matches everything.
    """

    names: tuple[NamePattern, ...] = ()
    remote: Network | None = None
    server: Network | None = None
    server_port: int | None = None


@frozen
class Route:
    """
    ``id`` is unique in its routing and tells people where it stands
    (``otoroshi:tcp-services/pg rules[0]``). ``upstream`` names an upstream of the snapshot; where it is empty, a plugin
    has to name one. ``plugins`` are asked in their order. ``document`` is where the route is from, ``service`` the id
    of the service it leads through, ``name`` what its author calls it (both empty where there is none). With
    ``passthrough`` its sessions are left encrypted by a listener that leaves that to its routes.
    """

    id: str
    match: Match
    upstream: str
    plugins: tuple[PluginUse, ...] = ()
    document: Key | None = None
    service: str = ""
    name: str = ""
    passthrough: bool = False

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The ids of all upstreams that its sessions may be led to, by itself or by its plugins."""
        own = (self.upstream,) if self.upstream else ()
        if not self.plugins:
            return own
        return tuple(dict.fromkeys((*own, *(id_ for use in self.plugins for id_ in use.upstreams.values()))))


class Order(enum.Enum):
    """
    ``FIRST``: the first route in order that matches. ``SPECIFIC``: with a name, routes of the exact name, then of the
    suffixes from the longest to the shortest, then ``ANY``, then those without names; within each, in order.
    (``SPECIFIC`` takes no ``REGEX``: nobody could say how specific one is.)
    """

    FIRST = "first"
    SPECIFIC = "specific"


@frozen
class Routing:
    """A route table before it is compiled. ``name`` is unique in its snapshot."""

    name: str
    order: Order
    routes: tuple[Route, ...]


@frozen
class Decision:
    """``route`` is the one that won, or ``None`` when none matched: the connection is closed."""

    route: Route | None
