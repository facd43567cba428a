"""To which upstream a session goes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix.jsonschema import violations
from streamproxy.errors import Problem
from streamproxy.plugins import GO, Reject, UpstreamReference
from streamproxy.plugins.traffic_split import traffic_split

from .kit import PLACE, World, visit, went

A, B = "rules[0].weighted_upstreams[0]", "rules[0].weighted_upstreams[1]"
NODES: dict[str, Any] = {"type": "roundrobin", "nodes": {"127.0.0.1:1995": 1}}


def at(upstreams: dict[str, str], *rules: dict[str, Any], world: World | None = None) -> Any:
    place = evolve(PLACE, upstreams=upstreams)
    return traffic_split.gate({"rules": list(rules)}, place, (world or World()).host)


def chosen(split: Any, times: int = 1, **session: Any) -> list[str | None]:
    return [went(split.admit(visit(**session))).upstream for _ in range(times)]


def rule(*entries: dict[str, Any], match: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"weighted_upstreams": list(entries)} | ({} if match is None else {"match": match})


def test_nine_of_ten_go_one_way() -> None:
    entries = {"upstream": NODES, "weight": 9}, {"upstream": NODES, "weight": 1}
    split = at({A: "inline A", B: "inline B"}, rule(*entries))
    found = chosen(split, 20)
    assert Counter(found) == {"inline A": 18, "inline B": 2}
    assert found[:10] == found[10:], "the turns repeat"
    assert Counter(found[:10]) == {"inline A": 9, "inline B": 1}


def test_turns_are_as_even_as_can_be() -> None:
    split = at({A: "a", B: "b"}, rule({"upstream_id": "a", "weight": 2}, {"upstream_id": "b", "weight": 2}))
    assert chosen(split, 4) == ["a", "b", "a", "b"]


def test_an_entry_without_an_upstream_is_the_route_s_own() -> None:
    split = at({A: "a"}, rule({"upstream_id": "a", "weight": 3}, {}))
    assert Counter(chosen(split, 8)) == {"a": 6, None: 2}


def test_a_rule_without_upstreams_is_the_route_s_own_too() -> None:
    assert chosen(at({}, {}), 2) == [None, None]


def test_no_weight_is_never_chosen() -> None:
    split = at({A: "a", B: "b"}, rule({"upstream_id": "a", "weight": 0}, {"upstream_id": "b", "weight": 1}))
    assert chosen(split, 3) == ["b", "b", "b"]


def test_without_rules_everything_stays_as_it_is() -> None:
    assert traffic_split.gate({}, PLACE, World().host).admit(visit()) is GO


def test_the_first_rule_that_matches_takes_the_session() -> None:
    second = "rules[1].weighted_upstreams[0]"
    split = at(
        {A: "a", second: "b"},
        rule(
            {"upstream_id": "a"}, match=[{"vars": [["route_id", "==", "2"]]}, {"vars": [["server_port", "==", 2000]]}]
        ),
        rule({"upstream_id": "b"}, match=[{"vars": [["remote_addr", "ipmatch", "127.0.0.0/8"]]}]),
    )
    assert chosen(split) == ["b"]
    assert chosen(split, variables={"server_port": "2000"}) == ["a"]
    assert split.admit(visit("10.0.0.1")) is GO


def test_the_id_of_the_route_can_be_matched() -> None:
    split = at({A: "a"}, rule({"upstream_id": "a"}, match=[{"vars": [["route_id", "==", "1"]]}]))
    assert chosen(split) == ["a"]


def test_an_empty_match_is_none() -> None:
    assert chosen(at({A: "a"}, rule({"upstream_id": "a"}, match=[]))) == ["a"]


def test_rules_take_turns_of_their_own() -> None:
    match = [{"vars": [["remote_addr", "==", "10.0.0.1"]]}]
    entries: list[dict[str, Any]] = [{"upstream_id": "a"}, {}]
    split = at({A: "a", "rules[1].weighted_upstreams[0]": "a"}, rule(*entries, match=match), rule(*entries))
    assert chosen(split, peer="10.0.0.1") == chosen(split, peer="10.0.0.2") == ["a"]


def test_an_upstream_that_is_not_there_closes_the_session() -> None:
    world = World()
    split = at({}, rule({"upstream_id": 77}), world=world)
    assert split.admit(visit()) == Reject(500, "failed to fetch upstream info by upstream id: 77")
    assert world.logged("error") == ["failed to fetch upstream info by upstream id: 77"]


def test_so_does_one_that_could_not_be_used() -> None:
    assert at({}, rule({"upstream": NODES})).admit(visit()) == Reject(500, f"failed to fetch upstream info of {A}")


def test_what_it_leads_to() -> None:
    conf = {
        "rules": [rule({"upstream_id": 7}, {"upstream": NODES}), {}, rule({}, {"upstream_id": "x", "upstream": {}})]
    }
    assert list(traffic_split.references(conf)) == [
        UpstreamReference(A, "7"),
        UpstreamReference(B, NODES),
        UpstreamReference("rules[2].weighted_upstreams[1]", "x"),
    ]


@pytest.mark.parametrize(
    ("match", "why"),
    [
        ({"vars": [["a", "=", "b"]]}, "invalid operator '='"),
        ({"vars": ["a", "==", "b"]}, "rule should be wrapped inside brackets"),
        ({}, "missing argument rule"),
    ],
)
def test_an_expression_that_is_none_is_refused(match: dict[str, Any], why: str) -> None:
    conf = {"rules": [rule(match=[{"vars": []}, match])]}
    (problem, *_) = traffic_split.problems(conf)
    expected = f"failed to validate the 'vars' expression: {why}"
    assert problem == Problem("rules[0].match[1].vars", "bad_value", expected)


def test_weights_that_choose_nothing_are_refused() -> None:
    (problem,) = traffic_split.problems({"rules": [rule({"weight": 0}, {"weight": 0})]})
    assert problem.path == "rules[0].weighted_upstreams"


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ({"rule": []}, "additional properties forbidden, found rule"),
        ({"rules": [{"x": 1}]}, "additional properties forbidden, found x"),
        ({"rules": [{"weighted_upstreams": []}]}, "expect array to have at least 1 items"),
        ({"rules": [{"weighted_upstreams": [{}] * 21}]}, "expect array to have at most 20 items"),
        ({"rules": [{"weighted_upstreams": [{"weight": -1}]}]}, "expected -1 to be at least 0"),
        ({"rules": [{"match": [{"vars": 5}]}]}, "wrong type: expected array, got number"),
    ],
)
def test_what_the_schema_says(conf: dict[str, Any], text: str) -> None:
    (found,) = violations(conf, traffic_split.schema)
    assert found.text.endswith(text)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20).filter(any))
def test_in_each_round_everybody_gets_his_share(weights: list[int]) -> None:
    entries = [{"upstream_id": str(index), "weight": weight} for index, weight in enumerate(weights)]
    upstreams = {f"rules[0].weighted_upstreams[{index}]": str(index) for index in range(len(weights))}
    found = Counter(chosen(at(upstreams, rule(*entries)), sum(weights)))
    assert found == {str(index): weight for index, weight in enumerate(weights) if weight}
