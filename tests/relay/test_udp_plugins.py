"""Datagram sessions at routes that have plugins, and where clients are hashed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import succeed

from streamproxy.model import (
    Ending,
    HashKey,
    ListenAddress,
    Listener,
    Match,
    Order,
    Policy,
    Route,
    Routing,
    Transport,
    Upstream,
)
from streamproxy.observe.sessions import SessionTable
from streamproxy.plugins import Go, More, Reject
from streamproxy.relay.engine import Engine
from streamproxy.relay.gates import Gates
from streamproxy.relay.resolve import Resolver
from streamproxy.relay.serving import Serving
from streamproxy.relay.udp import DatagramProxy
from streamproxy.relay.udp_router import ServingRouter
from streamproxy.rules import Table

from .loop import Loop
from .plugin_kit import Scripted
from .test_gates import host
from .udp_kit import NOON, Peer, Town, where


@pytest.fixture
def town(loop: Loop) -> Iterator[Town]:
    town = Town(loop)
    yield town
    town.close()


def guarded(town: Town, plugins: list[Scripted], upstreams: dict[str, list[Peer]], **more: Any) -> DatagramProxy:
    """A proxy whose one route has plugins and leads to the first upstream."""
    resolver = Resolver(lambda name: succeed(()), town.loop.seconds)
    engine = Engine(town.loop, resolver, SessionTable("test"), lambda: NOON)
    engine.gates = Gates({plugin.name: plugin for plugin in plugins}, host())
    route = Route("r", Match(), next(iter(upstreams)), tuple(plugin.use() for plugin in plugins))
    made = {name: Upstream(name, tuple(peer.node for peer in peers), **more) for name, peers in upstreams.items()}
    listener = Listener(ListenAddress(Transport.UDP, "127.0.0.1", 7), "r", "the test")
    serving = Serving(listener, Table.compile(Routing("r", Order.FIRST, (route,))), made)
    proxy = town.proxy(town.routed(town.peer()))
    proxy.router = ServingRouter(engine, serving)
    return proxy


def test_a_datagram_that_is_let_through(town: Town) -> None:
    plugin, node, client = Scripted("a", [Go(variables={"x": "1"})]), town.peer(), town.peer()
    proxy = guarded(town, [plugin], {"u": [node]})
    client.send(b"question", where(proxy))
    data, asker = node.receive()
    assert data == b"question"
    node.send(b"answer", asker)
    assert client.receive()[0] == b"answer"
    visit = plugin.gates[0].visits[0]
    assert (visit.window, visit.complete) == (b"question", True), "the first datagram is all there is to see"
    proxy.close()
    assert [record.variables for record in town.records] == [{"x": "1"}]
    assert plugin.gates[0].records == town.records, "the plugin is told of the session's end"


def test_a_datagram_that_is_refused(town: Town) -> None:
    given: list[int] = []
    first, second = Scripted("a", [Go(release=lambda: given.append(1))]), Scripted("b", [Reject(403, "not you")])
    node, client = town.peer(), town.peer()
    proxy = guarded(town, [first, second], {"u": [node]})
    client.send(b"question", where(proxy))
    town.loop.until(lambda: proxy.counters.dropped_rejected, "it was refused")
    assert node.waiting() == []
    assert proxy.sessions == 0
    assert given == [1], "what a plugin held for it is given back"
    (record,) = second.gates[0].records
    assert (record.ending, record.code, record.detail) == (Ending.REJECTED, 403, "b: not you")


def test_more_than_a_datagram_there_is_not(town: Town) -> None:
    client = town.peer()
    proxy = guarded(town, [Scripted("a", [More(100)])], {"u": [town.peer()]})
    client.send(b"question", where(proxy))
    town.loop.until(lambda: proxy.counters.dropped_rejected, "it was refused")


def test_a_session_that_has_to_wait(town: Town) -> None:
    node, client = town.peer(), town.peer()
    proxy = guarded(town, [Scripted("a", [Go(delay=0.5)])], {"u": [node]})
    for data in (b"1", b"2"):
        client.send(data, where(proxy))
    town.loop.until(lambda: proxy.counters.datagrams_in == 2, "both have come")
    assert node.waiting() == []
    town.loop.advance(0.6)
    assert [node.receive()[0], node.receive()[0]] == [b"1", b"2"]


def test_a_session_that_is_ended_while_it_waits(town: Town) -> None:
    client = town.peer()
    proxy = guarded(town, [Scripted("a", [Go(delay=0.5)])], {"u": [town.peer()]})
    client.send(b"1", where(proxy))
    town.loop.until(lambda: proxy.sessions, "the session is there")
    proxy.close()
    assert town.endings() == [Ending.SHUTDOWN]
    town.loop.advance(1.0)


@pytest.mark.parametrize(("chosen", "comes"), [("other", True), ("nowhere", False)])
def test_a_plugin_chooses_the_upstream(town: Town, chosen: str, comes: bool) -> None:
    usual, other, client = town.peer(), town.peer(), town.peer()
    proxy = guarded(town, [Scripted("a", [Go(upstream=chosen)])], {"u": [usual], "other": [other]})
    client.send(b"question", where(proxy))
    if comes:
        assert other.receive()[0] == b"question"
    else:
        town.loop.until(lambda: proxy.counters.dropped_no_route, "there is no such upstream")
    assert usual.waiting() == []


def test_clients_of_one_address_are_hashed_to_one_node(town: Town) -> None:
    nodes = [town.peer() for _ in range(4)]
    proxy = guarded(town, [], {"u": nodes}, policy=Policy.CHASH, hash_key=HashKey("$remote_addr", combined=True))
    for _ in range(6):
        town.peer().send(b"question", where(proxy))
    town.loop.until(lambda: proxy.sessions == 6, "six sessions are there")
    assert sorted(len(node.waiting()) for node in nodes) == [0, 0, 0, 6]
