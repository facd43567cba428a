"""When bytes are spliced, how long, and what becomes of the pipes."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from streamproxy.model import Ending
from streamproxy.relay import splice
from streamproxy.relay.hub import Hub
from streamproxy.relay.pump import BULK_READ, BULK_READS, Pump
from streamproxy.relay.socket_leg import SocketLeg
from streamproxy.relay.splice import DEFAULT_PIPE, PIPE_SIZES, SMALL, SMALL_TURNS, Pipe, Pipes, pipes_here
from streamproxy.testing import MemoryLeg

from .conftest import connected_pair
from .loop import Loop
from .open_files import none_left_open, open_files


class Relay:
    """A pump that may splice, between two sockets; the test holds their other ends."""

    def __init__(self, loop: Loop, pipes: Pipes) -> None:
        self.loop = loop
        hub = Hub(loop)
        ours, self.client = connected_pair()
        theirs, self.target = connected_pair()
        self.source, self.sink = SocketLeg(hub, ours), SocketLeg(hub, theirs)
        self.endings: list[Ending] = []
        self.pump = Pump(self.source, self.sink, lambda ending, detail: self.endings.append(ending), pipes)
        self.source.start()
        self.sink.start()
        self.said = bytearray()
        self.heard = bytearray()

    def pass_on(self, data: bytes) -> None:
        """The client says this, and the target gets it."""
        self.said += data
        self.client.sendall(data)

        def all_heard() -> bool:
            self.target.setblocking(False)
            try:
                self.heard += self.target.recv(1 << 20)
            except BlockingIOError:
                pass
            return len(self.heard) == len(self.said)

        self.loop.until(all_heard, "the target got it")

    def gush(self) -> None:
        """Let it turn bulk, whatever the kernel makes of it."""
        piece = bytes(range(256)) * (2 * BULK_READ // 256)
        for _ in range(100 * BULK_READS):
            if self.source.flow is not None:
                return
            self.pass_on(piece)
        raise AssertionError("it never turned bulk")

    def close(self) -> None:
        self.pump.stop(Ending.KILLED)
        self.client.close()
        self.target.close()


@pytest.fixture
def pipes() -> Pipes:
    return Pipes()


@pytest.fixture
def relay(loop: Loop, pipes: Pipes) -> Iterator[Relay]:
    with none_left_open():
        relay = Relay(loop, pipes)
        yield relay
        relay.close()
        loop.pump([0.1] * 20)
        assert pipes.used == 0, "a pipe was not given back"


def test_what_turns_bulk_is_spliced_and_what_turns_chatty_copied(relay: Relay, pipes: Pipes) -> None:
    relay.pass_on(b"question")
    assert relay.source.flow is None
    relay.gush()
    assert pipes.used == 1
    assert relay.sink.flow is None, "the other direction was spliced too"
    relay.pass_on(b"bulk" * 100_000)
    assert relay.source.flow is not None
    for _ in range(SMALL_TURNS + 1):
        relay.pass_on(b"s" * SMALL)
    assert relay.source.flow is None, "a conversation is still spliced"
    assert pipes.used == 0
    relay.pass_on(b"chat")
    assert relay.heard == relay.said
    assert relay.pump.to_target.moved == len(relay.said)


def test_a_little_now_and_then_is_still_bulk(relay: Relay) -> None:
    relay.gush()
    for _ in range(3 * SMALL_TURNS):
        relay.pass_on(b"s" * SMALL)
        relay.pass_on(b"b" * 4 * SMALL)
    assert relay.source.flow is not None
    assert relay.heard == relay.said


def test_only_two_sockets_are_joined_and_only_once(relay: Relay, pipes: Pipes) -> None:
    half = relay.pump.to_target
    assert not pipes.join(MemoryLeg(), relay.sink, half)
    assert not pipes.join(relay.source, MemoryLeg(), half)
    assert pipes.join(relay.source, relay.sink, half)
    assert not pipes.join(relay.source, relay.sink, half)
    assert pipes.used == 1


def test_a_pump_of_other_legs_goes_on_copying(pipes: Pipes) -> None:
    client, target = MemoryLeg(), MemoryLeg()
    pump = Pump(client, target, lambda ending, detail: None, pipes)
    client.start()
    target.start()
    for _ in range(3 * BULK_READS):
        client.peer_sends(bytes(BULK_READ))
    target.peer_reads()
    assert len(target.got) == pump.moved == 3 * BULK_READS * BULK_READ
    assert pipes.used == 0


def test_what_is_not_sent_yet_comes_first(relay: Relay, pipes: Pipes, loop: Loop) -> None:
    first = 0
    while relay.sink.write(b"1" * 65536):
        first += 65536
    first += 65536
    relay.source.pause()
    assert pipes.join(relay.source, relay.sink, relay.pump.to_target)
    relay.client.sendall(b"2" * 1000)
    loop.settle()
    # An event that was on its way when the source was paused.
    relay.source.doRead()
    got = bytearray()
    relay.target.setblocking(False)

    def all_there() -> bool:
        try:
            got.extend(relay.target.recv(1 << 20))
        except BlockingIOError:
            pass
        return len(got) == first + 1000

    loop.until(all_there, "all of it arrived")
    assert got == b"1" * first + b"2" * 1000


def test_no_more_pipes_than_there_may_be_and_empty_ones_are_used_again(loop: Loop) -> None:
    pipes = Pipes(most=2)
    relays = [Relay(loop, pipes) for _ in range(3)]
    joined = [pipes.join(each.source, each.sink, each.pump.to_target) for each in relays]
    assert joined == [True, True, False]
    before = open_files()
    flow = relays[0].source.flow
    assert flow is not None
    flow.stop()
    flow.stop()
    assert open_files() == before, "an empty pipe was closed though others are in use"
    assert pipes.join(relays[2].source, relays[2].sink, relays[2].pump.to_target)
    assert open_files() == before, "the empty pipe was not used again"
    relays[2].pass_on(b"through it")
    for each in relays:
        each.close()
    assert pipes.used == 0


def test_a_pipe_with_something_in_it_is_not_used_again(relay: Relay, pipes: Pipes, loop: Loop) -> None:
    other = Relay(loop, pipes)
    assert pipes.join(other.source, other.sink, other.pump.to_target)
    assert pipes.join(relay.source, relay.sink, relay.pump.to_target)
    relay.client.setblocking(False)
    still = 0
    while still < 20:
        loop.turn()
        try:
            relay.client.send(b"secret" * 10_000)
            still = 0
        except BlockingIOError:
            still += 1
    relay.pump.stop(Ending.KILLED)
    third = Relay(loop, pipes)
    assert pipes.join(third.source, third.sink, third.pump.to_target)
    third.pass_on(b"public")
    assert third.heard == b"public"
    third.close()
    other.close()


def test_without_descriptors_it_goes_on_copying(relay: Relay, pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(flags: int) -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe2", none_left)
    assert not pipes.join(relay.source, relay.sink, relay.pump.to_target)
    relay.pass_on(b"copied" * 100_000)
    assert relay.heard == relay.said


def test_a_pipe_is_as_large_as_the_kernel_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Pipe.open()
    assert pipe.size == fcntl.fcntl(pipe.writing, fcntl.F_GETPIPE_SZ)
    assert pipe.size in (*PIPE_SIZES, DEFAULT_PIPE)
    pipe.close()

    def too_much(descriptor: int, command: int, size: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(fcntl, "fcntl", too_much)
    pipe = Pipe.open()
    assert pipe.size == DEFAULT_PIPE
    pipe.close()


@pytest.mark.parametrize(("limit", "most"), [(64, 2), (1024, 32), (1 << 20, 64), (resource.RLIM_INFINITY, 64)])
def test_the_descriptor_limit_bounds_them(limit: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (limit, limit))
    assert splice._affordable() == most


def test_where_there_is_no_splice_there_are_no_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(pipes_here(), Pipes)
    monkeypatch.delattr(os, "splice")
    assert pipes_here() is None


def test_an_urgent_byte_holds_nothing_up(relay: Relay, loop: Loop) -> None:
    # It is in no stream, and splicing does not get past it.
    relay.gush()
    relay.client.send(b"!", socket.MSG_OOB)
    relay.pass_on(b"behind it" * 10_000)
    assert relay.heard == relay.said
    relay.gush()
    relay.pass_on(b"bulk again" * 10_000)
    assert relay.heard == relay.said


def test_the_end_comes_after_everything(relay: Relay, loop: Loop) -> None:
    relay.gush()
    relay.pass_on(b"last words")
    relay.client.shutdown(socket.SHUT_WR)
    assert relay.source.flow is not None

    def at_end() -> bool:
        try:
            return relay.target.recv(10) == b""
        except BlockingIOError:
            return False

    loop.until(at_end, "the target was told the end")
    assert relay.source.flow is None
    relay.target.setblocking(True)
    relay.target.sendall(b"an answer")
    loop.settle()
    assert relay.client.recv(100) == b"an answer"
    relay.target.close()
    loop.until(lambda: relay.endings, "the session ended")
    assert relay.endings == [Ending.CLIENT_CLOSED]
