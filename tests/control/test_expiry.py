from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent

from streamproxy.control.expiry import INTERVAL, Expiry
from streamproxy.errors import RevisionConflict, StoreError
from streamproxy.interfaces import Outcome
from streamproxy.model import Change, Delete, Key

KEY = Key("apisix", "upstreams", "1")


@define
class Asked:
    """A configuration with one document that expires at 102 seconds, and what it was asked to do."""

    answers: list[Any] = field(factory=list)
    changes: list[tuple[Sequence[Change], dict[str, Any]]] = field(factory=list)

    def revision(self) -> int:
        return 7

    def expired(self, now: float) -> tuple[Key, ...]:
        return (KEY,) if now >= 102 else ()

    def change(self, changes: Sequence[Change], **options: Any) -> Deferred[Outcome]:
        self.changes.append((changes, options))
        answer: Deferred[Outcome] = self.answers.pop(0) if self.answers else succeed(Outcome(8, (None,)))
        return answer


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(100)
    return clock


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def expiry(clock: Clock, asked: Asked) -> Iterator[Expiry]:
    expiry = Expiry(clock, asked, clock.seconds)
    expiry.start()
    yield expiry
    expiry.stop()
    assert clock.getDelayedCalls() == []


def lines(events: Sequence[LogEvent]) -> list[str]:
    return [str(formatEvent(event)) for event in events]


@pytest.mark.usefixtures("expiry")
def test_what_has_expired_is_deleted_whatever_leads_to_it(clock: Clock, asked: Asked) -> None:
    clock.advance(INTERVAL)
    assert asked.changes == []
    clock.advance(INTERVAL)
    ((changes, options),) = asked.changes
    assert list(changes) == [Delete(KEY)]
    assert options == {"author": "streamproxy", "reason": "expired", "expect": 7, "force": True}


@pytest.mark.usefixtures("expiry")
def test_one_deletion_at_a_time(clock: Clock, asked: Asked) -> None:
    slow: Deferred[Outcome] = Deferred()
    asked.answers = [slow]
    clock.pump([INTERVAL] * 5)
    assert len(asked.changes) == 1
    slow.callback(Outcome(8, (None,)))
    clock.pump([INTERVAL] * 2)
    assert len(asked.changes) > 1


@pytest.mark.usefixtures("expiry")
def test_a_renewal_in_between_is_no_trouble(clock: Clock, asked: Asked) -> None:
    asked.answers = [fail(RevisionConflict(7, 8))]
    with capturedLogs() as events:
        clock.pump([INTERVAL] * 3)
    assert (len(asked.changes), lines(events)) == (2, [])


@pytest.mark.usefixtures("expiry")
def test_trouble_is_told_and_it_is_tried_again(clock: Clock, asked: Asked) -> None:
    asked.answers = [fail(StoreError("the disk is full"))]
    with capturedLogs() as events:
        clock.pump([INTERVAL] * 3)
    assert len(asked.changes) == 2
    assert lines(events) == ["expired documents are still there: the disk is full"]


def test_what_was_not_started_can_be_stopped(clock: Clock, asked: Asked) -> None:
    Expiry(clock, asked, clock.seconds).stop()
    assert clock.getDelayedCalls() == []
