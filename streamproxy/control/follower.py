"""What a worker process does in place of what the first process does."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..errors import StoreError
from ..interfaces import Loaded, Pending, Revision
from ..model import Change, Ending, ListenAddress, SessionPolicy, Snapshot, Transport
from ..observe.sessions import SessionTable
from . import estate
from .inherited import Inherited
from .reconcile import Reconciler
from .retire import Retirement
from .store.watchers import Watchers
from .wire import Channel, Message, Wire
from .workers import packed, unpacked

# How often the first process is told what was counted (seconds).
STATUS_INTERVAL = 1.0
# How long (seconds) the first process may take to say what there is.
PATIENCE = 30.0


class Looks(Protocol):
    """A store that looks for what others wrote when it is told to."""

    def look(self) -> object: ...


class ToldStore:
    """An ``interfaces.ConfigStore`` that holds what the first process says, and takes no changes."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._watchers = Watchers()

    def told(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._watchers.tell(loaded)

    def load(self) -> Deferred[Loaded]:
        return succeed(self._loaded)

    def commit(
        self,
        changes: Sequence[Change],
        *,
        author: str,
        reason: str = "",
        expect: int | None = None,
        confirm_by: float | None = None,
        settles: Collection[int] = (),
    ) -> Deferred[Loaded]:
        return fail(StoreError("a worker changes nothing"))

    def pending(self) -> Deferred[tuple[Pending, ...]]:
        return succeed(())

    def revisions(self, limit: int = 50, before: int | None = None) -> Deferred[tuple[Revision, ...]]:
        return succeed(())

    def watch(self, changed: Callable[[Loaded], None]) -> None:
        self._watchers.add(changed)

    def close(self) -> Deferred[None]:
        self._watchers.clear()
        return succeed(None)


def unbound(address: ListenAddress) -> socket.socket:
    """In place of binding: it is the first process who binds. Raises ``OSError``."""
    raise OSError(errno.EADDRNOTAVAIL, "the first process has not handed it over")


@define(eq=False)
class Beginning:
    """What the first process says before there is a reactor."""

    wire: Wire
    inherited: Inherited = field(factory=Inherited)
    number: int = 0
    documents: Loaded | None = None

    def receive(self) -> None:
        """Raises ``OSError`` or ``WireError``."""
        while True:
            message = self.wire.receive()
            self.inherited.add(estate.sockets(message))
            if "worker" in message.body:
                self.number = int(message.body["worker"])
                self.documents = _documents(message)
                return


def _documents(message: Message) -> Loaded | None:
    documents = message.body.get("documents")
    return None if documents is None else Loaded(int(message.body["revision"]), unpacked(documents))


@define(eq=False)
class Follower:
    """
    Does what the first process says. ``store`` is where both read documents, or what keeps those that are told;
    ``end`` is to end the process, ``metrics`` answers what is scraped of it.
    """

    _log = Logger()

    reactor: Any
    wire: Wire
    inherited: Inherited
    store: Looks | ToldStore
    reconciler: Reconciler
    retirement: Retirement
    table: SessionTable
    metrics: Callable[[], Any]
    reload: Callable[[], None]
    reopen: Callable[[], None]
    _channel: Channel | None = field(default=None, init=False)
    _snapshots: tuple[Snapshot, Snapshot] = field(factory=lambda: (Snapshot(), Snapshot()), init=False)
    _policies: list[tuple[int, SessionPolicy]] = field(factory=list, init=False)
    _reporting: LoopingCall | None = field(default=None, init=False)

    def start(self) -> None:
        self._channel = self.wire.watched(self.reactor, self._heard, self._gone)
        self._channel.start()
        self._reporting = LoopingCall(self._report)
        self._reporting.clock = self.reactor
        self._reporting.start(STATUS_INTERVAL)

    def stop(self) -> None:
        if self._reporting is not None and self._reporting.running:
            self._report()
            self._reporting.stop()
        if self._channel is not None:
            self._channel.close()

    def applied(self, snapshot: Snapshot) -> None:
        """This is in force."""
        self._snapshots = self._snapshots[1], snapshot
        before, after = self._snapshots
        due = [policy for revision, policy in self._policies if revision <= after.revision]
        self._policies = [each for each in self._policies if each[0] > after.revision]
        for policy in due:
            self.retirement.retire(before, after, policy)

    # Inside

    def _gone(self) -> None:
        self._log.error("the first process is gone: this one ends when its last session has")
        self.reactor.stop()

    def _heard(self, message: Message) -> None:
        body = message.body
        if "sockets" in body:
            self.inherited.add(estate.sockets(message))
            return
        message.discard()
        if "complete" in body:
            self.reconciler.retry()
        elif "gone" in body:
            transport, interface, port = body["gone"]
            self.inherited.discard(ListenAddress(Transport(transport), interface, port))
        elif "retire" in body:
            self._retire(int(body["retire"]), unpacked(body["policy"]))
        elif "revision" in body:
            told = _documents(message)
            if told is not None and isinstance(self.store, ToldStore):
                self.store.told(told)
            elif not isinstance(self.store, ToldStore):
                self.store.look()
        else:
            self._do(body)

    def _do(self, body: dict[str, Any]) -> None:
        if "do" in body:
            {"reload": self.reload, "reopen": self.reopen}[body["do"]]()
        elif "ask" in body:
            self._answer(str(body["ask"]), int(body["number"]))
        elif "kill" in body:
            self._kill(str(body["kill"]), str(body["detail"]))
        elif "end" in body:
            if body["ceded"]:
                self.reconciler.cede()
            self.reactor.stop()

    def _retire(self, revision: int, policy: SessionPolicy) -> None:
        before, after = self._snapshots
        if revision <= after.revision:
            self.retirement.retire(before, after, policy)
        else:
            self._policies.append((revision, policy))

    def _kill(self, session_id: str, detail: str) -> None:
        session = self.table.shown(session_id)
        if session is not None:
            session.kill(Ending.KILLED, detail)

    def _answer(self, what: str, number: int) -> None:
        if what == "sessions":
            answer = tuple(each.ongoing() for each in self.table.everybody()), tuple(self.table.latest())
        else:
            answer = self.metrics()
        self._send({"answer": packed(answer), "number": number})

    def _report(self) -> None:
        self._send({"status": packed(self.reconciler.status())})

    def _send(self, body: dict[str, Any]) -> None:
        if self._channel is not None:
            self._channel.send(body)
