"""``plugin_metadata``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamproxy.dialects.apisix import Metadata, decode_metadata, metadata_schema, violations
from streamproxy.model import Key

from .asking import PLUGINS, Probe

KEY = Key("apisix", "plugin_metadata", "probe")


def problems(body: Any, key: Key = KEY) -> list[str]:
    metadata, found = decode_metadata(key, body, PLUGINS)
    assert metadata is None
    return [str(problem) for problem in found]


def test_what_its_author_wrote() -> None:
    body = {"id": "probe", "size": 3, "create_time": 1, "update_time": 2}
    assert decode_metadata(KEY, body, PLUGINS) == (Metadata(KEY, {"size": 3}), ())


def test_it_is_checked_by_the_plugin_whose_name_is_its_id() -> None:
    assert problems({"size": "x"}) == ["size: wrong type: expected integer, got string"]
    assert problems({"other": 1}) == ["other: additional properties forbidden, found other"]
    assert problems({}, Key("apisix", "plugin_metadata", "nobody")) == ["invalid plugin name"]
    assert problems(1) == ["expected an object, got an integer"]


def test_a_schema_that_breaks_the_check() -> None:
    class Broken(Probe):
        metadata_schema: Mapping[str, Any] = {"type": "object", "properties": {"size": {"type": "whatever"}}}

    _, found = decode_metadata(KEY, {"size": 1}, {"probe": Broken()})
    assert [str(problem) for problem in found] == ["the plugin failed to check it: KeyError"]


def test_every_plugin_has_a_schema_for_it() -> None:
    for plugin in PLUGINS.values():
        assert list(violations({"id": plugin.name, "create_time": 1}, metadata_schema(plugin))) == []
