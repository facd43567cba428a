"""Weighted round robin."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamproxy.balance.roundrobin import RoundRobin

from .making import anyone, candidates, without


def test_equal_nodes_take_turns_in_order() -> None:
    a, b, c = made = candidates(1, 1, 1)
    robin = RoundRobin(made)
    assert [robin.pick(anyone) for _ in range(6)] == [a, b, c, a, b, c]


def test_weights_are_spread_smoothly() -> None:
    a, b, c = made = candidates(5, 1, 1)
    robin = RoundRobin(made)
    assert [robin.pick(anyone) for _ in range(7)] == [a, a, b, a, c, a, a]


def test_those_that_are_taken_are_passed_over() -> None:
    a, b = made = candidates(1, 1)
    assert RoundRobin(made).pick(without(a)) is b
    assert RoundRobin(made).pick(without(a, b)) is None
    a, b = made = candidates(2, 1)
    assert RoundRobin(made).pick(without(a)) is b
    assert RoundRobin(made).pick(without(a, b)) is None
    assert RoundRobin([]).pick(anyone) is None


def test_one_that_has_just_recovered_gets_its_share_little_by_little() -> None:
    made = candidates(1, 1, slow_start=100)
    b = made[1]
    b.member.recovered_at = 0.0
    robin = RoundRobin(made)
    shares = [Counter(robin.pick(anyone, now=now) for _ in range(100))[b] for now in (10.0, 50.0, 100.0)]
    assert [round(share, -1) for share in shares] == [10, 30, 50], shares


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_over_a_whole_round_each_gets_its_weight(weights: list[int]) -> None:
    made = candidates(*weights)
    robin = RoundRobin(made)
    equal = len(set(weights)) == 1
    counts = Counter(robin.pick(anyone) for _ in range(len(weights) if equal else sum(weights)))
    assert counts == {each: 1 if equal else each.node.weight for each in made}
