"""Explaining a decision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import Facts, Order, Routing
from streamproxy.rules import Condition, Outcome, Table, explain

from .worlds import connections, facts, match, patient, routing, routings


@patient
@given(st.sampled_from(Order).flatmap(routings), connections)
def test_always_agrees_with_the_table(asked: Routing, seen: Facts) -> None:
    told = explain(asked, seen)

    assert told.winner is Table.compile(asked).decide(seen).route
    assert sorted(each.index for each in told.considered) == list(range(len(asked.routes)))
    assert [each.route for each in told.considered if each.outcome is Outcome.WON] == (
        [told.winner] if told.winner else []
    )


@patient
@given(st.sampled_from(Order).flatmap(routings), connections, st.integers(-1, 9))
def test_a_limit_leaves_out_anything_but_the_winner(asked: Routing, seen: Facts, limit: int) -> None:
    whole = explain(asked, seen)
    told = explain(asked, seen, limit)

    assert told.winner is whole.winner
    assert len(told.considered) == min(max(limit, 1), len(asked.routes))
    assert len(told.considered) + told.left_out == len(asked.routes)
    assert [each for each in whole.considered if each in told.considered] == list(told.considered), "the order is kept"
    assert told.winner is None or told.winner in [each.route for each in told.considered]


@patient
@given(st.sampled_from(Order).flatmap(routings), connections)
def test_who_lost_did_not_match_and_nobody_before_the_winner_did(asked: Routing, seen: Facts) -> None:
    outcomes = [each.outcome for each in explain(asked, seen).considered]

    assert outcomes == sorted(outcomes, key=[Outcome.LOST, Outcome.WON, Outcome.NOT_REACHED].index)
    for each in explain(asked, seen).considered:
        assert each.outcome is Outcome.NOT_REACHED or each.matches == (each.outcome is Outcome.WON)


def verdicts(asked: Routing, seen: Facts) -> list[tuple[str, str]]:
    return [(each.route.id, each.verdict) for each in explain(asked, seen).considered]


def test_each_route_tells_what_became_of_it() -> None:
    asked = routing(
        Order.FIRST,
        match("b.example.com", "*.example.org"),
        match("*.example.com", remote="10.0.0.0/8", server_port=9100),
        match("a.example.com", remote="198.51.100.0/24"),
        match("/a.*/"),
        match(server="192.0.2.9/32"),
    )

    assert verdicts(asked, facts("a.example.com")) == [
        ("r0", "lost: names: wants b.example.com, *.example.org, saw a.example.com"),
        ("r1", "lost: remote: wants 10.0.0.0/8, saw 198.51.100.7; server_port: wants 9100, saw 443"),
        ("r2", "won"),
        ("r3", "not reached: an earlier one won (it would have matched)"),
        (
            "r4",
            "not reached: an earlier one won (it would have lost: server: wants 192.0.2.9/32, saw 192.0.2.1)",
        ),
    ]


def test_no_name_is_told_as_such() -> None:
    assert verdicts(routing(Order.FIRST, match("*")), facts()) == [("r0", "lost: names: wants *, saw no name")]


@pytest.mark.parametrize("host", ["", "unix:/run/x", "10.0.0.1%eth0x:"])
def test_what_is_no_address_lies_nowhere(host: str) -> None:
    told = explain(routing(Order.FIRST, match(remote="0.0.0.0/0")), facts(peer=host))

    assert told.winner is None


def test_the_conditions_are_all_told_and_which_name_matched() -> None:
    asked = routing(Order.FIRST, match("b", "*.com", remote="198.51.100.0/24", server="192.0.2.0/24", server_port=443))

    (only,) = explain(asked, facts("a.com")).considered

    assert only.conditions == (
        Condition("names", "b, *.com", "a.com", True, "*.com"),
        Condition("remote", "198.51.100.0/24", "198.51.100.7", True),
        Condition("server", "192.0.2.0/24", "192.0.2.1", True),
        Condition("server_port", "443", "443", True),
    )


def test_specific_shows_the_order_for_that_name() -> None:
    asked = routing(
        Order.SPECIFIC,
        match("z.com"),
        match(),
        match("*"),
        match("*.com"),
        match("*.a.com", remote="10.0.0.0/8"),
        match("b.a.com", remote="10.0.0.0/8"),
        match("*", "b.a.com", server_port=1),
    )

    assert [each.route.id for each in explain(asked, facts("b.a.com")).considered] == [
        *("r5", "r6", "r4"),
        *("r3", "r2", "r1", "r0"),
    ]
    assert [each.route.id for each in explain(asked, facts()).considered][:2] == ["r1", "r0"]


def test_many_names_are_counted_not_listed() -> None:
    (only,) = explain(routing(Order.FIRST, match(*(f"n{number}" for number in range(25)))), facts("n24")).considered

    assert only.conditions[0].wants == "n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 15 more"
    assert only.conditions[0].by == "n24"


@pytest.mark.parametrize(("winner", "shown"), [(2, [0, 1, 2]), (3, [0, 1, 3]), (4, [0, 1, 4])])
def test_the_winner_takes_the_last_place_when_it_would_not_be_shown(winner: int, shown: list[int]) -> None:
    asked = routing(Order.FIRST, *(match(f"n{number}") for number in range(6)))

    told = explain(asked, facts(f"n{winner}"), limit=3)

    assert [each.index for each in told.considered] == shown


def test_a_table_too_long_to_show_shows_its_beginning_and_the_winner() -> None:
    asked = routing(Order.FIRST, *(match(f"n{number}") for number in range(3000)))

    told = explain(asked, facts("n2500"))

    assert [each.index for each in told.considered] == [*range(999), 2500]
    assert told.left_out == 2000
    assert told.considered[-1].verdict == "won"
