"""Ending sessions not all at once."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from streamproxy.control.drain import LOOK, Drain, moments
from streamproxy.model import Ending


@given(st.integers(0, 200), st.floats(0.01, 1000), st.randoms())
def test_moments_are_spread_and_in_order(count: int, over: float, source: random.Random) -> None:
    found = list(moments(count, over, source.random))
    assert len(found) == count
    assert found == sorted(found)
    for number, moment in enumerate(found):
        assert number * over / count - 1e-9 <= moment <= (number + 1) * over / count + 1e-9


class Session:
    def __init__(self, clock: Clock, open_: list[Session]) -> None:
        self._clock = clock
        self._open = open_
        open_.append(self)
        self.ended: list[tuple[float, Ending]] = []

    def kill(self, ending: Ending, detail: str = "") -> None:
        if self in self._open:
            self._open.remove(self)
            self.ended.append((self._clock.seconds(), ending))


def town(count: int) -> tuple[Clock, list[Session], Drain]:
    clock = Clock()
    open_: list[Session] = []
    for _ in range(count):
        Session(clock, open_)
    return clock, open_, Drain(clock, random.Random(7).random)


def test_they_end_one_after_the_other() -> None:
    clock, open_, drain = town(10)
    everybody = list(open_)
    drain.end(open_, 20, Ending.DRAINED, "")
    left = []
    for _ in range(20):
        clock.advance(1)
        left.append(len(open_))
    assert left[-1] == 0
    assert all(abs(count - (10 - (second + 1) / 2)) <= 1.5 for second, count in enumerate(left)), left
    assert {ending for session in everybody for _, ending in session.ended} == {Ending.DRAINED}
    assert clock.getDelayedCalls() == []


def test_at_once_means_at_once_and_a_drain_can_be_hurried() -> None:
    clock, open_, drain = town(5)
    drain.end(open_, 0, Ending.DRAINED, "")
    assert open_ == []
    clock, open_, drain = town(5)
    hurry = drain.end(open_, 100, Ending.DRAINED, "")
    clock.advance(30)
    assert 0 < len(open_) < 5
    hurry()
    hurry()
    assert open_ == []
    assert clock.getDelayedCalls() == []


def test_waiting_ends_with_the_last_session() -> None:
    clock, open_, drain = town(2)
    done = drain.wait(lambda: tuple(open_), 100, Ending.SHUTDOWN, "")
    clock.pump([LOOK] * 100)
    assert len(open_) == 2
    open_.clear()
    clock.advance(LOOK)
    assert done.called
    assert clock.getDelayedCalls() == []


def test_nobody_there_is_nothing_to_wait_for() -> None:
    _, _, drain = town(0)
    assert drain.wait(tuple, 100, Ending.SHUTDOWN, "").called


def test_those_that_stay_are_ended_in_the_last_part() -> None:
    clock, open_, drain = town(20)
    done = drain.wait(lambda: tuple(open_), 40, Ending.SHUTDOWN, "")
    clock.pump([0.1] * 299)
    assert len(open_) == 20, "they had their time"
    clock.pump([0.1] * 52)
    assert 5 < len(open_) < 15, "half of the last quarter is over"
    clock.pump([0.1] * 60)
    assert open_ == []
    assert done.called
    assert clock.getDelayedCalls() == []
