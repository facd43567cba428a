"""A routing, compiled: which route a connection takes."""

from __future__ import annotations

from attrs import frozen

from streamproxy.model import Decision, FactKind, Facts, Order, PatternKind, Route, Routing

from .names import NameIndex
from .networks import NEVER, Group, group, is_conditional, lowest

_NOBODY = Decision(None)
_NAMES = frozenset({FactKind.SNI, FactKind.HTTP_HOST})


@frozen(eq=False, repr=False)
class Table:
    """
    Decides for the connections of a listener. Never changes: a connection may keep the table it was accepted with.

    ``needs`` are the facts that cost something to learn and that the decision depends on. With none, a listener may
    connect to the target before the client has said anything.
    """

    needs: frozenset[FactKind]
    _constant: Decision | None
    _specific: bool
    _names: NameIndex
    _nameless: Group
    _decisions: tuple[Decision, ...]

    @classmethod
    def compile(cls, routing: Routing) -> Table:
        """
        Raises ``ValueError`` for what a dialect should have refused: an expression that RE2 refuses
        (:func:`~streamproxy.rules.regex.check_regex`), or any expression in order ``SPECIFIC``.
        """
        specific = routing.order is Order.SPECIFIC
        routes = routing.routes if specific else _reachable(routing.routes)
        if specific:
            for route in routes:
                if any(pattern.kind is PatternKind.REGEX for pattern in route.match.names):
                    raise ValueError(f"{route.id}: an expression has no place in order SPECIFIC")
        nameless = group((index, route.match) for index, route in enumerate(routes) if not route.match.names)
        named = any(route.match.names for route in routes)
        decisions = tuple(map(Decision, routes))
        constant = None
        if not named and isinstance(nameless, int):
            constant = _NOBODY if nameless == NEVER else decisions[nameless]
        return cls(
            needs=_NAMES if named else frozenset(),
            constant=constant,
            specific=specific,
            names=NameIndex.compile(routes),
            nameless=nameless,
            decisions=decisions,
        )

    def decide(self, facts: Facts) -> Decision:
        """The first route that matches, in the order of the routing."""
        if self._constant is not None:
            return self._constant
        name = facts.name
        index = self._most_specific(name, facts) if self._specific else self._first(name, facts)
        return _NOBODY if index == NEVER else self._decisions[index]

    def _most_specific(self, name: str | None, facts: Facts) -> int:
        if name is not None:
            for found in self._names.find(name):
                index = found if isinstance(found, int) else found.lowest(facts, NEVER)
                if index != NEVER:
                    return index
        nameless = self._nameless
        return nameless if isinstance(nameless, int) else nameless.lowest(facts, NEVER)

    def _first(self, name: str | None, facts: Facts) -> int:
        nameless = self._nameless
        best = nameless if isinstance(nameless, int) else nameless.lowest(facts, NEVER)
        if name is not None:
            best = lowest(self._names.find(name), facts, best)
            if self._names.first_regex < best:
                best = lowest(self._names.find_regexes(name), facts, best)
        return best


def _reachable(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    """In order ``FIRST`` nothing comes after a route that matches everything."""
    for index, route in enumerate(routes):
        if not route.match.names and not is_conditional(route.match):
            return routes[: index + 1]
    return routes
