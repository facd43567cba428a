"""One client of a UDP proxy: waiting for an address, answers that are counted, and everything a network can refuse."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from streamproxy.model import Ending, Node
from streamproxy.relay.udp import DatagramProxy
from streamproxy.relay.udp_seams import DatagramLimits
from streamproxy.relay.udp_session import QUEUE_BYTES, QUEUE_BYTES_TOTAL, QUEUE_DATAGRAMS

from .loop import Loop
from .udp_kit import Names, Peer, Router, Town, only, where

NAME = "node.example.com"


@pytest.fixture
def town(loop: Loop) -> Iterator[Town]:
    town = Town(loop)
    yield town
    town.close()


def failing_once(method: str, code: int) -> Callable[[int, int], socket.socket]:
    """Opens sockets of which the first one's ``method`` fails, once."""
    left = [code]

    def attempt(self: socket.socket, *arguments: Any) -> Any:
        if left:
            raise OSError(left[0], os.strerror(left.pop()))
        return getattr(socket.socket, method)(self, *arguments)

    return type("FailingOnce", (socket.socket,), {method: attempt})


def queued(town: Town, proxy: DatagramProxy, client: Peer, *datagrams: bytes) -> None:
    """Let the proxy take these from the client."""
    before = proxy.counters.datagrams_in
    for data in datagrams:
        client.send(data, where(proxy))
    town.loop.until(lambda: proxy.counters.datagrams_in == before + len(datagrams), "the proxy took them")


class TestWaitingForAnAddress:
    def test_what_came_meanwhile_is_sent_in_order(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(Node(NAME, node.port)))
        queued(town, proxy, client, b"1", b"", b"3")
        assert node.waiting() == []
        assert len(town.names.asked) == 1, "one question for one session"

        town.loop.advance(0.2)
        (host, answer) = town.names.asked[0]
        assert host == NAME
        answer.callback(("127.0.0.1",))
        assert node.waiting() == [b"1", b"", b"3"]
        assert only(proxy).connect_time == pytest.approx(0.2)
        assert proxy.queued_bytes == 0
        client.send(b"4", where(proxy))
        assert node.waiting() == [b"4"]

    def test_a_cached_answer_needs_no_waiting(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        town.names.known[NAME] = ("127.0.0.1",)
        proxy = town.proxy(town.routed(Node(NAME, node.port)))
        client.send(b"1", where(proxy))
        assert node.receive()[0] == b"1"
        assert town.names.asked == []

    def test_the_override_of_a_nodes_address_is_what_is_resolved(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(Node("nobody.invalid", node.port, ip="127.0.0.1")))
        client.send(b"1", where(proxy))
        assert node.receive()[0] == b"1"

    def test_only_so_many_wait(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(Node(NAME, node.port)))
        queued(town, proxy, client, *[b""] * (QUEUE_DATAGRAMS + 5))
        assert proxy.counters.dropped_queue == 5
        town.names.asked[0][1].callback(("127.0.0.1",))
        assert node.waiting() == [b""] * QUEUE_DATAGRAMS

    def test_only_so_much_waits(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(Node(NAME, node.port)))
        big = bytes(QUEUE_BYTES // 3)
        queued(town, proxy, client, big, big, big, big)
        assert proxy.counters.dropped_queue == 1
        assert proxy.queued_bytes == 3 * len(big)
        town.names.asked[0][1].callback(("127.0.0.1",))
        assert node.waiting() == [big] * 3

    def test_all_sessions_together_hold_only_so_much(self, town: Town) -> None:
        proxy = town.proxy(town.routed(Node(NAME, 9)))
        big = bytes(65_000)
        fit = QUEUE_BYTES_TOTAL // len(big)
        for _ in range(fit + 2):
            queued(town, proxy, town.peer(), big)
        assert proxy.counters.dropped_queue == 2
        assert proxy.queued_bytes == fit * len(big) <= QUEUE_BYTES_TOTAL
        proxy.close()
        assert proxy.queued_bytes == 0
        assert proxy.counters.dropped_queue == fit + 2, "what waited in vain is counted too"

    def test_the_name_has_no_answer(self, town: Town) -> None:
        client = town.peer()
        proxy = town.proxy(town.routed(Node(NAME, 9)))
        queued(town, proxy, client, b"1", b"2")
        town.names.asked[0][1].errback(LookupError("no such name"))
        (ended,) = town.records
        assert (ended.ending, ended.detail, ended.connect_time) == (Ending.RESOLVE_FAILED, "no such name", None)
        assert proxy.counters.dropped_queue == 2
        assert len(town.released) == 1
        queued(town, proxy, client, b"3")
        assert len(town.names.asked) == 2, "the next datagram tries again"

    @pytest.mark.parametrize("end", ["kill", "close", "idle"])
    def test_it_ends_before_the_answer(self, town: Town, end: str) -> None:
        client = town.peer()
        proxy = town.proxy(town.routed(Node(NAME, 9)), limits=DatagramLimits(idle_timeout=5))
        queued(town, proxy, client, b"1")
        if end == "kill":
            proxy.kill("s1")
        elif end == "close":
            proxy.close()
        else:
            town.loop.pump([1] * 6)
        assert town.endings() == [{"kill": Ending.KILLED, "close": Ending.SHUTDOWN, "idle": Ending.IDLE_TIMEOUT}[end]]
        answer = town.names.asked[0][1]
        assert answer.called, "the question is called off"
        answer.callback(("127.0.0.1",))
        assert len(town.records) == 1
        assert proxy.sessions == 0

    def test_an_answer_that_cannot_be_called_off(self, town: Town) -> None:
        class Stubborn(Names):
            def resolve(self, host: str) -> Deferred[tuple[str, ...]]:
                # Whoever cancels it gets the address at once.
                waiter: Deferred[tuple[str, ...]] = Deferred(lambda _: waiter.callback(("127.0.0.1",)))
                return waiter

        opened: list[int] = []

        def open_socket(family: int, kind: int) -> socket.socket:
            opened.append(family)
            return socket.socket(family, kind)

        town.names = Stubborn()
        client = town.peer()
        proxy = town.proxy(town.routed(Node(NAME, 9)), open_socket=open_socket)
        queued(town, proxy, client, b"1")
        proxy.kill("s1")
        assert town.endings() == [Ending.KILLED]
        assert opened == []

    @pytest.mark.parametrize(
        ("answer", "ending"),
        [
            (lambda: succeed(("127.0.0.1",)), None),
            (lambda: fail(LookupError("said before")), Ending.RESOLVE_FAILED),
        ],
    )
    def test_an_answer_that_is_there_at_once(self, town: Town, answer: Any, ending: Ending | None) -> None:
        class Prompt(Names):
            def resolve(self, host: str) -> Deferred[tuple[str, ...]]:
                promised: Deferred[tuple[str, ...]] = answer()
                return promised

        town.names = Prompt()
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(Node(NAME, node.port)))
        client.send(b"1", where(proxy))
        assert node.waiting() == ([b"1"] if ending is None else [])
        assert town.endings() == ([] if ending is None else [ending])

    def test_a_resolver_with_a_bug(self, town: Town) -> None:
        client = town.peer()
        proxy = town.proxy(town.routed(Node(NAME, 9)))
        queued(town, proxy, client, b"1")
        nonsense: Any = None
        town.names.asked[0][1].callback(nonsense)
        assert town.endings() == [Ending.INTERNAL_ERROR]


class TestConnecting:
    def test_the_next_address_when_there_is_no_way_to_one(self, town: Town) -> None:
        def no_ipv6(family: int, kind: int) -> socket.socket:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            return socket.socket(family, kind)

        node, client = town.peer(), town.peer()
        town.names.known[NAME] = ("::1", "127.0.0.1")
        proxy = town.proxy(town.routed(Node(NAME, node.port)), open_socket=no_ipv6)
        client.send(b"1", where(proxy))
        assert node.receive()[0] == b"1"

    @pytest.mark.parametrize(
        ("addresses", "why"),
        [((), "no address"), (("localhost",), "localhost"), (("",), "")],
    )
    def test_no_address_that_is_one(self, town: Town, addresses: tuple[str, ...], why: str) -> None:
        client = town.peer()
        town.names.known[NAME] = addresses
        proxy = town.proxy(town.routed(Node(NAME, 9)))
        queued(town, proxy, client, b"1")
        (ended,) = town.records
        assert ended.ending is Ending.CONNECT_FAILED
        assert why in ended.detail
        assert proxy.sessions == 0

    def test_no_way_to_it(self, town: Town) -> None:
        client = town.peer()
        opener = failing_once("connect", errno.ENETUNREACH)
        opened: list[socket.socket] = []

        def open_socket(family: int, kind: int) -> socket.socket:
            opened.append(opener(family, kind))
            return opened[-1]

        proxy = town.proxy(town.routed(town.peer()), open_socket=open_socket)
        queued(town, proxy, client, b"1")
        (ended,) = town.records
        assert (ended.ending, ended.detail) == (Ending.CONNECT_FAILED, "127.0.0.1: Network is unreachable")
        assert ended.connect_time is None
        assert [sock.fileno() for sock in opened] == [-1], "what was opened is closed"
        assert proxy.counters.sessions == 1

    def test_no_descriptor_left_when_the_answer_comes(self, town: Town) -> None:
        def exhausted(family: int, kind: int) -> socket.socket:
            raise OSError(errno.EMFILE, "Too many open files")

        client = town.peer()
        proxy = town.proxy(town.routed(Node(NAME, 9)), open_socket=exhausted)
        queued(town, proxy, client, b"1", b"2")
        town.names.asked[0][1].callback(("127.0.0.1",))
        assert town.endings() == [Ending.OVER_LIMIT]
        assert proxy.counters.dropped_queue == 2


class TestRefusals:
    def test_a_refused_datagram_has_the_node_chosen_anew(self, town: Town) -> None:
        node, client, other = town.peer(), town.peer(), town.peer()
        gone = town.gone()
        router = Router([town.routed(node), town.routed(gone), town.routed(node)])
        proxy = town.proxy(router)
        other.send(b"other", where(proxy))
        _, asker_of_other = node.receive()
        client.send(b"1", where(proxy))
        town.loop.until(lambda: town.records, "the refusal is noticed")
        (ended,) = town.records
        assert ended.ending is Ending.CONNECT_FAILED
        assert ended.detail == "Connection refused"
        assert ended.node == gone.label
        assert proxy.counters.icmp_errors == 1
        assert town.released == [gone]

        client.send(b"2", where(proxy))
        assert node.receive()[0] == b"2"
        other.send(b"still here", where(proxy))
        assert node.receive() == (b"still here", asker_of_other), "the other client's session goes on"

    def test_a_refusal_may_be_told_when_the_next_datagram_is_sent(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        router = Router([town.routed(town.gone()), town.routed(node)])
        proxy = town.proxy(router)
        for data in (b"1", b"2", b"3"):
            client.send(data, where(proxy))
        town.loop.until(lambda: town.records, "the refusal is noticed")
        assert town.endings() == [Ending.CONNECT_FAILED]
        client.send(b"4", where(proxy))
        assert node.waiting()[-1] == b"4"

    @pytest.mark.parametrize("code", [errno.ENOBUFS, errno.EAGAIN, errno.EPERM, errno.EMSGSIZE])
    def test_a_datagram_the_kernel_does_not_take_is_dropped(self, town: Town, code: int) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node), open_socket=failing_once("send", code))
        client.send(b"1", where(proxy))
        client.send(b"2", where(proxy))
        assert node.waiting() == [b"2"]
        assert proxy.counters.send_errors == 1
        assert (only(proxy).datagrams_in, only(proxy).bytes_in) == (1, 1)

    def test_an_icmp_error_that_does_not_mean_the_node_is_gone(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node), open_socket=failing_once("recv_into", errno.EMSGSIZE))
        client.send(b"1", where(proxy))
        _, asker = node.receive()
        node.send(b"answer", asker)
        assert client.waiting() == [b"answer"]
        assert only(proxy).icmp_errors == proxy.counters.icmp_errors == 1

    def test_the_way_to_the_node_is_lost(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node), open_socket=failing_once("send", errno.EHOSTUNREACH))
        queued(town, proxy, client, b"1")
        (ended,) = town.records
        assert (ended.ending, ended.detail) == (Ending.CONNECT_FAILED, "No route to host")
        assert node.waiting() == []

    def test_a_wake_up_for_nothing(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node))
        client.send(b"1", where(proxy))
        node.receive()
        session = only(proxy)
        session.read(100.0)
        assert session.last == 0, "nothing came, so it is as idle as before"
        proxy.kill(session.id)
        session.read(100.0)
        session.finish(Ending.INTERNAL_ERROR)
        assert town.endings() == [Ending.KILLED], "a session ends once"


class TestCountedDatagrams:
    """nginx's ``proxy_responses`` and ``proxy_requests``."""

    def test_no_answer_is_expected(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node, responses=0))
        client.send(b"1", where(proxy))
        client.send(b"2", where(proxy))
        assert node.waiting() == [b"1", b"2"]
        assert proxy.sessions == 0
        assert town.endings() == [Ending.TARGET_CLOSED] * 2

    @pytest.mark.parametrize("responses", [1, 2])
    def test_it_ends_with_the_last_expected_answer(self, town: Town, responses: int) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node, responses=responses))
        client.send(b"1", where(proxy))
        _, asker = node.receive()
        for number in range(responses):
            assert proxy.sessions == 1
            node.send(b"%d" % number, asker)
            assert client.receive()[0] == b"%d" % number
        assert town.endings() == [Ending.TARGET_CLOSED]
        client.send(b"2", where(proxy))
        assert node.receive()[1] != asker, "the next datagram is a new session's"

    def test_every_query_expects_its_answers(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node, responses=1))
        client.send(b"1", where(proxy))
        client.send(b"2", where(proxy))
        _, asker = node.receive()
        assert node.receive() == (b"2", asker)
        node.send(b"one", asker)
        assert client.waiting() == [b"one"]
        assert proxy.sessions == 1
        node.send(b"two", asker)
        assert client.waiting() == [b"two"]
        assert proxy.sessions == 0

    def test_an_answer_that_could_not_be_passed_on_still_came(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node, responses=1), largest=10)
        client.send(b"1", where(proxy))
        _, asker = node.receive()
        node.send(bytes(11), asker)
        assert client.waiting() == []
        assert proxy.counters.truncated == 1
        assert proxy.sessions == 0

    def test_after_enough_requests_a_new_session_begins(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node, requests=2))
        askers = []
        for _ in range(4):
            client.send(b"x", where(proxy))
            askers.append(node.receive()[1])
        assert askers[0] == askers[1]
        assert askers[2] == askers[3] != askers[0]
        assert proxy.sessions == 2
        node.send(b"late", askers[0])
        assert client.receive()[0] == b"late", "the old session still delivers answers"
        town.loop.pump([1] * 61)
        assert town.endings() == [Ending.IDLE_TIMEOUT] * 2

    def test_requests_and_responses_together(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(node, requests=2, responses=1))
        client.send(b"1", where(proxy))
        _, asker = node.receive()
        node.send(b"one", asker)
        assert client.receive()[0] == b"one"
        assert proxy.sessions == 1, "it may still take a request"
        client.send(b"2", where(proxy))
        assert node.receive() == (b"2", asker)
        node.send(b"two", asker)
        assert client.receive()[0] == b"two"
        assert proxy.sessions == 0

    def test_requests_that_wait_for_an_address_count(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(Node(NAME, node.port), requests=2, responses=0))
        queued(town, proxy, client, b"1", b"2", b"3")
        assert proxy.sessions == 2
        for _, answer in list(town.names.asked):
            answer.callback(("127.0.0.1",))
        assert node.waiting() == [b"1", b"2", b"3"]
        assert [session.id for session in proxy] == ["s2"], "the second may take one more"

    def test_what_waits_after_the_end_is_not_sent(self, town: Town) -> None:
        node, client = town.peer(), town.peer()
        proxy = town.proxy(town.routed(Node(NAME, node.port)), open_socket=failing_once("send", errno.ECONNREFUSED))
        queued(town, proxy, client, b"1", b"2")
        town.names.asked[0][1].callback(("127.0.0.1",))
        assert town.endings() == [Ending.CONNECT_FAILED]
        assert node.waiting() == []
        assert proxy.queued_bytes == 0
