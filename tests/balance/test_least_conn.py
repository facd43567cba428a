"""The least loaded."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamproxy.balance.least_conn import LeastConn

from .making import anyone, candidates, without


def test_the_one_with_fewest_sessions_is_taken() -> None:
    a, b, c = made = candidates(1, 1, 1)
    a.member.sessions, b.member.sessions, c.member.sessions = 3, 1, 2
    assert LeastConn(made).pick(anyone) is b
    assert LeastConn(made).pick(without(b)) is c
    assert LeastConn(made).pick(without(a, b, c)) is None


def test_a_weight_makes_a_load_lighter() -> None:
    a, b = made = candidates(1, 4)
    a.member.sessions, b.member.sessions = 0, 2
    assert LeastConn(made).pick(anyone) is b, "3 / 4 is less than 1 / 1"
    b.member.sessions = 4
    assert LeastConn(made).pick(anyone) is a, "1 / 1 is less than 5 / 4"


def test_those_that_are_even_take_turns() -> None:
    a, b, c = made = candidates(1, 1, 1)
    choice = LeastConn(made)
    assert [choice.pick(anyone) for _ in range(4)] == [a, b, c, a]


def test_one_that_has_just_recovered_is_not_overrun() -> None:
    a, b = made = candidates(1, 1, slow_start=100)
    a.member.sessions = 5
    b.member.recovered_at = 0.0
    assert LeastConn(made).pick(anyone, now=10.0) is a
    assert LeastConn(made).pick(anyone, now=20.0) is b


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 5))
def test_sessions_that_stay_are_spread_by_weight(weights: list[int], rounds: int) -> None:
    made = candidates(*weights)
    choice = LeastConn(made)
    counts: Counter[int] = Counter()
    for _ in range(rounds * sum(weights)):
        chosen = choice.pick(anyone)
        assert chosen is not None
        chosen.member.sessions += 1
        counts[made.index(chosen)] += 1
    assert counts == {index: rounds * weight for index, weight in enumerate(weights)}
