"""A UDP proxy between real sockets on the loopback interface."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamproxy.model import Address, Ended, Ending, Facts, ListenAddress, Transport
from streamproxy.relay.udp import IDLE_TICK
from streamproxy.relay.udp_seams import DatagramLimits

from .loop import Loop
from .udp_kit import NOON, Router, Town, where


@pytest.fixture
def town(loop: Loop) -> Iterator[Town]:
    town = Town(loop)
    yield town
    town.close()


class TestRelaying:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_a_query_and_its_answer(self, town: Town, host: str) -> None:
        node, client = town.peer(host), town.peer(host)
        proxy = town.proxy(town.routed(node), host=host)

        client.send(b"who?", where(proxy, host))
        query, asker = node.receive()
        assert query == b"who?"
        node.send(b"me", asker)
        answer, answerer = client.receive()

        assert answer == b"me"
        assert answerer[:2] == (host, proxy.address.port), "the answer comes from where the client asked"

    def test_ipv4_clients_reach_an_ipv6_node(self, town: Town) -> None:
        node, client = town.peer("::1"), town.peer()
        proxy = town.proxy(town.routed(node))
        client.send(b"4 to 6", where(proxy))
        data, asker = node.receive()
        node.send(data[::-1], asker)
        assert client.receive()[0] == b"6 ot 4"

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
    @pytest.mark.parametrize("size", [0, 1, 8_193, 65_507])
    def test_every_size_passes_whole_both_ways(self, town: Town, size: int, host: str) -> None:
        loopback = "::1" if ":" in host else "127.0.0.1"
        node, client = town.peer(loopback), town.peer(loopback)
        proxy = town.proxy(town.routed(node), host=host)
        query = bytes(range(256)) * (size // 256) + bytes(size % 256)

        client.send(query, where(proxy, loopback))
        received, asker = node.receive()
        assert received == query
        node.send(query[::-1], asker)
        assert client.receive()[0] == query[::-1]
        assert (proxy.counters.datagrams_in, proxy.counters.datagrams_out) == (1, 1)
        assert (proxy.counters.bytes_in, proxy.counters.bytes_out) == (size, size)

    def test_two_clients_do_not_mix(self, town: Town) -> None:
        node, one, two = town.peer(), town.peer(), town.peer()
        proxy = town.proxy(town.routed(node))
        one.send(b"one", where(proxy))
        _, asker_one = node.receive()
        two.send(b"two", where(proxy))
        _, asker_two = node.receive()
        assert asker_one != asker_two, "each client has a socket of its own towards the node"

        node.send(b"for two", asker_two)
        node.send(b"for one", asker_one)
        assert one.waiting() == [b"for one"]
        assert two.waiting() == [b"for two"]
        assert proxy.sessions == 2

    def test_a_client_keeps_its_node(self, town: Town) -> None:
        first, second = town.peer(), town.peer()
        router = Router([town.routed(first), town.routed(second)])
        proxy = town.proxy(router)
        one, two = town.peer(), town.peer()
        one.send(b"1", where(proxy))
        town.loop.settle()
        two.send(b"2", where(proxy))
        one.send(b"3", where(proxy))

        assert first.waiting() == [b"1", b"3"]
        assert second.waiting() == [b"2"]
        assert len(router.asked) == 2, "the router is asked once for each client"

    def test_several_answers_to_one_query(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node))
        client.send(b"all", where(proxy))
        _, asker = node.receive()
        for number in range(40):
            node.send(b"%d" % number, asker)
        assert client.waiting() == [b"%d" % number for number in range(40)]

    def test_strangers_cannot_answer_for_the_node(self, town: Town) -> None:
        node, stranger, client = town.peer(), town.peer(), town.peer()
        proxy = town.proxy(town.routed(node))
        client.send(b"who?", where(proxy))
        _, asker = node.receive()
        stranger.send(b"me!", asker)
        assert client.waiting() == [], "only the node's datagrams pass"

    def test_the_router_sees_who_asked_and_where(self, town: Town) -> None:
        node, client = town.peer(), town.peer("127.0.0.9")
        router = Router([town.routed(node)])
        proxy = town.proxy(router, host="0.0.0.0")
        client.send(b"x", where(proxy, "127.0.0.3"))
        node.receive()
        assert router.asked == [
            Facts(
                ListenAddress(Transport.UDP, "0.0.0.0", 0),
                Address("127.0.0.9", client.port),
                Address("127.0.0.3", proxy.address.port),
            )
        ]


class TestWildcard:
    def test_the_answer_leaves_from_the_address_that_was_asked(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node), host="0.0.0.0")
        client.send(b"who?", where(proxy, "127.0.0.2"))
        _, asker = node.receive()
        node.send(b"me", asker)
        assert client.receive() == (b"me", ("127.0.0.2", proxy.address.port))

    def test_one_client_at_two_addresses_is_two_sessions(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node), host="0.0.0.0")
        askers = {}
        for address in ("127.0.0.2", "127.0.0.3"):
            client.send(address.encode(), where(proxy, address))
            data, asker = node.receive()
            askers[data] = asker
        assert proxy.sessions == 2
        for data, asker in askers.items():
            node.send(data, asker)
            answer, (answerer, _) = client.receive()
            assert answer.decode() == answerer

    def test_ipv6(self, town: Town) -> None:
        node, client = town.peer("::1"), town.peer("::1")
        proxy = town.proxy(town.routed(node), host="::")
        client.send(b"who?", where(proxy, "::1"))
        _, asker = node.receive()
        node.send(b"me", asker)
        answer, answerer = client.receive()
        assert (answer, answerer[:2]) == (b"me", ("::1", proxy.address.port))


class TestReload:
    def test_a_new_router_is_for_new_clients(self, town: Town) -> None:
        old, new = town.peer(), town.peer()
        proxy = town.proxy(town.routed(old))
        early, late = town.peer(), town.peer()
        early.send(b"1", where(proxy))
        town.loop.settle()
        proxy.router = Router([town.routed(new)], owner="another", revision=8)
        early.send(b"2", where(proxy))
        late.send(b"3", where(proxy))
        assert old.waiting() == [b"1", b"2"]
        assert new.waiting() == [b"3"]
        proxy.close()
        assert [(ended.owner, ended.revision) for ended in town.records] == [("stream_proxy.udp[0]", 7), ("another", 8)]

    def test_new_limits_are_for_new_clients(self, town: Town) -> None:
        node = town.peer()
        proxy = town.proxy(town.routed(node))
        early, late = town.peer(), town.peer()
        early.send(b"1", where(proxy))
        town.loop.settle()
        proxy.limits = DatagramLimits(max_sessions=1)
        late.send(b"2", where(proxy))
        early.send(b"3", where(proxy))
        assert node.waiting() == [b"1", b"3"]


class TestIdling:
    def test_an_idle_session_ends_and_leaves_its_record(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node), limits=DatagramLimits(idle_timeout=30))
        client.send(b"who?", where(proxy))
        _, asker = node.receive()
        node.send(b"me", asker)
        client.receive()

        town.loop.advance(29.9)
        assert proxy.sessions == 1
        town.loop.pump([IDLE_TICK, IDLE_TICK])
        assert proxy.sessions == 0
        (ended,) = town.records
        assert ended.duration == pytest.approx(30, abs=1.1)
        assert ended.connect_time == 0
        assert ended == Ended(
            id="s1",
            facts=Facts(proxy.listen, Address("127.0.0.1", client.port), Address("127.0.0.1", proxy.address.port)),
            owner="stream_proxy.udp[0]",
            revision=7,
            ending=Ending.IDLE_TIMEOUT,
            started=NOON,
            duration=ended.duration,
            route="route",
            upstream="upstream",
            node=node.node.label,
            connect_time=ended.connect_time,
            bytes_in=4,
            bytes_out=2,
            attempts=1,
        )
        assert town.released == [node.node]
        assert town.loop.getDelayedCalls() == [], "nothing ticks when there is no session"

    @pytest.mark.parametrize("direction", ["in", "out"])
    def test_traffic_either_way_keeps_it(self, town: Town, direction: str) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node), limits=DatagramLimits(idle_timeout=10))
        client.send(b"hello", where(proxy))
        _, asker = node.receive()
        for _ in range(5):
            town.loop.pump([1] * 9)
            if direction == "in":
                client.send(b"", where(proxy))
                node.receive()
            else:
                node.send(b"", asker)
                client.receive()
        assert town.records == [], "an empty datagram is traffic too"
        town.loop.pump([1] * 11)
        assert proxy.sessions == 0

    def test_the_route_may_have_its_own_timeout(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node, idle_timeout=2.0), limits=DatagramLimits(idle_timeout=600))
        client.send(b"x", where(proxy))
        node.receive()
        town.loop.pump([1, 1, 1])
        assert town.endings() == [Ending.IDLE_TIMEOUT]

    def test_after_it_the_node_is_chosen_anew(self, town: Town) -> None:
        first, second, client = town.peer(), town.peer(), town.peer()
        router = Router([town.routed(first), town.routed(second)])
        proxy = town.proxy(router, limits=DatagramLimits(idle_timeout=5))
        client.send(b"1", where(proxy))
        first.receive()
        town.loop.pump([1] * 6)
        client.send(b"2", where(proxy))
        assert second.receive()[0] == b"2"
        assert [session.id for session in proxy] == ["s2"]

    def test_many_sessions_share_one_timer(self, town: Town) -> None:
        node = town.peer()
        proxy = town.proxy(town.routed(node))
        for _ in range(20):
            town.peer().send(b"x", where(proxy))
        town.loop.until(lambda: proxy.sessions == 20, "20 sessions are open")
        assert len(town.loop.getDelayedCalls()) == 1

    def test_a_record_may_end_another_session(self, town: Town) -> None:
        node = town.peer()
        records: list[Ended] = []

        def record(ended: Ended) -> None:
            records.append(ended)
            for session in proxy:
                proxy.kill(session.id)

        proxy = town.proxy(town.routed(node), record=record, limits=DatagramLimits(idle_timeout=5))
        for _ in range(3):
            town.peer().send(b"x", where(proxy))
        town.loop.until(lambda: proxy.sessions == 3, "three sessions are open")
        town.loop.pump([1] * 6)
        assert [ended.ending for ended in records] == [Ending.IDLE_TIMEOUT, Ending.KILLED, Ending.KILLED]
