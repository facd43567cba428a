"""Plugins for tests, that answer what a test tells them to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, field

from streamproxy.errors import Problem
from streamproxy.model import Ended, PluginUse
from streamproxy.plugins import Gate, Go, Host, Place, UpstreamReference, Verdict, Visit


@define(eq=False)
class Asked:
    """A gate; ``answers`` are given in turn, the last one for ever. Remembers what it was asked and told."""

    place: Place
    answers: list[Verdict | Exception | Callable[[Visit], Verdict]]
    visits: list[Visit] = field(factory=list)
    records: list[Ended] = field(factory=list)
    closed: int = 0

    def admit(self, visit: Visit) -> Verdict:
        self.visits.append(visit)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(visit) if callable(answer) else answer

    def ended(self, record: Ended) -> None:
        self.records.append(record)

    def close(self) -> None:
        self.closed += 1


@define(eq=False)
class Scripted:
    """A plugin whose gates answer ``answers``; ``gates`` are those it made."""

    name: str
    answers: list[Any] = field(factory=lambda: [Go()])
    version: float = 0.1
    priority: int = 1000
    schema: Mapping[str, Any] = field(factory=dict)
    metadata_schema: Mapping[str, Any] = field(factory=dict)
    encrypted: tuple[str, ...] = ()
    gates: list[Asked] = field(factory=list)

    def problems(self, conf: Mapping[str, Any]) -> Iterable[Problem]:
        return ()

    def references(self, conf: Mapping[str, Any]) -> Iterable[UpstreamReference]:
        return ()

    def gate(self, conf: Mapping[str, Any], place: Place, host: Host) -> Gate:
        if conf.get("broken"):
            raise RuntimeError("cannot be made")
        gate = Asked(place, list(self.answers))
        self.gates.append(gate)
        return gate

    def use(self, **conf: Any) -> PluginUse:
        """This plugin, at a route."""
        return PluginUse(self.name, self.priority, conf)
