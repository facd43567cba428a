"""What happens to sessions, as it happens: server-sent events (HTML Living Standard, 9.2)."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.web.server import Request
from zope.interface import implementer

from streamproxy.interfaces import LiveSession, Runtime
from streamproxy.model import Ended

from .native_sessions_filter import Selection, Session
from .respond import RefusedError, to_json
from .session_json import session_json

MOST_SUBSCRIBERS = 32
# Bytes that wait for a subscriber whose connection takes nothing; with more it is cut.
MOST_WAITING = 1024 * 1024
# What happens is told so many seconds later, together, and of so much: whoever looks on costs the proxy little.
TURN = 0.1
MOST_EVENTS = 100
# Seconds between two signs of life, without which whatever is in between would take the connection for dead.
HEARTBEAT = 15.0
# Milliseconds after which a browser connects again.
RETRY = 3000

CallLater = Callable[..., IDelayedCall]


@implementer(IPushProducer)
@define(eq=False)
class Subscriber:
    """One caller. It is sent what ``selection`` holds for, as fast as it takes it."""

    request: Request
    selection: Selection
    left: Deferred[None] = field(factory=Deferred)
    _waiting: deque[bytes] = field(factory=deque)
    _waiting_bytes: int = 0
    _is_paused: bool = False
    is_gone: bool = False

    def begin(self) -> None:
        """Say hello."""
        request = self.request
        request.setHeader("Content-Type", "text/event-stream; charset=utf-8")
        # Otherwise a proxy in between may keep it until there is enough of it.
        request.setHeader("X-Accel-Buffering", "no")
        request.registerProducer(self, True)
        request.write(f"retry: {RETRY}\n: sessions\n\n".encode())

    def send(self, data: bytes) -> None:
        if self.is_gone:
            return
        if not self._is_paused:
            self.request.write(data)
        elif self._waiting_bytes + len(data) <= MOST_WAITING:
            self._waiting.append(data)
            self._waiting_bytes += len(data)
        else:
            self.cut()

    def cut(self) -> None:
        """It is too slow, and may come again."""
        self._waiting.clear()
        channel: Any = self.request.channel
        if channel is not None:
            channel.transport.abortConnection()

    # What the connection tells

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        while self._waiting and not self._is_paused:
            data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self.request.write(data)

    def stopProducing(self) -> None:
        """The request says so too, and then it is gone."""


class Events:
    """
    Everybody who wants to know. As long as there is nobody, sessions do not notice; with somebody, what is told in one
    turn is bounded, and what there was no room for is counted and told as ``lost``. ``call_later``: a reactor's;
    without it everything is told at once.
    """

    def __init__(self, runtime: Runtime, call_later: CallLater | None) -> None:
        self._runtime = runtime
        self._call_later = call_later
        self._subscribers: list[Subscriber] = []
        self._numbers = itertools.count(1)
        self._unwatch: Callable[[], None] | None = None
        self._beat: IDelayedCall | None = None
        self._turn: IDelayedCall | None = None
        self._events: list[tuple[str, Session]] = []
        self._lost = 0

    def __len__(self) -> int:
        return len(self._subscribers)

    def subscribe(self, request: Request, selection: Selection) -> Deferred[None]:
        """Fires when the caller has gone. Raises :class:`RefusedError` (503)."""
        if len(self._subscribers) >= MOST_SUBSCRIBERS:
            raise RefusedError(503, "too_many", f"{MOST_SUBSCRIBERS} are listening already: try again later")
        subscriber = Subscriber(request, selection)
        self._subscribers.append(subscriber)
        request.notifyFinish().addBoth(self._left, subscriber)
        subscriber.begin()
        if self._unwatch is None:
            self._unwatch = self._runtime.watch(self)
            self._arm()
        return subscriber.left

    # What the sessions tell

    def opened(self, session: LiveSession) -> None:
        if self._has_room():
            self._add("opened", session.ongoing())

    def routed(self, session: LiveSession) -> None:
        if self._has_room():
            self._add("routed", session.ongoing())

    def ended(self, record: Ended) -> None:
        if self._has_room():
            self._add("ended", record)

    # Inside

    def _has_room(self) -> bool:
        if len(self._events) < MOST_EVENTS:
            return True
        self._lost += 1
        return False

    def _add(self, event: str, session: Session) -> None:
        self._events.append((event, session))
        if self._call_later is None:
            self._tell()
        elif self._turn is None:
            self._turn = self._call_later(TURN, self._tell)

    def _tell(self) -> None:
        self._turn = None
        events, self._events = self._events, []
        lost, self._lost = self._lost, 0
        batches: dict[Subscriber, list[bytes]] = {subscriber: [] for subscriber in self._subscribers}
        for event, session in events:
            data = b""
            for subscriber, batch in batches.items():
                if subscriber.selection.holds(session):
                    data = data or self._event(event, session_json(session))
                    batch.append(data)
        rest = [self._event("lost", {"count": lost})] if lost else []
        for subscriber, batch in batches.items():
            if batch or rest:
                subscriber.send(b"".join((*batch, *rest)))

    def _event(self, event: str, data: Mapping[str, Any]) -> bytes:
        return f"id: {next(self._numbers)}\nevent: {event}\ndata: ".encode() + to_json(data) + b"\n\n"

    def _left(self, _: object, subscriber: Subscriber) -> None:
        subscriber.is_gone = True
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
        if not self._subscribers and self._unwatch is not None:
            unwatch, self._unwatch = self._unwatch, None
            unwatch()
            self._events, self._lost = [], 0
            for call in (self._beat, self._turn):
                if call is not None:
                    call.cancel()
            self._beat = self._turn = None
        if not subscriber.left.called:
            subscriber.left.callback(None)

    def _arm(self) -> None:
        if self._call_later is not None:
            self._beat = self._call_later(HEARTBEAT, self._live)

    def _live(self) -> None:
        self._arm()
        for subscriber in tuple(self._subscribers):
            subscriber.send(b": still here\n\n")
