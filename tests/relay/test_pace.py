"""How often something may happen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import Rate
from streamproxy.relay.pace import Paces


def test_a_burst_and_then_a_rate() -> None:
    paces, rate = Paces(), Rate(10, 3)

    assert [paces.admits("a", rate, 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert not paces.admits("a", rate, 0.09)
    assert paces.admits("a", rate, 0.1), "one more came in while nobody asked"
    assert not paces.admits("a", rate, 0.1)
    assert [paces.admits("a", rate, 100.0) for _ in range(4)] == [True, True, True, False], "no more than the burst"


def test_keys_do_not_mind_each_other() -> None:
    paces, rate = Paces(), Rate(1, 1)

    assert paces.admits("a", rate, 0.0)
    assert paces.admits("b", rate, 0.0)
    assert not paces.admits("a", rate, 0.0)


def test_who_was_longest_silent_is_forgotten() -> None:
    paces, rate = Paces(2), Rate(1, 1)
    for key in ("a", "b", "a", "c"):
        paces.admits(key, rate, 0.0)

    assert len(paces) == 2
    assert not paces.admits("a", rate, 0.0), "it was there a moment ago, if in vain"
    assert paces.admits("b", rate, 0.0)


def test_what_is_booked_comes_one_after_the_other() -> None:
    paces = Paces()

    assert [paces.book("a", 2.0, 10.0, 0.5) for _ in range(3)] == [10.0, 12.0, 14.0]
    assert paces.due("a", 10.0) == 16.0
    assert paces.book("a", 1.0, 16.2, 0.5) == 16.0, "a little is made up for"
    assert paces.book("a", 1.0, 30.0, 0.5) == 29.5, "and no more"
    assert paces.due("b", 7.0) == 7.0


@given(
    st.floats(0.1, 1000),
    st.integers(1, 50),
    st.lists(st.floats(0, 2), max_size=200),
)
def test_no_more_than_a_bucket_would_give(per_second: float, burst: int, pauses: list[float]) -> None:
    paces, rate = Paces(), Rate(per_second, burst)
    now = level = 0.0
    level = float(burst)
    for pause in pauses:
        now += pause
        level = min(float(burst), level + pause * per_second)
        if paces.admits("a", rate, now):
            level -= 1
            assert level > -1e-3, f"one more than there was at {now}"
        else:
            assert level < 1 + 1e-3, f"one was left at {now}"


@pytest.mark.parametrize("most", [1, 10])
def test_they_are_bounded(most: int) -> None:
    paces = Paces(most)
    for number in range(100):
        paces.admits(str(number), Rate(1, 1), 0.0)
        paces.book(f"b{number}", 1.0, 0.0, 0.0)

    assert len(paces) == most
