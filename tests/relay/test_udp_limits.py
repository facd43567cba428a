"""What a UDP proxy refuses, and how much it does at once."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from streamproxy.model import Ending
from streamproxy.relay.udp import BUDGET, LISTENER_BUDGET
from streamproxy.relay.udp_seams import DatagramLimits

from .loop import Loop
from .udp_kit import Router, Town, where


@pytest.fixture
def town(loop: Loop) -> Iterator[Town]:
    town = Town(loop)
    yield town
    town.close()


class TestLimits:
    def test_a_flood_of_clients_stays_at_the_cap(self, town: Town) -> None:
        node, old = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node), limits=DatagramLimits(max_sessions=100))
        old.send(b"before", where(proxy))
        _, asker = node.receive()
        for number in range(5_000):
            # An address and port of its own for each.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind((f"127.1.{number >> 8}.{number & 255}", 0))
                client.sendto(b"flood", where(proxy))
            if number % 50 == 49:
                town.loop.turn()
        town.loop.until(lambda: proxy.counters.datagrams_in == 5_001, "all of the flood has come")

        assert proxy.sessions == 100
        assert proxy.counters.sessions == 100
        assert proxy.counters.dropped_over_limit == 5_000 - 99
        assert town.records == [], "dropped datagrams leave no records"
        node.waiting()
        old.send(b"after", where(proxy))
        assert node.receive() == (b"after", asker), "who was there before goes on"

    def test_one_address_cannot_take_them_all(self, town: Town) -> None:
        node = town.peer()
        limits = DatagramLimits(max_sessions_per_client=2, idle_timeout=5)
        proxy = town.proxy(town.routed(node), limits=limits)
        greedy = [town.peer("127.0.0.7") for _ in range(4)]
        for client in greedy:
            client.send(b"greedy", where(proxy))
        town.peer("127.0.0.8").send(b"modest", where(proxy))
        assert node.waiting() == [b"greedy", b"greedy", b"modest"]
        assert proxy.counters.dropped_max_sessions_per_client == 2

        proxy.kill("s1")
        greedy[3].send(b"again", where(proxy))
        assert node.waiting() == [b"again"], "when a session ends another may come"
        greedy[0].send(b"again", where(proxy))
        assert node.waiting() == []

    def test_no_descriptor_left(self, town: Town) -> None:
        node, early, late = town.peer(), town.peer(), town.peer()
        exhausted = False

        def open_socket(family: int, kind: int) -> socket.socket:
            if exhausted:
                raise OSError(errno.EMFILE, "Too many open files")
            return socket.socket(family, kind)

        proxy = town.proxy(town.routed(node), open_socket=open_socket)
        early.send(b"1", where(proxy))
        _, asker = node.receive()
        exhausted = True
        for _ in range(3):
            late.send(b"lost", where(proxy))
        early.send(b"2", where(proxy))
        assert node.receive() == (b"2", asker), "sessions that are open go on"
        assert node.waiting() == []
        assert proxy.counters.dropped_no_descriptor == 3
        assert (proxy.sessions, proxy.counters.sessions) == (1, 1)
        assert town.released == [node.node] * 3, "each node that was picked is given back"
        assert town.records == []

        exhausted = False
        late.send(b"3", where(proxy))
        assert node.receive()[0] == b"3"

    def test_no_route(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        router = Router([Ending.NO_ROUTE, Ending.NO_NODE, town.routed(node)])
        proxy = town.proxy(router)
        for data in (b"1", b"2", b"3"):
            client.send(data, where(proxy))
        assert node.waiting() == [b"3"], "a refused client is not remembered"
        assert proxy.counters.dropped_no_route == 2
        assert town.records == []

    def test_larger_datagrams_than_wanted_are_dropped_whole(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        for host in ("127.0.0.1", "0.0.0.0"):
            proxy = town.proxy(town.routed(node), host=host, largest=1_000)
            client.send(bytes(1_001), where(proxy))
            client.send(bytes(1_000), where(proxy))
            data, asker = node.receive()
            assert len(data) == 1_000
            node.send(bytes(1_001), asker)
            node.send(bytes(1_000), asker)
            assert len(client.receive()[0]) == 1_000
            assert proxy.counters.truncated == 2


class TestBudgets:
    @pytest.mark.parametrize("size", [0, 10])
    def test_a_flood_does_not_hold_the_loop(self, town: Town, size: int) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node))
        for _ in range(BUDGET * 5):
            client.send(bytes(size), where(proxy))
        most = BUDGET + LISTENER_BUDGET
        proxy.doRead()
        first = proxy.counters.datagrams_in
        proxy.doRead()
        assert 0 < first <= most
        assert 0 < proxy.counters.datagrams_in - first <= most

    def test_nodes_get_a_turn_in_a_flood_of_clients(self, town: Town) -> None:
        node, client, flooder = town.peer(), town.peer(), town.peer()
        proxy = town.proxy(town.routed(node))
        client.send(b"who?", where(proxy))
        _, asker = node.receive()
        for _ in range(BUDGET * 5):
            flooder.send(b"", where(proxy))
        node.send(b"me", asker)
        proxy.doRead()
        assert client.sock.recv(100) == b"me"

    def test_no_client_waits_for_a_flooding_node(self, town: Town) -> None:
        node, victim, client = town.peer(), town.peer(), town.peer()
        proxy = town.proxy(town.routed(node))
        victim.send(b"flood me", where(proxy))
        _, asker = node.receive()
        for _ in range(BUDGET * 5):
            node.send(b"", asker)
        client.send(b"who?", where(proxy))
        proxy.doRead()
        assert proxy.counters.datagrams_out <= BUDGET
        assert node.sock.recv(100) == b"who?"
