"""The wheel that says when to look at which session again."""

from __future__ import annotations

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.relay.udp_idle import IdleWheel

TICK = 0.5


@define(eq=False)
class Item:
    due: float
    slot: int = 0


def wheel_of(*items: Item) -> IdleWheel[Item]:
    wheel: IdleWheel[Item] = IdleWheel(TICK)
    for item in items:
        wheel.add(item, item.due)
    return wheel


def test_nothing_comes_before_its_time() -> None:
    item = Item(10.1)
    wheel = wheel_of(item)
    assert wheel.take_due(10.0) == []
    assert wheel.take_due(10.5) == [item]
    assert wheel.take_due(11.0) == [], "it comes once"


def test_an_item_may_go_back() -> None:
    item = Item(1)
    wheel = wheel_of(item)
    assert wheel.take_due(1) == [item]
    wheel.add(item, 3)
    assert wheel.take_due(2) == []
    assert wheel.take_due(3) == [item]


def test_a_removed_item_does_not_come_and_leaves_nothing_behind() -> None:
    one, two = Item(1), Item(1)
    wheel = wheel_of(one, two)
    wheel.remove(one)
    assert wheel, "another is still in"
    wheel.remove(two)
    wheel.remove(two)
    assert not wheel
    assert wheel.take_due(100) == []


@pytest.mark.parametrize("now", [1e6, 1e9])
def test_a_clock_that_jumps_ahead(now: float) -> None:
    items = [Item(float(due)) for due in range(5)]
    assert sorted(item.due for item in wheel_of(*items).take_due(now)) == [0, 1, 2, 3, 4]


@given(
    dues=st.lists(st.floats(0, 1e6), max_size=30),
    looks=st.lists(st.floats(0, 1e6), max_size=20).map(sorted),
)
def test_each_comes_once_and_within_a_tick(dues: list[float], looks: list[float]) -> None:
    wheel = wheel_of(*map(Item, dues))
    came: list[float] = []
    for now in looks:
        due = [item.due for item in wheel.take_due(now)]
        assert all(when <= now for when in due)
        came += due
        assert all(when in came for when in dues if when + TICK <= now)
    came += [item.due for item in wheel.take_due(2e6)]
    assert sorted(came) == sorted(dues)
