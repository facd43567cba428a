"""
Why a connection goes where it goes: every route in the order in which it is considered, and why it won or lost.

This decides again, plainly, one route after the other, with nothing of what :mod:`~streamproxy.rules.table` compiled;
so it is the specification of the table too, and slow.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from attrs import frozen

from streamproxy.model import Facts, Match, NamePattern, Network, Order, PatternKind, Route, Routing

from . import regex
from .names import key_of
from .networks import unmapped

MAX_NAMES = 10
"""How many of a route's names are shown."""


class Outcome(enum.Enum):
    """``LOST``: a condition did not hold. ``NOT_REACHED``: an earlier route had won."""

    WON = "won"
    LOST = "lost"
    NOT_REACHED = "not reached"


@frozen
class Condition:
    """
    One condition of a route: the field of its ``Match`` it stands in, what it ``wants`` and what it ``saw``, for
    people, and whether it ``held``. ``by`` is the pattern that matched, as the user wrote it, where there are several.
    """

    field: str
    wants: str
    saw: str
    held: bool
    by: str = ""

    def __str__(self) -> str:
        return f"{self.field}: wants {self.wants}, saw {self.saw}"


@frozen
class Considered:
    """One route; ``index`` is its position in the routing. A route without conditions matches everything."""

    route: Route
    index: int
    conditions: tuple[Condition, ...]
    outcome: Outcome

    @property
    def matches(self) -> bool:
        """Does every condition hold, whether the route won or was not reached?"""
        return all(condition.held for condition in self.conditions)

    @property
    def verdict(self) -> str:
        """For people: ``won``, ``lost: ...`` or ``not reached: ...``."""
        broken = "; ".join(str(condition) for condition in self.conditions if not condition.held)
        if self.outcome is Outcome.WON:
            return "won"
        if self.outcome is Outcome.LOST:
            return f"lost: {broken}"
        would = f"would have lost: {broken}" if broken else "would have matched"
        return f"not reached: an earlier one won (it {would})"


@frozen
class Explanation:
    """
    ``considered`` is in order, and holds the ``winner`` where there is one; ``left_out`` routes are not in it.
    """

    order: Order
    considered: tuple[Considered, ...]
    winner: Route | None
    left_out: int


def explain(routing: Routing, facts: Facts, limit: int = 1000) -> Explanation:
    """
    ``routing`` is one that ``Table.compile`` takes. ``limit`` bounds the routes shown; the winner is always shown.
    Raises ``ValueError`` for an expression that RE2 refuses.
    """
    limit = max(limit, 1)
    order = _in_order(routing, facts.name)
    won = next((place for place, index in enumerate(order) if _matches(routing.routes[index].match, facts)), None)
    shown = list(range(min(len(order), limit)))
    if won is not None and won >= limit:
        shown[-1] = won
    considered = []
    for place in shown:
        route = routing.routes[order[place]]
        considered.append(Considered(route, order[place], tuple(_conditions(route.match, facts)), _outcome(place, won)))
    winner = None if won is None else routing.routes[order[won]]
    return Explanation(routing.order, tuple(considered), winner, len(order) - len(shown))


def _outcome(place: int, won: int | None) -> Outcome:
    if won is None or place < won:
        return Outcome.LOST
    return Outcome.WON if place == won else Outcome.NOT_REACHED


def _in_order(routing: Routing, name: str | None) -> list[int]:
    indices = range(len(routing.routes))
    if routing.order is Order.FIRST:
        return list(indices)
    return sorted(indices, key=lambda index: _precedence(routing.routes[index].match.names, name))


def _precedence(patterns: tuple[NamePattern, ...], name: str | None) -> tuple[int, int]:
    """Of a route with these names, in order ``SPECIFIC``; the lowest goes first."""
    if not patterns:
        return 3, 0
    ranks = {PatternKind.EXACT: 0, PatternKind.SUFFIX: 1}
    found = [
        (ranks.get(pattern.kind, 2), -len(key_of(pattern))) for pattern in patterns if _name_matches(pattern, name)
    ]
    return min(found, default=(4, 0))


def _name_matches(pattern: NamePattern, name: str | None) -> bool:
    if name is None:
        return False
    if pattern.kind is PatternKind.EXACT:
        return name == key_of(pattern)
    if pattern.kind is PatternKind.SUFFIX:
        text = key_of(pattern)
        return name.endswith(text) and len(name) > len(text)
    return pattern.kind is PatternKind.ANY or regex.matches(pattern.text, name)


def _lies_in(host: str, network: Network) -> bool:
    try:
        address = IPv6Address(host.partition("%")[0]) if ":" in host else IPv4Address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in unmapped(network)


def _matches(match: Match, facts: Facts) -> bool:
    return all(condition.held for condition in _conditions(match, facts))


def _conditions(match: Match, facts: Facts) -> Iterator[Condition]:
    if match.names:
        yield _on_name(match.names, facts.name)
    if match.remote is not None:
        host = facts.peer.host
        yield Condition("remote", str(match.remote), host, _lies_in(host, match.remote))
    if match.server is not None:
        host = facts.accepted.host
        yield Condition("server", str(match.server), host, _lies_in(host, match.server))
    if match.server_port is not None:
        port = facts.accepted.port
        yield Condition("server_port", str(match.server_port), str(port), port == match.server_port)


def _on_name(patterns: tuple[NamePattern, ...], name: str | None) -> Condition:
    by = next((pattern.source for pattern in patterns if _name_matches(pattern, name)), None)
    wants = ", ".join(pattern.source for pattern in patterns[:MAX_NAMES])
    if len(patterns) > MAX_NAMES:
        wants += f" and {len(patterns) - MAX_NAMES} more"
    saw = "no name" if name is None else name
    return Condition("names", wants, saw, by is not None, by or "")
