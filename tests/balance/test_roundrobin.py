"""Weighted round robin."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamproxy.balance import RoundRobin
from streamproxy.model import Node


def nodes(*weights: int) -> list[Node]:
    return [Node(f"n{number}", 1, weight=weight) for number, weight in enumerate(weights)]


def test_equal_nodes_take_turns_in_order() -> None:
    a, b, c = nodes(1, 1, 1)
    robin = RoundRobin([a, b, c])
    assert [robin.pick() for _ in range(6)] == [a, b, c, a, b, c]


def test_weights_are_spread_smoothly() -> None:
    a, b, c = nodes(5, 1, 1)
    robin = RoundRobin([a, b, c])
    assert [robin.pick() for _ in range(7)] == [a, a, b, a, c, a, a]


def test_a_weight_of_nought_gets_nothing() -> None:
    a, b = nodes(0, 3)
    robin = RoundRobin([a, b])
    assert [robin.pick() for _ in range(3)] == [b, b, b]
    assert RoundRobin([a]).pick() is None


def test_excluded_nodes_are_passed_over() -> None:
    a, b = nodes(1, 1)
    robin = RoundRobin([a, b])
    assert robin.pick([a]) == b
    assert robin.pick([a, b]) is None
    weighted = RoundRobin(nodes(2, 1))
    assert weighted.pick(nodes(2)) == nodes(2, 1)[1]
    assert weighted.pick(nodes(2, 1)) is None


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any))
def test_over_a_whole_round_each_gets_its_weight(weights: list[int]) -> None:
    made = nodes(*weights)
    robin = RoundRobin(made)
    positive = [weight for weight in weights if weight]
    length = len(positive) if len(set(positive)) == 1 else sum(weights)
    counts = Counter(robin.pick() for _ in range(length))
    share = 1 if len(set(positive)) == 1 else None
    assert counts == {node: share or node.weight for node in made if node.weight}
