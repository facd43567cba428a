"""A name that was not in the handshake may be in the first HTTP request behind it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from attrs import evolve

from streamproxy.model import Ended, Ending, FactKind, Limits, Match, NamePattern, Node, PatternKind, TlsMode
from streamproxy.relay.serving import Serving

from .loop import Loop
from .test_factory import Target, read
from .test_termination import TlsProxy, meanwhile, wrap

LIMITS = Limits(sniff_timeout=3, handshake_timeout=10)


@pytest.fixture
def proxy(loop: Loop) -> Iterator[TlsProxy]:
    proxy = TlsProxy(loop)
    proxy.certify("a.example.com", "b.example.com", fallback="a.example.com")
    yield proxy
    proxy.close()
    loop.pump([0.5] * 20)
    assert loop.descriptors == 0, "descriptors are left with the reactor"


def request(host: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def serve(proxy: TlsProxy, names: dict[str, Target], rest: Target, *, asked: bool = True) -> None:
    """By name, the rest to the rest."""
    routes: dict[str, tuple[Match, tuple[Node, ...]]] = {
        name: (Match(names=(NamePattern(PatternKind.EXACT, name, name),)), (target.node,))
        for name, target in names.items()
    }
    kinds = frozenset({FactKind.SNI, FactKind.HTTP_HOST} if asked else {FactKind.SNI})
    proxy.serve_routes({**routes, "rest": (Match(), (rest.node,))}, sniff=kinds)
    serving = proxy.factory.serving
    listener = evolve(serving.listener, tls=TlsMode.TERMINATE)
    proxy.factory.serving = Serving(listener, serving.table, serving.upstreams, LIMITS, 3)


def ended(proxy: TlsProxy) -> Ended:
    for session in proxy.table:
        session.kill(Ending.KILLED)
    return proxy.ended()


def test_a_client_without_a_name_is_routed_by_its_request(proxy: TlsProxy) -> None:
    a, b, rest = proxy.target(), proxy.target(), proxy.target()
    serve(proxy, {"a.example.com": a, "b.example.com": b}, rest)
    client = wrap(proxy, None)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in request("B.example.com."):
        client.sendall(bytes([byte]))
        proxy.loop.turn()
    proxy.loop.settle()
    read(proxy, b.take(), request("B.example.com."))
    facts = ended(proxy).facts
    assert (facts.tls, facts.sni, facts.http_host) == (True, None, "b.example.com")
    assert facts.handshake is not None


def test_the_name_in_the_handshake_comes_first(proxy: TlsProxy) -> None:
    a, b, rest = proxy.target(), proxy.target(), proxy.target()
    serve(proxy, {"a.example.com": a, "b.example.com": b}, rest)
    client = wrap(proxy, "a.example.com")
    taken = a.take()
    client.sendall(request("b.example.com"))
    read(proxy, taken, request("b.example.com"))
    assert ended(proxy).facts.http_host is None


def test_who_speaks_something_else_has_named_nothing(proxy: TlsProxy) -> None:
    a, rest = proxy.target(), proxy.target()
    serve(proxy, {"a.example.com": a}, rest)
    client = wrap(proxy, None)
    client.sendall(b"\x10\x0cMQTT is no HTTP")
    proxy.loop.settle()
    read(proxy, rest.take(), b"\x10\x0cMQTT is no HTTP")


def test_where_nobody_asked_nobody_waits(proxy: TlsProxy) -> None:
    a, rest = proxy.target(), proxy.target()
    serve(proxy, {"a.example.com": a}, rest, asked=False)
    client = wrap(proxy, None)
    rest.take()
    client.close()


def test_a_broken_request_is_closed(proxy: TlsProxy) -> None:
    a, rest = proxy.target(), proxy.target()
    serve(proxy, {"a.example.com": a}, rest)
    client = wrap(proxy, None)
    client.sendall(b"GET / HTTP/1.1\r\nHost: a.example.com\r\nHost: b.example.com\r\n\r\n")
    assert proxy.ended().ending is Ending.SNIFF_FAILED
    assert a.nobody_came()
    assert rest.nobody_came()


def test_a_client_that_shakes_hands_and_says_nothing_is_closed_in_time(proxy: TlsProxy) -> None:
    a, rest = proxy.target(), proxy.target()
    serve(proxy, {"a.example.com": a}, rest)
    wrap(proxy, None)
    proxy.loop.advance(LIMITS.sniff_timeout)
    record = proxy.ended()
    assert record.ending is Ending.SNIFF_TIMEOUT
    assert record.facts.handshake is not None, "what the handshake agreed on is not recorded"


def test_a_client_that_leaves_instead(proxy: TlsProxy) -> None:
    a, rest = proxy.target(), proxy.target()
    serve(proxy, {"a.example.com": a}, rest)
    client = wrap(proxy, None)
    client.settimeout(1)
    with contextlib.suppress(OSError):
        # Its close_notify leaves at once; ours never comes, since we drop it.
        meanwhile(proxy.loop, client.unwrap)
    assert proxy.ended().ending is Ending.CLIENT_GONE
