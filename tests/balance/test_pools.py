"""Pools outlive snapshots."""

from __future__ import annotations

from attrs import define, evolve, field
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from streamproxy.balance import Pool, Pools
from streamproxy.balance.pool import REPRIEVE
from streamproxy.model import (
    ActiveCheck,
    Checks,
    Node,
    NodeHealth,
    PassiveCheck,
    Policy,
    Probe,
    Report,
    Thresholds,
    Upstream,
)

from .making import World

A, B = Node("a", 1), Node("b", 1)
ONE = Thresholds(1, 1, 1, 1)
CHECKS = Checks(ActiveCheck(Probe.TCP, thresholds=ONE), PassiveCheck(ONE))
U = Upstream("u", (A, B), checks=CHECKS)


@define
class Watch:
    """A watcher that only remembers."""

    seen: list[tuple[str, Upstream | str]] = field(factory=list)

    def in_use(self, pool: Pool) -> None:
        self.seen.append(("in use", pool.upstream))

    def gone(self, upstream_id: str) -> None:
        self.seen.append(("gone", upstream_id))


def kept(*upstreams: Upstream, world: World | None = None) -> Pools:
    pools = Pools((world or World()).means)
    keep(pools, *upstreams)
    return pools


def keep(pools: Pools, *upstreams: Upstream) -> None:
    pools.keep({upstream.id: upstream for upstream in upstreams})


def test_a_pool_lives_as_long_as_its_upstream_is_the_same() -> None:
    pools = kept(U, Upstream("v", (A,)))
    pool = pools.of(U)
    assert pools.of(evolve(U)) is pool
    keep(pools, evolve(U))
    assert pools.of(U) is pool
    assert len(pools) == 1
    keep(pools, Upstream("v", (A,)))
    assert len(pools) == 0


def test_health_and_counts_survive_an_edit_that_leaves_the_node_in() -> None:
    pools = kept(U)
    pool = pools.of(U)
    pool.opened(A)
    pool.report(A, Report.TCP_FAILURE, 0.0)
    heavier = evolve(U, nodes=(evolve(A, weight=7), evolve(B, weight=2), Node("c", 1)))
    keep(pools, heavier)
    edited = pools.of(heavier)
    assert edited is not pool
    first = edited.status().nodes[0]
    assert (first.weight, first.sessions, first.health) == (7, 1, NodeHealth.UNHEALTHY)
    pool.closed(A)
    assert edited.status().nodes[0].sessions == 0, "the session that began before the edit ends"


def test_new_weights_take_over() -> None:
    pools = kept(U)
    pools.of(U).pick()
    heavier = evolve(U, nodes=(evolve(A, weight=3), B))
    keep(pools, heavier)
    assert [pools.of(heavier).pick() for _ in range(4)].count(heavier.nodes[0]) == 3


def test_a_node_that_left_was_never_ill_when_it_comes_back() -> None:
    for busy in (False, True):
        pools = kept(U)
        pool = pools.of(U)
        if busy:
            pool.opened(A)
        pool.report(A, Report.TCP_FAILURE, 0.0)
        keep(pools, evolve(U, nodes=(B,)))
        keep(pools, U)
        status = pools.of(U).status().nodes[0]
        assert (status.health, status.sessions) == (NodeHealth.HEALTHY, int(busy))


def test_without_checks_nothing_is_held_against_anybody() -> None:
    pools = kept(U)
    pools.of(U).report(A, Report.TCP_FAILURE, 0.0)
    keep(pools, evolve(U, checks=None))
    unchecked = pools.of(evolve(U, checks=None))
    assert {unchecked.pick() for _ in range(4)} == {A, B}
    assert unchecked.status().nodes[0].health is NodeHealth.HEALTHY


def test_a_session_from_before_a_change_has_its_upstream_as_it_was() -> None:
    pools = kept(U)
    changed = evolve(U, nodes=(B,))
    keep(pools, changed)
    pinned = pools.of(U)
    assert pinned.upstream == U
    assert pools.of(U) is pinned
    pinned.report(B, Report.TCP_FAILURE, 0.0)
    assert pools.of(changed).status().nodes[0].health is NodeHealth.UNHEALTHY
    assert pools.status()[0].nodes[0].health is NodeHealth.UNHEALTHY


def test_so_has_one_of_an_upstream_that_is_no_more() -> None:
    pools = kept()
    watch = Watch()
    pools.watch(watch)
    assert pools.of(U).pick() == A
    assert len(pools) == 0
    assert watch.seen == []


def test_who_keeps_nothing_gets_pools_all_the_same() -> None:
    pools = Pools()
    assert pools.of(U) is pools.of(U)
    assert pools.of(evolve(U, nodes=(A,))).upstream.nodes == (A,)
    assert pools.status() == ()


def test_a_watcher_learns_what_is_in_use() -> None:
    pools = kept(U, Upstream("v", (A,)))
    pools.of(U).pick()
    watch = Watch()
    pools.watch(watch)
    assert watch.seen == [("in use", U)], "what was in use before"
    pools.of(Upstream("v", (A,)))
    assert len(watch.seen) == 1, "nobody went there yet"
    pools.of(Upstream("v", (A,))).pick()
    changed = evolve(U, nodes=(B,))
    keep(pools, changed, Upstream("v", (A,)))
    keep(pools, changed)
    pools.of(changed).pick()
    assert watch.seen[1:] == [("in use", Upstream("v", (A,))), ("in use", changed), ("gone", "v")]
    pools.unwatch(watch)
    keep(pools)
    assert len(watch.seen) == 4


def test_a_late_session_of_an_earlier_version_starts_the_checks_of_the_present_one() -> None:
    pools = kept(U)
    pools.of(U)
    changed = evolve(U, nodes=(B,))
    keep(pools, changed)
    watch = Watch()
    pools.watch(watch)
    pools.of(U).pick()
    assert watch.seen == [("in use", changed)]
    pools.of(changed).pick()
    assert ("in use", U) not in watch.seen


def test_the_closer_is_told_whose_sessions_should_end() -> None:
    closing = evolve(U, checks=evolve(CHECKS, close_sessions=True))
    pools = kept(closing)
    ended: list[tuple[Upstream, Node]] = []
    pools.of(closing).report(B, Report.TCP_FAILURE, 0.0)
    pools.closer = lambda upstream, node: ended.append((upstream, node))
    pools.of(closing).report(A, Report.TCP_FAILURE, 0.0)
    assert ended == [(closing, A)]


def test_the_status_is_of_all_in_order_used_or_not() -> None:
    pools = kept(Upstream("v", (A,), policy=Policy.LEAST_CONN), U)
    pools.of(U).opened(B)
    first, second = pools.status({"u": ["one", "two"]})
    assert (first.id, first.users, [node.sessions for node in first.nodes]) == ("u", ("one", "two"), [0, 1])
    assert (second.id, second.policy, second.users) == ("v", "least_conn", ())


class Life(RuleBasedStateMachine):
    """Sessions come and go, nodes fall ill and recover, and the configuration is edited meanwhile."""

    sessions: Bundle[tuple[Pool, Node]] = Bundle("sessions")

    @initialize(policy=st.sampled_from(Policy), most=st.sampled_from([None, 1, 2]), passive=st.booleans())
    def begin(self, policy: Policy, most: int | None, passive: bool) -> None:
        self.world = World()
        thresholds = Thresholds(2, 1, 2, 1)
        checks = Checks(None if passive else ActiveCheck(thresholds=thresholds), PassiveCheck(thresholds))
        self.upstream = Upstream("u", (A, B), policy=policy, max_sessions=most, checks=checks)
        self.pools = kept(self.upstream, world=self.world)
        self.pools.of(self.upstream).members.checked = not passive
        self.open: dict[str, int] = {}

    @rule(target=sessions, excluded=st.sets(st.sampled_from("abcd")), key=st.text(max_size=3))
    def arrive(self, excluded: set[str], key: str) -> tuple[Pool, Node]:
        pool = self.pools.of(self.upstream)
        exclude = tuple(node for node in self.upstream.nodes if node.host in excluded)
        most = self.upstream.max_sessions
        node = pool.pick(exclude, key)
        weighty = [each for each in self.upstream.nodes if each.weight]
        left = [each for each in weighty if each not in exclude]
        roomy = [each for each in left if most is None or self.open.get(each.host, 0) < most]
        usable = [each for each in weighty if pool.health(each).usable]
        if node is None:
            assert not roomy or not set(roomy) & set(usable or weighty), "a node was free"
            return (pool, Node("nobody", 1))
        assert node in roomy
        trial = not pool.members.checked
        assert node in usable or not usable or trial, "an unhealthy node was taken though there is a healthy one"
        pool.opened(node)
        self.open[node.host] = self.open.get(node.host, 0) + 1
        return (pool, node)

    @rule(session=sessions, report=st.sampled_from(Report), elapsed=st.sampled_from([None, 0.01, 1.0]))
    def tell(self, session: tuple[Pool, Node], report: Report, elapsed: float | None) -> None:
        session[0].report(session[1], report, self.world.now, elapsed)

    @rule(node=st.sampled_from("abcd"), report=st.sampled_from(Report))
    def ask(self, node: str, report: Report) -> None:
        for each in self.upstream.nodes:
            if each.host == node:
                self.pools.of(self.upstream).probed(each, report, self.world.now)

    @rule(seconds=st.sampled_from([0.1, 1.0, REPRIEVE]))
    def wait(self, seconds: float) -> None:
        self.world.now += seconds

    @rule(session=st.data())
    def leave(self, session: st.DataObject) -> None:
        if self.open:
            host = session.draw(st.sampled_from(sorted(self.open)))
            for node in self.upstream.nodes:
                if node.host == host:
                    self.pools.of(self.upstream).closed(node)
                    self.open[host] -= 1
                    if not self.open[host]:
                        del self.open[host]

    @rule(weights=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), min_size=1))
    def edit(self, weights: dict[str, int]) -> None:
        self.upstream = evolve(
            self.upstream, nodes=tuple(Node(host, 1, weight=weight) for host, weight in sorted(weights.items()))
        )
        keep(self.pools, self.upstream)

    @invariant()
    def counts_are_right(self) -> None:
        (status,) = self.pools.status()
        assert {node.host: node.sessions for node in status.nodes if node.sessions} == {
            host: count
            for host, count in self.open.items()
            if any(node.host == host for node in self.upstream.nodes)
        }


TestLife = Life.TestCase
