"""The hub watches as a reactor does, and keeps what goes wrong with one descriptor from the others."""

from __future__ import annotations

import os
import select
import socket
import threading
from asyncio import SelectorEventLoop
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionLost
from twisted.internet.pollreactor import PollReactor
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from streamproxy.relay.hub import MOST_WAITS, Hub, hub_over

from .conftest import connected_pair
from .loop import PATIENCE, Loop
from .open_files import none_left_open


class Watched:
    """A socket that writes down what it is told."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.read = bytearray()
        self.writable = 0
        self.losses: list[Failure] = []
        self.then: Any = None

    def fileno(self) -> int:
        return self.sock.fileno()

    def doRead(self) -> None:
        self.read += self.sock.recv(1000)
        if self.then is not None:
            self.then()

    def doWrite(self) -> None:
        self.writable += 1
        if self.then is not None:
            self.then()

    def connectionLost(self, reason: Failure) -> None:
        self.losses.append(reason)
        if self.then is not None:
            self.then()


def test_it_watches_as_long_as_it_is_asked_to(loop: Loop) -> None:
    hub = Hub(loop)
    ours, peer = connected_pair()
    watched = Watched(ours)
    with none_left_open():
        hub.addReader(watched)
        hub.addReader(watched)
        assert (len(hub), loop.descriptors) == (1, 1)
        peer.sendall(b"one")
        loop.until(lambda: watched.read == b"one", "it was told of the bytes")
        assert not watched.writable
        hub.addWriter(watched)
        loop.until(lambda: watched.writable, "it was told that it can write")
        hub.removeWriter(watched)
        told = watched.writable
        peer.sendall(b"two")
        loop.until(lambda: watched.read == b"onetwo", "it was still told of bytes")
        assert watched.writable == told
        hub.removeReader(watched)
        hub.removeReader(watched)
        assert (len(hub), loop.descriptors) == (0, 0)
        assert hub.fileno() == -1
    hub.doRead()
    ours.close()
    peer.close()


def test_it_can_read_and_write_in_one_turn_unless_reading_was_the_end_of_it(loop: Loop) -> None:
    hub = Hub(loop)
    ours, peer = connected_pair()
    watched = Watched(ours)
    hub.addReader(watched)
    hub.addWriter(watched)
    peer.sendall(b"x")
    loop.until(lambda: watched.read and watched.writable, "both were told")
    told = watched.writable

    def leave() -> None:
        hub.removeReader(watched)
        hub.removeWriter(watched)

    watched.then = leave
    peer.sendall(b"y")
    hub.removeWriter(watched)
    select.select([ours], [], [], 5)
    hub.addWriter(watched)
    hub.doRead()
    assert watched.read == b"xy"
    assert watched.writable == told, "it was told of something after it had left"
    ours.close()
    peer.close()


def test_one_may_end_another_that_is_ready_too(loop: Loop) -> None:
    hub = Hub(loop)
    pairs = [connected_pair() for _ in range(2)]
    watched = [Watched(ours) for ours, _ in pairs]

    def end_the_other(me: Watched) -> None:
        for other in watched:
            if other is not me and other.sock.fileno() >= 0:
                hub.removeReader(other)
                other.sock.close()

    for each in watched:
        each.then = lambda me=each: end_the_other(me)
        hub.addReader(each)
    for _, peer in pairs:
        peer.sendall(b"x")
    for ours, _ in pairs:
        select.select([ours], [], [], 5)
    hub.doRead()
    assert sorted(bytes(each.read) for each in watched) == [b"", b"x"]
    assert len(hub) == 1
    for each in watched:
        hub.removeReader(each)
        each.sock.close()
    for _, peer in pairs:
        peer.close()


def test_a_number_that_was_closed_unnoticed_may_be_another_ones(loop: Loop) -> None:
    hub = Hub(loop)
    ours, peer = connected_pair()
    gone = Watched(ours)
    hub.addReader(gone)
    number = ours.fileno()
    ours.close()
    new, its_peer = connected_pair()
    again = socket.socket(fileno=os.dup2(new.fileno(), number))
    again.setblocking(False)
    watched = Watched(again)
    hub.addReader(watched)
    its_peer.sendall(b"x")
    loop.until(lambda: watched.read == b"x", "the new one is watched")
    hub.removeReader(gone)
    assert len(hub) == 1, "the one that was gone took the new one with it"
    hub.removeReader(watched)
    for sock in (peer, new, its_peer, again):
        sock.close()


def test_a_hang_up_is_told_to_who_only_writes(loop: Loop) -> None:
    hub = Hub(loop)
    ours, peer = connected_pair()
    ours.send(b"unread")
    watched = Watched(ours)
    peer.close()
    hub.addWriter(watched)
    loop.until(lambda: watched.losses, "it was told")
    assert watched.losses[0].check(ConnectionLost)
    assert len(hub) == 0
    ours.close()


def test_it_goes_on_when_the_reactor_lets_it_go(loop: Loop) -> None:
    hub = Hub(loop)
    ours, peer = connected_pair()
    watched = Watched(ours)
    hub.addReader(watched)
    loop.removeReader(hub)
    hub.connectionLost(Failure(ConnectionLost()))
    peer.sendall(b"x")
    loop.until(lambda: watched.read == b"x", "it was told")
    hub.removeReader(watched)
    hub.connectionLost(Failure(ConnectionLost()))
    assert loop.descriptors == 0
    assert hub.logPrefix()
    ours.close()
    peer.close()


@pytest.mark.parametrize("make", [SelectReactor, PollReactor, lambda: AsyncioSelectorReactor(SelectorEventLoop())])
def test_any_reactor_that_takes_descriptors_will_do(make: Any) -> None:
    reactor = make()
    hub = Hub(reactor)
    ours, peer = connected_pair()
    watched = Watched(ours)
    hub.addReader(watched)
    peer.sendall(b"x")
    for _ in range(100):
        if watched.read:
            break
        reactor.iterate(0.05)
    assert watched.read == b"x", f"{reactor} did not tell"
    hub.removeReader(watched)
    assert hub not in reactor.getReaders()
    for sock in (ours, peer):
        sock.close()
    for end in reactor.removeAll():
        end.connectionLost(Failure(ConnectionLost()))
    for end in reactor._internalReaders:
        end.connectionLost(Failure(ConnectionLost()))


def test_its_time_is_the_reactors(loop: Loop) -> None:
    hub = Hub(loop)
    called: list[float] = []
    hub.callLater(2.0, lambda: called.append(hub.seconds()))
    loop.advance(2.0)
    assert called == [2.0]


def test_without_epoll_the_reactor_watches_itself(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(hub_over(loop), Hub)
    monkeypatch.delattr(select, "epoll")
    assert hub_over(loop) is loop


class ExceptionTests(SynchronousTestCase):
    """An exception is for the log, and for the descriptor that raised it."""

    def test_the_others_do_not_notice(self) -> None:
        loop = Loop()
        self.addCleanup(loop.close)
        hub = Hub(loop)
        pairs = [connected_pair() for _ in range(3)]
        watched = [Watched(ours) for ours, _ in pairs]

        def broken() -> None:
            raise RuntimeError("a bug")

        watched[1].then = broken
        for each, (_, peer) in zip(watched, pairs, strict=True):
            hub.addReader(each)
            peer.sendall(b"x")
        loop.until(lambda: watched[0].read and watched[2].read and watched[1].losses, "all were told")
        self.assertEqual(watched[1].losses[0].getErrorMessage(), "a bug")
        self.assertEqual(len(hub), 2)
        # The bug was met twice: by the bytes, and when the end was told.
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        for each in watched:
            hub.removeReader(each)
            each.sock.close()
        for _, peer in pairs:
            peer.close()

    def test_one_that_has_left_is_told_all_the_same(self) -> None:
        loop = Loop()
        self.addCleanup(loop.close)
        hub = Hub(loop)
        ours, peer = connected_pair()
        watched = Watched(ours)

        def broken() -> None:
            hub.removeWriter(watched)
            watched.then = None
            raise RuntimeError("a bug")

        watched.then = broken
        hub.addWriter(watched)
        loop.until(lambda: watched.losses, "it was told")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        ours.close()
        peer.close()


def test_a_clock_alone_is_enough_to_make_one() -> None:
    class Bare(Clock):
        def addReader(self, reader: Any) -> None: ...

        removeReader = addWriter = removeWriter = addReader

    assert len(Hub(Bare())) == 0


@pytest.fixture
def reactor() -> Iterator[EPollReactor]:
    """One of the usual kind, that nobody else uses."""
    reactor = EPollReactor()
    yield reactor
    reactor._poller.close()


class Restless(Watched):
    """There is always something to read, and ``told`` counts it."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.told = 0

    def doRead(self) -> None:
        self.told += 1


def run(reactor: EPollReactor) -> None:
    """Until somebody stops it."""
    giving_up = reactor.callLater(PATIENCE, reactor.stop)
    reactor.run(installSignalHandlers=False)
    assert giving_up.active(), f"it did not come to its end in {PATIENCE:g} s"


@pytest.fixture
def restless(reactor: EPollReactor) -> Iterator[Restless]:
    """It keeps a hub of ``reactor`` busy."""
    ours, peer = connected_pair()
    peer.sendall(b"x")
    watched = Restless(ours)
    hub = Hub(reactor)
    reactor.callWhenRunning(hub.addReader, watched)
    yield watched
    ours.close()
    peer.close()


def test_a_busy_hub_asks_its_epoll_more_often_than_the_reactor_turns(
    reactor: EPollReactor, restless: Restless, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = 0
    once = reactor.doPoll

    def turn(timeout: float | None) -> None:
        nonlocal turns
        turns += 1
        if turns == 10:
            reactor.stop()
        once(timeout)

    monkeypatch.setattr(reactor, "doIteration", turn)
    run(reactor)
    assert restless.told > 5 * MOST_WAITS


def test_a_busy_hub_keeps_no_timer_waiting(reactor: EPollReactor, restless: Restless) -> None:
    asked = 10
    told: list[int] = []

    def due() -> None:
        told.append(restless.told)
        reactor.stop()

    def then() -> None:
        restless.told += 1
        if restless.told == asked:
            reactor.callLater(0, due)

    restless.doRead = then  # type: ignore[method-assign]
    run(reactor)
    assert told == [asked], "others were told first"


def test_a_busy_hub_keeps_no_thread_waiting(reactor: EPollReactor, restless: Restless) -> None:
    thread = threading.Thread(target=lambda: reactor.callFromThread(reactor.stop))
    reactor.callWhenRunning(thread.start)
    run(reactor)
    thread.join()


def test_a_busy_hub_keeps_no_other_descriptor_waiting(reactor: EPollReactor, restless: Restless) -> None:
    ours, peer = connected_pair()

    class Other(Watched):
        def doRead(self) -> None:
            super().doRead()
            reactor.stop()

    other = Other(ours)
    reactor.callWhenRunning(reactor.addReader, other)
    reactor.callLater(0.01, peer.sendall, b"something")
    run(reactor)
    assert other.read == b"something"
    ours.close()
    peer.close()


def test_the_reactor_can_be_stopped_by_whom_the_hub_told(reactor: EPollReactor, restless: Restless) -> None:
    restless.doRead = lambda: None if reactor._stopped else reactor.stop()  # type: ignore[method-assign]
    run(reactor)


def test_a_hub_that_has_nothing_left_while_it_waits_frees_its_epoll(reactor: EPollReactor) -> None:
    ours, peer = connected_pair()
    peer.sendall(b"x")
    hub = Hub(reactor)

    class Brief(Watched):
        def doRead(self) -> None:
            super().doRead()
            if self.read == b"xx":
                hub.removeReader(self)
                reactor.callLater(0, reactor.stop)
            else:
                peer.sendall(b"x")

    with none_left_open():
        reactor.callWhenRunning(hub.addReader, Brief(ours))
        run(reactor)
        assert (len(hub), hub.fileno()) == (0, -1)
    ours.close()
    peer.close()
