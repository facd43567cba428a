"""The other processes that serve the same listeners, as the first one sees them."""

from __future__ import annotations

import base64
import os
import pickle
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..model import Document, Ended, ListenAddress, ListenerState, ListenerStatus, Ongoing, SessionPolicy, Transport
from ..relay.pktinfo import bind_udp
from .estate import Estate, Held, messages
from .ports import bind_tcp
from .reconcile import Lent
from .wire import Channel, Message

# Seconds until a worker that ended is started again: at once, then doubled from the first to the last. One that lived
# as long as the last of them begins anew.
RESTART_FIRST = 1.0
RESTART_LAST = 30.0
# How often it is looked whether each of them is well, and for how long one may say nothing (seconds).
LOOK = 5.0
SILENCE = 20.0
# How long (seconds) the answer of a worker is waited for.
ANSWER_TIMEOUT = 2.0
# How much longer (seconds) than its sessions may take a worker has to end.
STOP_GRACE = 5.0

Spawn = Callable[[], "tuple[subprocess.Popen[bytes], socket.socket]"]


def packed(value: Any) -> str:
    """Values of ours, for a process of ours at the other end of a socket that nobody else has."""
    return base64.b85encode(pickle.dumps(value)).decode()


def unpacked(text: str) -> Any:
    return pickle.loads(base64.b85decode(text))  # noqa: S301 - our own child wrote it, on a socket pair


@define(eq=False)
class Worker:
    """
    One of them. ``status`` is what its listeners counted, ``bygone`` what those did that had its place before;
    ``heard`` is when it last spoke (``None``: it does not serve yet), ``stand_ins`` accept from its sockets meanwhile.
    """

    number: int
    process: subprocess.Popen[bytes] | None = None
    channel: Channel | None = None
    status: tuple[ListenerStatus, ...] = ()
    sessions: int = 0
    live: tuple[Ongoing, ...] = ()
    recent: tuple[Ended, ...] = ()
    bygone: dict[ListenAddress, ListenerStatus] = field(factory=dict)
    since: float = 0.0
    delay: float = 0.0
    restart: IDelayedCall | None = None
    asked: dict[int, Deferred[Any]] = field(factory=dict)
    heard: float | None = None
    stand_ins: dict[ListenAddress, Lent] = field(factory=dict)


class Workforce:
    """
    Starts ``count`` processes by ``spawn`` and keeps them: hands them the listening sockets, tells them when there is
    something new, restarts one that ends. ``lend`` has the first process accept from the socket of a worker that is not
    there. ``inherited`` finds a further socket for an address that another process
    left.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        count: int,
        spawn: Spawn,
        lend: Callable[[ListenAddress, socket.socket], Lent | None],
        inherited: Callable[[ListenAddress], socket.socket | None] = lambda address: None,
    ) -> None:
        self._reactor = reactor
        self._spawn = spawn
        self._lend = lend
        self._inherited = inherited
        self._watching = LoopingCall(self._look)
        self._watching.clock = reactor
        self._workers = [Worker(number) for number in range(1, count + 1)]
        # By address: what belongs to the first process, and what its workers have, one each.
        self._shared: dict[ListenAddress, tuple[int, tuple[socket.socket, ...]]] = {}
        self._news: dict[str, Any] = {"revision": 0, "documents": None}
        self._question = 0
        self._ending = False

    # Its life

    def start(self) -> None:
        for worker in self._workers:
            self._start(worker)
        self._watching.start(LOOK, now=False)

    def stop(self) -> None:
        """At the very end: whoever has not gone by now is made to."""
        self._ending = True
        if self._watching.running:
            self._watching.stop()
        for _, sockets in self._shared.values():
            for sock in sockets:
                sock.close()
        self._shared.clear()
        for worker in self._workers:
            if worker.restart is not None:
                worker.restart.cancel()
                worker.restart = None
            if worker.channel is not None:
                worker.channel.close()
            if worker.process is not None and worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()

    def dismiss(self, *, ceded: bool) -> None:
        """They end when their last session has. ``ceded``: other processes listen on their sockets from now on."""
        if not self._ending:
            self._ending = True
            self._say({"end": True, "ceded": ceded})

    def finished(self, seconds: float) -> Deferred[None]:
        """Fires when none is there any more, after ``seconds`` at the latest."""
        done: Deferred[None] = Deferred()
        deadline = self._reactor.seconds() + seconds

        def look() -> None:
            if self.busy() and self._reactor.seconds() < deadline:
                self._reactor.callLater(0.1, look)
            else:
                done.callback(None)

        look()
        return done

    def busy(self) -> int:
        """How many are there still."""
        return sum(worker.process is not None for worker in self._workers)

    # What they are to know

    def follow(self, held: Iterable[Held]) -> None:
        """These are the listeners' sockets now."""
        bound = {each.address: each.descriptor for each in held}
        for address in [address for address, (own, _) in self._shared.items() if bound.get(address) != own]:
            for sock in self._shared.pop(address)[1]:
                sock.close()
            for worker in self._workers:
                worker.stand_ins.pop(address, None)
            self._say({"gone": _named(address)})
        for address, own in bound.items():
            if address not in self._shared:
                self._shared[address] = own, self._sockets(address, own)
                for worker in self._workers:
                    self._hand(worker, [address])
                    self._stand_in(worker, address)

    def news(self, revision: int, documents: tuple[Document, ...] | None) -> None:
        """The store is at this revision; ``documents`` are all it holds, where they cannot read it themselves."""
        self._news = {"revision": revision, "documents": None if documents is None else packed(documents)}
        self._say(self._news)

    def retire(self, revision: int, policy: SessionPolicy) -> None:
        """What becomes of the sessions that this revision took the way from."""
        self._say({"retire": revision, "policy": packed(policy)})

    def tell(self, what: str) -> None:
        """``reload``: the configuration file. ``reopen``: the access log."""
        self._say({"do": what})

    # What they know

    def merged(self, own: Iterable[ListenerStatus]) -> tuple[ListenerStatus, ...]:
        """The first process's listeners, with what the others counted."""
        return tuple(self._with_others(status) for status in own)

    def sessions(self) -> int:
        return sum(worker.sessions for worker in self._workers)

    def live(self) -> Iterator[Ongoing]:
        """As they were at the last :meth:`refresh`."""
        for worker in self._workers:
            yield from worker.live

    def recent(self) -> Iterator[Ended]:
        """As they were at the last :meth:`refresh`."""
        for worker in self._workers:
            yield from worker.recent

    def refresh(self) -> Deferred[None]:
        """Ask each for its sessions. Who does not answer in time is passed over."""

        def keep(answer: Any, worker: Worker) -> None:
            worker.live, worker.recent = ((), ()) if answer is None else answer

        asked = [self._ask(worker, "sessions").addCallback(keep, worker) for worker in self._workers]
        return DeferredList(asked).addCallback(lambda _: None)

    def metrics(self) -> Deferred[list[Any]]:
        """What each would show who scrapes it."""
        asked = DeferredList([self._ask(worker, "metrics") for worker in self._workers])
        return asked.addCallback(lambda answers: [answer for _, answer in answers if answer is not None])

    def kill(self, session_id: str, detail: str) -> bool:
        """End a session of one of them."""
        for worker in self._workers:
            if any(session.id == session_id for session in worker.live) and worker.channel is not None:
                worker.channel.send({"kill": session_id, "detail": detail})
                return True
        return False

    # For the next process

    def held(self) -> tuple[Held, ...]:
        """Their sockets."""
        return tuple(Held(address, sock.fileno()) for address, (_, sockets) in self._shared.items() for sock in sockets)

    # Inside

    def _sockets(self, address: ListenAddress, own: int) -> tuple[socket.socket, ...]:
        """
        One each: the kernel spreads clients evenly over sockets of one address, and the datagrams of one go to one.
        Where somebody else bound the first one so that there can be no others, all accept from its queue; for datagrams
        that would not do.
        """
        is_tcp = address.transport is Transport.TCP
        bind = bind_tcp if is_tcp else bind_udp
        sockets: list[socket.socket] = []
        first = socket.socket(fileno=os.dup(own))
        actual = evolve(address, port=first.getsockname()[1])
        for _ in self._workers:
            try:
                sockets.append(self._inherited(address) or bind(actual, reuse_port=True))
            except OSError as error:
                if is_tcp:
                    sockets.append(first.dup())
                    continue
                self._log.error("{address} is served by the first process only: {why}", address=address, why=error)
                break
        first.close()
        return tuple(sockets)

    def _stand_in(self, worker: Worker, address: ListenAddress) -> None:
        """Until it says that it accepts itself, nobody who comes to its socket is to wait."""
        sockets = self._shared[address][1]
        if self._ending or address in worker.stand_ins or worker.number > len(sockets):
            return
        lent = self._lend(address, sockets[worker.number - 1].dup())
        if lent is not None:
            worker.stand_ins[address] = lent

    def _serves(self, worker: Worker) -> None:
        if worker.heard is None and worker.process is not None:
            self._log.info("worker {number} (process {pid}) serves", number=worker.number, pid=worker.process.pid)
        worker.heard = self._reactor.seconds()
        for status in worker.status:
            if status.state is ListenerState.LISTENING and status.listener.address in worker.stand_ins:
                worker.stand_ins.pop(status.listener.address).close()

    def _look(self) -> None:
        """One that is silent does not serve either."""
        now = self._reactor.seconds()
        for worker in self._workers:
            if worker.heard is not None and now - worker.heard > SILENCE and worker.process is not None:
                self._log.error("worker {number} says nothing any more: it is killed", number=worker.number)
                worker.process.kill()

    def _start(self, worker: Worker) -> None:
        worker.restart = None
        try:
            worker.process, sock = self._spawn()
        except (OSError, ValueError) as error:
            self._log.error("worker {number} cannot be started: {why}", number=worker.number, why=error)
            self._later(worker)
            return
        worker.since = self._reactor.seconds()

        def heard(message: Message) -> None:
            self._heard(worker, message)

        def gone() -> None:
            self._gone(worker)

        worker.channel = Channel(self._reactor, sock, heard, gone)
        worker.channel.start()
        self._hand(worker, self._shared)
        worker.channel.send({"worker": worker.number, **self._news})

    def _hand(self, worker: Worker, addresses: Iterable[ListenAddress]) -> None:
        if worker.channel is None:
            return
        held = []
        for address in addresses:
            sockets = self._shared[address][1]
            if worker.number <= len(sockets):
                held.append(Held(address, sockets[worker.number - 1].fileno()))
        for body, descriptors in messages(Estate(tuple(held))):
            worker.channel.send(body, descriptors)

    def _gone(self, worker: Worker) -> None:
        """Its channel closed, so it ends or has ended."""
        worker.channel = None
        worker.heard = None
        for address in self._shared:
            self._stand_in(worker, address)
        for deferred in tuple(worker.asked.values()):
            deferred.cancel()
        for status in worker.status:
            worker.bygone[status.listener.address] = _sum(
                evolve(status, sessions=0), worker.bygone.get(status.listener.address)
            )
        worker.status, worker.sessions, worker.live, worker.recent = (), 0, (), ()
        self._reap(worker)

    def _reap(self, worker: Worker, tries: int = 50) -> None:
        process = worker.process
        if process is None:
            return
        if process.poll() is None:
            if not tries:
                process.kill()
            self._reactor.callLater(0.1, self._reap, worker, max(tries - 1, 0))
            return
        worker.process = None
        if not self._ending:
            self._log.error(
                "worker {number} (process {pid}) ended with status {status}: it is started again",
                number=worker.number,
                pid=process.pid,
                status=process.returncode,
            )
            self._later(worker)

    def _later(self, worker: Worker) -> None:
        if self._reactor.seconds() - worker.since >= RESTART_LAST:
            worker.delay = 0.0
        worker.restart = self._reactor.callLater(worker.delay, self._start, worker)
        worker.delay = min(max(worker.delay * 2, RESTART_FIRST), RESTART_LAST)

    def _say(self, body: Mapping[str, Any]) -> None:
        for worker in self._workers:
            if worker.channel is not None:
                worker.channel.send(dict(body))

    def _ask(self, worker: Worker, what: str) -> Deferred[Any]:
        """``None`` where there is no answer."""
        if worker.channel is None:
            return succeed(None)
        self._question += 1
        number = self._question
        answer: Deferred[Any] = Deferred(lambda _: None)
        answer.addTimeout(ANSWER_TIMEOUT, self._reactor)
        worker.asked[number] = answer
        worker.channel.send({"ask": what, "number": number})
        return answer.addErrback(lambda _: None).addBoth(self._answered, worker, number)

    @staticmethod
    def _answered(answer: Any, worker: Worker, number: int) -> Any:
        worker.asked.pop(number, None)
        return answer

    def _heard(self, worker: Worker, message: Message) -> None:
        message.discard()
        body = message.body
        if "status" in body:
            worker.status = unpacked(body["status"])
            self._serves(worker)
            worker.sessions = sum(status.sessions for status in worker.status)
        elif "answer" in body:
            deferred = worker.asked.get(body["number"])
            if deferred is not None:
                deferred.callback(unpacked(body["answer"]))

    def _with_others(self, status: ListenerStatus) -> ListenerStatus:
        address = status.listener.address
        for worker in self._workers:
            status = _sum(status, worker.bygone.get(address))
            status = _sum(status, next((each for each in worker.status if each.listener.address == address), None))
        return status


def _sum(one: ListenerStatus, other: ListenerStatus | None) -> ListenerStatus:
    """The counts of both, and else what ``one`` says."""
    if other is None:
        return one
    ended = dict(one.ended)
    for name, count in other.ended:
        ended[name] = ended.get(name, 0) + count
    return evolve(
        one,
        sessions=one.sessions + other.sessions,
        accepted=one.accepted + other.accepted,
        bytes_in=one.bytes_in + other.bytes_in,
        bytes_out=one.bytes_out + other.bytes_out,
        datagrams_in=one.datagrams_in + other.datagrams_in,
        datagrams_out=one.datagrams_out + other.datagrams_out,
        ended=tuple(ended.items()),
    )


def _named(address: ListenAddress) -> list[Any]:
    return [address.transport.value, address.interface, address.port]


def first_tcp(address: ListenAddress) -> socket.socket:
    """A socket that others may be bound beside. Raises ``OSError`` for an address that somebody has already."""
    # A socket that would share the address with a stranger's shows nothing of it, so see first that it is free.
    with bind_tcp(address):
        pass
    return bind_tcp(address, reuse_port=True)


def first_udp(address: ListenAddress) -> socket.socket:
    """The same for UDP."""
    with bind_udp(address):
        pass
    return bind_udp(address, reuse_port=True)
