"""From a node to a connected socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from streamproxy.model import Ending, Node
from streamproxy.relay.dial import Dialler
from streamproxy.relay.resolve import Resolver

from .loop import Loop


class Caller:
    """Who asked for the connection."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.failures: list[tuple[Ending, str]] = []

    def connected(self, sock: socket.socket) -> None:
        self.sockets.append(sock)

    def failed(self, ending: Ending, detail: str) -> None:
        self.failures.append((ending, detail))

    @property
    def told(self) -> bool:
        return bool(self.sockets or self.failures)


@pytest.fixture
def caller() -> Iterator[Caller]:
    caller = Caller()
    yield caller
    for sock in caller.sockets:
        sock.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def dialler(loop: Loop, **names: tuple[str, ...]) -> Dialler:
    return Dialler(loop, Resolver(lambda host: succeed(names.get(host, ())), loop.seconds))


def test_it_connects(loop: Loop, server: socket.socket, caller: Caller) -> None:
    dialler(loop).dial(Node("127.0.0.1", server.getsockname()[1]), 5, caller)
    loop.until(lambda: caller.told, "the caller was told")
    assert caller.failures == []
    accepted, peer = server.accept()
    accepted.close()
    assert peer == caller.sockets[0].getsockname()
    assert not caller.sockets[0].getblocking()
    assert caller.sockets[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_refused_is_told_at_once_with_the_address(loop: Loop, caller: Caller) -> None:
    port = free_port()
    dialler(loop).dial(Node("127.0.0.1", port), 5, caller)
    loop.until(lambda: caller.told, "the caller was told")
    assert caller.failures == [(Ending.CONNECT_FAILED, f"127.0.0.1 port {port}: Connection refused")]
    assert loop.descriptors == 0


def test_every_address_of_a_name_is_tried(loop: Loop, server: socket.socket, caller: Caller) -> None:
    port = server.getsockname()[1]
    # ::1 first in the answer, but nobody listens there; 127.0.0.9 neither.
    dialler(loop, db=("::1", "127.0.0.9", "127.0.0.1")).dial(Node("db", port), 5, caller)
    loop.until(lambda: caller.told, "the caller was told")
    assert caller.failures == []


def test_ip_overrides_the_name(loop: Loop, server: socket.socket, caller: Caller) -> None:
    node = Node("does-not-resolve.invalid", server.getsockname()[1], ip="127.0.0.1")
    dialler(loop).dial(node, 5, caller)
    loop.until(lambda: caller.told, "the caller was told")
    assert caller.failures == []


def test_a_name_without_address_fails_to_resolve(loop: Loop, caller: Caller) -> None:
    dialler(loop).dial(Node("nowhere.invalid", 1), 5, caller)
    assert [ending for ending, _ in caller.failures] == [Ending.RESOLVE_FAILED]


def test_silence_is_a_timeout_that_names_the_place(loop: Loop, caller: Caller) -> None:
    with socket.socket() as full:
        # A listener whose queue is full drops what comes: from outside it looks like a host that is away.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        dialler(loop).dial(Node("127.0.0.1", port), 5, caller)
        loop.settle()
        assert not caller.told, "the queue of the listener was not full"
        loop.advance(5)
        assert caller.failures == [(Ending.CONNECT_TIMEOUT, f"127.0.0.1 port {port}: no answer in 5 s")]
        assert loop.descriptors == 0
        for filler in fillers:
            filler.close()


def test_resolving_counts_against_the_timeout(loop: Loop, caller: Caller) -> None:
    never: Deferred[tuple[str, ...]] = Deferred()
    Dialler(loop, Resolver(lambda host: never, loop.seconds)).dial(Node("slow", 1), 2, caller)
    loop.advance(2)
    assert [ending for ending, _ in caller.failures] == [Ending.CONNECT_TIMEOUT]
    never.callback(("127.0.0.1",))
    loop.settle()
    assert len(caller.failures) == 1
    assert caller.sockets == []


def test_a_cancelled_dial_tells_nothing(loop: Loop, server: socket.socket, caller: Caller) -> None:
    answer: Deferred[tuple[str, ...]] = Deferred()
    dial = Dialler(loop, Resolver(lambda host: answer, loop.seconds)).dial(
        Node("db", server.getsockname()[1]), 2, caller
    )
    dial.cancel()
    answer.callback(("127.0.0.1",))
    loop.settle()
    loop.advance(10)
    assert not caller.told
    dial.doWrite()
    dial.doRead()
    dial.connectionLost(Failure(ConnectionLost()))
    assert dial.fileno() == -1


def test_no_descriptors_left_is_a_failure_not_a_crash(
    loop: Loop, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    dialling = dialler(loop)
    monkeypatch.setattr(dialling, "open_socket", exhausted)
    dialling.dial(Node("127.0.0.1", 1), 5, caller)
    assert caller.failures == [(Ending.OVER_LIMIT, "no descriptor was left: Too many open files")]


class Full:
    """A listener whose queue is full, so that a connect to it has to wait: as it is with a machine that is far away."""

    def __init__(self) -> None:
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", 0))
        self.server.listen(0)
        self.port = int(self.server.getsockname()[1])
        self.fillers = [socket.socket() for _ in range(4)]
        for filler in self.fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))

    def make_room(self) -> None:
        """Take those who wait: the kernel's next try gets through."""
        self.server.settimeout(5)
        for _ in range(2):
            self.server.accept()[0].close()

    def close(self) -> None:
        for sock in (self.server, *self.fillers):
            sock.close()


@pytest.fixture
def full() -> Iterator[Full]:
    full = Full()
    yield full
    full.close()


def test_a_connect_that_takes_its_time(loop: Loop, full: Full, caller: Caller) -> None:
    dialler(loop).dial(Node("127.0.0.1", full.port), 60, caller)
    assert not caller.told
    assert loop.descriptors == 1
    full.make_room()
    loop.until(lambda: caller.told, "the kernel's next try got through")
    assert caller.failures == []
    assert loop.descriptors == 0


def test_a_connect_that_is_refused_after_a_while(loop: Loop, full: Full, caller: Caller) -> None:
    dialler(loop, db=("127.0.0.1", "127.0.0.2")).dial(Node("db", full.port), 60, caller)
    assert not caller.told
    full.server.close()
    loop.until(lambda: caller.told, "the refusal was told")
    (failure,) = caller.failures
    assert failure[0] is Ending.CONNECT_FAILED
    assert failure[1] == f"127.0.0.2 port {full.port}: Connection refused", "the other address was not tried"
    assert loop.descriptors == 0


def test_a_stale_event_does_not_pass_for_a_connection(loop: Loop, full: Full, caller: Caller) -> None:
    dial = dialler(loop).dial(Node("127.0.0.1", full.port), 60, caller)
    dial.doWrite()
    loop.removeWriter(dial)
    dial.connectionLost(Failure(ConnectionLost()))
    assert not caller.told
    assert loop.descriptors == 1
    assert dial.logPrefix() == "streamproxy"
    dial.cancel()
    assert loop.descriptors == 0
