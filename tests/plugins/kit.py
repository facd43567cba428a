"""Sessions and hosts for plugins under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from attrs import define, evolve, field
from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock

from streamproxy.model import Address, Ended, Facts, Key, ListenAddress, Match, Route, Transport
from streamproxy.plugins import Go, Host, Place, Reject, Verdict, Visit
from tests.observe.records import RECORD

KEY = Key("apisix", "stream_routes", "1")
PLACE = Place("apisix:stream_routes/1", KEY, "the first", "7")
FACTS = Facts(
    listener=ListenAddress(Transport.TCP, "0.0.0.0", 1985),
    peer=Address("127.0.0.1", 51234),
    local=Address("127.0.0.1", 1985),
)
ROUTE = Route(PLACE.route, Match(), "apisix:upstreams/1", document=KEY, name=PLACE.name, service=PLACE.service)

NOW = 1_700_000_000.5

T = TypeVar("T")


@define
class World:
    """A host, what it was told to log, and the metadata and reactor it has."""

    reactor: Any = field(factory=Clock)
    lines: list[tuple[str, str]] = field(factory=list)
    metadata: dict[str, Mapping[str, Any]] = field(factory=dict)
    registry: CollectorRegistry = field(factory=CollectorRegistry)

    @property
    def host(self) -> Host:
        return Host(
            reactor=self.reactor,
            now=lambda: NOW,
            random=lambda: 0.5,
            metadata=lambda name: self.metadata.get(name, {}),
            log=lambda level, line: self.lines.append((level, line)),
            registry=self.registry,
        )

    def logged(self, level: str) -> list[str]:
        return [line for of, line in self.lines if of == level]


def visit(peer: str = "127.0.0.1", window: bytes = b"", **changes: Any) -> Visit:
    """A session from ``peer``; the rest is of the visit, or of its facts."""
    of_visit = {name: changes.pop(name) for name in ("complete", "variables", "route") if name in changes}
    facts = evolve(FACTS, peer=Address(peer, 51234), **changes)
    return Visit(facts, of_visit.pop("route", ROUTE), window, **of_visit)


def ended(**changes: Any) -> Ended:
    return evolve(RECORD, facts=FACTS, **changes)


def went(verdict: Verdict) -> Go:
    assert isinstance(verdict, Go), f"it did not go on: {verdict}"
    return verdict


def rejected(verdict: Verdict) -> Reject:
    assert isinstance(verdict, Reject), f"it was not rejected: {verdict}"
    return verdict


def release(verdict: Verdict) -> None:
    """The session is over."""
    done: Callable[[], None] | None = went(verdict).release
    assert done is not None, "it holds nothing"
    done()
