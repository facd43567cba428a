"""The ring."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.balance import Pool, chash
from streamproxy.balance.chash import MAX_POINTS, POINTS, Chash, ring
from streamproxy.balance.member import Candidate, Member
from streamproxy.model import Node, Policy, Upstream

from .making import anyone, candidates, without

FIRST, SECOND = Node("0.0.0.0", 1995), Node("127.0.0.1", 1995)


@pytest.mark.parametrize(("key", "node"), [("f", FIRST), ("g", SECOND), ("127.0.0.1", SECOND)])
def test_a_key_goes_where_apisix_sends_it(key: str, node: Node) -> None:
    """The placements of the tests of APISIX's mqtt-proxy."""
    assert Pool(Upstream("u", (FIRST, SECOND), policy=Policy.CHASH)).pick(key=key) == node


def test_points_are_for_weights_without_their_common_divisor() -> None:
    counts = Counter(point & 0xFFFFFFFF for point in ring([Node("a", 1, weight=100), Node("b", 1, weight=300)]))
    assert counts == {0: POINTS, 1: 3 * POINTS}


def test_the_ring_is_in_order_and_the_same_each_time() -> None:
    points = ring([FIRST, SECOND])
    assert list(points) == sorted(points)
    assert points == ring([FIRST, SECOND])


def test_the_address_that_is_dialled_is_what_counts() -> None:
    assert ring([Node("a.example", 1, ip="10.0.0.1")]) == ring([Node("10.0.0.1", 1)])


def test_when_its_node_fails_a_key_goes_on_along_the_ring() -> None:
    made = candidates(1, 1, 1)
    choice = Chash(made)
    first = choice.pick(anyone, "key")
    assert first is not None
    second = choice.pick(without(first), "key")
    assert second is not None
    assert second is not first
    third = choice.pick(without(first, second), "key")
    assert {first, second, third} == set(made)
    assert choice.pick(without(*made), "key") is None
    assert choice.pick(without(first), "key") is second, "the way along the ring is the key's own"


def test_nobody_is_nobody() -> None:
    assert Chash([]).pick(anyone, "key") is None


@given(st.text(max_size=40))
def test_every_key_has_a_place_and_keeps_it_while_others_leave(key: str) -> None:
    made = candidates(1, 2, 3, 1)
    place = Chash(made).pick(anyone, key)
    assert place is not None
    for gone in made:
        if gone is not place:
            assert Chash([each for each in made if each is not gone]).pick(anyone, key) is place
            assert Chash(made).pick(without(gone), key) is place


def test_half_of_a_surrogate_pair_is_a_key_like_any_other() -> None:
    assert Chash(candidates(1, 1)).pick(anyone, "\ud800") is not None


def test_large_weights_do_not_make_a_large_ring() -> None:
    many = [Node(f"10.0.{number // 250}.{number % 250}", 80, weight=1_000_000 + number) for number in range(1000)]
    points = ring(many)
    assert MAX_POINTS - 1000 <= len(points) <= MAX_POINTS
    counts = Counter(point & 0xFFFFFFFF for point in points)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_small_weight_beside_a_large_one_keeps_a_point() -> None:
    counts = Counter(point & 0xFFFFFFFF for point in ring([Node("a", 1), Node("b", 1, weight=10**9)]))
    assert counts[0] == 1
    assert counts[1] == MAX_POINTS - 1


def test_the_ring_is_made_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def counted(nodes: Sequence[Node]) -> array[int]:
        made.append(nodes)
        return ring(nodes)

    monkeypatch.setattr(chash, "ring", counted)
    choice = Chash([Candidate(FIRST, Member.of(FIRST))])
    assert made == []
    choice.pick(anyone, "a")
    choice.pick(anyone, "b")
    assert len(made) == 1
