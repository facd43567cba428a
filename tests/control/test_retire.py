"""Whose way a change takes away."""

from __future__ import annotations

import pytest
from attrs import evolve
from twisted.internet.task import Clock

from streamproxy.control.drain import Drain
from streamproxy.control.retire import Lost, Retirement
from streamproxy.model import (
    Ending,
    Fate,
    ListenAddress,
    Listener,
    Match,
    Node,
    Order,
    Route,
    Routing,
    SessionPolicy,
    Snapshot,
    Timeouts,
    TlsMode,
    Transport,
    Upstream,
)
from streamproxy.observe.sessions import Course, SessionTable

HERE = ListenAddress(Transport.TCP, "127.0.0.1", 9000)
LISTENER = Listener(HERE, "r", "somebody")
ROUTE = Route("route", Match(), "u")
UPSTREAM = Upstream("u", (Node("a", 1), Node("b", 1)))
BEFORE = Snapshot(1, (LISTENER,), {"r": Routing("r", Order.FIRST, (ROUTE,))}, {"u": UPSTREAM})
ON_A = Course(HERE, "route", "u", "a:1")
EARLY = Course(HERE, None, None, None)


def with_upstream(upstream: Upstream) -> Snapshot:
    return evolve(BEFORE, revision=2, upstreams={"u": upstream})


def with_route(route: Route) -> Snapshot:
    return evolve(BEFORE, revision=2, routings={"r": Routing("r", Order.FIRST, (route,))})


@pytest.mark.parametrize(
    "after",
    [
        evolve(BEFORE, revision=2),
        with_upstream(evolve(UPSTREAM, nodes=(*UPSTREAM.nodes, Node("c", 1)))),
        with_upstream(evolve(UPSTREAM, nodes=(Node("a", 1, weight=7, priority=2),))),
        with_upstream(evolve(UPSTREAM, retries=3)),
        with_route(evolve(ROUTE, name="called otherwise")),
        evolve(BEFORE, listeners=(evolve(LISTENER, owner="somebody else"),)),
    ],
)
def test_what_does_not_concern_it(after: Snapshot) -> None:
    lost = Lost.between(BEFORE, after)
    assert not lost.took(ON_A)
    assert not lost.took(EARLY)


@pytest.mark.parametrize(
    ("after", "early_too"),
    [
        (evolve(BEFORE, listeners=()), True),
        (evolve(BEFORE, listeners=(evolve(LISTENER, tls=TlsMode.TERMINATE),)), True),
        (with_upstream(evolve(UPSTREAM, nodes=(Node("b", 1),))), False),
        (with_upstream(evolve(UPSTREAM, nodes=(Node("a", 1, ip="10.0.0.1"),))), False),
        (with_upstream(evolve(UPSTREAM, timeouts=Timeouts(idle=5.0))), False),
        (with_route(evolve(ROUTE, match=Match(server_port=7))), False),
        (with_route(evolve(ROUTE, id="another")), False),
    ],
)
def test_what_does(after: Snapshot, early_too: bool) -> None:
    lost = Lost.between(BEFORE, after)
    assert lost
    assert lost.took(ON_A)
    assert lost.took(EARLY) is early_too


class Session:
    def __init__(self, course: Course) -> None:
        self.course = course
        self.endings: list[Ending] = []

    def kill(self, ending: Ending, detail: str = "") -> None:
        self.endings.append(ending)


class House:
    def __init__(self, *sessions: Session) -> None:
        self.sessions = sessions

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.sessions)

    def find(self, session_id: str) -> None:
        return None


def test_only_those_end_and_only_where_the_policy_says_so() -> None:
    clock = Clock()
    table = SessionTable("t")
    on_a, on_b = Session(ON_A), Session(ON_A._replace(node="b:1"))
    table.house(House(on_a, on_b))
    retirement = Retirement(table, Drain(clock, lambda: 0.5))
    after = with_upstream(evolve(UPSTREAM, nodes=(Node("b", 1),)))
    assert retirement.retire(BEFORE, after, SessionPolicy()) == 0
    assert retirement.retire(BEFORE, BEFORE, SessionPolicy(Fate.CLOSE)) == 0
    assert retirement.retire(BEFORE, with_route(evolve(ROUTE, id="x")), SessionPolicy(Fate.DRAIN, 10.0)) == 2
    assert on_a.endings == []
    clock.pump([1] * 10)
    assert on_a.endings == on_b.endings == [Ending.DRAINED]
    assert retirement.retire(BEFORE, after, SessionPolicy(Fate.CLOSE)) == 1
    assert (len(on_a.endings), len(on_b.endings)) == (2, 1)
    nobody = with_upstream(evolve(UPSTREAM, nodes=(Node("a", 1),)))
    table.raze(table._houses[0])
    assert retirement.retire(BEFORE, nobody, SessionPolicy(Fate.DRAIN)) == 0
