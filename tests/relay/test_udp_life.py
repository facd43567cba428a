"""Looking at a UDP proxy's sessions, closing it, and what must not stop it."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from streamproxy.model import Address, Ended, Ending, ListenAddress, Transport
from streamproxy.relay.pktinfo import bind_udp
from streamproxy.relay.udp import IDLE_TICK, DatagramProxy
from streamproxy.relay.udp_seams import DatagramLimits

from .loop import Loop
from .udp_kit import NOON, Router, Town, only, where


@pytest.fixture
def town(loop: Loop) -> Iterator[Town]:
    town = Town(loop)
    yield town
    town.close()


class TestListing:
    def test_sessions_can_be_seen(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node))
        client.send(b"abc", where(proxy))
        node.receive()
        session = only(proxy)
        assert (session.id, session.started, session.bytes_in, session.datagrams_in) == ("s1", NOON, 3, 1)
        assert session.routed.node == node.node
        assert session.facts.peer == Address("127.0.0.1", client.port)

    def test_kill(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        opened: list[socket.socket] = []

        def open_socket(family: int, kind: int) -> socket.socket:
            opened.append(socket.socket(family, kind))
            return opened[-1]

        proxy = town.proxy(town.routed(node), open_socket=open_socket)
        client.send(b"1", where(proxy))
        _, killed = node.receive()
        assert proxy.kill("s1")
        assert not proxy.kill("s1"), "it is gone already"
        assert town.endings() == [Ending.KILLED]
        assert [sock.fileno() for sock in opened] == [-1], "its socket is closed"
        town.loop.advance(IDLE_TICK)
        assert town.loop.getDelayedCalls() == [], "nobody looks for it any more"
        client.send(b"2", where(proxy))
        _, asker = node.receive()
        assert [session.id for session in proxy] == ["s2"]
        assert asker != killed


class TestClosing:
    def test_close_ends_every_session(self, town: Town) -> None:
        node = town.peer()
        proxy = town.proxy(town.routed(node))
        before = town.loop.descriptors
        for _ in range(3):
            town.peer().send(b"x", where(proxy))
        town.loop.until(lambda: proxy.sessions == 3, "three sessions are open")
        done: list[None] = []
        proxy.close().addCallback(done.append)
        assert done == [None]
        assert town.endings() == [Ending.SHUTDOWN] * 3
        assert town.loop.descriptors == before - 1
        assert town.loop.getDelayedCalls() == []
        bind_udp(ListenAddress(Transport.UDP, "127.0.0.1", proxy.address.port)).close()
        proxy.close().addCallback(done.append)
        assert done == [None, None], "closing twice is fine"

    def test_drain_lets_sessions_finish(self, town: Town) -> None:
        node, old, new = town.peer(), town.peer(), town.peer()
        proxy = town.proxy(town.routed(node), limits=DatagramLimits(idle_timeout=5))
        old.send(b"1", where(proxy))
        _, asker = node.receive()
        done: list[None] = []
        proxy.close(drain=True).addCallback(done.append)
        old.send(b"2", where(proxy))
        new.send(b"3", where(proxy))
        assert node.waiting() == [b"2"]
        assert proxy.counters.dropped_closing == 1
        node.send(b"answer", asker)
        assert old.receive()[0] == b"answer"
        assert done == []
        town.loop.pump([1] * 6)
        assert done == [None]
        assert town.endings() == [Ending.IDLE_TIMEOUT]

    def test_a_drain_can_be_cut_short(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node))
        client.send(b"1", where(proxy))
        node.receive()
        done: list[str] = []
        proxy.close(drain=True).addCallback(lambda _: done.append("drained"))
        proxy.close().addCallback(lambda _: done.append("closed"))
        assert done == ["drained", "closed"]
        assert town.endings() == [Ending.SHUTDOWN]

    def test_closing_while_datagrams_are_read(self, town: Town) -> None:
        node = town.peer()

        def record(_: Ended) -> None:
            proxy.close()

        proxy = town.proxy(town.routed(node, responses=0), record=record)
        for _ in range(10):
            town.peer().send(b"x", where(proxy))
        proxy.doRead()
        assert node.waiting() == [b"x"], "after the first session's end there is nothing to read from"

    def test_closing_while_idle_sessions_are_looked_for(self, town: Town) -> None:
        node = town.peer()

        def record(_: Ended) -> None:
            proxy.close()

        proxy = town.proxy(town.routed(node), record=record, limits=DatagramLimits(idle_timeout=5))
        clients = [town.peer() for _ in range(6)]
        for client in clients:
            client.send(b"x", where(proxy))
        town.loop.until(lambda: proxy.sessions == 6, "six sessions are open")
        town.loop.pump([1] * 4)
        for client in clients[1:]:
            client.send(b"x", where(proxy))
        town.loop.settle()
        town.loop.pump([1] * 2)
        assert proxy.sessions == 0
        assert town.loop.getDelayedCalls() == []

    def test_the_reactor_stops(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node))
        client.send(b"1", where(proxy))
        node.receive()
        proxy.connectionLost(Failure(ConnectionLost()))
        assert town.endings() == [Ending.SHUTDOWN]
        proxy.connectionLost(Failure(ConnectionLost()))
        assert proxy.fileno() == -1


class TestTrouble:
    def test_a_router_that_raises_does_not_stop_the_listener(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(Router([ZeroDivisionError("a rule's bug"), town.routed(node)]))
        client.send(b"1", where(proxy))
        town.loop.settle()
        client.send(b"2", where(proxy))
        assert node.waiting() == [b"2"]

    def test_a_record_that_cannot_be_kept_does_not_stop_the_others(self, town: Town) -> None:
        node = town.peer()

        def record(_: Ended) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        proxy = town.proxy(town.routed(node), record=record, limits=DatagramLimits(idle_timeout=5))
        for _ in range(3):
            town.peer().send(b"x", where(proxy))
        town.loop.until(lambda: proxy.sessions == 3, "three sessions are open")
        town.loop.pump([1] * 6)
        assert proxy.sessions == 0
        assert len(town.released) == 3

    def test_a_datagram_from_the_listener_itself_makes_no_loop(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy, forge = forged(town, town.routed(node))
        forge(proxy.address.host, proxy.address.port)
        client.send(b"x", where(proxy))
        assert node.waiting() == []
        assert proxy.counters.dropped_loop == 1
        assert proxy.sessions == 0

    def test_a_client_without_a_port_gets_no_answer(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy, forge = forged(town, town.routed(node))
        forge("127.0.0.1", 0)
        client.send(b"one way", where(proxy))
        data, asker = node.receive()
        assert data == b"one way"
        node.send(b"answer", asker)
        assert client.waiting() == []
        assert proxy.counters.send_errors == 1
        assert proxy.sessions == 1

    def test_no_descriptor_for_the_listener(self, town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
        def exhausted() -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        sock = bind_udp(ListenAddress(Transport.UDP, "127.0.0.1", 0))
        monkeypatch.setattr(select, "epoll", exhausted)
        with pytest.raises(OSError, match="Too many open files"):
            town.proxy(town.routed(town.peer()), sock=sock)
        assert sock.fileno() == -1, "its socket is closed"

    def test_it_is_what_the_reactor_wants(self, town: Town) -> None:
        proxy = town.proxy(town.routed(town.peer()))
        assert verifyObject(IReadDescriptor, proxy)
        assert proxy.logPrefix() == "udp"


class Forging(socket.socket):
    """A listening socket that says of each datagram what it is told to say of where it came from."""

    origin: Any = None

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        size, _ = super().recvfrom_into(buffer, nbytes, flags)
        return size, self.origin


def forged(town: Town, routed: Any) -> tuple[DatagramProxy, Any]:
    """A proxy, and how to say (host, port) where its datagrams come from."""
    sock = Forging(fileno=bind_udp(ListenAddress(Transport.UDP, "127.0.0.1", 0)).detach())
    sock.setblocking(False)

    def forge(host: str, port: int) -> None:
        sock.origin = (host, port)

    return town.proxy(routed, sock=sock), forge
