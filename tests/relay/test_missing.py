"""Nodes of which the network said lately that they are not there."""

from __future__ import annotations

import pytest
from attrs import evolve

from streamproxy.model import Ended, Ending, Node
from streamproxy.relay import missing
from streamproxy.relay.missing import ENOUGH, MEMORY, Missing

from ..observe.records import record

NODE, OTHER = Node("10.0.0.1", 53), Node("10.0.0.2", 53)
FAILED = evolve(record(), ending=Ending.CONNECT_FAILED, duration=0.01)


def test_some_failures_in_a_row_are_remembered_for_a_second() -> None:
    found = Missing()
    for _ in range(ENOUGH - 1):
        found.note(NODE, FAILED, 10.0)
    assert not found.holds(NODE, 10.0), "a few may try, another node may be chosen each time"
    found.note(NODE, FAILED, 10.5)
    assert found.holds(NODE, 10.5)
    assert found.holds(evolve(NODE, weight=5), 10.5), "it is the same place"
    assert not found.holds(OTHER, 10.5)
    assert not found.holds(NODE, 10.0 + MEMORY)
    assert not found.holds(NODE, 10.5), "it is forgotten"


def test_failures_that_are_long_ago_do_not_count() -> None:
    found = Missing()
    for number in range(ENOUGH * 3):
        found.note(NODE, FAILED, number * MEMORY / 2)
        assert not found.holds(NODE, number * MEMORY / 2)


@pytest.mark.parametrize(
    "other", [evolve(FAILED, ending=Ending.IDLE_TIMEOUT), evolve(FAILED, duration=missing.MOMENT + 1)]
)
def test_a_session_that_went_on_for_a_while_says_nothing(other: Ended) -> None:
    found = Missing()
    for _ in range(ENOUGH):
        found.note(NODE, other, 10.0)
    assert not found.holds(NODE, 10.0)


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "MOST_NODES", 3)
    found = Missing()
    for number in range(100):
        found.note(Node(f"10.0.0.{number}", 53), FAILED, 10.0)
    assert len(found._found) <= 3
