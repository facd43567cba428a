"""Every way for a session to end is made to happen, and its explanation is read."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator

import pytest

from streamproxy.model import (
    Access,
    Address,
    ClientPolicy,
    Ended,
    Ending,
    Facts,
    Limits,
    Listener,
    Match,
    Node,
    Order,
    ProxyAccept,
    Route,
    Routing,
    Snapshot,
    TlsMode,
    Upstream,
)
from streamproxy.plugins import Reject
from streamproxy.sniff.proxywrite import encode_proxy_v1
from streamproxy.testing import hello_bytes
from streamproxy.why import Source, Why, World, explain_session, shaped, text_of
from streamproxy.why.words import ENDINGS
from tests.relay.open_files import none_left_open

from ..relay.loop import Loop
from ..relay.plugin_kit import Scripted
from ..relay.test_factory import Slow, Target, exchange
from ..relay.udp_kit import Router, Town
from .kit import ADDRESS, Explained, reset

Scene = Callable[[Explained], Why]

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


@pytest.fixture
def proxy(loop: Loop) -> Iterator[Explained]:
    with none_left_open():
        proxy = Explained(loop)
        yield proxy
        proxy.close()
        loop.pump([0.5] * 40)
        assert loop.descriptors == 0, "descriptors are left with the reactor"


def relaying(proxy: Explained, **more: object) -> tuple[socket.socket, socket.socket]:
    """A session that has said a little; its two ends."""
    target = proxy.target()
    proxy.serve_with(target.node, **more)  # type: ignore[arg-type]
    client = proxy.client()
    taken = target.take()
    exchange(proxy, client, taken, b"question", b"the answer")
    return client, taken


def client_closed(proxy: Explained) -> Why:
    client, taken = relaying(proxy)
    client.close()
    proxy.loop.settle()
    taken.close()
    return proxy.why()


def target_closed(proxy: Explained) -> Why:
    client, taken = relaying(proxy)
    taken.close()
    proxy.loop.settle()
    client.close()
    return proxy.why()


def client_reset(proxy: Explained) -> Why:
    client, _ = relaying(proxy)
    reset(client)
    return proxy.why()


def target_reset(proxy: Explained) -> Why:
    _, taken = relaying(proxy)
    reset(taken)
    return proxy.why()


def idle_timeout(proxy: Explained) -> Why:
    relaying(proxy, limits=Limits(idle_timeout=4))
    proxy.loop.pump([1.0] * 7)
    return proxy.why()


def max_duration(proxy: Explained) -> Why:
    relaying(proxy, limits=Limits(max_duration=4))
    proxy.loop.pump([1.0] * 7)
    return proxy.why()


def sniff_timeout(proxy: Explained) -> Why:
    proxy.serve_with(proxy.target().node, name="a.example.com")
    proxy.client()
    proxy.loop.settle()
    proxy.loop.advance(3.1)
    return proxy.why()


def sniff_failed(proxy: Explained) -> Why:
    proxy.serve_with(proxy.target().node, name="a.example.com")
    proxy.client().sendall(b"\x16\x03\x01\x00\x04\x01\x00\x00\xff\x00")
    return proxy.why()


def client_gone(proxy: Explained) -> Why:
    proxy.serve_with(proxy.target().node, name="a.example.com")
    proxy.client().close()
    return proxy.why()


def handshake_timeout(proxy: Explained) -> Why:
    proxy.serve_with(proxy.target().node, tls=TlsMode.TERMINATE)
    proxy.client()
    proxy.loop.settle()
    proxy.loop.advance(10.1)
    return proxy.why()


def handshake_failed(proxy: Explained) -> Why:
    proxy.serve_with(proxy.target().node, tls=TlsMode.TERMINATE)
    proxy.client().sendall(hello_bytes("z.example.com"))
    return proxy.why()


def no_route(proxy: Explained) -> Why:
    proxy.serve_with(proxy.target().node, name="a.example.com")
    proxy.client().sendall(hello_bytes("b.example.com"))
    return proxy.why()


def rejected(proxy: Explained) -> Why:
    first, second, third = Scripted("first"), Scripted("second", [Reject(403, "not you")]), Scripted("third")
    proxy.serve_with(proxy.target().node, plugins=(first, second, third))
    proxy.client()
    return proxy.why()


def no_node(proxy: Explained) -> Why:
    proxy.serve_with(Node("127.0.0.1", 1, weight=0))
    proxy.client()
    return proxy.why()


def connect_timeout(proxy: Explained) -> Why:
    slow = Slow(proxy.loop)
    proxy.targets.append(slow)
    proxy.serve_with(slow.node, limits=Limits(connect_timeout=4))
    proxy.client()
    proxy.loop.settle()
    proxy.loop.advance(4.1)
    return proxy.why()


def connect_failed(proxy: Explained) -> Why:
    target = Target(proxy.loop)
    target.close()
    proxy.serve_with(target.node)
    proxy.client()
    return proxy.why()


def resolve_failed(proxy: Explained) -> Why:
    proxy.serve_with(Node("nobody.example.com", 5432))
    proxy.client()
    return proxy.why()


def target_tls_failed(proxy: Explained) -> Why:
    target = proxy.target()
    node = Node(target.node.host, target.node.port, tls=ClientPolicy("a.example.com", verify=False))
    proxy.serve_with(node)
    proxy.client()
    taken = target.take()
    taken.sendall(b"220 I speak no TLS\r\n")
    return proxy.why()


def over_limit(proxy: Explained) -> Why:
    """Two clients of one address behind another proxy, which is only known when its header has come."""
    target = proxy.target()
    proxy.serve_with(
        target.node,
        limits=Limits(max_sessions_per_client=1),
        listener={"proxy_in": ProxyAccept((LOOPBACK,))},
    )
    said = encode_proxy_v1(Address("203.0.113.7", 40_000), Address("198.51.100.1", 443))
    first = proxy.client()
    first.sendall(said)
    target.take()
    second = proxy.client()
    second.sendall(said)
    proxy.loop.until(lambda: proxy.table.recent, "the second was refused")
    return proxy.why(proxy.table.recent.pop())


def denied(proxy: Explained) -> Why:
    access = Access(deny=(ipaddress.ip_network("203.0.113.0/24"),))
    proxy.serve_with(proxy.target().node, listener={"proxy_in": ProxyAccept((LOOPBACK,)), "access": (access,)})
    proxy.client().sendall(encode_proxy_v1(Address("203.0.113.7", 40_000), Address("198.51.100.1", 443)))
    return proxy.why()


def queue_full(proxy: Explained) -> Why:
    target = proxy.target()
    proxy.serve_with(target.node, limits=Limits(max_sessions_per_node=1))
    proxy.client()
    target.take()
    proxy.client()
    proxy.loop.until(lambda: proxy.table.recent, "the second was refused")
    return proxy.why(proxy.table.recent.pop())


def queue_timeout(proxy: Explained) -> Why:
    target = proxy.target()
    proxy.serve_with(target.node, limits=Limits(max_sessions_per_node=1, max_queue=1, queue_timeout=2.0))
    proxy.client()
    target.take()
    proxy.client()
    proxy.loop.settle()
    proxy.loop.advance(2.1)
    return proxy.why(proxy.table.recent.pop())


def ended_from_outside(ending: Ending, detail: str) -> Scene:
    """As the service, a health check or an administrator does it."""

    def scene(proxy: Explained) -> Why:
        relaying(proxy)
        (session,) = proxy.table
        session.kill(ending, detail)
        return proxy.why()

    return scene


def internal_error(proxy: Explained) -> Why:
    """Of a session of datagrams, whose socket is a bug."""
    town = Town(proxy.loop)

    def broken(family: int, kind: int) -> socket.socket:
        raise ZeroDivisionError("a bug")

    node = Node("node.example.com", 53)
    udp = town.proxy(Router([town.routed(node)]), open_socket=broken)
    client = town.peer()
    client.send(b"query", (udp.address.host, udp.address.port))
    proxy.loop.until(lambda: town.names.asked, "the name was asked for")
    town.names.asked[0][1].callback(("127.0.0.1",))
    record = town.records[0]
    town.close()
    routing = Routing("r", Order.FIRST, (Route("route", Match(), "upstream"),))
    snapshot = Snapshot(
        7,
        (Listener(record.facts.listener, "r", "the test"),),
        {"r": routing},
        {"upstream": Upstream("upstream", (node,))},
    )
    return explain_session(World(snapshot, Source.PINNED), record)


SCENES: dict[Ending, tuple[Scene, str, str]] = {
    Ending.CLIENT_CLOSED: (client_closed, "client ended the connection first, after 8 bytes", "Nothing"),
    Ending.TARGET_CLOSED: (target_closed, "ended the connection first, after 8 bytes", "Nothing"),
    Ending.CLIENT_RESET: (client_reset, "The connection to the client broke: Connection reset", "look there"),
    Ending.TARGET_RESET: (target_reset, "The connection to 127.0.0.1:", "look at its log"),
    Ending.IDLE_TIMEOUT: (idle_timeout, "nothing moved for 4 s", "limits.idle_timeout"),
    Ending.SNIFF_TIMEOUT: (sniff_timeout, "0 bytes in 3 s", "the server speaks first"),
    Ending.SNIFF_FAILED: (sniff_failed, "first bytes of the client could not be understood", "speak TLS here"),
    Ending.CLIENT_GONE: (client_gone, "before it said anything", "health checks"),
    Ending.HANDSHAKE_TIMEOUT: (handshake_timeout, "did not finish its TLS handshake", "limits.handshake_timeout"),
    Ending.HANDSHAKE_FAILED: (handshake_failed, "no certificate for z.example.com", "Add a certificate"),
    Ending.NO_ROUTE: (no_route, "No rule matches b.example.com", "?dry_run=true"),
    Ending.REJECTED: (rejected, "The plugin second turned the client back: not you", "second at this route"),
    Ending.NO_NODE: (no_node, "There was no node to connect to", "a weight above 0"),
    Ending.CONNECT_TIMEOUT: (connect_timeout, "did not answer in time", "a firewall"),
    Ending.CONNECT_FAILED: (connect_failed, "Connection refused", "whether something listens at 127.0.0.1:"),
    Ending.RESOLVE_FAILED: (resolve_failed, "nobody.example.com:5432", "getent ahosts"),
    Ending.TARGET_TLS_FAILED: (target_tls_failed, "The TLS handshake with 127.0.0.1:", "tls: false"),
    Ending.OVER_LIMIT: (over_limit, "max_sessions_per_client", "raise the limit"),
    Ending.DENIED: (denied, "may not connect here", "allow and deny lists"),
    Ending.MAX_DURATION: (max_duration, "it lasted 4 s", "raise the limit"),
    Ending.QUEUE_FULL: (queue_full, "All nodes were busy", "Add nodes"),
    Ending.QUEUE_TIMEOUT: (queue_timeout, "none became free in time", "Add nodes"),
    Ending.NODE_DOWN: (ended_from_outside(Ending.NODE_DOWN, "it is ill"), "became unhealthy", "health check fails"),
    Ending.KILLED: (ended_from_outside(Ending.KILLED, "by root"), "ended from outside: by root", "audit log"),
    Ending.SHUTDOWN: (ended_from_outside(Ending.SHUTDOWN, "the proxy stops"), "was stopped", "shutdown_timeout"),
    Ending.DRAINED: (ended_from_outside(Ending.DRAINED, "it was to go"), "it was to go", "Nothing"),
    Ending.INTERNAL_ERROR: (internal_error, "a bug", "report them"),
}


def test_there_is_a_scene_and_an_explanation_for_every_ending() -> None:
    assert set(SCENES) == set(Ending), "make the new ending happen here, and say what it means in why/words.py"
    assert set(ENDINGS) == set(Ending)


@pytest.mark.parametrize("ending", SCENES, ids=lambda ending: ending.value)
def test_why(proxy: Explained, ending: Ending) -> None:
    scene, says, advises = SCENES[ending]

    why = scene(proxy)

    assert why.ending.value == ending.value
    assert says in why.ending.words + why.ending.detail, why.ending
    assert advises in why.ending.advice, why.ending
    text = text_of(why)
    assert ending.value in text
    assert shaped(why)["text"] == text


def test_why_of_a_rejection(proxy: Explained) -> None:
    why = rejected(proxy)
    assert [(plugin.name, plugin.verdict.value, plugin.code) for plugin in why.plugins] == [
        ("first", "passed", None),
        ("second", "rejected", 403),
        ("third", "not asked", None),
    ]
    assert why.upstream is None


def test_why_of_a_node(proxy: Explained) -> None:
    why = client_closed(proxy)
    assert why.rules is not None
    assert why.rules.winner is not None
    assert why.rules.winner.id == "the route"
    assert why.upstream is not None
    (node,) = why.upstream.nodes
    assert (node.picked, node.why) == (True, "it is the only node")


def test_why_of_one_that_goes_on(proxy: Explained) -> None:
    relaying(proxy)
    (session,) = proxy.table
    why = proxy.why(session.ongoing())
    assert why.ending.value == "relaying"
    assert "8 bytes went to the target and 10 to the client" in why.ending.words
    assert why.upstream is not None
    assert why.upstream.nodes[0].sessions == 1


def test_of_a_session_before_anything_was_decided_no_rule_is_told(proxy: Explained) -> None:
    assert sniff_timeout(proxy).rules is None


def test_there_is_a_way_to_say_it_whatever_the_record_has(proxy: Explained) -> None:
    """Nothing but an ending: nobody knows where such a record may come from."""
    proxy.serve_with(proxy.target().node)
    for ending in Ending:
        bare = Ended("x", proxy_facts(), "", 1, ending, 0.0, 0.0)
        assert proxy.why(bare).ending.words


def proxy_facts() -> Facts:
    return Facts(ADDRESS, Address("192.0.2.1", 1), Address("127.0.0.1", 7))
