"""APISIX's ``plugin_metadata``: what is configured once for all uses of a plugin, whose name is its id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from streamproxy.model import Key
from streamproxy.plugins.seam import Plugin

from .jsonschema import Schema, Violation, violations
from .parts import ID, TIMES

_ADDED = {"id": ID, **TIMES}


@frozen
class Metadata:
    """``values`` is what the author wrote, without what is kept beside it."""

    key: Key
    values: Mapping[str, Any]


def metadata_schema(plugin: Plugin) -> Schema:
    """The schema of what is configured for all uses of a plugin, with what is kept beside it."""
    schema = plugin.metadata_schema
    return {"type": "object", **schema, "properties": {**schema.get("properties", {}), **_ADDED}}


def to_metadata(
    key: Key, body: Mapping[str, Any], plugins: Mapping[str, Plugin]
) -> tuple[Metadata | None, tuple[Violation, ...]]:
    """What ``body`` configures, or what is wrong with it."""
    plugin = plugins.get(key.id)
    if plugin is None:
        return None, (Violation.plain("", "unsupported", "invalid plugin name"),)
    try:
        found = tuple(violations(body, metadata_schema(plugin)))
    except Exception as error:  # noqa: BLE001 - a plugin may be anybody's, and its bugs are not to stop everything else
        found = (Violation.plain("", "bad_value", f"the plugin failed to check it: {type(error).__name__}"),)
    if found:
        return None, found
    return Metadata(key, {name: value for name, value in body.items() if name not in _ADDED}), ()
