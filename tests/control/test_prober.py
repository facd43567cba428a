"""Who is asked when: the looks themselves are the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from streamproxy.balance import Means, Pools
from streamproxy.control import prober as module
from streamproxy.control.prober import FIRST, LEAST_INTERVAL, Prober
from streamproxy.control.prober_talk import Finding
from streamproxy.model import ActiveCheck, Checks, Node, NodeHealth, Probe, Report, Thresholds, Upstream
from streamproxy.observe.sessions import SessionTable
from streamproxy.relay.engine import Engine
from streamproxy.relay.resolve import Resolver

A, B, C = Node("a", 1), Node("b", 1), Node("c", 1)
CHECK = ActiveCheck(
    Probe.TCP, healthy_interval=10.0, unhealthy_interval=2.0, thresholds=Thresholds(successes=1, tcp_failures=1)
)
WELL, ILL = Finding(Report.SUCCESS), Finding(Report.TCP_FAILURE, "refused", "10.0.0.1")


@define(eq=False)
class FakeLook:
    node: Node
    told: Callable[[Finding], None]
    begun: float
    going: bool = True

    def begin(self) -> None: ...

    def cancel(self) -> None:
        self.going = False

    def finds(self, finding: Finding) -> None:
        assert self.going, f"the look at {self.node} is over"
        self.going = False
        self.told(finding)


class Instant(FakeLook):
    """Finds out before it has begun."""

    def begin(self) -> None:
        self.finds(WELL)


@define
class Clinic:
    clock: Clock = field(factory=Clock)
    dice: list[float] = field(factory=list)
    looks: list[FakeLook] = field(factory=list)
    lines: list[str] = field(factory=list)
    look: type[FakeLook] = FakeLook
    engine: Engine = field(init=False)
    prober: Prober = field(init=False)

    def __attrs_post_init__(self) -> None:
        resolver = Resolver(lambda host: succeed(()), self.clock.seconds)
        pools = Pools(Means(self.clock.seconds))
        self.engine = Engine(cast("Any", self.clock), resolver, SessionTable("t"), lambda: 0.0, pools)
        self.prober = Prober(self.engine, self.roll, lambda level, text: self.lines.append(text))
        self.prober.start()

    def roll(self) -> float:
        return self.dice.pop(0) if self.dice else 0.5

    def look_at(self, engine: Engine, node: Node, check: ActiveCheck, told: Callable[[Finding], None]) -> FakeLook:
        if check.expect == "(":
            raise ValueError("'(' is no expression")
        self.looks.append(self.look(node, told, self.clock.seconds()))
        return self.looks[-1]

    def serve(self, upstream: Upstream, *, used: bool = True) -> None:
        self.engine.pools.keep({upstream.id: upstream})
        if used:
            self.engine.pools.of(upstream).pick()

    def going(self) -> list[str]:
        return [look.node.host for look in self.looks if look.going]

    def find(self, finding: Finding) -> None:
        for look in [look for look in self.looks if look.going]:
            look.finds(finding)

    def health(self) -> dict[str, NodeHealth]:
        return {node.host: node.health for status in self.engine.pools.status() for node in status.nodes}

    @property
    def timers(self) -> int:
        return len(self.clock.getDelayedCalls())


def upstream(*nodes: Node, check: ActiveCheck | None = CHECK) -> Upstream:
    return Upstream("u", nodes, checks=Checks(check) if check is not None else None)


@pytest.fixture
def clinic(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    clinic = Clinic()
    monkeypatch.setattr(module, "look_at", clinic.look_at)
    yield clinic
    clinic.prober.stop()
    clinic.clock.advance(0)
    assert clinic.timers == 0, "a timer was left behind"
    assert clinic.going() == [], "a look was left behind"
    assert len(clinic.prober) == 0


def test_nobody_is_asked_before_the_first_session(clinic: Clinic) -> None:
    clinic.serve(upstream(A, B), used=False)
    clinic.clock.advance(100)
    assert clinic.looks == []
    assert not clinic.engine.pools.status()[0].checked


def test_from_then_on_all_are(clinic: Clinic) -> None:
    clinic.serve(upstream(A, B))
    assert clinic.going() == [], "the session goes first"
    clinic.clock.advance(FIRST)
    assert clinic.going() == ["a", "b"]
    status = clinic.engine.pools.status()[0]
    assert (status.checked, status.probe) == (True, "tcp")
    assert clinic.lines == ["create new checker: u, tcp"]


def test_where_there_is_nothing_to_ask_nobody_is(clinic: Clinic) -> None:
    clinic.serve(upstream(A, check=None))
    assert clinic.timers == 0
    assert clinic.lines == []


def test_a_finding_counts(clinic: Clinic) -> None:
    clinic.serve(upstream(A, B))
    clinic.clock.advance(FIRST)
    first, second = clinic.looks
    first.finds(ILL)
    second.finds(WELL)
    assert clinic.health() == {"a": NodeHealth.UNHEALTHY, "b": NodeHealth.HEALTHY}
    node = clinic.engine.pools.status()[0].nodes[0]
    assert (node.ip, node.detail) == ("10.0.0.1", "refused")


def test_what_was_not_found_out_does_not(clinic: Clinic) -> None:
    clinic.serve(upstream(A))
    clinic.clock.advance(FIRST)
    clinic.find(Finding(None, "no descriptor left"))
    assert clinic.health() == {"a": NodeHealth.HEALTHY}
    clinic.clock.advance(CHECK.healthy_interval)
    assert clinic.going() == ["a"], "it is asked again"


def test_the_interval_is_by_what_the_node_is(clinic: Clinic) -> None:
    clinic.dice = [0.0]
    clinic.serve(upstream(A))
    clinic.clock.advance(0)
    clinic.find(WELL)
    clinic.clock.advance(9.9)
    assert clinic.going() == []
    clinic.clock.advance(0.1)
    assert clinic.going() == ["a"]
    clinic.find(ILL)
    clinic.clock.advance(1.9)
    assert clinic.going() == []
    clinic.clock.advance(0.1)
    assert clinic.going() == ["a"]


def test_it_begins_with_the_look_and_no_two_overlap(clinic: Clinic) -> None:
    clinic.dice = [0.0]
    clinic.serve(upstream(A))
    clinic.clock.advance(0)
    clinic.clock.advance(3)
    clinic.find(WELL)
    clinic.clock.advance(7)
    assert [look.begun for look in clinic.looks] == [0, 10]
    clinic.clock.pump([10] * 5)
    assert len(clinic.looks) == 2, "the second has not come to its end"
    clinic.find(WELL)
    clinic.clock.advance(0)
    assert len(clinic.looks) == 3, "its time has come long ago"


def test_intervals_are_spread(clinic: Clinic) -> None:
    clinic.dice = [0.25, 0.75, 0.0, 0.999999]
    clinic.serve(upstream(A, B))
    clinic.clock.pump([0.01] * 101)
    assert [round(look.begun, 2) for look in clinic.looks] == [0.25, 0.75]
    clinic.find(WELL)
    clinic.clock.pump([0.01] * 1200)
    assert [look.node.host for look in clinic.looks[2:]] == ["a", "b"]
    assert [look.begun - first.begun for look, first in zip(clinic.looks[2:], clinic.looks, strict=False)] == [
        pytest.approx(9.0, abs=0.02),
        pytest.approx(11.0, abs=0.02),
    ]


def test_an_interval_of_nought_is_none(clinic: Clinic) -> None:
    clinic.look = Instant
    clinic.serve(upstream(A, check=evolve(CHECK, healthy_interval=0.0)))
    clinic.clock.pump([LEAST_INTERVAL / 10] * 100)
    assert 9 <= len(clinic.looks) <= 11


def test_no_more_than_so_many_at_a_time(clinic: Clinic) -> None:
    clinic.serve(upstream(A, B, C, check=evolve(CHECK, concurrency=2)))
    clinic.clock.advance(FIRST)
    assert clinic.going() == ["a", "b"]
    clinic.looks[0].finds(WELL)
    clinic.clock.advance(0)
    assert clinic.going() == ["b", "c"]


def test_one_at_a_time_that_all_find_at_once(clinic: Clinic) -> None:
    clinic.look = Instant
    clinic.serve(upstream(A, B, C, check=evolve(CHECK, concurrency=0)))
    clinic.clock.advance(FIRST)
    clinic.clock.pump([0] * 3)
    assert [look.node.host for look in clinic.looks] == ["a", "b", "c"]


def test_an_edit_leaves_those_alone_that_stay(clinic: Clinic) -> None:
    clinic.serve(upstream(A, B))
    clinic.clock.advance(FIRST)
    heavier = evolve(A, weight=5)
    clinic.serve(upstream(heavier, C))
    assert clinic.going() == ["a"], "b is gone, and the look at it called off"
    clinic.looks[0].finds(ILL)
    clinic.clock.advance(FIRST)
    assert clinic.going() == ["c"]
    assert clinic.health() == {"a": NodeHealth.UNHEALTHY, "c": NodeHealth.HEALTHY}
    assert clinic.lines == ["create new checker: u, tcp"]


def test_an_edit_may_take_away_who_waits_for_a_turn(clinic: Clinic) -> None:
    clinic.serve(upstream(A, B, C, check=evolve(CHECK, concurrency=1)))
    clinic.clock.advance(FIRST)
    clinic.serve(upstream(B, check=evolve(CHECK, concurrency=1)))
    assert clinic.going() == ["b"]
    clinic.find(WELL)
    clinic.clock.advance(1)
    assert clinic.going() == []


def test_other_checks_are_begun_anew_and_health_stays(clinic: Clinic) -> None:
    clinic.serve(upstream(A, B))
    clinic.clock.advance(FIRST)
    clinic.find(ILL)
    clinic.serve(upstream(A, B, check=evolve(CHECK, port=7)), used=False)
    assert clinic.lines[1:] == ["try to release checker: u", "create new checker: u, tcp"]
    assert clinic.health()["a"] is NodeHealth.UNHEALTHY
    assert clinic.engine.pools.status()[0].checked
    clinic.clock.advance(FIRST)
    assert clinic.going() == ["a", "b"]


def test_checks_that_are_taken_away_end(clinic: Clinic) -> None:
    clinic.serve(upstream(A))
    clinic.clock.advance(FIRST)
    clinic.serve(upstream(A, check=None))
    assert clinic.going() == []
    assert clinic.timers == 0
    assert not clinic.engine.pools.status()[0].checked
    clinic.serve(upstream(A))
    clinic.clock.advance(FIRST)
    assert clinic.going() == ["a"]


def test_an_upstream_that_is_gone_is_asked_no_more(clinic: Clinic) -> None:
    clinic.serve(upstream(A))
    clinic.clock.advance(FIRST)
    clinic.engine.pools.keep({})
    assert clinic.going() == []
    assert clinic.timers == 0
    assert clinic.lines[-1] == "try to release checker: u"


def test_a_check_that_cannot_be_carried_out_says_so(clinic: Clinic) -> None:
    clinic.serve(upstream(A, check=evolve(CHECK, expect="(")))
    clinic.clock.advance(FIRST)
    assert clinic.engine.pools.status()[0].nodes[0].detail == "'(' is no expression"
    assert clinic.health() == {"a": NodeHealth.HEALTHY}
    assert clinic.timers == 1, "it is tried again"


def test_a_place_that_is_named_twice_is_asked_once(clinic: Clinic) -> None:
    clinic.serve(upstream(A, evolve(A, weight=3)))
    clinic.clock.advance(FIRST)
    assert clinic.going() == ["a"]


def test_what_stopped_starts_again(clinic: Clinic) -> None:
    clinic.serve(upstream(A))
    clinic.clock.advance(FIRST)
    clinic.prober.stop()
    assert clinic.going() == []
    clinic.prober.start()
    clinic.clock.advance(FIRST)
    assert clinic.going() == ["a"]


def test_lines_go_to_the_log() -> None:
    from twisted.logger import globalLogPublisher

    events: list[dict[str, Any]] = []
    observer: Any = events.append
    globalLogPublisher.addObserver(observer)
    try:
        module.tell("warn", "unhealthy TCP increment (1/1) for '{x}'")
    finally:
        globalLogPublisher.removeObserver(observer)
    (event,) = [event for event in events if event.get("log_namespace") == "streamproxy.health"]
    assert event["text"] == "unhealthy TCP increment (1/1) for '{x}'"
    assert event["log_level"].name == "warn"
