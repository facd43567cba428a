from __future__ import annotations

from streamproxy.control import snapshots
from streamproxy.control.snapshots import Snapshots
from streamproxy.model import Match, Order, Route, Routing, Snapshot


def test_the_one_of_a_revision_that_was_in_force() -> None:
    kept = Snapshots()
    first, reread, second = Snapshot(1), Snapshot(1), Snapshot(2)
    kept.keep(first, 10.0)
    kept.keep(reread, 20.0)
    kept.keep(second, 30.0)
    assert kept.find(1, 15.0) is first
    assert kept.find(1, 25.0) is reread
    assert kept.find(2, 40.0) is second
    assert kept.find(1, 5.0) is first, "a clock that was set back is no reason to know nothing"
    assert kept.find(3, 40.0) is None


def test_no_more_than_so_many_are_kept() -> None:
    kept = Snapshots()
    for number in range(200):
        kept.keep(Snapshot(number), float(number))
    assert len(kept) == snapshots.MOST
    assert kept.find(199, 500.0) is not None
    assert kept.find(100, 500.0) is None


def test_large_ones_are_forgotten_sooner_but_for_the_newest() -> None:
    kept = Snapshots()
    route = Route("r", Match(), "u")
    large = Routing("r", Order.FIRST, (route,) * (snapshots.MOST_ENTRIES // 2 + 1))
    for number in range(3):
        kept.keep(Snapshot(number, routings={"r": large}), float(number))
        assert kept.find(number, 10.0) is not None
    assert len(kept) == 1
