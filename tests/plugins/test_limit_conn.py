"""How many sessions may be open at a time."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix.jsonschema import violations
from streamproxy.model import Address, Key
from streamproxy.plugins import Go, Place, Reject
from streamproxy.plugins.limit_conn import limit_conn

from .kit import PLACE, World, rejected, release, visit, went

EMPTY = "The value of the configured key is empty, use client IP instead"


def gate(world: World | None = None, place: Place = PLACE, **conf: Any) -> Any:
    conf = {"conn": 2, "burst": 1, "default_conn_delay": 0.1, "key": "remote_addr", **conf}
    return limit_conn.gate(conf, place, (world or World()).host)


def test_two_pass_one_waits_and_the_others_are_turned_away() -> None:
    limit = gate()
    verdicts = [limit.admit(visit()) for _ in range(5)]
    assert [went(verdict).delay for verdict in verdicts[:3]] == [0.0, 0.0, 0.1]
    assert [rejected(verdict).code for verdict in verdicts[3:]] == [503, 503]


def test_the_longer_the_queue_the_longer_the_wait() -> None:
    limit = gate(conn=2, burst=5, default_conn_delay=0.5)
    delays = [went(limit.admit(visit())).delay for _ in range(7)]
    assert delays == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 1.5]


def test_nobody_waits_longer_than_a_timer_counts() -> None:
    limit = gate(conn=1, burst=2, default_conn_delay=10**400)
    assert [went(limit.admit(visit())).delay for _ in range(3)] == [0.0, 3600.0, 3600.0]


def test_a_session_that_ends_makes_room() -> None:
    limit = gate(conn=1, burst=0)
    first = limit.admit(visit())
    assert isinstance(limit.admit(visit()), Reject)
    release(first)
    second = limit.admit(visit())
    assert went(second).delay == 0
    release(second)
    assert not limit.open, "a key without sessions is forgotten"


def test_each_client_has_its_own_count() -> None:
    limit = gate(conn=1, burst=0)
    assert isinstance(limit.admit(visit("10.0.0.1")), Go)
    assert isinstance(limit.admit(visit("10.0.0.2")), Go)
    assert isinstance(limit.admit(visit("10.0.0.1")), Reject)


def test_a_combination_of_variables_is_a_key() -> None:
    limit = gate(conn=1, burst=0, key="$remote_addr ${server_port}x", key_type="var_combination")
    assert isinstance(limit.admit(visit()), Go)
    assert isinstance(limit.admit(visit(local=Address("127.0.0.1", 2000))), Go)
    assert isinstance(limit.admit(visit()), Reject)


@pytest.mark.parametrize(
    "key",
    [
        {"key": "$proxy_protocol_addr $proxy_protocol_port", "key_type": "var_combination"},
        {"key": "proxy_protocol_addr"},
        {"key": "no_such_variable"},
    ],
)
def test_a_session_without_the_key_is_counted_by_its_client(key: dict[str, Any]) -> None:
    world = World()
    limit = gate(world, **key)
    verdicts = [limit.admit(visit()) for _ in range(5)]
    assert [isinstance(verdict, Go) for verdict in verdicts] == [True, True, True, False, False]
    assert world.logged("info").count(EMPTY) == 5
    assert isinstance(limit.admit(visit("127.0.0.2")), Go)


def test_a_combination_with_one_value_is_a_key() -> None:
    world = World()
    limit = gate(world, key="$remote_addr$proxy_protocol_addr", key_type="var_combination")
    limit.admit(visit())
    assert EMPTY not in world.logged("info")


def test_the_log_names_the_place_and_the_key() -> None:
    world = World()
    gate(world).admit(visit())
    (line,) = world.logged("info")
    beginning, crc, key = line.rsplit(":", 2)
    assert (beginning, key) == ("limit key: /apisix/stream_routes/1", "127.0.0.1")
    assert crc.isdecimal()


def test_the_routes_of_a_service_that_brings_it_are_counted_together() -> None:
    world = World()
    first, second = (evolve(PLACE, document=Key("apisix", "stream_routes", id_), inherited=True) for id_ in "12")
    one, other = gate(world, first, conn=1, burst=0), gate(world, second, conn=1, burst=0)
    passed = one.admit(visit())
    assert rejected(other.admit(visit())).code == 503
    assert all(line.startswith("limit key: /apisix/services/7:") for line in world.logged("info"))
    own = gate(world, evolve(second, inherited=False), conn=1, burst=0)
    assert isinstance(own.admit(visit()), Go), "one that has the plugin itself is counted by itself"
    assert isinstance(gate(World(), second, conn=1, burst=0).admit(visit()), Go), "and so is another proxy"
    release(passed)
    assert isinstance(other.admit(visit()), Go)


def test_what_is_open_is_known_to_a_gate_that_comes_later() -> None:
    world = World()
    passed = gate(world, conn=1, burst=0).admit(visit())
    later = gate(world, conn=1, burst=0)
    assert isinstance(later.admit(visit()), Reject)
    release(passed)
    assert isinstance(later.admit(visit()), Go)


@pytest.mark.parametrize(
    "place", [Place("the route"), Place("the route", Key("otoroshi", "tcp-services", "pg"))], ids=["bare", "Otoroshi's"]
)
def test_a_place_that_apisix_has_not_is_named_as_it_is(place: Place) -> None:
    world = World()
    gate(world, place).admit(visit())
    assert world.logged("info")[0].startswith("limit key: the route:")


def test_a_long_key_is_told_from_others_and_not_kept() -> None:
    limit = gate(conn=1, burst=0, key="mqtt_client_id")
    one, other = "a\ud800" * 30_000, "a\ud800" * 29_999 + "ab"
    assert isinstance(limit.admit(visit(variables={"mqtt_client_id": one})), Go)
    assert isinstance(limit.admit(visit(variables={"mqtt_client_id": other})), Go)
    assert isinstance(limit.admit(visit(variables={"mqtt_client_id": one})), Reject)
    assert max(map(len, limit.open)) < 200


def test_a_key_cannot_write_lines_of_its_own_into_the_log() -> None:
    world = World()
    gate(world, key="mqtt_client_id").admit(visit(variables={"mqtt_client_id": "a\nb"}))
    assert world.logged("info")[0].endswith(r":a\nb")


@given(
    conn=st.integers(1, 4),
    burst=st.integers(0, 4),
    steps=st.lists(st.tuples(st.booleans(), st.sampled_from("ab")), max_size=60),
)
def test_the_counts_are_right_whatever_happens(conn: int, burst: int, steps: list[tuple[bool, str]]) -> None:
    limit = gate(conn=conn, burst=burst, key="mqtt_client_id")
    opened: dict[str, list[Go]] = {"a": [], "b": []}
    for arrives, key in steps:
        sessions = opened[key]
        if arrives:
            verdict = limit.admit(visit(variables={"mqtt_client_id": key}))
            assert isinstance(verdict, Go) is (len(sessions) < conn + burst)
            if isinstance(verdict, Go):
                assert verdict.delay == pytest.approx(0.1 * (len(sessions) // conn))
                sessions.append(verdict)
        elif sessions:
            release(sessions.pop())
    assert limit.open == {key: len(sessions) for key, sessions in opened.items() if sessions}


def test_the_schema_is_apisix_s() -> None:
    assert limit_conn.version == 0.1
    assert limit_conn.schema == {
        "properties": {
            "burst": {"minimum": 0, "type": "integer"},
            "conn": {"exclusiveMinimum": 0, "type": "integer"},
            "default_conn_delay": {"exclusiveMinimum": 0, "type": "number"},
            "key": {"type": "string"},
            "key_type": {"default": "var", "enum": ["var", "var_combination"], "type": "string"},
            "only_use_default_delay": {"default": False, "type": "boolean"},
        },
        "required": ["conn", "burst", "default_conn_delay", "key"],
        "type": "object",
    }


def test_all_of_it_has_to_be_said() -> None:
    texts = {found.text for found in violations({}, limit_conn.schema)}
    assert texts == {f'property "{name}" is required' for name in ("conn", "burst", "default_conn_delay", "key")}
