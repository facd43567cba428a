"""How many lines a log gets."""

from __future__ import annotations

from streamproxy.observe.throttle import Throttle


def test_a_burst_passes_and_then_so_many_a_second() -> None:
    now = 100.0
    throttle = Throttle(lambda: now, burst=3, rate=2.0)
    assert [throttle.passes() for _ in range(5)] == [0, 0, 0, None, None]
    now += 0.5
    assert throttle.passes() == 2, "two were held back before this one"
    assert throttle.passes() is None
    now += 3600
    assert [throttle.passes() for _ in range(4)] == [1, 0, 0, None], "a quiet hour saves up no more than a burst"
