"""Sessions are counted by route."""

from __future__ import annotations

from prometheus_client import generate_latest

from streamproxy.plugins import GO, Place
from streamproxy.plugins.prometheus import prometheus

from .kit import PLACE, World, ended, visit


def count(world: World, route: str) -> float | None:
    return world.registry.get_sample_value("apisix_stream_connection_total", {"route": route})


def test_a_session_counts_when_it_is_over() -> None:
    world = World()
    gate = prometheus.gate({}, PLACE, world.host)
    assert gate.admit(visit()) is GO
    assert count(world, "1") == 0
    gate.ended(ended())
    gate.ended(ended())
    assert b'apisix_stream_connection_total{route="1"} 2.0\n' in generate_latest(world.registry)


def test_a_route_can_be_counted_by_its_name_if_it_has_one() -> None:
    world = World()
    prometheus.gate({"prefer_name": True}, PLACE, world.host).ended(ended())
    prometheus.gate({"prefer_name": True}, Place("nameless"), world.host).ended(ended())
    assert (count(world, "the first"), count(world, "nameless"), count(world, "1")) == (1, 1, None)


def test_what_was_counted_outlives_the_gate() -> None:
    world = World()
    for _ in range(2):
        gate = prometheus.gate({}, PLACE, world.host)
        gate.ended(ended())
        gate.close()
    assert count(world, "1") == 2


def test_each_registry_has_its_own_counter() -> None:
    one, other = World(), World()
    prometheus.gate({}, PLACE, one.host).ended(ended())
    prometheus.gate({}, PLACE, other.host)
    assert (count(one, "1"), count(other, "1")) == (1, 0)
