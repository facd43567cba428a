"""What every one of our plugins keeps to, so that whoever calls them need not know which it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.plugin import IPlugin
from zope.interface.verify import verifyObject

from streamproxy.dialects.apisix.jsonschema import violations
from streamproxy.errors import Problem
from streamproxy.plugins import Go, More, Plugin, Reject, UpstreamReference
from streamproxy.plugins.discovery import BUILT_IN
from streamproxy.plugins.interface import IStreamPlugin

from .kit import PLACE, World, ended, visit

MINIMAL: Mapping[str, Mapping[str, Any]] = {
    "ip-restriction": {"whitelist": ["127.0.0.1"]},
    "limit-conn": {"conn": 1, "burst": 0, "default_conn_delay": 0.1, "key": "remote_addr"},
    "mqtt-proxy": {"protocol_level": 4},
    "traffic-split": {},
    "prometheus": {},
    "syslog": {"host": "127.0.0.1", "port": 514},
}
KNOWN = {"type", "properties", "required", "additionalProperties", "default", "items", "anyOf", "oneOf", "title"}
KNOWN |= {"description", "enum", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"}
KNOWN |= {"exclusiveMinimum"}

every_plugin = pytest.mark.parametrize("plugin", BUILT_IN, ids=lambda plugin: plugin.name)

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def confs(plugin: Plugin) -> st.SearchStrategy[dict[str, Any]]:
    """Some that its schema would take, and many that it would not."""
    names = sorted(plugin.schema["properties"])
    guided = st.dictionaries(st.sampled_from(names), values, max_size=4)
    return st.dictionaries(st.text(max_size=8), values, max_size=4) | guided.map(
        lambda found: {**MINIMAL[plugin.name], **found}
    )


def schemas(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A schema and all those in it."""
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    inner += [schema["items"]] if "items" in schema else []
    return [schema, *(found for each in inner for found in schemas(each))]


def test_there_are_six_with_names_and_priorities_of_their_own() -> None:
    assert {plugin.name: plugin.priority for plugin in BUILT_IN} == {
        "ip-restriction": 3000,
        "limit-conn": 1003,
        "mqtt-proxy": 1000,
        "traffic-split": 966,
        "prometheus": 500,
        "syslog": 401,
    }
    assert {plugin.name for plugin in BUILT_IN} == set(MINIMAL)


@every_plugin
def test_it_is_a_plugin(plugin: Plugin) -> None:
    assert verifyObject(IStreamPlugin, plugin)
    assert verifyObject(IPlugin, plugin)
    assert plugin.version == 0.1
    assert isinstance(plugin.encrypted, tuple)


@every_plugin
def test_its_schemas_say_nothing_that_is_not_checked(plugin: Plugin) -> None:
    for schema in (*schemas(plugin.schema), *schemas(plugin.metadata_schema)):
        assert set(schema) <= KNOWN
    assert plugin.schema["type"] == plugin.metadata_schema["type"] == "object"


@every_plugin
def test_its_schemas_can_be_shown(plugin: Plugin) -> None:
    for schema in (plugin.schema, plugin.metadata_schema):
        assert json.loads(json.dumps(schema)) == schema


@every_plugin
def test_its_defaults_are_what_its_schema_allows(plugin: Plugin) -> None:
    for schema in schemas(plugin.schema):
        if "default" in schema:
            assert list(violations(schema["default"], schema)) == []


@every_plugin
def test_the_least_that_can_be_said_is_enough(plugin: Plugin) -> None:
    conf = MINIMAL[plugin.name]
    assert list(violations(conf, plugin.schema)) == []
    assert list(plugin.problems(conf)) == []
    assert list(plugin.references(conf)) == []
    gate = plugin.gate(conf, PLACE, World().host)
    gate.admit(visit())
    gate.ended(ended())
    gate.close()
    gate.ended(ended())


@every_plugin
@given(data=st.data())
def test_it_has_an_opinion_on_everything(plugin: Plugin, data: st.DataObject) -> None:
    conf = data.draw(confs(plugin))
    problems, references = list(plugin.problems(conf)), list(plugin.references(conf))
    assert all(isinstance(problem, Problem) for problem in problems)
    assert all(isinstance(reference, UpstreamReference) for reference in references)
    if any(violations(conf, plugin.schema)) or problems:
        return
    plugin.gate(conf, PLACE, World().host).close()


@every_plugin
@given(
    peer=st.one_of(st.ip_addresses().map(str), st.text()),
    window=st.binary(),
    complete=st.booleans(),
    variables=st.dictionaries(st.sampled_from(["mqtt_client_id", "remote_addr", "route_id"]), st.text()),
)
def test_nobody_gets_it_to_fail(
    plugin: Plugin, peer: str, window: bytes, complete: bool, variables: dict[str, str]
) -> None:
    gate = plugin.gate(MINIMAL[plugin.name], PLACE, World().host)
    verdict = gate.admit(visit(peer, window, complete=complete, variables=variables))
    assert isinstance(verdict, (Go, Reject, More))
    assert not isinstance(verdict, More) or not complete
