"""Nodes that are names of services, and the pools of those behind them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from streamproxy.balance import Pool, Pools
from streamproxy.model import ClientPolicy, Node, Upstream
from streamproxy.relay.dns.answers import ResolutionError
from streamproxy.relay.dns.expansion import Expansion, node_of
from streamproxy.relay.dns.message import Service

NAME = "_db._tcp.example.test"
OTHER = "_db._tcp.other.test"
NODE = Node(NAME, 0)
PLAIN = Node("plain", 5432)
U = Upstream("u", (NODE, PLAIN))
FIRST, SECOND = Service(10, 3, 80, "a.example.test"), Service(20, 0, 81, "b.example.test")
A = Node("a.example.test", 80, ip="a.example.test.", weight=3, priority=-10)
B = Node("b.example.test", 81, ip="b.example.test.", weight=1, priority=-20)


@define
class Town:
    """Knows the services that the test says there are."""

    known: dict[str, tuple[Service, ...]] = field(factory=dict)
    followers: list[tuple[str, Callable[[], None]]] = field(factory=list)
    answers: dict[str, Deferred[tuple[Service, ...]]] = field(factory=dict)
    clock: Clock = field(factory=Clock)
    pools: Pools = field(factory=Pools)
    expansion: Expansion = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.expansion = self.pools.expander = Expansion(self, self.clock, self.pools.renew)

    def known_services(self, name: str) -> tuple[Service, ...] | None:
        return self.known.get(name)

    def services(self, name: str) -> Deferred[tuple[Service, ...]]:
        return self.answers[name]

    def follow_services(self, name: str, changed: Callable[[], None]) -> None:
        self.followers.append((name, changed))

    def unfollow_services(self, name: str, changed: Callable[[], None]) -> None:
        self.followers.remove((name, changed))

    def become(self, *services: Service, name: str = NAME) -> None:
        self.known[name] = services
        for followed, changed in tuple(self.followers):
            if followed == name:
                changed()

    @property
    def followed(self) -> list[str]:
        return [name for name, _ in self.followers]

    def keep(self, *upstreams: Upstream) -> None:
        self.pools.keep({upstream.id: upstream for upstream in upstreams})

    def picks(self, upstream: Upstream = U) -> list[str]:
        pool = self.pools.of(upstream)
        picked, tried = [], list[Node]()
        while (node := pool.pick(tried)) is not None:
            tried.append(node)
            picked.append(node.label)
        return picked


def test_a_node_for_each_place() -> None:
    town = Town({NAME: (FIRST, SECOND)})
    assert town.expansion.nodes(U) == (A, B, PLAIN)
    assert A.label == "a.example.test:80"
    assert A.dial_host == "a.example.test.", "the domains that are searched for names have no part in it"


def test_an_upstream_of_hosts_is_as_it_was() -> None:
    town = Town()
    upstream = Upstream("u", (PLAIN, Node("10.0.0.1", 1)))
    assert town.expansion.nodes(upstream) is upstream.nodes
    assert town.followers == []
    assert town.expansion.lookup(upstream, 1) is None


def test_weights_and_priorities() -> None:
    node = evolve(NODE, weight=100, priority=5)
    assert (node_of(node, FIRST).weight, node_of(node, FIRST).priority) == (300, -5)
    assert node_of(node, SECOND).weight == 100, "DNS says 0 for the least there is"
    assert node_of(evolve(node, weight=0), FIRST).weight == 0


@pytest.mark.parametrize(
    ("node", "target", "verified"),
    [
        (evolve(NODE, tls=ClientPolicy(NAME)), "a.example.test", "a.example.test"),
        (evolve(NODE, tls=ClientPolicy(f"{NAME}.")), "example.test", "example.test"),
        (evolve(NODE, tls=ClientPolicy(NAME)), "a.evil.test", "example.test"),
        (evolve(NODE, tls=ClientPolicy(NAME)), "evilexample.test", "example.test"),
        (evolve(NODE, tls=ClientPolicy("said.test")), "a.example.test", "said.test"),
        (Node("db.test", 0, ip=NAME, tls=ClientPolicy("db.test")), "a.example.test", "db.test"),
    ],
)
def test_the_name_that_tls_verifies(node: Node, target: str, verified: str) -> None:
    policy = node_of(node, Service(0, 0, 1, target)).tls
    assert policy is not None
    assert policy.server_name == verified


def test_a_host_whose_address_is_a_service() -> None:
    found = node_of(Node("db.test", 1, ip=NAME), FIRST)
    assert (found.host, found.dial_host, found.port) == ("db.test", "a.example.test.", 80)


# In pools


def test_sessions_follow_a_change() -> None:
    town = Town()
    town.keep(U)
    assert town.picks() == ["plain:5432"]
    town.become(FIRST, SECOND)
    assert town.picks() == ["plain:5432", "a.example.test:80", "b.example.test:81"]
    pool = town.pools.of(U)
    town.become(FIRST, SECOND)
    assert town.pools.of(U) is pool, "nothing has changed"
    town.become(SECOND)
    assert town.picks() == ["plain:5432", "b.example.test:81"]
    assert [node.label for node in town.pools.status()[0].nodes] == ["b.example.test:81", "plain:5432"]


def test_a_session_ends_where_it_began() -> None:
    town = Town({NAME: (FIRST,)})
    town.keep(U)
    before = town.pools.of(U)
    before.opened(A)
    town.become(SECOND)
    before.closed(A)
    town.become(FIRST)
    assert town.pools.status()[0].nodes[0].sessions == 0


def test_who_watches_pools_is_told() -> None:
    seen: list[tuple[Node, ...]] = []

    class Watch:
        def in_use(self, pool: Pool) -> None:
            seen.append(pool.nodes)

        def gone(self, upstream_id: str) -> None:
            seen.append(())

    town = Town()
    town.pools.watch(Watch())
    town.keep(U)
    town.picks()
    town.become(FIRST)
    town.keep()
    assert seen == [(PLAIN,), (A, PLAIN), ()]


def test_only_what_is_used_is_followed() -> None:
    town = Town()
    town.keep(U)
    assert town.followed == []
    town.pools.of(U)
    assert town.followed == [NAME]
    other = evolve(U, nodes=(Node(OTHER, 0),))
    town.keep(other)
    assert town.followed == [OTHER]
    town.pools.of(evolve(U, retries=1))
    assert sorted(town.followed) == sorted([OTHER, NAME]), "a session from before is there yet"
    town.keep()
    assert town.followed == []
    town.known[NAME] = (FIRST,)
    assert town.pools.of(U).nodes == (A, PLAIN), "and one from before it was deleted"
    assert town.followed == []
    town.pools.renew("u")


def test_two_upstreams_of_one_name() -> None:
    town = Town()
    v = Upstream("v", (NODE, NODE))
    town.keep(U, v)
    town.picks(), town.picks(v)
    assert town.followed == [NAME, NAME]
    town.become(FIRST)
    assert town.picks(v) == ["a.example.test:80"]
    town.keep(v)
    town.become(SECOND)
    assert town.picks(v) == ["b.example.test:81"]


# Waiting


def waited(town: Town, upstream: Upstream = U) -> list[str]:
    told: list[str] = []
    asked = town.expansion.lookup(upstream, 5)
    assert asked is not None
    asked.addCallback(told.append)
    return told


def test_waiting_for_services() -> None:
    answer: Deferred[tuple[Service, ...]] = Deferred()
    town = Town(answers={NAME: answer, OTHER: succeed((FIRST,))})
    told = waited(town, evolve(U, nodes=(NODE, Node(OTHER, 0))))
    assert told == []
    answer.callback((FIRST,))
    assert told == [""]
    assert town.clock.getDelayedCalls() == []


def test_waiting_in_vain() -> None:
    assert waited(Town(answers={NAME: fail(ResolutionError("nobody knows"))})) == ["nobody knows"]
    town = Town(answers={NAME: Deferred()})
    told = waited(town)
    town.clock.advance(5)
    assert told == [f"{NAME}: no answer in 5 s"]


def test_waiting_no_more() -> None:
    town = Town(answers={NAME: Deferred()})
    asked = town.expansion.lookup(U, 5)
    assert asked is not None
    asked.cancel()
    assert town.clock.getDelayedCalls() == []
    assert town.answers[NAME].called
