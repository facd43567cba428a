"""A UDP listener that is bound, and who may come in there."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import succeed

from streamproxy.control.bound import BoundUdp
from streamproxy.model import (
    Access,
    Address,
    Ending,
    Limits,
    ListenAddress,
    Listener,
    Match,
    Order,
    ProxyAccept,
    Rate,
    Route,
    Routing,
    Transport,
    Upstream,
)
from streamproxy.observe.sessions import SessionTable
from streamproxy.relay.engine import Engine
from streamproxy.relay.missing import ENOUGH, MEMORY
from streamproxy.relay.node_closer import NodeCloser
from streamproxy.relay.pktinfo import bind_udp
from streamproxy.relay.resolve import Resolver
from streamproxy.relay.serving import Serving
from streamproxy.rules import Table
from streamproxy.sniff.proxywrite import encode_proxy_v2
from tests.relay.loop import Loop
from tests.relay.udp_kit import NOON, Peer, Town

LISTEN = ListenAddress(Transport.UDP, "127.0.0.1", 0)
HERE = ip_network("127.0.0.0/8")


class World:
    """A bound listener that leads to ``nodes``, and what it counts."""

    def __init__(self, town: Town, *nodes: Any, limits: Limits = Limits(), **listener: Any) -> None:
        self.town = town
        self.table = SessionTable("test")
        resolver = Resolver(lambda name: succeed(()), town.loop.seconds)
        self.engine = Engine(town.loop, resolver, self.table, lambda: NOON)
        self.upstream = Upstream("u", tuple(getattr(node, "node", node) for node in nodes))
        self.engine.pools.keep({"u": self.upstream})
        self.listener = evolve(Listener(LISTEN, "r", "the test"), **listener)
        self.bound = BoundUdp(self.engine, self.serving(limits), bind_udp(LISTEN))
        self.bound.start()

    def serving(self, limits: Limits) -> Serving:
        route = Route("r", Match(), "u")
        return Serving(self.listener, Table.compile(Routing("r", Order.FIRST, (route,))), {"u": self.upstream}, limits)

    @property
    def where(self) -> tuple[str, int]:
        return "127.0.0.1", self.bound.port

    @property
    def ended(self) -> dict[str, int]:
        self.town.loop.settle()
        return dict(self.bound.status().ended)


@pytest.fixture
def town() -> Iterator[Town]:
    loop = Loop()
    town = Town(loop)
    yield town
    town.close()
    loop.close()


def answered(town: Town, client: Peer, node: Peer, world: World) -> bool:
    client.send(b"question", world.where)
    node.send(b"answer", node.receive()[1])
    return client.receive()[0] == b"answer"


def test_who_is_denied_gets_no_session(town: Town) -> None:
    node, client, other = town.peer(), town.peer("127.0.0.7"), town.peer("127.0.0.8")
    world = World(town, node, access=(Access(deny=(ip_network("127.0.0.7"),)),))
    client.send(b"question", world.where)
    assert node.waiting() == []
    assert world.ended == {"dropped_denied": 1}
    assert answered(town, other, node, world)
    world.listener = evolve(world.listener, access=())
    world.bound.swap(world.serving(Limits()))
    assert answered(town, client, node, world)
    world.bound.close()


def test_who_a_trusted_proxy_names_has_to_be_let_in_too(town: Town) -> None:
    node, sender = town.peer(), town.peer()
    denied = Access(deny=(ip_network("203.0.113.7"),))
    world = World(town, node, access=(denied,), proxy_in=ProxyAccept((HERE,)))
    for number in (7, 8):
        client = Address(f"203.0.113.{number}", 1)
        header = encode_proxy_v2(client, Address("198.51.100.1", 53), transport=Transport.UDP)
        sender.send(header + str(number).encode(), world.where)
    assert node.waiting() == [b"8"]
    assert world.ended == {"dropped_denied": 1}
    world.bound.close()


@pytest.mark.parametrize(
    ("limits", "met"),
    [
        (Limits(session_rate=Rate(1, 1)), "dropped_session_rate"),
        (Limits(session_rate_per_client=Rate(1, 1)), "dropped_session_rate_per_client"),
        (Limits(max_udp_sessions=1), "dropped_over_limit"),
        (Limits(max_sessions_per_client=1), "dropped_max_sessions_per_client"),
        (Limits(max_sessions_per_node=1), "dropped_nodes_full"),
    ],
)
def test_a_limit_that_is_met_is_counted_under_its_name(town: Town, limits: Limits, met: str) -> None:
    node = town.peer()
    world = World(town, node, limits=limits)
    clients = [town.peer() for _ in range(3)]
    for client in clients:
        client.send(b"question", world.where)
    assert node.waiting() == [b"question"]
    assert world.ended == {met: 2}
    clients[0].send(b"again", world.where)
    assert node.waiting() == [b"again"], "who has a session has nothing to fear"
    world.bound.close()


def test_no_session_lasts_for_ever(town: Town) -> None:
    node, client = town.peer(), town.peer()
    world = World(town, node, limits=Limits(max_duration=5.0))
    for _ in range(6):
        client.send(b"x", world.where)
        town.loop.settle()
        town.loop.advance(0.9)
    assert world.ended == {"max_duration": 1}
    (record,) = world.table.recent
    assert (record.ending, record.facts.peer.port) == (Ending.MAX_DURATION, client.sock.getsockname()[1])
    world.bound.close()


@pytest.mark.parametrize("limits", [Limits(bandwidth=10_000), Limits(bandwidth_per_client=10_000)])
def test_what_is_too_much_is_dropped_either_way(town: Town, limits: Limits) -> None:
    node, client = town.peer(), town.peer()
    world = World(town, node, limits=limits)
    for _ in range(20):
        client.send(bytes(1000), world.where)
    there = len(node.waiting())
    assert 2 <= there <= 5
    client.send(b"?", world.where)
    town.loop.advance(3.0)
    client.send(b"!", world.where)
    _, asker = node.receive()
    for _ in range(20):
        node.send(bytes(1000), asker)
        town.loop.settle()
    assert 2 <= len(client.waiting()) <= 5
    assert world.ended["dropped_bandwidth"] >= 30
    world.bound.close()


def test_a_flood_to_a_node_that_is_not_there_leaves_few_records(town: Town) -> None:
    gone = town.gone()
    world = World(town, gone)
    clients = [town.peer() for _ in range(ENOUGH * 4)]
    for client in clients:
        client.send(b"one", world.where)
        town.loop.settle()
        client.send(b"two", world.where)
        town.loop.settle()
    assert len(world.table.recent) == ENOUGH
    ended = world.ended
    assert ended["connect_failed"] == ENOUGH
    assert ended["dropped_unreachable"] >= ENOUGH * 2
    (status,) = world.engine.pools.status()
    assert [node.sessions for node in status.nodes] == [0]
    town.loop.advance(MEMORY)
    clients[0].send(b"again", world.where)
    town.loop.settle()
    assert world.ended["connect_failed"] == ENOUGH + 1, "it is tried again"
    world.bound.close()


def test_sessions_with_a_node_that_is_down_are_ended(town: Town) -> None:
    node, client = town.peer(), town.peer()
    world = World(town, node)
    assert answered(town, client, node, world)
    NodeCloser(world.engine)(world.upstream, node.node)
    town.loop.advance(0)
    assert world.ended == {"node_down": 1}
    assert answered(town, client, node, world)
    world.bound.close()
