"""Peak EWMA, and the better of two."""

from __future__ import annotations

from itertools import product

import pytest

from streamproxy.balance.ewma import Ewma
from streamproxy.balance.member import DECAY, Member
from streamproxy.model import Node

from .making import anyone, candidates, without


def choice(*weights: int, dice: tuple[float, ...] = (0.0, 0.0)) -> tuple[Ewma, list[Member]]:
    made = candidates(*weights)
    rolls = list(dice) * 100
    return Ewma(made, lambda: rolls.pop(0)), [each.member for each in made]


def test_the_faster_of_two_is_taken() -> None:
    ewma, (a, b) = choice(1, 1)
    a.measure(0.030, 0.0)
    b.measure(0.020, 0.0)
    chosen = ewma.pick(anyone)
    assert chosen is not None
    assert chosen.member is b


def test_sessions_make_a_node_dearer_and_a_weight_cheaper() -> None:
    ewma, (a, b) = choice(1, 1)
    for member in (a, b):
        member.measure(0.010, 0.0)
    a.sessions = 2
    assert getattr(ewma.pick(anyone), "member", None) is b
    ewma, (a, b) = choice(1, 9)
    a.measure(0.010, 0.0)
    b.measure(0.050, 0.0)
    assert getattr(ewma.pick(anyone), "member", None) is b


def test_one_that_was_not_measured_is_tried_and_of_two_the_less_loaded() -> None:
    ewma, (a, b) = choice(1, 1)
    a.measure(0.001, 0.0)
    assert getattr(ewma.pick(anyone), "member", None) is b
    ewma, (a, b) = choice(1, 1)
    a.sessions = 1
    assert getattr(ewma.pick(anyone), "member", None) is b


def test_any_two_may_be_drawn_and_never_one_twice() -> None:
    made = candidates(1, 1, 1)
    drawn = set()
    for first, second in product((0.0, 0.34, 0.67, 0.999), (0.0, 0.49, 0.5, 0.999)):
        for slow in made:
            for each in made:
                each.member.latency = 1.0 if each is slow else 0.1
            rolls = [first, second]
            chosen = Ewma(made, lambda rolls=rolls: rolls.pop(0)).pick(anyone)  # type: ignore[misc]
            assert chosen is not slow, "the other of two is faster"
            drawn.add(made.index(chosen))  # type: ignore[arg-type]
    assert drawn == {0, 1, 2}


def test_with_one_left_there_is_nothing_to_draw() -> None:
    made = candidates(1, 1)

    def never() -> float:
        raise AssertionError("nothing to draw")

    assert Ewma(made, never).pick(without(made[0])) is made[1]
    assert Ewma(made, never).pick(without(*made)) is None


def test_a_longer_time_counts_at_once_and_a_shorter_one_by_and_by() -> None:
    member = Member.of(Node("a", 1))
    assert member.expected(5.0) == 0.0
    member.measure(0.010, 0.0)
    member.measure(0.500, 0.1)
    assert member.latency == 0.500
    member.measure(0.010, 0.2)
    assert member.latency == pytest.approx(0.495, abs=0.001)
    member.measure(0.010, 0.2 + 10 * DECAY)
    assert member.latency == pytest.approx(0.010, abs=0.001)


def test_what_was_slow_long_ago_is_tried_again() -> None:
    member = Member.of(Node("a", 1))
    member.measure(2.0, 0.0)
    assert member.expected(0.0) == 2.0
    assert member.expected(10 * DECAY) < 0.001


def test_a_clock_that_was_set_back_does_no_harm() -> None:
    member = Member.of(Node("a", 1))
    member.measure(1.0, 100.0)
    member.measure(-5.0, 50.0)
    assert member.latency == 1.0
    assert member.expected(10.0) == 1.0
