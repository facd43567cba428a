"""Sessions over real sockets: what the factory does with a client, from accept to the record of its end."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Iterator

import pytest
from attrs import evolve
from twisted.internet.defer import succeed

from streamproxy.model import (
    Ended,
    Ending,
    FactKind,
    Limits,
    ListenAddress,
    Listener,
    Match,
    NamePattern,
    Node,
    Order,
    PatternKind,
    Route,
    Routing,
    Timeouts,
    TlsMode,
    Transport,
    Upstream,
)
from streamproxy.observe.sessions import SessionTable
from streamproxy.relay.early import WINDOW
from streamproxy.relay.engine import Engine, default_max_sessions
from streamproxy.relay.factory import StreamProxyFactory
from streamproxy.relay.reach import MOST_EARLIER
from streamproxy.relay.resolve import Resolver
from streamproxy.relay.serving import Serving
from streamproxy.rules import Table
from streamproxy.testing import hello_bytes

from .conftest import connected_pair
from .loop import Loop
from .open_files import none_left_open

BOTH = frozenset(FactKind)


class Target:
    """A server of the test's own."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(5)
        self.port = int(self.server.getsockname()[1])
        self.node = Node("127.0.0.1", self.port)
        self.taken: list[socket.socket] = []

    def take(self) -> socket.socket:
        """The connection that the proxy made, when it has."""
        self.loop.until(lambda: select.select([self.server], [], [], 0)[0], "a session reached the target")
        sock, _ = self.server.accept()
        sock.settimeout(5)
        self.taken.append(sock)
        return sock

    def nobody_came(self) -> bool:
        self.server.setblocking(False)
        try:
            self.server.accept()[0].close()
        except BlockingIOError:
            return True
        finally:
            self.server.settimeout(5)
        return False

    def close(self) -> None:
        for sock in (self.server, *self.taken):
            sock.close()


class Proxy:
    """A factory on a loop, and its clients."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.table = SessionTable("test")
        resolver = Resolver(lambda host: succeed({"db": ("127.0.0.1",)}.get(host, ())), loop.seconds)
        self.engine = Engine(loop, resolver, self.table, lambda: 1_700_000_000.0)
        self.clients: list[socket.socket] = []
        self.targets: list[Target] = []
        self.factory: StreamProxyFactory

    def target(self) -> Target:
        target = Target(self.loop)
        self.targets.append(target)
        return target

    def serve(
        self,
        *nodes: Node,
        limits: Limits = Limits(),
        retries: int | None = None,
        timeouts: Timeouts = Timeouts(),
    ) -> None:
        """Everybody to these nodes."""
        self.serve_routes({"all": (Match(), nodes)}, limits=limits, retries=retries, timeouts=timeouts)

    def serve_names(self, names: dict[str, Target], fallback: Target | None = None, limits: Limits = Limits()) -> None:
        """By the name the client says."""
        routes: dict[str, tuple[Match, tuple[Node, ...]]] = {
            name: (Match(names=(NamePattern(PatternKind.EXACT, name, name),)), (target.node,))
            for name, target in names.items()
        }
        if fallback is not None:
            routes["fallback"] = (Match(), (fallback.node,))
        self.serve_routes(routes, sniff=BOTH, limits=limits)

    def serve_routes(
        self,
        routes: dict[str, tuple[Match, tuple[Node, ...]]],
        *,
        sniff: frozenset[FactKind] = frozenset(),
        limits: Limits = Limits(),
        retries: int | None = None,
        timeouts: Timeouts = Timeouts(),
    ) -> None:
        address = ListenAddress(Transport.TCP, "127.0.0.1", 7)
        routing = Routing("r", Order.FIRST, tuple(Route(name, match, name) for name, (match, _) in routes.items()))
        upstreams = {
            name: Upstream(name, nodes, retries=retries, timeouts=timeouts) for name, (_, nodes) in routes.items()
        }
        listener = Listener(address, "r", "the test", tls=TlsMode.PASSTHROUGH, sniff=sniff)
        serving = Serving(listener, Table.compile(routing), upstreams, limits, revision=3)
        if hasattr(self, "factory"):
            self.factory.serving = serving
        else:
            self.factory = StreamProxyFactory(self.engine, serving)

    def client(self) -> socket.socket:
        """Connect to the proxy."""
        ours, peer = connected_pair()
        self.clients.append(peer)
        self.factory.accept(ours, ours.getpeername())
        return peer

    def ended(self) -> Ended:
        """The record of the one session, when it has come."""
        self.loop.until(lambda: self.table.recent, "the session ended")
        assert len(self.table.recent) == 1, f"more ended: {list(self.table.recent)}"
        record = self.table.recent.pop()
        assert len(self.table) == 0, "the table still holds the ended session"
        return record

    def close(self) -> None:
        for session in self.table:
            session.kill(Ending.SHUTDOWN)
        for sock in self.clients:
            sock.close()
        for target in self.targets:
            target.close()


@pytest.fixture
def proxy(loop: Loop) -> Iterator[Proxy]:
    with none_left_open():
        proxy = Proxy(loop)
        yield proxy
        proxy.close()
        loop.pump([0.1] * 30)
        assert loop.descriptors == 0, "descriptors are left with the reactor"


def part(proxy: Proxy, client: socket.socket) -> Ended:
    """Both sides hang up; the record of that."""
    client.close()
    for target in proxy.targets:
        for sock in target.taken:
            sock.close()
    return proxy.ended()


def exchange(proxy: Proxy, client: socket.socket, target: socket.socket, question: bytes, answer: bytes) -> None:
    client.sendall(question)
    read(proxy, target, question)
    target.sendall(answer)
    read(proxy, client, answer)


def read(proxy: Proxy, sock: socket.socket, wanted: bytes) -> None:
    got = bytearray()
    sock.setblocking(False)

    def complete() -> bool:
        try:
            got.extend(sock.recv(65536))
        except BlockingIOError:
            pass
        return len(got) >= len(wanted)

    proxy.loop.until(complete, f"{len(wanted)} bytes arrived")
    sock.setblocking(True)
    sock.settimeout(5)
    assert bytes(got) == wanted


def is_reset(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) != b"" and False
    except ConnectionResetError:
        return True


def test_a_session_from_accept_to_its_record(proxy: Proxy) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    client = proxy.client()
    reached = client.getpeername()[1]
    taken = target.take()
    exchange(proxy, client, taken, b"hello", b"hello yourself")
    client.shutdown(socket.SHUT_WR)
    proxy.loop.settle()
    taken.close()
    record = proxy.ended()
    assert record.ending is Ending.CLIENT_CLOSED
    assert (record.bytes_in, record.bytes_out) == (5, 14)
    assert record.id == "test-1"
    assert record.owner == "the test"
    assert record.revision == 3
    assert record.route == record.upstream == "all"
    assert record.node == f"127.0.0.1:{target.port}"
    assert record.attempts == 1
    assert record.started == 1_700_000_000.0
    assert record.facts.peer.port == client.getsockname()[1]
    assert record.facts.local.port == reached
    assert proxy.factory.tally.accepted == 1
    assert proxy.factory.tally.sessions == 0
    assert proxy.factory.ended() == (("client_closed", 1),)


def test_the_server_may_speak_first(proxy: Proxy) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    client = proxy.client()
    target.take().sendall(b"SSH-2.0-OpenSSH\r\n")
    read(proxy, client, b"SSH-2.0-OpenSSH\r\n")


def test_the_name_in_the_hello_routes_and_the_hello_arrives_unchanged(proxy: Proxy) -> None:
    a, b, other = proxy.target(), proxy.target(), proxy.target()
    proxy.serve_names({"a.example.com": a, "b.example.com": b}, other)
    for name, target in (("b.example.com", b), ("A.Example.com", a), ("c.example.com", other), (None, other)):
        client = proxy.client()
        hello = hello_bytes(name, post_quantum=True, fragment=100)
        client.sendall(hello)
        proxy.loop.settle()
        read(proxy, target.take(), hello)


def test_a_hello_that_comes_a_byte_at_a_time(proxy: Proxy) -> None:
    target = proxy.target()
    proxy.serve_names({"a.example.com": target})
    client = proxy.client()
    hello = hello_bytes("a.example.com")
    for byte in hello:
        client.sendall(bytes([byte]))
        proxy.loop.turn(0.5)
    read(proxy, target.take(), hello)


def test_the_host_of_plain_http_routes(proxy: Proxy) -> None:
    target = proxy.target()
    proxy.serve_names({"www.foo.com": target})
    client = proxy.client()
    client.sendall(b"GET /index.html HTTP/1.1\r\nHost: WWW.Foo.com:8080\r\n\r\n")
    proxy.loop.settle()
    read(proxy, target.take(), b"GET /index.html HTTP/1.1\r\nHost: WWW.Foo.com:8080\r\n\r\n")


def test_no_route_resets_the_client_and_no_target_hears_of_it(proxy: Proxy) -> None:
    target = proxy.target()
    proxy.serve_names({"a.example.com": target})
    client = proxy.client()
    client.sendall(hello_bytes("z.example.com"))
    record = proxy.ended()
    assert record.ending is Ending.NO_ROUTE
    assert record.facts.sni == "z.example.com"
    assert is_reset(client)
    assert target.nobody_came()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", ""),
        (b"\x16\x03\x01\x40\x01" + b"x" * 20, ""),
        (b"\x16\x09\x09\x00\x05", ""),
    ],
)
def test_broken_tls_is_closed_even_where_there_is_a_fallback(proxy: Proxy, data: bytes, why: str) -> None:
    other = proxy.target()
    proxy.serve_names({}, other)
    # With no names at all nothing would be read, so there has to be one.
    proxy.serve_names({"a.example.com": other}, other)
    client = proxy.client()
    client.sendall(data)
    record = proxy.ended()
    assert record.ending is Ending.SNIFF_FAILED, record
    assert record.detail
    assert is_reset(client)


def test_bytes_of_another_protocol_name_nothing(proxy: Proxy) -> None:
    named, other = proxy.target(), proxy.target()
    proxy.serve_names({"a.example.com": named}, other)
    client = proxy.client()
    client.sendall(b"\x00\x01\x02 binary")
    proxy.loop.settle()
    read(proxy, other.take(), b"\x00\x01\x02 binary")


def test_a_silent_client_is_closed_at_the_sniff_deadline(proxy: Proxy) -> None:
    proxy.serve_names({"a.example.com": proxy.target()}, limits=Limits(sniff_timeout=3))
    client = proxy.client()
    proxy.loop.advance(2.9)
    assert len(proxy.table) == 1
    proxy.loop.advance(0.2)
    assert proxy.ended().ending is Ending.SNIFF_TIMEOUT
    assert is_reset(client)


def test_a_client_that_drips_is_closed_at_the_same_deadline(proxy: Proxy) -> None:
    proxy.serve_names({"a.example.com": proxy.target()}, limits=Limits(sniff_timeout=3))
    client = proxy.client()
    for byte in hello_bytes("a.example.com")[:3]:
        client.sendall(bytes([byte]))
        proxy.loop.turn(0.5)
        proxy.loop.advance(1)
    record = proxy.ended()
    assert record.ending is Ending.SNIFF_TIMEOUT
    assert record.detail == "3 bytes in 3 s"


def test_a_client_that_says_nothing_and_goes(proxy: Proxy) -> None:
    proxy.serve_names({"a.example.com": proxy.target()})
    proxy.client().close()
    assert proxy.ended().ending is Ending.CLIENT_GONE


def test_a_hello_that_is_cut_off_by_its_end(proxy: Proxy) -> None:
    proxy.serve_names({"a.example.com": proxy.target()}, proxy.target())
    client = proxy.client()
    client.sendall(hello_bytes("a.example.com")[:50])
    client.shutdown(socket.SHUT_WR)
    assert proxy.ended().ending is Ending.SNIFF_FAILED


def test_a_request_that_is_cut_off_by_its_end_names_nothing(proxy: Proxy) -> None:
    other = proxy.target()
    proxy.serve_names({"a.example.com": proxy.target()}, other)
    client = proxy.client()
    client.sendall(b"GET / HTTP/1.1\r\nHost: a.exam")
    client.shutdown(socket.SHUT_WR)
    proxy.loop.settle()
    taken = other.take()
    read(proxy, taken, b"GET / HTTP/1.1\r\nHost: a.exam")
    proxy.loop.settle()
    assert taken.recv(1) == b"", "the client's end did not reach the target"


def test_a_client_that_resets_while_it_is_sniffed(proxy: Proxy) -> None:
    proxy.serve_names({"a.example.com": proxy.target()})
    client = proxy.client()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert proxy.ended().ending is Ending.CLIENT_RESET


def test_round_robin_and_failover_of_a_refused_connect(proxy: Proxy) -> None:
    a, b, dead = proxy.target(), proxy.target(), proxy.target()
    dead.server.close()
    proxy.serve(a.node, dead.node, b.node)
    for target in (a, b, a, b, a, b):
        proxy.client()
        proxy.loop.settle()
        target.take()
    assert a.nobody_came()
    assert b.nobody_came()


def test_all_targets_dead_resets_at_once_and_says_why(proxy: Proxy) -> None:
    targets = [proxy.target(), proxy.target()]
    for target in targets:
        target.server.close()
    proxy.serve(*(target.node for target in targets))
    client = proxy.client()
    record = proxy.ended()
    assert record.ending is Ending.CONNECT_FAILED
    assert record.attempts == 2
    assert (record.earlier, record.node) == ((targets[0].node.label,), targets[1].node.label)
    assert record.detail == f"127.0.0.1 port {targets[1].port}: Connection refused"
    assert is_reset(client)


def test_retries_bound_the_attempts(proxy: Proxy) -> None:
    dead, alive = proxy.target(), proxy.target()
    dead.server.close()
    proxy.serve(dead.node, alive.node, retries=0)
    proxy.client()
    record = proxy.ended()
    assert record.ending is Ending.CONNECT_FAILED
    assert record.attempts == 1


def test_a_thousand_dead_nodes_do_not_exhaust_the_stack(proxy: Proxy) -> None:
    dead = proxy.target()
    dead.server.close()
    proxy.serve(*(evolve(dead.node, host=f"127.0.{n // 250}.{n % 250 + 1}") for n in range(1000)))
    proxy.client()
    record = proxy.ended()
    assert record.attempts == 1000
    assert len(record.earlier) == MOST_EARLIER


def test_a_name_that_does_not_resolve_resets_the_client(proxy: Proxy) -> None:
    proxy.serve(Node("nowhere.invalid", 1))
    client = proxy.client()
    record = proxy.ended()
    assert record.ending is Ending.RESOLVE_FAILED
    assert record.node == "nowhere.invalid:1"
    assert is_reset(client)


def test_no_nodes(proxy: Proxy) -> None:
    proxy.serve()
    proxy.client()
    assert proxy.ended().ending is Ending.NO_NODE


class Slow(Target):
    """A listener whose queue is full: it does not answer."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)
        self.server.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self.taken.append(filler)


def test_a_target_that_does_not_answer_is_a_timeout_then_another_is_tried(proxy: Proxy) -> None:
    slow, alive = Slow(proxy.loop), proxy.target()
    proxy.targets.append(slow)
    proxy.serve(slow.node, alive.node, limits=Limits(connect_timeout=4))
    client = proxy.client()
    client.sendall(b"early")
    proxy.loop.settle()
    assert alive.nobody_came()
    proxy.loop.advance(4)
    proxy.loop.settle()
    read(proxy, alive.take(), b"early")


def test_the_upstreams_own_connect_timeout_counts(proxy: Proxy) -> None:
    slow = Slow(proxy.loop)
    proxy.targets.append(slow)
    proxy.serve(slow.node, timeouts=Timeouts(connect=1))
    proxy.client()
    proxy.loop.settle()
    proxy.loop.advance(1)
    assert proxy.ended().ending is Ending.CONNECT_TIMEOUT


def test_a_client_that_leaves_while_its_target_is_dialled(proxy: Proxy) -> None:
    slow = Slow(proxy.loop)
    proxy.targets.append(slow)
    proxy.serve(slow.node)
    client = proxy.client()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert proxy.ended().ending is Ending.CLIENT_RESET


def test_a_client_that_talks_too_much_while_its_target_is_dialled_is_held(proxy: Proxy) -> None:
    slow, alive = Slow(proxy.loop), proxy.target()
    proxy.targets.append(slow)
    proxy.serve(slow.node, alive.node, limits=Limits(connect_timeout=4))
    client = proxy.client()
    client.setblocking(False)
    sent = 0
    data = os.urandom(65536)
    while True:
        try:
            sent += client.send(data[sent % 65536 :])
        except BlockingIOError:
            proxy.loop.settle()
            break
    (session,) = proxy.table
    assert len(session._early.window) < WINDOW + 65536  # type: ignore[attr-defined]
    proxy.loop.advance(4)
    taken = alive.take()
    got = bytearray()
    taken.setblocking(False)

    def all_there() -> bool:
        try:
            got.extend(taken.recv(1 << 20))
        except BlockingIOError:
            pass
        return len(got) >= sent

    proxy.loop.until(all_there, "all that was sent early arrived")
    whole = data * (sent // 65536 + 1)
    assert bytes(got) == whole[:sent]


def test_idle_sessions_end_and_busy_ones_do_not(proxy: Proxy) -> None:
    target = proxy.target()
    proxy.serve(target.node, limits=Limits(idle_timeout=8))
    client = proxy.client()
    taken = target.take()
    for _ in range(10):
        proxy.loop.pump([1] * 5)
        exchange(proxy, client, taken, b"still", b"here")
    assert len(proxy.table) == 1
    proxy.loop.pump([1] * 10)
    record = proxy.ended()
    assert record.ending is Ending.IDLE_TIMEOUT
    assert (record.bytes_in, record.bytes_out) == (50, 40)
    # The reset waits for the last bytes to be acknowledged.
    proxy.loop.pump([0.1] * 20)
    assert is_reset(client)
    assert is_reset(taken)


def test_the_upstreams_own_idle_timeout_counts(proxy: Proxy) -> None:
    target = proxy.target()
    proxy.serve(target.node, timeouts=Timeouts(idle=0.4))
    proxy.client()
    proxy.loop.settle()
    proxy.loop.pump([0.1] * 5)
    assert proxy.ended().ending is Ending.IDLE_TIMEOUT


def test_a_live_session_keeps_its_target_when_the_serving_is_swapped(proxy: Proxy) -> None:
    old, new = proxy.target(), proxy.target()
    proxy.serve(old.node)
    first = proxy.client()
    first_target = old.take()
    proxy.serve(new.node)
    second = proxy.client()
    second_target = new.take()
    exchange(proxy, first, first_target, b"old", b"ways")
    exchange(proxy, second, second_target, b"new", b"ways")


def test_caps_refuse_at_once_and_are_counted(proxy: Proxy) -> None:
    target = proxy.target()
    proxy.serve(target.node, limits=Limits(max_sessions=2))
    proxy.client()
    proxy.client()
    third = proxy.client()
    assert is_reset(third)
    proxy.serve(target.node, limits=Limits(max_sessions_per_client=1))
    assert is_reset(proxy.client())
    assert proxy.factory.ended() == (("refused:max_sessions", 1), ("refused:max_sessions_per_client", 1))
    assert len(proxy.table) == 2


def test_the_default_cap_follows_the_descriptor_limit() -> None:
    assert default_max_sessions() >= 16


def test_a_session_can_be_killed_in_every_phase(proxy: Proxy) -> None:
    slow, target = Slow(proxy.loop), proxy.target()
    proxy.targets.append(slow)
    proxy.serve_names({"a.example.com": target})
    sniffing = proxy.client()
    proxy.serve(slow.node)
    dialling = proxy.client()
    proxy.serve(target.node)
    relaying = proxy.client()
    taken = target.take()
    for session in proxy.table:
        assert proxy.table.find(proxy.table.id_of(session.number)) is session
        session.kill(Ending.KILLED, "by hand")
        session.kill(Ending.KILLED, "twice")
    assert [record.ending for record in proxy.table.recent] == [Ending.KILLED] * 3
    for sock in (sniffing, dialling, relaying, taken):
        assert is_reset(sock)
    assert proxy.table.find("test-1") is None
    assert proxy.table.find("nonsense") is None
    assert proxy.table.find("test-xyz") is None


def test_a_client_that_died_between_accept_and_us(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy.serve(proxy.target().node)

    class Dead(socket.socket):
        def getsockname(self) -> tuple[str, int]:
            raise OSError(errno.ENOTCONN, "not connected")

    ours, peer = connected_pair()
    dead = Dead(fileno=ours.detach())
    proxy.factory.accept(dead, ("127.0.0.1", 1))
    assert len(proxy.table) == 0
    peer.close()


def test_an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client(proxy: Proxy) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    ours, peer = connected_pair()
    proxy.clients.append(peer)
    proxy.factory.accept(ours, ("::ffff:10.1.2.3", 5, 0, 0))
    (session,) = proxy.table
    assert session.facts.peer.host == "10.1.2.3"  # type: ignore[attr-defined]
