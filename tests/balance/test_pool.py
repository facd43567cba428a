"""Pools: what one upstream's sessions share."""

from __future__ import annotations

from attrs import evolve

from streamproxy.balance import Pool, Pools
from streamproxy.model import Node, Upstream

A, B = Node("a", 1), Node("b", 1)
BACKUP = Node("backup", 1, priority=-1)


def test_the_highest_priority_is_used_until_it_has_nobody_left() -> None:
    pool = Pool(Upstream("u", (BACKUP, A, B)))
    assert [pool.pick() for _ in range(3)] == [A, B, A]
    assert pool.pick([A, B]) == BACKUP
    assert pool.pick([A, B, BACKUP]) is None


def test_every_node_is_tried_once_unless_told_otherwise() -> None:
    assert Pool(Upstream("u", (A, B))).attempts == 2
    assert Pool(Upstream("u", (A, B), retries=0)).attempts == 1
    assert Pool(Upstream("u", (A, B), retries=9)).attempts == 2
    assert Pool(Upstream("u", ())).attempts == 0


def test_a_pool_lives_as_long_as_its_upstream_is_the_same() -> None:
    pools = Pools()
    upstream = Upstream("u", (A, B))
    pool = pools.of(upstream)
    assert pools.of(evolve(upstream)) is pool
    changed = pools.of(Upstream("u", (A,)))
    assert changed is not pool
    pools.of(Upstream("v", (A,)))
    assert len(pools) == 2
    pools.keep(["u", "unknown"])
    assert len(pools) == 1
    assert pools.of(Upstream("u", (A,))) is changed
