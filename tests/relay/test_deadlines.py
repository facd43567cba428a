"""Many equal deadlines with one timer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamproxy.relay.deadlines import Deadlines

from .loop import Loop


def test_each_expires_after_its_own_time(loop: Loop) -> None:
    expired: list[str] = []
    deadlines = Deadlines(loop, 3.0, expired.append)
    deadlines.add("a")
    loop.advance(1)
    deadlines.add("b")
    loop.advance(2)
    assert expired == ["a"]
    loop.advance(1)
    assert expired == ["a", "b"]
    assert len(deadlines) == 0
    assert loop.getDelayedCalls() == [], "a timer is left with nothing to wait for"


def test_one_that_is_removed_does_not_expire(loop: Loop) -> None:
    expired: list[str] = []
    deadlines = Deadlines(loop, 3.0, expired.append)
    deadlines.add("a")
    deadlines.add("b")
    deadlines.remove("a")
    deadlines.remove("never in")
    loop.advance(3)
    assert expired == ["b"]


def test_one_that_is_added_again_starts_anew(loop: Loop) -> None:
    expired: list[str] = []
    deadlines = Deadlines(loop, 3.0, expired.append)
    deadlines.add("a")
    loop.advance(2)
    deadlines.add("a")
    loop.advance(2)
    assert expired == []
    loop.advance(1)
    assert expired == ["a"]


def test_at_rest_there_is_no_timer(loop: Loop) -> None:
    deadlines: Deadlines[str] = Deadlines(loop, 3.0, lambda item: None)
    deadlines.rest()
    deadlines.add("a")
    deadlines.rest()
    assert loop.getDelayedCalls(), "it forgot what it waits for"
    deadlines.remove("a")
    deadlines.rest()
    assert loop.getDelayedCalls() == []
    deadlines.add("b")
    assert loop.getDelayedCalls()


def test_an_expiry_may_add_and_remove(loop: Loop) -> None:
    expired: list[str] = []

    def expire(item: str) -> None:
        expired.append(item)
        deadlines.remove("b")
        if item == "a" and len(expired) < 3:
            deadlines.add("a")

    deadlines: Deadlines[str] = Deadlines(loop, 1.0, expire)
    deadlines.add("a")
    deadlines.add("b")
    loop.pump([1, 1, 1, 1, 1])
    assert expired == ["a", "a", "a"]
    assert loop.getDelayedCalls() == []


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["add", "remove"]), st.integers(0, 9)), max_size=50))
def test_it_behaves_as_a_timer_for_each(steps: list[tuple[int, str, int]]) -> None:
    loop = Loop()
    expired: list[tuple[int, float]] = []
    deadlines: Deadlines[int] = Deadlines(loop, 4, lambda item: expired.append((item, loop.seconds())))
    due: dict[int, float] = {}
    wanted: list[tuple[int, float]] = []

    def pass_time(seconds: int) -> None:
        for _ in range(seconds):
            loop.advance(1)
            for item, when in list(due.items()):
                if when <= loop.seconds():
                    wanted.append((item, due.pop(item)))

    for wait, what, item in steps:
        pass_time(wait)
        if what == "add":
            deadlines.add(item)
            due.pop(item, None)
            due[item] = loop.seconds() + 4
        else:
            deadlines.remove(item)
            due.pop(item, None)
    pass_time(10)
    loop.close()
    assert expired == wanted
