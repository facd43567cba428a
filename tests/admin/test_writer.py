from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, fail, succeed

from streamproxy.admin.writer import Writer
from streamproxy.errors import RevisionConflict, StoreError
from streamproxy.interfaces import Outcome
from streamproxy.model import Change, Delete, Key

from .api import live, result_of

KEY = Key("otoroshi", "tcp-services", "a")
CHANGE: tuple[Change, ...] = (Delete(KEY),)


@define
class Contended:
    """A configuration that somebody else changes before each of the first ``rivals`` writes."""

    rivals: int = 0
    at: int = 1
    waiting: list[Deferred[None]] = field(factory=list)
    written: list[Sequence[Change]] = field(factory=list)
    slow: bool = False

    def revision(self) -> int:
        return self.at

    def change(self, changes: Sequence[Change], *, expect: int, **_: Any) -> Deferred[Outcome]:
        if self.rivals:
            self.rivals -= 1
            self.at += 1
            return fail(RevisionConflict(expect, self.at))
        if self.slow:
            turn: Deferred[None] = Deferred()
            self.waiting.append(turn)
            return turn.addCallback(lambda _: self._commit(changes))
        return succeed(self._commit(changes))

    def _commit(self, changes: Sequence[Change]) -> Outcome:
        self.at += 1
        self.written.append(changes)
        return Outcome(self.at, (None,))


def writer(configuration: Contended) -> Writer:
    found: Any = configuration
    return Writer(found)


def test_it_is_decided_again_after_somebody_else_wrote() -> None:
    configuration = Contended(rivals=3)
    seen: list[int] = []

    def decide() -> Sequence[Change]:
        seen.append(configuration.revision())
        return CHANGE

    outcome = result_of(writer(configuration).write(decide, author="a", reason="r"))

    assert seen == [1, 2, 3, 4]
    assert outcome.revision == 5


def test_not_for_ever() -> None:
    with pytest.raises(RevisionConflict):
        result_of(writer(Contended(rivals=1000)).write(lambda: CHANGE, author="a", reason="r"))


def test_a_revision_that_is_expected_and_is_not() -> None:
    configuration = Contended()

    with pytest.raises(RevisionConflict) as caught:
        result_of(writer(configuration).write(lambda: CHANGE, author="a", reason="r", expect=7))

    assert (caught.value.expected, caught.value.found) == (7, 1)
    assert configuration.written == []


def test_no_changes_are_no_write() -> None:
    configuration = Contended()

    outcome = result_of(writer(configuration).write(lambda: (), author="a", reason="r"))

    assert outcome == Outcome(1, ())
    assert configuration.written == []


def test_one_after_the_other() -> None:
    configuration = Contended(slow=True)
    one = writer(configuration)
    decided: list[str] = []

    def deciding(name: str) -> Deferred[Outcome]:
        def decide() -> Sequence[Change]:
            decided.append(name)
            return CHANGE

        return one.write(decide, author=name, reason="r")

    first, second = deciding("first"), deciding("second")

    assert decided == ["first"], "the second one decided before its turn"
    configuration.waiting.pop().callback(None)
    assert decided == ["first", "second"]
    configuration.waiting.pop().callback(None)
    assert [result_of(first).revision, result_of(second).revision] == [2, 3]


def test_whoever_stops_waiting_does_not_stop_the_write() -> None:
    configuration = Contended(slow=True)
    one = writer(configuration)
    first = one.write(lambda: CHANGE, author="a", reason="r")
    second = one.write(lambda: CHANGE, author="b", reason="r")

    first.cancel()

    with pytest.raises(CancelledError):
        result_of(first)
    assert len(configuration.waiting) == 1, "the second did not wait for the first, or the first was given up"
    configuration.waiting.pop().callback(None)
    assert len(configuration.written) == 1
    configuration.waiting.pop().errback(StoreError("disk full"))
    with pytest.raises(StoreError):
        result_of(second)


def test_what_a_decision_raises_is_the_answer_and_the_next_has_its_turn() -> None:
    one = Writer(live())

    def decide() -> Sequence[Change]:
        raise KeyError("no")

    with pytest.raises(KeyError):
        result_of(one.write(decide, author="a", reason="r"))
    assert result_of(one.write(lambda: CHANGE, author="a", reason="r")).documents == (None,)
