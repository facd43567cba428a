"""Who may begin a session, how long it may last, and how fast it may be: over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from attrs import evolve
from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer

from streamproxy.model import Access, Address, Ending, Limits, ListenerLimits, Node, Phase, ProxyAccept, Rate
from streamproxy.relay.bandwidth import CREDIT, SLACK, SLICE
from streamproxy.relay.factory import StreamProxyFactory
from streamproxy.relay.limits import LINES_AT_ONCE
from streamproxy.relay.node_closer import NodeCloser
from streamproxy.relay.serving import Serving
from streamproxy.sniff.proxywrite import encode_proxy_v1

from .loop import Loop
from .open_files import none_left_open
from .test_factory import Proxy, Target, exchange, is_reset, part, read

HERE = ip_network("127.0.0.0/8")
ELSEWHERE = ip_network("192.0.2.0/24")
CLIENT = Address("203.0.113.7", 4711)
REACHED = Address("198.51.100.1", 443)
V1 = encode_proxy_v1(CLIENT, REACHED)


@pytest.fixture
def proxy(loop: Loop) -> Iterator[Proxy]:
    with none_left_open():
        proxy = Proxy(loop)
        yield proxy
        proxy.close()
        loop.pump([0.1] * 30)
        assert loop.descriptors == 0, "descriptors are left with the reactor"


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the log says of clients that were refused."""
    lines: list[str] = []

    @implementer(ILogObserver)
    def hear(event: Any) -> None:
        if "met" in event:
            lines.append(f"{event['client']} {event['met']}{event['held']}")

    globalLogPublisher.addObserver(hear)
    yield lines
    globalLogPublisher.removeObserver(hear)


def listen(
    proxy: Proxy, target: Target, limits: Limits = Limits(), own: ListenerLimits = ListenerLimits(), **listener: Any
) -> None:
    """Serve everybody, at a listener that says this of itself."""
    proxy.serve(target.node, limits=limits)
    serving = proxy.factory.serving
    proxy.factory.serving = Serving(
        evolve(serving.listener, limits=own, **listener), serving.table, serving.upstreams, limits, revision=3
    )


def served(proxy: Proxy, target: Target) -> socket.socket:
    """A client that is let in, and answered."""
    client = proxy.client()
    exchange(proxy, client, target.take(), b"question", b"answer")
    return client


def refused(proxy: Proxy) -> bool:
    return is_reset(proxy.client())


# Access


def test_who_is_denied_is_reset_at_once_and_counted(proxy: Proxy, told: list[str]) -> None:
    target = proxy.target()
    listen(proxy, target, access=(Access(deny=(HERE,)),))
    assert refused(proxy)
    assert proxy.factory.ended() == (("refused:denied", 1),)
    assert told == ["127.0.0.1 denied"]
    assert target.nobody_came()
    listen(proxy, target, access=(Access(allow=(HERE,)),))
    served(proxy, target)


def test_a_session_that_is_open_stays_when_its_client_is_denied(proxy: Proxy) -> None:
    target = proxy.target()
    listen(proxy, target)
    client = proxy.client()
    taken = target.take()
    listen(proxy, target, access=(Access(allow=(ELSEWHERE,)),))
    exchange(proxy, client, taken, b"question", b"answer")
    assert refused(proxy)


@pytest.mark.parametrize(
    ("access", "ending"),
    [
        (Access(deny=(ip_network("203.0.113.0/24"),)), Ending.DENIED),
        (Access(allow=(HERE,)), Ending.DENIED),
        (Access(allow=(HERE, ip_network("203.0.113.0/24"))), None),
        (Access(deny=(ELSEWHERE,)), None),
    ],
)
def test_who_a_trusted_proxy_names_has_to_be_let_in_too(proxy: Proxy, access: Access, ending: Ending | None) -> None:
    target = proxy.target()
    listen(proxy, target, access=(access,), proxy_in=ProxyAccept((HERE,)))
    client = proxy.client()
    client.sendall(V1)
    if ending is None:
        exchange(proxy, client, target.take(), b"question", b"answer")
        return
    record = proxy.ended()
    assert (record.ending, record.detail, record.facts.peer) == (ending, "denied", CLIENT)
    assert is_reset(client)


def test_who_an_untrusted_sender_names_is_not_looked_at(proxy: Proxy) -> None:
    target = proxy.target()
    denied = Access(deny=(ip_network("203.0.113.0/24"),))
    listen(proxy, target, access=(denied,), proxy_in=ProxyAccept((ELSEWHERE,)))
    client = proxy.client()
    client.sendall(V1)
    exchange(proxy, client, target.take(), b"question", b"answer")


# How many


def test_each_listener_has_a_cap(proxy: Proxy) -> None:
    target = proxy.target()
    listen(proxy, target, Limits(max_sessions_per_listener=1))
    client = served(proxy, target)
    assert refused(proxy)
    other = StreamProxyFactory(proxy.engine, proxy.factory.serving)
    assert other.door.refuses("127.0.0.1", other.serving) == "", "another listener counts for itself"
    part(proxy, client)
    served(proxy, target)
    assert ("refused:max_sessions_per_listener", 1) in proxy.factory.ended()


def test_a_listeners_own_cap_stands_in_place_of_what_holds_for_all(proxy: Proxy) -> None:
    target = proxy.target()
    limits = Limits(max_sessions_per_listener=1, max_sessions_per_client=1)
    listen(proxy, target, limits, ListenerLimits(max_sessions_per_listener=2, max_sessions_per_client=5))
    served(proxy, target)
    served(proxy, target)
    assert refused(proxy)
    assert proxy.factory.ended() == (("refused:max_sessions_per_listener", 1),)


@pytest.mark.parametrize("own", [False, True])
def test_a_client_is_counted_where_its_cap_is_said(proxy: Proxy, own: bool) -> None:
    target = proxy.target()
    listen(proxy, target, Limits(max_sessions_per_client=1))
    served(proxy, target)
    limits = ListenerLimits(max_sessions_per_client=1) if own else ListenerLimits()
    serving = proxy.factory.serving
    other = StreamProxyFactory(
        proxy.engine,
        Serving(evolve(serving.listener, limits=limits), serving.table, serving.upstreams, serving.limits),
    )
    met = "" if own else "max_sessions_per_client"
    assert other.door.refuses("127.0.0.1", other.serving) == met


def test_a_proxy_that_is_trusted_is_no_client(proxy: Proxy) -> None:
    target = proxy.target()
    limits = Limits(max_sessions_per_client=1, session_rate_per_client=Rate(0.001, 2))
    listen(proxy, target, limits, proxy_in=ProxyAccept((HERE,)))
    for number in range(5):
        client = proxy.client()
        client.sendall(encode_proxy_v1(Address(f"203.0.113.{number}", 1), REACHED))
        exchange(proxy, client, target.take(), b"question", b"answer")
    again = proxy.client()
    again.sendall(encode_proxy_v1(Address("203.0.113.0", 1), REACHED))
    proxy.loop.until(lambda: proxy.table.recent, "one was one too many")
    record = proxy.table.recent.pop()
    assert (record.ending, record.detail) == (Ending.OVER_LIMIT, "max_sessions_per_client")


# How often


def test_sessions_of_a_listener_begin_at_a_rate(proxy: Proxy, told: list[str]) -> None:
    target = proxy.target()
    listen(proxy, target, Limits(session_rate=Rate(1, 2)))
    served(proxy, target)
    served(proxy, target)
    for _ in range(LINES_AT_ONCE + 3):
        assert refused(proxy)
    proxy.loop.advance(1.0)
    served(proxy, target)
    assert proxy.factory.ended() == (("refused:session_rate", LINES_AT_ONCE + 3),)
    assert len(told) == LINES_AT_ONCE, "a flood of clients is no flood of lines"
    proxy.loop.advance(9.0)
    served(proxy, target)
    served(proxy, target)
    assert refused(proxy)
    assert told[-1] == "127.0.0.1 session_rate (and 3 more, which were not logged)"


def test_sessions_of_a_client_begin_at_a_rate(proxy: Proxy) -> None:
    target = proxy.target()
    listen(proxy, target, Limits(session_rate_per_client=Rate(1, 1)))
    served(proxy, target)
    assert refused(proxy)
    door, serving = proxy.factory.door, proxy.factory.serving
    assert door.refuses("192.0.2.1", serving) == ""
    assert StreamProxyFactory(proxy.engine, serving).door.refuses("192.0.2.1", serving) == "session_rate_per_client"
    proxy.loop.advance(1.0)
    served(proxy, target)


def test_a_listeners_own_rate_for_each_client_counts_there_only(proxy: Proxy) -> None:
    target = proxy.target()
    listen(proxy, target, own=ListenerLimits(session_rate_per_client=Rate(1, 1)))
    served(proxy, target)
    assert refused(proxy)
    serving = proxy.factory.serving
    assert StreamProxyFactory(proxy.engine, serving).door.refuses("127.0.0.1", serving) == ""


# How long


@pytest.mark.parametrize("relaying", [True, False])
def test_no_session_lasts_for_ever(proxy: Proxy, relaying: bool) -> None:
    target = proxy.target()
    listen(proxy, target, Limits(max_duration=20.0, sniff_timeout=100.0))
    if not relaying:
        listen(proxy, target, Limits(max_duration=20.0, sniff_timeout=100.0), proxy_in=ProxyAccept((HERE,)))
    client = proxy.client()
    if relaying:
        taken = target.take()
        for _ in range(19):
            proxy.loop.advance(1.0)
            exchange(proxy, client, taken, b"question", b"answer")
    else:
        proxy.loop.advance(19.0)
    assert len(proxy.table) == 1
    proxy.loop.advance(1.1)
    record = proxy.ended()
    assert (record.ending, record.detail) == (Ending.MAX_DURATION, "it lasted 20 s")
    proxy.loop.pump([0.1] * 15)
    assert is_reset(client)


def test_one_that_ends_before_leaves_no_timer(proxy: Proxy) -> None:
    target = proxy.target()
    listen(proxy, target, Limits(max_duration=20.0))
    client = served(proxy, target)
    part(proxy, client)
    proxy.factory.doStop()
    assert not proxy.loop.getDelayedCalls()


# How fast


def test_a_session_is_as_fast_as_it_may_be_each_way(proxy: Proxy) -> None:
    target = proxy.target()
    listen(proxy, target, Limits(bandwidth=10_000))
    client = proxy.client()
    taken = target.take()
    for sender, receiver in ((client, taken), (taken, client)):
        sender.sendall(bytes(30_000))
        receiver.setblocking(False)
        got, begun = 0, proxy.loop.seconds()
        while got < 30_000:
            proxy.loop.turn(0.001)
            proxy.loop.advance(0.01)
            try:
                got += len(receiver.recv(65536))
            except BlockingIOError:
                pass
            elapsed = proxy.loop.seconds() - begun
            assert got <= 10_000 * (elapsed + CREDIT + SLACK + SLICE)
            assert elapsed < 3.5, f"only {got} bytes in {elapsed} s"
        receiver.setblocking(True)
    assert proxy.engine.pipes is None or proxy.engine.pipes.used == 0


def test_what_was_said_before_there_was_a_target_counts(proxy: Proxy) -> None:
    target = proxy.target()
    listen(proxy, target, Limits(bandwidth=10_000), proxy_in=ProxyAccept((HERE,)))
    client = proxy.client()
    client.sendall(V1 + bytes(10_000))
    taken = target.take()
    read(proxy, taken, bytes(10_000))
    client.sendall(b"more")
    proxy.loop.settle()
    taken.setblocking(False)
    with pytest.raises(BlockingIOError):
        taken.recv(1)
    proxy.loop.pump([0.1] * 11)
    read(proxy, taken, b"more")


@pytest.mark.parametrize("own", [False, True])
def test_the_sessions_of_a_client_share_its_bandwidth(proxy: Proxy, own: bool) -> None:
    target = proxy.target()
    if own:
        listen(proxy, target, own=ListenerLimits(bandwidth_per_client=10_000))
    else:
        listen(proxy, target, Limits(bandwidth_per_client=10_000))
    pairs = []
    for _ in range(4):
        client = proxy.client()
        pairs.append((client, target.take()))
    for client, taken in pairs:
        client.sendall(bytes(20_000))
        taken.setblocking(False)
    got = 0
    for _ in range(200):
        proxy.loop.turn(0.001)
        proxy.loop.advance(0.01)
        for _, taken in pairs:
            try:
                got += len(taken.recv(65536))
            except BlockingIOError:
                pass
    assert got == pytest.approx(20_000, rel=0.15)
    crowd = proxy.factory.door.own if own else proxy.engine.crowd
    assert len(crowd.inwards) == 1


# Nodes that are full


def queue(proxy: Proxy, *targets: Target, **limits: Any) -> None:
    proxy.serve(*(target.node for target in targets), limits=Limits(max_sessions_per_node=1, **limits))


def test_without_a_queue_a_full_upstream_says_so_at_once(proxy: Proxy) -> None:
    target = proxy.target()
    queue(proxy, target)
    served(proxy, target)
    client = proxy.client()
    proxy.loop.until(lambda: proxy.table.recent, "it was refused")
    record = proxy.table.recent.pop()
    assert (record.ending, record.attempts) == (Ending.QUEUE_FULL, 0)
    assert record.detail == "every node of all has all the sessions it may have, and 0 wait"
    assert is_reset(client)


def test_who_waits_is_served_in_order_as_soon_as_there_is_room(proxy: Proxy) -> None:
    target = proxy.target()
    queue(proxy, target, max_queue=2)
    first = proxy.client()
    taken = target.take()
    second, third = proxy.client(), proxy.client()
    second.sendall(b"second")
    third.sendall(b"third")
    proxy.loop.settle()
    assert target.nobody_came()
    assert sorted(each.ongoing().phase.value for each in proxy.table.everybody()) == [
        Phase.QUEUED.value,
        Phase.QUEUED.value,
        Phase.RELAYING.value,
    ]
    fourth = proxy.client()
    proxy.loop.until(lambda: proxy.table.recent, "there was no room to wait")
    assert proxy.table.recent.pop().ending is Ending.QUEUE_FULL
    assert is_reset(fourth)
    for client, words in ((first, b"second"), (second, b"third")):
        client.close()
        taken.close()
        taken = target.take()
        read(proxy, taken, words)
    exchange(proxy, third, taken, b"question", b"answer")
    assert len(proxy.engine.pools.of(proxy.factory.serving.upstreams["all"]).members.queue) == 0


def test_who_waits_too_long_is_let_go(proxy: Proxy) -> None:
    target = proxy.target()
    queue(proxy, target, max_queue=5, queue_timeout=3.0)
    served(proxy, target)
    client = proxy.client()
    proxy.loop.settle()
    proxy.loop.advance(2.9)
    assert len(proxy.table) == 2
    proxy.loop.advance(0.2)
    proxy.loop.until(lambda: proxy.table.recent, "it was let go")
    record = proxy.table.recent.pop()
    assert (record.ending, record.detail) == (Ending.QUEUE_TIMEOUT, "no node of all had room within 3 s")
    assert is_reset(client)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_who_hangs_up_leaves_the_queue(proxy: Proxy, how: str) -> None:
    target = proxy.target()
    queue(proxy, target, max_queue=1)
    first = proxy.client()
    taken = target.take()
    gone = proxy.client()
    if how == "reset":
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    gone.close()
    proxy.loop.until(lambda: proxy.table.recent, "it was noticed")
    ending = Ending.CLIENT_RESET if how == "reset" else Ending.CLIENT_GONE
    assert proxy.table.recent.pop().ending is ending
    waiting = proxy.client()
    proxy.loop.settle()
    first.close()
    taken.close()
    exchange(proxy, waiting, target.take(), b"question", b"answer")


def test_who_has_said_all_it_will_is_not_gone(proxy: Proxy) -> None:
    target = proxy.target()
    queue(proxy, target, max_queue=1)
    first = proxy.client()
    taken = target.take()
    waiting = proxy.client()
    waiting.sendall(b"all I say")
    waiting.shutdown(socket.SHUT_WR)
    proxy.loop.settle()
    assert len(proxy.table) == 2
    first.close()
    taken.close()
    taken = target.take()
    read(proxy, taken, b"all I say")
    proxy.loop.until(lambda: len(proxy.table) == 1, "the first session is over")
    taken.sendall(b"answer")
    read(proxy, waiting, b"answer")


def test_what_a_client_says_while_it_waits_is_bounded(proxy: Proxy) -> None:
    target = proxy.target()
    queue(proxy, target, max_queue=1)
    first = proxy.client()
    taken = target.take()
    waiting = proxy.client()
    waiting.setblocking(False)
    sent = 0
    for _ in range(2000):
        try:
            sent += waiting.send(bytes(65536))
        except BlockingIOError:
            proxy.loop.turn(0.001)
    (session,) = (each for each in proxy.table if each.ongoing().phase is Phase.QUEUED)
    assert len(session._early.window) <= 80 * 1024 + 65536  # type: ignore[attr-defined]
    first.close()
    taken.close()
    taken = target.take()
    read(proxy, taken, bytes(sent))


def test_a_node_that_fails_sends_its_client_to_wait_for_another(proxy: Proxy) -> None:
    target = proxy.target()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = Node("127.0.0.1", closed.getsockname()[1], priority=1)
    limits = Limits(max_sessions_per_node=1, max_queue=1)
    proxy.serve(dead, target.node, limits=limits)
    first = proxy.client()
    taken = target.take()
    second = proxy.client()
    proxy.loop.settle()
    assert target.nobody_came()
    first.close()
    taken.close()
    exchange(proxy, second, target.take(), b"question", b"answer")


def test_one_that_is_killed_leaves_the_queue(proxy: Proxy) -> None:
    target = proxy.target()
    queue(proxy, target, max_queue=1)
    served(proxy, target)
    proxy.client()
    proxy.loop.settle()
    (waiting,) = (each for each in proxy.table if each.ongoing().phase is Phase.QUEUED)
    waiting.kill(Ending.KILLED)
    assert proxy.table.recent.pop().ending is Ending.KILLED
    assert not proxy.engine.pools.of(proxy.factory.serving.upstreams["all"]).members.queue


# Nodes that are down


def test_the_sessions_with_a_node_that_is_down_are_ended_a_moment_later(proxy: Proxy) -> None:
    a, b = proxy.target(), proxy.target()
    proxy.serve(a.node, b.node)
    first, second = proxy.client(), proxy.client()
    a.take()
    taken = b.take()
    upstream = proxy.factory.serving.upstreams["all"]
    NodeCloser(proxy.engine)(upstream, a.node)
    assert len(proxy.table) == 2, "whoever tells it may be in the middle of something"
    proxy.loop.advance(0)
    record = proxy.table.recent.pop()
    assert (record.ending, record.detail) == (Ending.NODE_DOWN, f"127.0.0.1:{a.port} is unhealthy")
    assert is_reset(first)
    exchange(proxy, second, taken, b"question", b"answer")


# Descriptors


def test_a_node_is_not_to_blame_for_descriptors_that_are_not_there(proxy: Proxy) -> None:
    a, b = proxy.target(), proxy.target()
    proxy.serve(a.node, b.node)
    client = proxy.client()
    a.take()
    upstream = proxy.factory.serving.upstreams["all"]
    reported: list[Any] = []
    pool: Any = proxy.engine.pools.of(upstream)
    pool.report = lambda *arguments: reported.append(arguments)
    proxy.engine.dialler.open_socket = lambda family, kind: (_ for _ in ()).throw(OSError(24, "none"))
    unlucky = proxy.client()
    proxy.loop.until(lambda: proxy.table.recent, "it ended")
    record = proxy.table.recent.pop()
    assert (record.ending, record.detail, record.attempts) == (Ending.OVER_LIMIT, "no descriptor was left: none", 1)
    assert reported == []
    assert is_reset(unlucky)
    client.close()
