"""Listeners that end TLS unless the route has it pass: one socket, two ways on."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from attrs import evolve

from streamproxy.model import (
    Ending,
    FactKind,
    Listener,
    Match,
    NamePattern,
    Order,
    PatternKind,
    Route,
    Routing,
    TlsMode,
)
from streamproxy.relay.serving import Serving
from streamproxy.rules import Table
from streamproxy.testing import hello_bytes

from .loop import Loop
from .test_factory import Target, read
from .test_termination import TlsProxy, meanwhile, swallow, wrap

ENDS, PASSES = "a.example.com", "passing.example.com"


@pytest.fixture
def proxy(loop: Loop) -> Iterator[TlsProxy]:
    proxy = TlsProxy(loop)
    yield proxy
    proxy.close()
    loop.pump([0.5] * 20)
    assert loop.descriptors == 0, "descriptors are left with the reactor"


def decide_by_route(proxy: TlsProxy, ends: Target, passes: Target) -> None:
    """TLS ends for one name and passes for the other."""
    matches = {name: Match(names=(NamePattern(PatternKind.EXACT, name, name),)) for name in (ENDS, PASSES)}
    proxy.serve_routes(
        {ENDS: (matches[ENDS], (ends.node,)), PASSES: (matches[PASSES], (passes.node,))},
        sniff=frozenset({FactKind.SNI}),
    )
    serving = proxy.factory.serving
    routes = tuple(Route(name, match, name, passthrough=name == PASSES) for name, match in matches.items())
    listener: Listener = evolve(serving.listener, tls=TlsMode.TERMINATE, passes=True)
    table = Table.compile(Routing("r", Order.SPECIFIC, routes))
    proxy.factory.serving = Serving(listener, table, serving.upstreams, serving.limits, 3)


def test_what_passes_comes_to_its_target_as_it_was_sent(proxy: TlsProxy) -> None:
    ends, passes = proxy.target(), proxy.target()
    decide_by_route(proxy, ends, passes)
    client = proxy.client()
    hello = hello_bytes(PASSES, post_quantum=True)
    for start in range(0, len(hello), 100):
        client.sendall(hello[start : start + 100])
        proxy.loop.settle()
    taken = passes.take()
    read(proxy, taken, hello)
    taken.sendall(b"encrypted answer")
    read(proxy, client, b"encrypted answer")
    client.shutdown(socket.SHUT_WR)
    proxy.loop.until(lambda: ended(taken), "the end is passed on")
    taken.close()
    record = proxy.ended()
    assert (record.route, record.facts.sni, record.facts.tls) == (PASSES, PASSES, True)
    assert record.facts.handshake is None
    assert (record.bytes_in, record.bytes_out) == (len(hello), 16)
    assert ends.nobody_came()


def ended(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False


def test_what_does_not_pass_ends_here(proxy: TlsProxy) -> None:
    ends, passes = proxy.target(), proxy.target()
    decide_by_route(proxy, ends, passes)
    client = wrap(proxy, ENDS)
    client.sendall(b"question")
    taken = ends.take()
    read(proxy, taken, b"question")
    taken.sendall(b"answer")
    assert meanwhile(proxy.loop, lambda: swallow(client, 6)) == b"answer"
    client.close()
    taken.close()
    record = proxy.ended()
    assert (record.route, record.facts.handshake is not None) == (ENDS, True)
    assert passes.nobody_came()


def test_who_hangs_up_when_he_was_let_pass(proxy: TlsProxy) -> None:
    ends, passes = proxy.target(), proxy.target()
    decide_by_route(proxy, ends, passes)
    client = proxy.client()
    client.sendall(hello_bytes(PASSES))
    proxy.loop.settle()
    taken = passes.take()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    record = proxy.ended()
    assert (record.route, record.ending) == (PASSES, Ending.CLIENT_RESET)
    taken.close()


def test_a_name_that_nobody_has_a_route_or_a_certificate_for(proxy: TlsProxy) -> None:
    ends, passes = proxy.target(), proxy.target()
    decide_by_route(proxy, ends, passes)
    client = proxy.client()
    client.sendall(hello_bytes("nobody.example.org"))
    proxy.loop.settle()
    record = proxy.ended()
    assert (record.ending, record.facts.sni) == (Ending.HANDSHAKE_FAILED, "nobody.example.org")
    assert passes.nobody_came()
    assert ends.nobody_came()
    client.close()
