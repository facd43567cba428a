from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from streamproxy.admin.native_sessions_events import (
    HEARTBEAT,
    MOST_EVENTS,
    MOST_SUBSCRIBERS,
    MOST_WAITING,
    TURN,
    Events,
)
from streamproxy.admin.native_sessions_filter import selection_of
from streamproxy.admin.respond import RefusedError
from streamproxy.model import Ending, Ongoing

from .api import Api, FakeRuntime
from .sessions_kit import ended, facts, live


@define
class Transport:
    aborted: bool = False

    def abortConnection(self) -> None:
        self.aborted = True


@define
class Channel:
    transport: Transport = field(factory=Transport)


@define(eq=False)
class Request:
    """As much of a request as a stream needs."""

    written: list[bytes] = field(factory=list)
    headers: dict[str, str] = field(factory=dict)
    producer: Any = None
    channel: Channel | None = field(factory=Channel)
    _finish: list[Deferred[None]] = field(factory=list)

    def setHeader(self, name: str, value: str) -> None:
        self.headers[name] = value

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def notifyFinish(self) -> Deferred[None]:
        self._finish.append(Deferred())
        return self._finish[-1]

    def leaves(self) -> None:
        for finish in self._finish:
            finish.errback(Failure(ConnectionError("gone")))

    @property
    def events(self) -> list[tuple[str, str]]:
        found = []
        for each in b"".join(self.written).decode().split("\n\n"):
            lines = each.splitlines()
            if lines and lines[0].startswith("id: "):
                data = json.loads(lines[2].removeprefix("data: "))
                found.append((lines[1].removeprefix("event: "), str(data.get("id", data.get("count")))))
        return found


@define
class Playing:
    """A session that goes on."""

    shown: Ongoing

    def ongoing(self) -> Ongoing:
        return self.shown

    def kill(self, ending: Ending, detail: str = "") -> None:
        raise AssertionError("whoever looks on ends nothing")


@define
class Stage:
    runtime: FakeRuntime = field(factory=FakeRuntime)
    clock: Clock = field(factory=Clock)
    events: Events = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.events = Events(self.runtime, self.clock.callLater)

    def opens(self, session: Ongoing) -> None:
        self.events.opened(Playing(session))

    def routes(self, session: Ongoing) -> None:
        self.events.routed(Playing(session))

    def turn(self) -> None:
        self.clock.advance(TURN)

    def listen(self, **query: str) -> tuple[Any, Deferred[None]]:
        request: Any = Request()
        return request, self.events.subscribe(request, selection_of({name: (text,) for name, text in query.items()}))


def test_what_happens_is_told_as_it_happens() -> None:
    stage = Stage()
    request, left = stage.listen()
    assert request.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    stage.opens(live("s"))
    stage.routes(live("s"))
    stage.events.ended(ended("s"))
    stage.turn()
    assert request.events == [("opened", "s"), ("routed", "s"), ("ended", "s")]
    assert request.written[1].startswith(b"id: 1\n")
    request.leaves()
    assert left.called
    assert stage.runtime.watchers == [], "with nobody left there is nothing to watch"
    assert stage.clock.getDelayedCalls() == []
    stage.opens(live("t"))
    assert len(request.events) == 3


def test_somebody_leaves_before_what_happened_is_told() -> None:
    stage = Stage()
    request, _ = stage.listen()
    stage.opens(live("s"))
    request.leaves()
    assert stage.clock.getDelayedCalls() == []
    assert request.events == []


def test_more_than_anybody_can_follow() -> None:
    stage = Stage()
    request, _ = stage.listen()
    for number in range(MOST_EVENTS + 5):
        stage.opens(live(str(number)))
    stage.turn()
    assert len(request.events) == MOST_EVENTS + 1
    assert request.events[-1] == ("lost", "5")
    stage.opens(live("s"))
    stage.turn()
    assert request.events[-1] == ("opened", "s")


def test_only_what_was_asked_for() -> None:
    stage = Stage()
    request, _ = stage.listen(sni="a.example.com")
    for name in ("a.example.com", "b.example.com", None):
        stage.opens(live(str(name), facts=facts(sni=name)))
    stage.turn()
    assert request.events == [("opened", "a.example.com")]


def test_signs_of_life() -> None:
    stage = Stage()
    request, _ = stage.listen()
    stage.clock.advance(HEARTBEAT)
    stage.clock.advance(HEARTBEAT)
    assert request.written[1:] == [b": still here\n\n"] * 2


def test_one_that_takes_its_time_misses_nothing() -> None:
    stage = Stage()
    request, _ = stage.listen()
    request.producer.pauseProducing()
    for number in range(50):
        stage.opens(live(str(number)))
        stage.turn()
    assert request.events == []
    request.producer.resumeProducing()
    assert len(request.events) == 50
    assert not request.channel.transport.aborted


def test_one_that_is_too_slow_is_cut_and_the_others_do_not_notice() -> None:
    stage = Stage()
    (slow, _), (other, _) = stage.listen(), stage.listen()
    slow.producer.pauseProducing()
    long = "x" * (MOST_WAITING // 4)
    for _ in range(4):
        assert not slow.channel.transport.aborted
        stage.opens(live(long))
        stage.turn()
    assert slow.channel.transport.aborted
    assert not other.channel.transport.aborted
    assert len(other.events) == 4
    slow.producer.stopProducing()
    slow.leaves()
    slow.channel = None
    assert len(stage.events) == 1


def test_no_more_than_so_many() -> None:
    stage = Stage()
    for _ in range(MOST_SUBSCRIBERS):
        stage.listen()
    with pytest.raises(RefusedError) as refused:
        stage.listen()
    assert refused.value.code == 503


def test_one_that_was_cut_off_by_somebody_else_first() -> None:
    stage = Stage()
    request, _ = stage.listen()
    request.channel = None
    request.producer.pauseProducing()
    stage.opens(live("x" * MOST_WAITING))
    stage.turn()


def test_without_a_reactor_there_is_no_heartbeat() -> None:
    runtime = FakeRuntime()
    events = Events(runtime, None)
    request: Any = Request()
    events.subscribe(request, selection_of({}))
    events.ended(ended("s"))
    assert request.events == [("ended", "s")]
    request.leaves()
    assert runtime.watchers == []


def test_over_the_api() -> None:
    api = Api()
    assert api.get("/streamproxy/v1/sessions/events?colour=red").code == 400
    assert api.call("HEAD", "/streamproxy/v1/sessions/events").headers["content-type"].startswith("text/event-stream")
    assert api.get("/streamproxy/v1/sessions/events", auth=None).code == 401
    api.start("GET", "/streamproxy/v1/sessions/events", auth=None, headers={"X-API-KEY": "watcher-key"})
    api.treq.flush()
    assert len(api.runtime.watchers) == 1
