"""Sessions whose upstream is the name of services that nobody has asked for yet."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed

from streamproxy.interfaces import Leg
from streamproxy.model import Ending, Limits, Node, Timeouts, TlsMode, Upstream
from streamproxy.observe.sessions import SessionTable
from streamproxy.relay.dns.answers import Found, ResolutionError
from streamproxy.relay.dns.message import Service
from streamproxy.relay.engine import Engine
from streamproxy.relay.reach import Reach
from streamproxy.relay.resolve import Resolver

from .loop import Loop

U = Upstream("u", (Node("_db._tcp.test", 0),), timeouts=Timeouts(connect=4.0))


@define
class Town:
    """Every host is this one; who asks for services waits for the test."""

    asked: list[Deferred[Found[tuple[Service, ...]]]] = field(factory=list)

    def addresses(self, host: str) -> Deferred[Found[tuple[str, ...]]]:
        return succeed(Found(("127.0.0.1",), 60)) if host == "a.test." else fail(ResolutionError(host))

    def services(self, name: str) -> Deferred[Found[tuple[Service, ...]]]:
        self.asked.append(Deferred())
        return self.asked[-1]


@define
class Session:
    legs: list[Leg] = field(factory=list)
    failures: list[tuple[Ending, str]] = field(factory=list)

    def reached(self, leg: Leg, beyond: bytes) -> None:
        self.legs.append(leg)

    def unreached(self, ending: Ending, detail: str) -> None:
        self.failures.append((ending, detail))

    def queued(self) -> None:
        """Nodes have room for any number."""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@define
class World:
    loop: Loop
    town: Town = field(factory=Town)
    engine: Engine = field(init=False)

    def __attrs_post_init__(self) -> None:
        resolver = Resolver(self.town, self.loop.seconds, self.loop.callLater)
        self.engine = Engine(self.loop, resolver, SessionTable("t"), lambda: 0.0)
        self.engine.pools.keep({"u": U})

    def reach(self, upstream: Upstream = U, limits: Limits = Limits()) -> tuple[Reach, Session]:
        session = Session()
        reach = Reach(self.engine, limits, TlsMode.DISABLED, upstream, None)
        reach.begin(session)
        return reach, session


@pytest.fixture
def world(loop: Loop) -> Iterator[World]:
    world = World(loop)
    yield world
    world.engine.resolver.stop()
    world.engine.rest()
    assert loop.getDelayedCalls() == []


def test_they_wait(world: World, server: socket.socket) -> None:
    _, first = world.reach()
    _, second = world.reach()
    assert len(world.town.asked) == 1
    world.town.asked[0].callback(Found((Service(0, 1, server.getsockname()[1], "a.test"),), 60))
    world.loop.until(lambda: first.legs and second.legs, "both sessions were connected")
    reach, third = world.reach()
    world.loop.until(lambda: third.legs, "so was one that came later")
    assert reach.node is not None
    assert reach.node.label == f"a.test:{server.getsockname()[1]}"
    for session in (first, second, third):
        session.legs[0].abort()


def test_and_are_told_why_there_is_none(world: World) -> None:
    _, session = world.reach()
    world.town.asked[0].errback(ResolutionError("nobody answers"))
    assert session.failures == [(Ending.RESOLVE_FAILED, "nobody answers")]
    _, later = world.reach()
    assert later.failures == session.failures, "at once"


def test_but_not_for_ever(world: World) -> None:
    _, session = world.reach()
    world.loop.advance(4)
    assert session.failures == [(Ending.RESOLVE_FAILED, "_db._tcp.test: no answer in 4 s")]


def test_whoever_leaves_is_told_nothing(world: World) -> None:
    reach, session = world.reach()
    reach.cancel()
    world.town.asked[0].callback(Found((Service(0, 1, 1, "a.test"),), 60))
    world.loop.settle()
    assert (session.legs, session.failures) == ([], [])
    assert not reach.waiting


def test_where_there_is_another_node_nobody_waits(world: World, server: socket.socket) -> None:
    plain = Node("127.0.0.1", server.getsockname()[1])
    _, session = world.reach(evolve(U, nodes=(*U.nodes, plain)))
    world.loop.until(lambda: session.legs, "the session was connected")
    session.legs[0].abort()


def test_a_host_behind_a_service_that_cannot_be_resolved(world: World) -> None:
    _, session = world.reach()
    world.town.asked[0].callback(Found((Service(0, 1, 1, "b.test"),), 60))
    assert session.failures == [(Ending.RESOLVE_FAILED, "b.test.")]


def test_whoever_waits_for_room_finds_it_on_a_node_that_is_new(world: World, server: socket.socket) -> None:
    full = evolve(U, max_sessions=1)
    world.engine.pools.keep({"u": full})
    first, port = Service(0, 1, server.getsockname()[1], "a.test"), server.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as other:
        _, lucky = world.reach(full)
        world.town.asked[0].callback(Found((first,), 10))
        world.loop.until(lambda: lucky.legs, "the first session was connected")
        reach, waiting = world.reach(full, Limits(max_queue=1, queue_timeout=60.0))
        assert reach.is_queued
        world.loop.advance(9)
        second = Service(0, 1, other.getsockname()[1], "a.test")
        world.town.asked[1].callback(Found((first, second), 10))
        world.loop.until(lambda: waiting.legs, "the one that waited was connected")
        assert reach.node is not None
        assert reach.node.port != port
        for session in (lucky, waiting):
            session.legs[0].abort()
