"""Nothing but MQTT, and the client id as a variable."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix.jsonschema import violations
from streamproxy.plugins import GO, Go, More, Reject
from streamproxy.plugins.mqtt_proxy import mqtt_proxy

from .kit import PLACE, World, rejected, visit

# As APISIX's own tests send them.
FOO = bytes.fromhex("100f 0004 4d515454 04 02 003c 0003 666f6f")
NO_ID = bytes.fromhex("100c 0004 4d515454 04 02 003c 0000")
FOO_5 = bytes.fromhex("101b 0004 4d515454 05 02 003c 05 1100000e10 0009") + b"clint-111"


def gate(world: World | None = None, **conf: Any) -> Any:
    return mqtt_proxy.gate({"protocol_level": 4, **conf}, PLACE, (world or World()).host)


def test_the_client_id_becomes_a_variable() -> None:
    world = World()
    assert gate(world).admit(visit(window=FOO)) == Go(variables={"mqtt_client_id": "foo"})
    assert world.lines == [("info", "mqtt client id: foo")]


def test_a_client_without_an_id_goes_on_without_one() -> None:
    world = World()
    assert gate(world).admit(visit(window=NO_ID)) is GO
    assert world.lines == [("info", "mqtt client id: ")]


def test_properties_of_mqtt_5_are_passed_over() -> None:
    assert gate(protocol_level=5).admit(visit(window=FOO_5)) == Go(variables={"mqtt_client_id": "clint-111"})


def test_it_waits_for_the_whole_id() -> None:
    broker = gate()
    for length in range(len(FOO)):
        verdict = broker.admit(visit(window=FOO[:length]))
        assert isinstance(verdict, More), f"after {length} bytes: {verdict}"
        assert length < verdict.at_least <= len(FOO)


@pytest.mark.parametrize(
    ("window", "level", "text"),
    [
        (b"mmmmm", 4, "Received unexpected MQTT packet type+flags: 109"),
        (FOO, 5, "expect protocol level: 5, but got 4"),
        (FOO_5, 4, "expect protocol level: 4, but got 5"),
        (bytes.fromhex("100c 0004 4d51495a 04 02 003c 0000"), 4, "expect protocol name: MQTT, but got MQIZ"),
        (bytes.fromhex("1003 0004 4d51"), 4, "the CONNECT packet is shorter than what it holds"),
    ],
)
def test_everything_else_is_turned_away(window: bytes, level: int, text: str) -> None:
    world = World()
    verdict = rejected(gate(world, protocol_level=level).admit(visit(window=window)))
    assert verdict.code == 503
    assert text in verdict.why
    assert world.lines == [("error", verdict.why)]


def test_a_client_that_falls_silent_is_turned_away() -> None:
    world = World()
    verdict = rejected(gate(world).admit(visit(window=FOO[:9], complete=True)))
    assert verdict == Reject(503, "failed to read the Connect Command: the client said 9 bytes of it")
    assert world.logged("error") == [verdict.why]


def test_the_name_of_the_protocol_can_be_said() -> None:
    older = bytes.fromhex("1011 0006 4d5149736470 03 02 003c 0003 666f6f")
    assert gate(protocol_name="MQIsdp", protocol_level=3).admit(visit(window=older)) == Go(
        variables={"mqtt_client_id": "foo"}
    )


def test_a_client_cannot_write_lines_of_its_own_into_the_log() -> None:
    world = World()
    gate(world).admit(visit(window=bytes.fromhex("100d 0004 4d515454 04 02 003c 0001 0a")))
    gate(world).admit(visit(window=bytes.fromhex("100d 0005 4d5154540a 04 02 003c 0000")))
    assert world.lines == [
        ("info", r"mqtt client id: \n"),
        ("error", r"expect protocol name: MQTT, but got MQTT\n"),
    ]


@given(window=st.one_of(st.binary(), st.binary().map(lambda tail: FOO[:7] + tail)), complete=st.booleans())
def test_there_is_an_answer_to_everything(window: bytes, complete: bool) -> None:
    verdict = gate().admit(visit(window=window, complete=complete))
    if isinstance(verdict, More):
        assert verdict.at_least > len(window)
        assert not complete


def test_the_level_has_to_be_said() -> None:
    assert [found.text for found in violations({"protocol_name": "MQTT"}, mqtt_proxy.schema)] == [
        'property "protocol_level" is required'
    ]
    assert list(violations({"protocol_level": 4, "whatever": 1}, mqtt_proxy.schema)) == []
