"""One process leaves its sockets to the next."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from streamproxy.control import estate, handover, wire
from streamproxy.control.estate import Estate, Held
from streamproxy.control.handover import Handover
from streamproxy.control.heir import Heir, handover_path
from streamproxy.control.inherited import Inherited, Passed
from streamproxy.control.sockets import Sockets
from streamproxy.control.upgrade import upgrade
from streamproxy.control.wire import Message, Wire, WireError
from streamproxy.errors import StoreError
from streamproxy.model import Config, Document, Key, ListenAddress, Put, StoreSettings, StoreType, Transport


def address_of(sock: socket.socket) -> ListenAddress:
    transport = Transport.TCP if sock.type == socket.SOCK_STREAM else Transport.UDP
    return ListenAddress(transport, *sock.getsockname()[:2])


class Process:
    """A testator with real sockets."""

    def __init__(self) -> None:
        self.sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        self.estate: Deferred[Estate] = succeed(
            Estate(
                tuple(Held(address_of(sock), sock.fileno()) for sock in self.sockets),
                (Document(Key("d", "k", "i"), {"a": 1}, expires=5.0),),
            )
        )
        self.log: list[str] = []

    def bequeath(self) -> Deferred[Estate]:
        self.log.append("bequeath")
        answer: Deferred[Estate] = Deferred()

        def tell(result: Any) -> Any:
            answer.callback(result)
            return None if isinstance(result, Failure) else result

        self.estate.addBoth(tell)
        return answer

    def keep(self) -> None:
        self.log.append("keep")

    def cede(self, heir: int) -> None:
        self.log.append(f"cede {heir}")


class World:
    def __init__(self, path: Path) -> None:
        self.reactor = MemoryReactorClock()
        self.process = Process()
        self.path = path
        self.children: list[socket.socket] = []
        self.handover = Handover(self.reactor, path, self.process, self.spawn)
        self.handover.start()

    def spawn(self) -> Any:
        process = subprocess.Popen(["true"])
        process.wait()
        ours, theirs = socket.socketpair()
        self.children.append(theirs)
        return process, ours

    def turn(self, done: Callable[[], object]) -> None:
        """Be the reactor until that is so."""
        for _ in range(1000):
            if done():
                return
            for reader in self.reactor.getReaders():
                reader.doRead()
            threading.Event().wait(0.002)
        raise AssertionError(f"it did not come to pass; {self.process.log}")

    def in_thread(self, call: Callable[[], Any]) -> list[Any]:
        answers: list[Any] = []

        def run() -> None:
            try:
                answers.append(call())
            except StoreError as error:
                answers.append(error)

        threading.Thread(target=run, daemon=True).start()
        return answers


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "handover")
    yield world
    world.handover.stop()
    for sock in world.process.sockets:
        sock.close()


def heir_of(world: World) -> Heir:
    heir = Heir.of(world.path)
    received = world.in_thread(heir.receive)
    world.turn(lambda: received)
    assert received == [None], received
    return heir


def test_sockets_and_documents_arrive_and_then_the_old_process_gives_way(world: World) -> None:
    heir = heir_of(world)
    assert [passed.address for passed in heir.passed] == [address_of(sock) for sock in world.process.sockets]
    assert [passed.socket.getsockname() for passed in heir.passed] == [s.getsockname() for s in world.process.sockets]
    assert heir.documents == (Put(Key("d", "k", "i"), {"a": 1}, expires=5.0),)
    assert world.process.log == ["bequeath"]
    second = Heir.of(world.path)
    refused = world.in_thread(second.receive)
    world.turn(lambda: refused)
    assert "already" in str(refused[0])
    reactor, done = MemoryReactorClock(), []
    heir.ready(reactor, lambda: done.append(1))
    world.turn(lambda: f"cede {os.getpid()}" in world.process.log)
    for reader in reactor.getReaders():
        reader.doRead()
    assert done == [1]
    world.reactor.advance(2)
    third = Heir.of(world.path)
    refused = world.in_thread(third.receive)
    world.turn(lambda: refused)
    assert "already" in str(refused[0])
    assert "keep" not in world.process.log
    for passed in heir.passed:
        passed.socket.close()


def test_an_heir_that_goes_away_or_fails_changes_nothing(world: World) -> None:
    heir_of(world).close()
    world.turn(lambda: world.process.log == ["bequeath", "keep"])
    heir_of(world).fail("no room")
    world.turn(lambda: world.process.log == ["bequeath", "keep"] * 2)
    heir = heir_of(world)
    world.reactor.advance(handover.PATIENCE)
    assert world.process.log == ["bequeath", "keep"] * 3, "nobody waits for ever"
    heir.close()


def test_an_heir_that_goes_away_before_everything_was_written(world: World) -> None:
    world.process.estate = Deferred()
    heir = Heir.of(world.path)
    heir._wire.send({"want": "estate", "version": estate.VERSION})
    world.turn(lambda: world.process.log)
    heir.close()
    world.turn(lambda: world.handover._transfer is None)
    assert world.process.log == ["bequeath"]
    world.process.estate.callback(Estate())
    assert world.process.log == ["bequeath", "keep"]


def test_what_cannot_be_left_is_said(world: World) -> None:
    world.process.estate = fail(StoreError("the disk is gone"))
    heir = Heir.of(world.path)
    received = world.in_thread(heir.receive)
    world.turn(lambda: received)
    assert "the disk is gone" in str(received[0])


def test_the_successor_is_started_and_its_failure_told(world: World) -> None:
    answers = world.in_thread(lambda: upgrade(world.path))
    world.turn(lambda: world.children)
    child = Wire(world.children[0], 5)
    assert world.process.log == [], "nothing is given up before somebody is there to take it"
    child.send({"failed": "limits.idle_timeout: no"})
    world.turn(lambda: answers)
    assert str(answers[0]) == "limits.idle_timeout: no"
    answers = world.in_thread(lambda: upgrade(world.path))
    world.turn(lambda: len(world.children) == 2)
    heir = Heir(world.children[1])
    received = world.in_thread(heir.receive)
    world.turn(lambda: received)
    heir._wire.send({"ready": 4711})
    world.turn(lambda: answers)
    assert answers == [4711]
    answers = world.in_thread(lambda: upgrade(world.path))
    world.turn(lambda: answers)
    assert "already" in str(answers[0])


def test_a_successor_that_cannot_be_started(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def spawn() -> Any:
        raise OSError("no memory")

    monkeypatch.setattr(world.handover, "_spawn", spawn)
    answers = world.in_thread(lambda: upgrade(world.path))
    world.turn(lambda: answers)
    assert "no memory" in str(answers[0])


@pytest.mark.parametrize(
    ("asked", "why"),
    [({"want": "estate", "version": 0}, "version"), ({"want": "money", "version": estate.VERSION}, "does not know")],
)
def test_who_wants_something_else_is_told(world: World, asked: dict[str, Any], why: str) -> None:
    caller = Wire(wire.connect(world.path, 5), 5)
    caller.send(asked)
    heard = world.in_thread(caller.receive)
    world.turn(lambda: heard)
    assert why in heard[0].body["failed"]
    caller.close()


def test_strangers_are_not_heard(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(wire, "peer", lambda sock: (1, 54321))
    caller = wire.connect(world.path, 5)
    world.handover.doRead()
    caller.settimeout(5)
    assert caller.recv(1) == b""
    caller.close()


def test_the_socket_goes_with_its_process_only(world: World) -> None:
    assert world.path.exists()
    successor = wire.listen(world.path)
    world.handover.stop()
    assert world.path.exists(), "it is another process's by now"
    successor.close()
    with pytest.raises(StoreError, match="no running process"):
        upgrade(world.path)
    with pytest.raises(StoreError, match="no running process"):
        Heir.of(world.path)


def test_without_a_place_for_the_socket_there_is_none(tmp_path: Path) -> None:
    handover = Handover(MemoryReactorClock(), tmp_path / "absent" / "h", Process(), World.spawn)  # type: ignore[arg-type]
    handover.start()
    handover.doRead()
    handover.stop()
    assert handover.fileno() == -1


def test_where_it_is() -> None:
    config = Config("/etc/proxy.yaml", store=StoreSettings(path="/var/db"))
    assert str(handover_path(config)) == "/var/db.handover"
    in_memory = evolve(config, store=StoreSettings(StoreType.MEMORY))
    assert str(handover_path(in_memory)) == "/etc/proxy.yaml.handover"


def test_many_sockets_take_several_messages() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        held = tuple(Held(ListenAddress(Transport.TCP, "::", port), sock.fileno()) for port in range(1, 451))
        said = list(estate.messages(Estate(held)))
    assert [len(descriptors) for _, descriptors in said] == [200, 200, 50, 0]


@pytest.mark.parametrize(
    "body",
    [
        {"sockets": []},
        {"sockets": [{"transport": "sctp", "interface": "::", "port": 1, "name": "", "lasting": False}]},
        {"sockets": [{"transport": "tcp"}]},
    ],
)
def test_sockets_that_are_not_described_are_closed(body: dict[str, Any]) -> None:
    reading, writing = os.pipe()
    try:
        estate.sockets(Message(body, (reading,)))
    except WireError:
        pass
    os.close(writing)
    with pytest.raises(OSError, match="Bad file"):
        os.close(reading)


def test_documents_that_are_none() -> None:
    with pytest.raises(WireError):
        estate.documents(Message({"documents": [{"key": 1}]}))


def test_what_lasts_is_there_again_and_both_families_do_for_one() -> None:
    both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    only = socket.create_server(("::1", 0), family=socket.AF_INET6)
    inherited = Inherited()
    inherited.add([Passed(address_of(both), both, lasting=True), Passed(address_of(only), only)])
    sockets = Sockets(inherited)
    for _ in range(2):
        with sockets.bind(ListenAddress(Transport.TCP, "0.0.0.0", both.getsockname()[1])) as sock:
            assert sock.getsockname()[:2] == both.getsockname()[:2]
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert [held.lasting for held in sockets.lasting()] == [True]
    inherited.discard(address_of(only))
    inherited.discard(address_of(both))
    assert only.fileno() == -1
    assert inherited.take(address_of(both)) is not None
    both.close()


def test_a_socket_of_datagrams_is_prepared() -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", 0))
    inherited = Inherited()
    inherited.add([Passed(address_of(sock), sock)])
    with Sockets(inherited).bind(ListenAddress(Transport.UDP, "0.0.0.0", sock.getsockname()[1])) as bound:
        assert bound is sock
        assert bound.getsockopt(socket.IPPROTO_IP, 8) == 1
        assert not bound.getblocking()
