"""What APISIX's Admin API tells of itself: plugins and schemas."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define
from klein import Response

from streamproxy.dialects.apisix import described, plugin_schema
from streamproxy.dialects.apisix.check import schema_document, schema_refusal
from streamproxy.model import Json
from streamproxy.plugins.seam import Plugin

from .apisix_answer import ApisixText, refused, value_answer
from .apisix_body import lua_type
from .apisix_kinds import HTTP_KINDS, KINDS, unsupported, why_not
from .incoming import Query

# APISIX's plugins are for one of these; all of ours are for streams.
_SUBSYSTEMS = ("http", "stream")


@define
class Introspection:
    """Asked for no subsystem in particular, it tells of streams, where APISIX would of HTTP: there is nothing else."""

    all_plugins: Callable[[], Mapping[str, Plugin]]

    @property
    def plugins(self) -> Mapping[str, Plugin]:
        return self.all_plugins()

    def names(self, query: Query) -> Response:
        """Those with the greatest priority first. Raises :class:`ApisixText` (400)."""
        subsystem = query.get("subsystem", ("stream",))[0]
        if subsystem not in _SUBSYSTEMS:
            raise ApisixText(400, "bad_query", "invalid subsystem passed")
        found = self.plugins.values() if subsystem == "stream" else ()
        return value_answer([plugin.name for plugin in sorted(found, key=lambda plugin: -plugin.priority)])

    def plugin(self, name: str, query: Query) -> Response:
        """The schema of one, or all that there is to know of all. Raises :class:`ApisixError` (400, 404)."""
        subsystem = query.get("subsystem", (None,))[0]
        if subsystem is not None and subsystem not in _SUBSYSTEMS:
            raise refused(f"unsupported subsystem: {subsystem}")
        found = {} if subsystem == "http" else self.plugins
        if query.get("all", ("",))[0] == "true" or not name:
            return value_answer({each.name: described(each) for each in found.values()})
        if name not in found:
            raise refused(f"plugin not found in subsystem {subsystem or 'http'}", 404)
        kind = query.get("schema_type", ("",))[0]
        if kind == "consumer":
            raise refused("not found schema")
        return value_answer(found[name].metadata_schema if kind == "metadata" else plugin_schema(found[name]))

    @staticmethod
    def schema(name: str) -> Response:
        """Raises :class:`ApisixError` (400)."""
        found = schema_document(name)
        if found is None:
            raise refused(f"not found schema: {name}")
        return value_answer(found)

    def validated(self, kind: str, given: tuple[bool, Json]) -> Response:
        """Has its schema anything against a document? Raises :class:`ApisixError` (400, 404)."""
        if kind in HTTP_KINDS:
            raise refused(why_not(kind))
        if kind not in KINDS:
            raise unsupported(kind)
        is_given, body = given
        if not is_given:
            raise refused("wrong type: expected object, got nil")
        if body != [] and not isinstance(body, dict):
            raise refused(f"wrong type: expected object, got {lua_type(body)}")
        why = schema_refusal(kind, body or {}, self.plugins)
        if why is not None:
            raise refused(why)
        return Response(code=200, headers={"Content-Length": "0"}, body=b"")
