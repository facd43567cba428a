"""Sessions at routes that have plugins, over real sockets."""

from __future__ import annotations

import select
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from streamproxy.model import (
    Ending,
    HashKey,
    Limits,
    ListenAddress,
    Listener,
    Match,
    Node,
    Order,
    Policy,
    Route,
    Routing,
    Transport,
    Upstream,
)
from streamproxy.plugins import Go, More, Reject
from streamproxy.relay.factory import StreamProxyFactory
from streamproxy.relay.gates import Gates
from streamproxy.relay.serving import Serving
from streamproxy.rules import Table

from .loop import Loop
from .open_files import none_left_open
from .plugin_kit import Scripted
from .test_factory import Proxy, exchange, part, read
from .test_gates import host


class Guarded(Proxy):
    """A proxy whose one route has plugins."""

    def guard(
        self, *plugins: Scripted, upstreams: dict[str, tuple[Node, ...]], limits: Limits = Limits(), **more: Any
    ) -> None:
        self.engine.gates = Gates({plugin.name: plugin for plugin in plugins}, host())
        first = next(iter(upstreams))
        route = Route("r", Match(), first, tuple(plugin.use() for plugin in plugins))
        made = {name: Upstream(name, nodes, **more) for name, nodes in upstreams.items()}
        address = ListenAddress(Transport.TCP, "127.0.0.1", 7)
        serving = Serving(
            Listener(address, "r", "the test"), Table.compile(Routing("r", Order.FIRST, (route,))), made, limits, 3
        )
        self.factory = StreamProxyFactory(self.engine, serving)


@pytest.fixture
def proxy(loop: Loop) -> Iterator[Guarded]:
    with none_left_open():
        proxy = Guarded(loop)
        yield proxy
        proxy.close()
        loop.pump([0.1] * 30)
        assert loop.descriptors == 0, "descriptors are left with the reactor"


def test_a_session_that_is_let_through(proxy: Guarded) -> None:
    plugin, target = Scripted("a", [Go(variables={"mqtt_client_id": "foo"})]), proxy.target()
    proxy.guard(plugin, upstreams={"u": (target.node,)})
    client = proxy.client()
    exchange(proxy, client, target.take(), b"question", b"answer")
    record = part(proxy, client)
    assert record.variables == {"mqtt_client_id": "foo"}
    assert plugin.gates[0].records == [record], "the plugin is told of the session's end"


def test_a_session_that_is_refused_gets_no_byte(proxy: Guarded) -> None:
    plugin, target = Scripted("a", [Reject(403, "not you")]), proxy.target()
    proxy.guard(plugin, upstreams={"u": (target.node,)})
    client = proxy.client()
    record = proxy.ended()
    assert (record.ending, record.detail, record.code) == (Ending.REJECTED, "a: not you", 403)
    assert record.upstream is None
    assert target.nobody_came()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_what_a_plugin_read_is_relayed(proxy: Guarded) -> None:
    plugin, target = Scripted("a", [More(4), Go()]), proxy.target()
    proxy.guard(plugin, upstreams={"u": (target.node,)})
    client = proxy.client()
    proxy.loop.settle()
    assert target.nobody_came(), "the plugin has not had its bytes yet"
    client.sendall(b"ab")
    proxy.loop.settle()
    client.sendall(b"cdef")
    proxy.loop.until(lambda: len(plugin.gates[0].visits) > 1, "the plugin was asked again")
    read(proxy, target.take(), b"abcdef")


def test_a_client_that_says_too_little(proxy: Guarded) -> None:
    plugin, target = (
        Scripted("a", [More(4), lambda visit: Reject(503, f"{visit.window!r} {visit.complete}")]),
        proxy.target(),
    )
    proxy.guard(plugin, upstreams={"u": (target.node,)})
    proxy.client().shutdown(1)
    assert proxy.ended().detail == "a: b'' True"


def test_a_client_that_says_it_too_late(proxy: Guarded) -> None:
    target = proxy.target()
    proxy.guard(Scripted("a", [More(4)]), upstreams={"u": (target.node,)}, limits=Limits(sniff_timeout=2.0))
    proxy.client()
    proxy.loop.settle()
    proxy.loop.advance(2.1)
    assert proxy.ended().ending is Ending.SNIFF_TIMEOUT


def test_a_session_that_has_to_wait(proxy: Guarded) -> None:
    target = proxy.target()
    proxy.guard(Scripted("a", [Go(delay=0.5)]), upstreams={"u": (target.node,)})
    client = proxy.client()
    client.sendall(b"early")
    proxy.loop.settle()
    assert target.nobody_came()
    proxy.loop.advance(0.6)
    taken = target.take()
    read(proxy, taken, b"early")
    exchange(proxy, client, taken, b"question", b"answer")


def test_a_client_that_does_not_wait(proxy: Guarded) -> None:
    given: list[int] = []
    target = proxy.target()
    proxy.guard(Scripted("a", [Go(delay=0.5, release=lambda: given.append(1))]), upstreams={"u": (target.node,)})
    client = proxy.client()
    proxy.loop.settle()
    client.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
    assert part(proxy, client).ending is Ending.CLIENT_RESET
    assert given == [1], "what the plugin held for it is given back"
    proxy.loop.advance(1.0)
    assert target.nobody_came()


def test_a_plugin_chooses_the_upstream(proxy: Guarded) -> None:
    usual, other = proxy.target(), proxy.target()
    proxy.guard(Scripted("a", [Go(upstream="other")]), upstreams={"u": (usual.node,), "other": (other.node,)})
    client = proxy.client()
    exchange(proxy, client, other.take(), b"question", b"answer")
    assert part(proxy, client).upstream == "other"
    assert usual.nobody_came()


def test_a_plugin_chooses_an_upstream_there_is_not(proxy: Guarded) -> None:
    usual = proxy.target()
    proxy.guard(Scripted("a", [Go(upstream="other")]), upstreams={"u": (usual.node,)})
    proxy.client()
    record = proxy.ended()
    assert (record.ending, record.detail) == (Ending.NO_NODE, "there is no upstream other")


def test_clients_are_hashed_by_what_a_plugin_found(proxy: Guarded) -> None:
    targets = [proxy.target() for _ in range(5)]
    nodes = tuple(target.node for target in targets)
    plugin = Scripted(
        "a", [lambda visit: Go(variables={"mqtt_client_id": visit.window.decode()}) if visit.window else More(1)]
    )
    proxy.guard(plugin, upstreams={"u": nodes}, policy=Policy.CHASH, hash_key=HashKey("mqtt_client_id"))
    places: dict[str, set[str]] = {}
    for name in ("anna", "bert", "carl", "dora") * 3:
        client = proxy.client()
        client.sendall(name.encode())
        proxy.loop.until(lambda: proxy.engine.table, "the session is there")
        proxy.loop.settle()
        for target in targets:
            if select.select([target.server], [], [], 0)[0]:
                target.take()
        record = part(proxy, client)
        places.setdefault(name, set()).add(str(record.node))
    assert all(len(nodes_of) == 1 for nodes_of in places.values()), places


def test_the_plugins_of_a_session_are_those_it_began_with(proxy: Guarded) -> None:
    plugin, target = Scripted("a", [More(4), Go()]), proxy.target()
    proxy.guard(plugin, upstreams={"u": (target.node,)})
    client = proxy.client()
    proxy.loop.settle()
    proxy.engine.gates.close()
    proxy.factory.serving = evolve(proxy.factory.serving, revision=4)
    client.sendall(b"abcd")
    read(proxy, target.take(), b"abcd")
    assert len(plugin.gates) == 1
