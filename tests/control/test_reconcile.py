"""What runs follows what is desired."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any, cast

from attrs import evolve
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from streamproxy.control import reconcile
from streamproxy.control.reconcile import Lent, Reconciler
from streamproxy.model import (
    ListenAddress,
    Listener,
    ListenerState,
    ListenerStatus,
    Match,
    Node,
    Order,
    Route,
    Routing,
    Snapshot,
    Transport,
    Upstream,
)
from streamproxy.observe.sessions import SessionTable
from streamproxy.relay.engine import Engine
from streamproxy.relay.resolve import Resolver
from streamproxy.relay.serving import Serving


class Port:
    """A bound port that only remembers."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.swaps = 0
        self.closed = self.ceded = False
        self.started = 0
        self.lent: list[socket.socket] = []
        self.port = serving.listener.address.port

    def swap(self, serving: Serving) -> None:
        self.serving = serving
        self.swaps += 1

    def close(self) -> None:
        self.closed = True

    def status(self) -> ListenerStatus:
        return ListenerStatus(self.serving.listener, ListenerState.LISTENING, self.port)

    @property
    def descriptor(self) -> int:
        return self.port

    def start(self) -> None:
        self.started += 1

    def lend(self, sock: socket.socket) -> Lent | None:
        self.lent.append(sock)
        return None

    def cede(self) -> None:
        self.ceded = True


class Machine:
    """A reconciler whose addresses the test can make busy."""

    def __init__(self) -> None:
        self.clock = Clock()
        resolver = Resolver(lambda host: succeed(()), self.clock.seconds)
        self.engine = Engine(cast("Any", self.clock), resolver, SessionTable("t"), lambda: 0.0)
        self.busy: set[int] = set()
        self.bound: list[Port] = []
        self.reconciler = Reconciler(self.engine, self.bind)

    def bind(self, serving: Serving) -> Port:
        if serving.listener.address.port in self.busy:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        port = Port(serving)
        self.bound.append(port)
        return port

    def open(self) -> list[int]:
        return sorted(port.port for port in self.bound if not port.closed)

    def states(self) -> list[tuple[int, ListenerState]]:
        return [(s.listener.address.port, s.state) for s in self.reconciler.status()]


def snapshot(*ports: int, host: str = "db", revision: int = 1) -> Snapshot:
    listeners = tuple(Listener(ListenAddress(Transport.TCP, "127.0.0.1", p), f"r{p}", f"owner {p}") for p in ports)
    routings = {f"r{p}": Routing(f"r{p}", Order.FIRST, (Route(f"{p}", Match(), f"u{p}"),)) for p in ports}
    upstreams = {f"u{p}": Upstream(f"u{p}", (Node(host, p),)) for p in ports}
    return Snapshot(revision, listeners, routings, upstreams)


def test_it_binds_swaps_and_unbinds() -> None:
    machine = Machine()
    machine.reconciler.apply(snapshot(1, 2))
    assert machine.open() == [1, 2]
    first = machine.bound[0]
    machine.reconciler.apply(snapshot(1, 3, host="other", revision=2))
    assert machine.open() == [1, 3]
    assert first.swaps == 1
    assert first.serving.revision == 2
    assert first.serving.upstreams["u1"].nodes[0].host == "other"


def test_an_equal_desire_is_no_step() -> None:
    machine = Machine()
    machine.reconciler.apply(snapshot(1, revision=1))
    machine.reconciler.apply(snapshot(1, revision=2))
    assert machine.bound[0].swaps == 0


def test_an_unchanged_routing_is_compiled_once() -> None:
    machine = Machine()
    machine.reconciler.apply(snapshot(1))
    table = machine.bound[0].serving.table
    machine.reconciler.apply(snapshot(1, host="other"))
    assert machine.bound[0].serving.table is table


def test_a_busy_port_disturbs_nobody_and_is_tried_again_ever_more_patiently() -> None:
    machine = Machine()
    machine.busy.add(2)
    machine.reconciler.apply(snapshot(1, 2, 3))
    assert machine.open() == [1, 3]
    failed = machine.reconciler.status()[1]
    assert failed.state is ListenerState.FAILED
    assert failed.error == "cannot listen on tcp 127.0.0.1:2: Address already in use"
    assert failed.retry_in == reconcile.RETRY_FIRST
    machine.clock.advance(reconcile.RETRY_FIRST)
    assert machine.reconciler.status()[1].retry_in == 2 * reconcile.RETRY_FIRST
    for _ in range(10):
        machine.clock.advance(reconcile.RETRY_LAST)
    assert machine.reconciler.status()[1].retry_in == reconcile.RETRY_LAST
    machine.busy.clear()
    machine.clock.advance(reconcile.RETRY_LAST)
    assert machine.open() == [1, 2, 3]
    assert machine.reconciler.status()[1].error == ""


def test_a_port_that_failed_is_bound_with_what_is_desired_by_then() -> None:
    machine = Machine()
    machine.busy.add(1)
    machine.reconciler.apply(snapshot(1))
    machine.reconciler.apply(snapshot(1, host="newer", revision=2))
    machine.busy.clear()
    machine.clock.advance(reconcile.RETRY_FIRST)
    assert machine.bound[0].serving.upstreams["u1"].nodes[0].host == "newer"


def test_a_port_that_failed_and_is_no_longer_desired_is_not_tried_again() -> None:
    machine = Machine()
    machine.busy.add(1)
    machine.reconciler.apply(snapshot(1))
    machine.reconciler.apply(snapshot())
    assert machine.clock.getDelayedCalls() == []
    assert machine.states() == []


def test_an_address_is_free_before_another_takes_it() -> None:
    machine = Machine()
    machine.reconciler.apply(snapshot(1))
    wide = snapshot(1)
    listener = evolve(wide.listeners[0], address=ListenAddress(Transport.TCP, "0.0.0.0", 1))
    order: list[str] = []
    old = machine.bound[0]
    close: Callable[[], None] = old.close
    old.close = lambda: (order.append("close"), close())[1]  # type: ignore[method-assign, func-returns-value]
    bind = machine.reconciler.bind
    machine.reconciler.bind = lambda serving: (order.append("bind"), bind(serving))[1]  # type: ignore[func-returns-value]
    machine.reconciler.apply(evolve(wide, listeners=(listener,)))
    assert order == ["close", "bind"]


def test_pools_of_upstreams_that_are_gone_are_forgotten() -> None:
    machine = Machine()
    both = snapshot(1, 2)
    machine.reconciler.apply(both)
    for upstream in both.upstreams.values():
        machine.engine.pools.of(upstream)
    machine.reconciler.apply(snapshot(1))
    assert len(machine.engine.pools) == 1


def test_after_the_end_nothing_is_bound_any_more() -> None:
    machine = Machine()
    machine.busy.add(2)
    machine.reconciler.apply(snapshot(1, 2))
    machine.reconciler.close()
    assert machine.open() == []
    assert machine.clock.getDelayedCalls() == []
    machine.reconciler.apply(snapshot(3))
    assert machine.open() == []


def test_what_is_bound_is_left_to_another_process() -> None:
    machine = Machine()
    machine.busy.add(2)
    machine.reconciler.apply(snapshot(1, 2))
    assert [(held.address.port, held.descriptor) for held in machine.reconciler.held()] == [(1, 1)]
    machine.reconciler.start()
    assert [port.started for port in machine.bound] == [1]
    with socket.socket() as sock:
        address = machine.reconciler.held()[0].address
        machine.reconciler.lend(address, sock)
        assert machine.bound[0].lent == [sock]
        machine.reconciler.lend(evolve(address, port=2), sock)
        assert sock.fileno() == -1, "nobody accepts from it"
    machine.reconciler.cede()
    assert [(port.ceded, port.closed) for port in machine.bound] == [(True, False)]
    assert machine.clock.getDelayedCalls() == []
    machine.reconciler.apply(snapshot(3))
    assert len(machine.bound) == 1


def test_what_could_not_be_bound_is_tried_when_somebody_says_so() -> None:
    machine = Machine()
    changes: list[int] = []
    machine.reconciler.changed = lambda: changes.append(1)
    machine.busy.add(2)
    machine.reconciler.apply(snapshot(1, 2))
    machine.busy.clear()
    machine.reconciler.retry()
    assert machine.open() == [1, 2]
    assert changes == [1]
    assert machine.clock.getDelayedCalls() == []
