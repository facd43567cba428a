"""The other processes, as the first one sees them, and the first one, as they see it."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from twisted.internet.testing import MemoryReactorClock

from streamproxy.control import workers
from streamproxy.control.estate import Held, sockets
from streamproxy.control.follower import Beginning, ToldStore, unbound
from streamproxy.control.wire import Message, Wire
from streamproxy.control.workers import RESTART_LAST, SILENCE, Worker, Workforce, first_tcp, first_udp, packed, unpacked
from streamproxy.errors import StoreError
from streamproxy.interfaces import Loaded
from streamproxy.model import (
    Document,
    Fate,
    Key,
    ListenAddress,
    Listener,
    ListenerState,
    ListenerStatus,
    SessionPolicy,
    Transport,
)

TCP = ListenAddress(Transport.TCP, "127.0.0.1", 0)
UDP = ListenAddress(Transport.UDP, "127.0.0.1", 0)


class Child:
    """A process that only hears, and says what the test wants."""

    pid = 4711

    def __init__(self) -> None:
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode

    def wait(self) -> int | None:
        return self.returncode

    def kill(self) -> None:
        self.returncode = -9


class Lent:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.closed = False

    def close(self) -> None:
        self.closed = True
        self.sock.close()


class Shop:
    """A workforce of two beside the first, whose reactor the test is."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.children: list[Child] = []
        self.wires: list[Wire] = []
        self.lent: list[Lent] = []
        self.workforce = Workforce(self.reactor, 2, self.spawn, self.lend)
        self.own: dict[ListenAddress, socket.socket] = {}

    def spawn(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        self.children.append(Child())
        self.wires.append(Wire(theirs, 5))
        return cast("Any", self.children[-1]), ours

    def lend(self, address: ListenAddress, sock: socket.socket) -> Lent:
        self.lent.append(Lent(sock))
        return self.lent[-1]

    def bind(self, *addresses: ListenAddress) -> None:
        for address in addresses:
            self.own[address] = first_tcp(address) if address.transport is Transport.TCP else first_udp(address)
        self.follow()

    def follow(self) -> None:
        self.workforce.follow([Held(address, sock.fileno()) for address, sock in self.own.items()])

    def hear(self, number: int, key: str) -> Message:
        """What the worker is told next that has this in it."""
        while True:
            message = self.wires[number].receive()
            if key in message.body:
                return message
            message.discard()

    def turn(self, done: Callable[[], object]) -> None:
        for _ in range(500):
            for reader in self.reactor.getReaders():
                reader.doRead()
            if done():
                return
            threading.Event().wait(0.002)
        raise AssertionError("it did not come to pass")

    def close(self) -> None:
        self.workforce.stop()
        for sock in self.own.values():
            sock.close()
        for wire in self.wires:
            wire.close()
        for lent in self.lent:
            lent.close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


def status(address: ListenAddress, sessions: int, accepted: int) -> ListenerStatus:
    counts = (("client_closed", accepted - sessions),)
    listener = Listener(address, "r", "o")
    return ListenerStatus(listener, ListenerState.LISTENING, 1, sessions=sessions, accepted=accepted, ended=counts)


def reports(shop: Shop, number: int, *statuses: ListenerStatus) -> None:
    shop.wires[number].send({"status": packed(statuses)})


def test_each_gets_a_socket_of_its_own_for_each_address(shop: Shop) -> None:
    shop.bind(TCP)
    shop.workforce.start()
    shop.bind(UDP)
    names = []
    for number in (0, 1):
        beginning = Beginning(shop.wires[number])
        beginning.receive()
        assert beginning.number == number + 1
        tcp = beginning.inherited.take(TCP)
        (passed,) = sockets(shop.hear(number, "sockets"))
        assert tcp is not None
        assert passed.address == UDP
        names.append((tcp.getsockname(), passed.socket.getsockname()))
        tcp.close()
        passed.socket.close()
    assert names == [(shop.own[TCP].getsockname(), shop.own[UDP].getsockname())] * 2
    assert len({held.descriptor for held in shop.workforce.held()}) == 4
    shop.own.pop(TCP).close()
    shop.follow()
    assert shop.hear(0, "gone").body == {"gone": ["tcp", "127.0.0.1", 0]}


def test_where_the_first_socket_stands_alone_all_accept_from_it(shop: Shop) -> None:
    shop.own[TCP] = socket.create_server(("127.0.0.1", 0))
    shop.own[UDP] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    shop.own[UDP].bind(("127.0.0.1", 0))
    shop.follow()
    assert [held.address for held in shop.workforce.held()] == [TCP, TCP]


def test_somebody_accepts_for_those_that_do_not_yet_or_no_more(shop: Shop) -> None:
    shop.bind(TCP)
    assert len(shop.lent) == 2
    shop.workforce.start()
    reports(shop, 0)
    shop.turn(lambda: shop.workforce._workers[0].heard is not None)
    assert not any(lent.closed for lent in shop.lent), "it runs, but does not serve that address yet"
    reports(shop, 0, status(TCP, 0, 0))
    shop.turn(lambda: shop.lent[0].closed)
    assert not shop.lent[1].closed
    shop.wires[0].close()
    shop.children[0].returncode = -9
    shop.turn(lambda: len(shop.lent) == 3)
    shop.reactor.advance(0)
    assert len(shop.children) == 3, "it is started again at once"


def is_gone(shop: Shop, worker: Worker) -> None:
    shop.turn(lambda: worker.channel is None)


def test_one_that_dies_again_and_again_is_started_with_pauses(shop: Shop) -> None:
    shop.workforce.start()
    pauses = []
    for _ in range(8):
        worker = shop.workforce._workers[0]
        child, count = shop.children[-1 if len(shop.children) > 2 else 0], len(shop.children)
        child.returncode = 1
        shop.wires[shop.children.index(child)].close()
        is_gone(shop, worker)
        waited = 0.0
        while len(shop.children) == count:
            shop.reactor.advance(0.5)
            waited += 0.5
        pauses.append(waited)
    assert pauses == sorted(pauses)
    assert pauses[0] <= 0.5
    assert pauses[-1] == RESTART_LAST


def test_one_that_is_silent_is_killed(shop: Shop) -> None:
    shop.workforce.start()
    reports(shop, 1)
    shop.turn(lambda: shop.workforce._workers[1].heard is not None)
    shop.reactor.pump([1.0] * int(SILENCE + workers.LOOK + 1))
    assert [child.returncode for child in shop.children] == [None, -9]


def test_they_are_counted_together_those_that_died_included(shop: Shop) -> None:
    shop.workforce.start()
    reports(shop, 0, status(TCP, 2, 10))
    reports(shop, 1, status(TCP, 3, 7))
    shop.turn(lambda: shop.workforce.sessions() == 5)
    (merged,) = shop.workforce.merged([status(TCP, 1, 1)])
    assert (merged.sessions, merged.accepted, dict(merged.ended)) == (6, 18, {"client_closed": 12})
    shop.children[0].returncode = 1
    shop.wires[0].close()
    shop.turn(lambda: shop.workforce.sessions() == 3)
    (merged,) = shop.workforce.merged([status(TCP, 1, 1)])
    assert (merged.sessions, merged.accepted) == (4, 18)


def test_they_can_be_asked_and_whoever_does_not_answer_is_passed_over(shop: Shop) -> None:
    shop.workforce.start()
    answers: list[Any] = []
    shop.workforce.metrics().addCallback(answers.append)
    asked = shop.hear(0, "ask").body
    shop.wires[0].send({"answer": packed(["metrics"]), "number": asked["number"]})
    shop.turn(lambda: not shop.workforce._workers[0].asked)
    assert answers == []
    shop.reactor.advance(workers.ANSWER_TIMEOUT)
    assert answers == [[["metrics"]]]
    shop.wires[1].send({"answer": packed(["late"]), "number": asked["number"] + 1})
    shop.workforce.refresh().addCallback(answers.append)
    shop.children[1].returncode = 1
    shop.wires[1].close()
    shop.wires[0].send({"answer": packed((("live",), ("recent",))), "number": shop.hear(0, "ask").body["number"]})
    shop.turn(lambda: len(answers) == 2)
    known: list[Any] = [*shop.workforce.live(), *shop.workforce.recent()]
    assert known == ["live", "recent"]


def test_they_are_told_what_is_new(shop: Shop) -> None:
    shop.workforce.start()
    document = Document(Key("d", "k", "i"), {"a": 1})
    shop.workforce.news(7, (document,))
    shop.workforce.retire(7, SessionPolicy(Fate.CLOSE))
    shop.workforce.tell("reload")
    shop.workforce.dismiss(ceded=True)
    shop.workforce.dismiss(ceded=False)
    told = [shop.hear(0, key).body for key in ("worker", "revision", "retire", "do", "end")]
    assert unpacked(told[1]["documents"]) == (document,)
    assert unpacked(told[2]["policy"]) == SessionPolicy(Fate.CLOSE)
    assert told[3:] == [{"do": "reload"}, {"end": True, "ceded": True}]
    assert not shop.workforce.kill("nobody", "")
    finished: list[None] = []
    shop.workforce.finished(5).addCallback(finished.append)
    for number, child in enumerate(shop.children):
        child.returncode = 0
        shop.wires[number].close()
    shop.turn(lambda: not shop.workforce.busy())
    shop.reactor.advance(0.1)
    assert finished == [None]
    assert len(shop.children) == 2, "nobody is started again"


def test_an_address_that_somebody_has_is_not_shared() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken, pytest.raises(OSError, match="in use"):
        first_tcp(ListenAddress(Transport.TCP, "127.0.0.1", taken.getsockname()[1]))
    with pytest.raises(OSError, match="handed"):
        unbound(TCP)


def test_a_store_that_is_told_takes_no_changes() -> None:
    store = ToldStore(Loaded(1, ()))
    seen: list[Loaded] = []
    store.watch(seen.append)
    store.told(Loaded(2, ()))
    assert seen == [Loaded(2, ())]
    answers: list[Any] = []
    store.load().addCallback(answers.append)
    store.pending().addCallback(answers.append)
    store.revisions().addCallback(answers.append)
    store.commit([], author="x").addErrback(lambda failure: answers.append(failure.type))
    assert answers == [Loaded(2, ()), (), (), StoreError]
    store.close()
    store.told(Loaded(3, ()))
    assert len(seen) == 1
