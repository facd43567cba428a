"""``traffic-split``: to which upstream, by weights and by what is known of a session (APISIX 3.18)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import Factory, define, frozen

from ..errors import Problem
from ..rules.expression import Expression, compile_expression
from .base import BaseGate, BasePlugin
from .seam import GO, Go, Host, Place, Reject, UpstreamReference, Verdict, Visit

_ID: Final[Mapping[str, Any]] = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-_.]+$"},
        {"type": "integer", "minimum": 1},
    ]
}
_UPSTREAMS: Final[Mapping[str, Any]] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "upstream_id": _ID,
            "upstream": {"type": "object"},
            "weight": {
                "description": "the share of this upstream among the others",
                "type": "integer",
                "default": 1,
                "minimum": 0,
            },
        },
    },
    "default": [{"weight": 1}],
    "minItems": 1,
    "maxItems": 20,
}
_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "rules": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "match": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"vars": {"type": "array"}}},
                    },
                    "weighted_upstreams": _UPSTREAMS,
                },
                "additionalProperties": False,
            },
        }
    },
    "additionalProperties": False,
}


@frozen
class _Share:
    """``answer`` is for those who get it."""

    weight: int
    answer: Verdict


@define(eq=False)
class _Split:
    """
    One rule. Each turn every share gains its weight, and the one that has most gives back what all gained together:
    nobody's turns come in longer runs than they must.
    """

    _conditions: Sequence[Expression]
    _shares: Sequence[_Share]
    _credit: list[int] = Factory(lambda self: [0] * len(self._shares), takes_self=True)

    def matches(self, lookup: Callable[[str], str | None]) -> bool:
        return not self._conditions or any(condition.holds(lookup) for condition in self._conditions)

    def turn(self) -> Verdict:
        for index, share in enumerate(self._shares):
            self._credit[index] += share.weight
        best = max(range(len(self._shares)), key=self._credit.__getitem__)
        self._credit[best] -= sum(share.weight for share in self._shares)
        return self._shares[best].answer


@frozen(eq=False)
class _Junction(BaseGate):
    _splits: Sequence[_Split]
    _log: Callable[[str, str], None]

    def admit(self, visit: Visit) -> Verdict:
        for split in self._splits:
            if split.matches(visit.variable):
                answer = split.turn()
                if isinstance(answer, Reject):
                    self._log("error", answer.why)
                return answer
        return GO


class TrafficSplit(BasePlugin):
    """
    The first rule takes a session that one of its ``match`` holds for, or that has none. An entry without an upstream
    stands for the route's own.
    """

    name = "traffic-split"
    priority = 966
    schema = _SCHEMA

    def problems(self, conf: Mapping[str, Any]) -> Iterator[Problem]:
        for path, rule in _items(conf.get("rules"), "rules"):
            for inner, match in _items(rule.get("match"), f"{path}.match"):
                try:
                    _condition(match)
                except ValueError as error:
                    message = f"failed to validate the 'vars' expression: {error}"
                    yield Problem(f"{inner}.vars", "bad_value", message)
            entries = [entry for _, entry in _entries(path, rule)]
            if entries and not any(_weight(entry) for entry in entries):
                yield Problem(f"{path}.weighted_upstreams", "bad_value", "one of the weights has to be more than 0")

    def references(self, conf: Mapping[str, Any]) -> Iterator[UpstreamReference]:
        for path, rule in _items(conf.get("rules"), "rules"):
            for inner, entry in _entries(path, rule):
                if "upstream_id" in entry:
                    yield UpstreamReference(inner, str(entry["upstream_id"]))
                elif isinstance(entry.get("upstream"), Mapping):
                    yield UpstreamReference(inner, entry["upstream"])

    def gate(self, conf: Mapping[str, Any], place: Place, host: Host) -> _Junction:
        return _Junction([_split(path, rule, place) for path, rule in _items(conf.get("rules"), "rules")], host.log)


def _split(path: str, rule: Mapping[str, Any], place: Place) -> _Split:
    conditions = [_condition(match) for _, match in _items(rule.get("match"), "")]
    shares = [_Share(_weight(entry), _answer(inner, entry, place)) for inner, entry in _entries(path, rule)]
    return _Split(conditions, [share for share in shares if share.weight] or [_Share(1, GO)])


def _answer(path: str, entry: Mapping[str, Any], place: Place) -> Verdict:
    if "upstream_id" not in entry and "upstream" not in entry:
        return GO
    upstream = place.upstreams.get(path)
    if upstream is not None:
        return Go(upstream=upstream)
    named = f"by upstream id: {entry['upstream_id']}" if "upstream_id" in entry else f"of {path}"
    return Reject(500, f"failed to fetch upstream info {named}")


def _condition(match: Mapping[str, Any]) -> Expression:
    if "vars" not in match:
        raise ValueError("missing argument rule")
    return compile_expression(match["vars"])


def _weight(entry: Mapping[str, Any]) -> int:
    weight = entry.get("weight", 1)
    return weight if isinstance(weight, int) else 0


def _entries(path: str, rule: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    inner = f"{path}.weighted_upstreams"
    return _items(rule.get("weighted_upstreams", _UPSTREAMS["default"]), inner)


def _items(value: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of an array, each with its path. An empty array is an object where one is expected."""
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield f"{path}[{index}]", item if isinstance(item, Mapping) else {}


traffic_split = TrafficSplit()
