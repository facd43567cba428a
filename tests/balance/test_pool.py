"""A pool: one upstream's choice of nodes, and what is found out about them."""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import evolve

from streamproxy.balance import Pool
from streamproxy.balance.member import FAILURE_LATENCY
from streamproxy.balance.pool import REPRIEVE
from streamproxy.model import (
    ActiveCheck,
    Checks,
    Counters,
    Node,
    NodeHealth,
    PassiveCheck,
    Policy,
    Probe,
    Report,
    Thresholds,
    Upstream,
    UpstreamStatus,
)

from .making import World

A, B, C = Node("a", 1), Node("b", 1), Node("c", 1)
BACKUP = Node("backup", 1, priority=-1)
ONE = Thresholds(successes=1, http_failures=1, tcp_failures=1, timeouts=1)
ACTIVE = Checks(ActiveCheck(Probe.TCP, thresholds=ONE))
PASSIVE = Checks(passive=PassiveCheck(Thresholds(successes=2, tcp_failures=1, timeouts=2)))


@pytest.fixture
def world() -> World:
    return World()


def pool(world: World, *nodes: Node, checks: Checks | None = ACTIVE, checked: bool = True, **options: object) -> Pool:
    upstream = Upstream("u", nodes, checks=checks, **options)  # type: ignore[arg-type]
    made = Pool(upstream, means=world.means)
    made.members.checked = checked
    return made


def fail(pool: Pool, *nodes: Node, report: Report = Report.TCP_FAILURE) -> None:
    for node in nodes:
        pool.probed(node, report, 0.0)


def picks(pool: Pool, count: int) -> Counter[Node | None]:
    return Counter(pool.pick() for _ in range(count))


# Who is chosen


def test_the_highest_priority_is_used_until_it_has_nobody_left() -> None:
    pool = Pool(Upstream("u", (BACKUP, A, B)))
    assert [pool.pick() for _ in range(3)] == [A, B, A]
    assert pool.pick([A, B]) == BACKUP
    assert pool.pick([A, B, BACKUP]) is None


def test_a_weight_of_nought_takes_no_session() -> None:
    assert picks(Pool(Upstream("u", (evolve(A, weight=0), B))), 3) == {B: 3}
    assert Pool(Upstream("u", (evolve(A, weight=0),))).pick() is None
    assert Pool(Upstream("u", ())).pick() is None


def test_every_node_is_tried_once_unless_told_otherwise() -> None:
    assert Pool(Upstream("u", (A, B))).attempts == 2
    assert Pool(Upstream("u", (A, B), retries=0)).attempts == 1
    assert Pool(Upstream("u", (A, B), retries=9)).attempts == 2
    assert Pool(Upstream("u", ())).attempts == 0


def test_the_policy_is_the_upstreams(world: World) -> None:
    least = pool(world, A, B, policy=Policy.LEAST_CONN)
    least.opened(A)
    assert least.pick() == B
    ewma = pool(world, A, B, policy=Policy.EWMA)
    ewma.report(A, Report.SUCCESS, 0.0, elapsed=0.5)
    ewma.report(B, Report.SUCCESS, 0.0, elapsed=0.1)
    assert ewma.pick() == B
    chash = pool(world, A, B, C, policy=Policy.CHASH)
    assert len({chash.pick(key="one") for _ in range(5)}) == 1
    assert {chash.pick(key=str(number)) for number in range(50)} == {A, B, C}


def test_a_full_node_is_passed_over(world: World) -> None:
    full = pool(world, A, B, BACKUP, max_sessions=1)
    full.opened(A)
    assert picks(full, 3) == {B: 3}
    full.opened(B)
    assert full.pick() == BACKUP
    full.opened(BACKUP)
    assert full.pick() is None
    full.closed(A)
    assert full.pick() == A


def test_a_node_that_refuses_at_once_is_not_a_fast_one(world: World) -> None:
    ewma = pool(world, A, B, policy=Policy.EWMA, checks=None)
    ewma.report(A, Report.TCP_FAILURE, 0.0)
    ewma.report(B, Report.SUCCESS, 0.0, elapsed=FAILURE_LATENCY / 2)
    assert ewma.pick() == B


def test_a_stranger_is_nobodys_business(world: World) -> None:
    mine = pool(world, A)
    mine.opened(B)
    mine.closed(B)
    mine.report(B, Report.TCP_FAILURE, 0.0)
    mine.probed(B, Report.TCP_FAILURE, 0.0)
    assert [node.sessions for node in mine.status().nodes] == [0]


# Health


def test_an_unhealthy_node_is_passed_over_until_it_recovers(world: World) -> None:
    mine = pool(world, A, B)
    fail(mine, A)
    assert picks(mine, 4) == {B: 4}
    mine.probed(A, Report.SUCCESS, 1.0)
    assert picks(mine, 4) == {A: 2, B: 2}


def test_a_chash_key_comes_back_to_its_node(world: World) -> None:
    mine = pool(world, A, B, C, policy=Policy.CHASH)
    home = mine.pick(key="key")
    assert home is not None
    fail(mine, home)
    away = mine.pick(key="key")
    assert away not in (None, home)
    mine.probed(home, Report.SUCCESS, 1.0)
    assert mine.pick(key="key") == home


def test_where_all_are_unhealthy_all_are_used_and_that_is_said_once(world: World) -> None:
    mine = pool(world, A, B)
    fail(mine, A, B)
    assert picks(mine, 4) == {A: 2, B: 2}
    alarms = [line for line in world.said("warn") if "all upstream nodes is unhealthy, use default" in line]
    assert len(alarms) == 1
    mine.probed(A, Report.SUCCESS, 1.0)
    assert picks(mine, 2) == {A: 2}
    fail(mine, A)
    mine.pick()
    assert len([line for line in world.said("warn") if "all upstream nodes" in line]) == 2


def test_healthy_nodes_of_a_lower_priority_stand_in(world: World) -> None:
    """But not one whose weight is 0."""
    mine = pool(world, A, BACKUP, evolve(C, weight=0))
    fail(mine, A)
    assert picks(mine, 2) == {BACKUP: 2}
    fail(mine, BACKUP)
    assert picks(mine, 2) == {A: 2}


def test_a_single_node_is_always_used(world: World) -> None:
    mine = pool(world, A)
    fail(mine, A)
    assert mine.pick() == A
    assert not [line for line in world.said("warn") if "all upstream nodes" in line]
    assert mine.status().nodes[0].health is NodeHealth.UNHEALTHY


def test_what_is_excluded_stays_so_though_nobody_else_is_healthy(world: World) -> None:
    mine = pool(world, A, B)
    fail(mine, B)
    assert mine.pick([A]) is None


def test_increments_are_told(world: World) -> None:
    mine = pool(world, Node("127.0.0.1", 9995), Node("a.example", 2, ip="10.0.0.1"), Node("b.example", 3))
    local, named, elsewhere = mine.upstream.nodes
    fail(mine, local, named)
    mine.probed(elsewhere, Report.TIMEOUT, 0.0, ip="10.0.0.7", detail="no answer in time")
    mine.probed(local, Report.SUCCESS, 0.0)
    assert [line for line in world.said("warn") if "increment" in line] == [
        "unhealthy TCP increment (1/1) for '127.0.0.1(127.0.0.1:9995)'",
        "unhealthy TCP increment (1/1) for 'a.example(10.0.0.1:2)'",
        "unhealthy TIMEOUT increment (1/1) for 'b.example(10.0.0.7:3)'",
    ]
    assert world.said("debug") == ["healthy SUCCESS increment (1/1) for '127.0.0.1(127.0.0.1:9995)'"]
    assert world.said("info") == ["127.0.0.1:9995 of u is healthy again"]
    assert mine.status().nodes[2].detail == "no answer in time"


def test_sessions_count_only_where_they_are_asked_to(world: World) -> None:
    mine = pool(world, A, B)
    mine.report(A, Report.TCP_FAILURE, 0.0)
    assert mine.health(A).state is NodeHealth.HEALTHY
    mine = pool(world, A, B, checks=evolve(ACTIVE, passive=PASSIVE.passive))
    mine.report(A, Report.TIMEOUT, 0.0)
    assert mine.health(A).state is NodeHealth.MOSTLY_HEALTHY
    mine.report(A, Report.TIMEOUT, 0.0)
    assert mine.health(A).state is NodeHealth.UNHEALTHY


def test_what_was_not_found_out_counts_for_nothing(world: World) -> None:
    mine = pool(world, A, B)
    mine.probed(A, None, 0.0, detail="answered with status 999, which says nothing")
    assert mine.health(A).state is NodeHealth.HEALTHY
    assert mine.status().nodes[0].detail.startswith("answered with status 999")
    unchecked = pool(world, A, B, checks=None)
    unchecked.probed(A, Report.TCP_FAILURE, 0.0)
    assert unchecked.health(A).state is NodeHealth.HEALTHY


def test_where_nobody_asks_a_session_tries_now_and_then(world: World) -> None:
    mine = pool(world, A, B, checks=PASSIVE, checked=False)
    mine.report(A, Report.TCP_FAILURE, world.now)
    assert picks(mine, 4) == {B: 4}

    world.now += REPRIEVE
    assert picks(mine, 4) == {A: 1, B: 3}, "one session tries it, and nobody else until it has told"
    mine.report(A, Report.TCP_FAILURE, world.now)
    assert picks(mine, 4) == {B: 4}

    world.now += REPRIEVE
    assert picks(mine, 2)[A] == 1
    mine.report(A, Report.SUCCESS, world.now)
    assert picks(mine, 4)[A] == 1, "it did well, so the next one may try at once"
    mine.report(A, Report.SUCCESS, world.now)
    assert mine.health(A).state is NodeHealth.HEALTHY
    assert picks(mine, 4) == {A: 2, B: 2}


def test_where_somebody_asks_no_session_has_to_try(world: World) -> None:
    mine = pool(world, A, B, checks=evolve(ACTIVE, passive=PASSIVE.passive))
    mine.report(A, Report.TCP_FAILURE, world.now)
    world.now += 10 * REPRIEVE
    assert picks(mine, 4) == {B: 4}


def test_who_recovers_starts_slowly(world: World) -> None:
    mine = pool(world, A, B, checks=evolve(ACTIVE, slow_start=100.0))
    assert picks(mine, 10) == {A: 5, B: 5}
    fail(mine, A)
    mine.probed(A, Report.SUCCESS, 0.0)
    world.now = 25.0
    assert picks(mine, 100)[A] == pytest.approx(20, abs=1), "a quarter of a weight of 1, beside 1"
    world.now = 100.0
    assert picks(mine, 100)[A] == 50


def test_sessions_of_a_node_that_went_down_may_have_to_end(world: World) -> None:
    ended: list[tuple[str, Node]] = []
    for close in (False, True):
        mine = Pool(
            Upstream("u", (A, B), checks=evolve(ACTIVE, close_sessions=close)),
            means=world.means,
            down=lambda upstream, node: ended.append((upstream.id, node)),
        )
        fail(mine, A, A)
    assert ended == [("u", A)]


def test_the_first_session_is_told_of_once(world: World) -> None:
    told: list[Pool] = []
    mine = Pool(Upstream("u", (A,)), means=world.means, first_used=told.append)
    assert told == []
    mine.pick()
    mine.pick()
    assert told == [mine]


def test_status(world: World) -> None:
    mine = pool(world, Node("127.0.0.1", 1), Node("b.example", 2, weight=3, priority=1))
    first, second = mine.upstream.nodes
    mine.opened(first)
    mine.report(first, Report.SUCCESS, 0.0, elapsed=0.25)
    mine.probed(second, Report.TCP_FAILURE, 0.0, ip="10.0.0.1", detail="Connection refused")
    status = mine.status(["apisix:stream_routes/1"])
    assert isinstance(status, UpstreamStatus)
    assert (status.id, status.policy, status.checked, status.probe) == ("u", "roundrobin", True, "tcp")
    assert status.users == ("apisix:stream_routes/1",)
    one, two = status.nodes
    assert (one.label, one.ip, one.sessions, one.latency) == ("127.0.0.1:1", "127.0.0.1", 1, 0.25)
    assert (one.health, one.counters) == (NodeHealth.HEALTHY, Counters())
    assert (two.host, two.ip, two.port, two.weight, two.priority) == ("b.example", "10.0.0.1", 2, 3, 1)
    assert (two.health, two.counters) == (NodeHealth.UNHEALTHY, Counters(tcp_failure=1))
    assert two.detail == "Connection refused"
