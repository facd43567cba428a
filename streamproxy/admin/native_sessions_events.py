"""What happens to sessions, as it happens: server-sent events (HTML Living Standard, 9.2)."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.web.server import Request
from zope.interface import implementer

from streamproxy.interfaces import Runtime
from streamproxy.model import Ended, Ongoing

from .native_sessions_filter import Selection, Session
from .respond import RefusedError, to_json
from .session_json import session_json

MOST_SUBSCRIBERS = 32
# What waits for a subscriber whose connection takes nothing; with one more it is cut.
MOST_WAITING = 1000
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
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(data)
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
            self.request.write(self._waiting.popleft())

    def stopProducing(self) -> None:
        """The request says so too, and then it is gone."""


class Events:
    """Everybody who wants to know. As long as there is nobody, sessions do not notice. ``call_later``: a reactor's."""

    def __init__(self, runtime: Runtime, call_later: CallLater | None) -> None:
        self._runtime = runtime
        self._call_later = call_later
        self._subscribers: list[Subscriber] = []
        self._numbers = itertools.count(1)
        self._unwatch: Callable[[], None] | None = None
        self._beat: IDelayedCall | None = None

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

    def opened(self, session: Ongoing) -> None:
        self._tell("opened", session)

    def routed(self, session: Ongoing) -> None:
        self._tell("routed", session)

    def ended(self, record: Ended) -> None:
        self._tell("ended", record)

    # Inside

    def _tell(self, event: str, session: Session) -> None:
        data = b""
        for subscriber in tuple(self._subscribers):
            if subscriber.selection.holds(session):
                if not data:
                    head = f"id: {next(self._numbers)}\nevent: {event}\ndata: "
                    data = head.encode() + to_json(session_json(session)) + b"\n\n"
                subscriber.send(data)

    def _left(self, _: object, subscriber: Subscriber) -> None:
        subscriber.is_gone = True
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
        if not self._subscribers and self._unwatch is not None:
            unwatch, self._unwatch = self._unwatch, None
            unwatch()
            if self._beat is not None:
                self._beat.cancel()
                self._beat = None
        if not subscriber.left.called:
            subscriber.left.callback(None)

    def _arm(self) -> None:
        if self._call_later is not None:
            self._beat = self._call_later(HEARTBEAT, self._live)

    def _live(self) -> None:
        self._arm()
        for subscriber in tuple(self._subscribers):
            subscriber.send(b": still here\n\n")
