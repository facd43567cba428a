"""APISIX's stream proxy: routes, services, upstreams, plugins and certificates."""

from __future__ import annotations

from .check import deletion_refusal, refusal, schema_document, schema_refusal
from .decode import (
    canonical_ssl,
    decode_metadata,
    decode_service,
    decode_ssl,
    decode_stream_route,
    decode_upstream,
)
from .jsonschema import Schema, Violation, violations
from .listeners import static_listeners, to_listener
from .metadata import Metadata, metadata_schema
from .plugin_conf import PluginPlan, described, plugin_schema
from .routing import ROUTING, Objects, compose
from .schema import SCHEMAS
from .secrets import DEFAULT_KEYRING, KEY_LENGTHS, Vault, sealed
from .service import Service
from .ssl import Ssl, without_keys
from .stream_route import StreamRoute
from .upstream import UpstreamPlan

__all__ = [
    "DEFAULT_KEYRING",
    "KEY_LENGTHS",
    "ROUTING",
    "SCHEMAS",
    "Metadata",
    "Objects",
    "PluginPlan",
    "Schema",
    "Service",
    "Ssl",
    "StreamRoute",
    "UpstreamPlan",
    "Vault",
    "Violation",
    "canonical_ssl",
    "compose",
    "decode_metadata",
    "decode_service",
    "decode_ssl",
    "decode_stream_route",
    "decode_upstream",
    "deletion_refusal",
    "described",
    "metadata_schema",
    "plugin_schema",
    "refusal",
    "schema_document",
    "schema_refusal",
    "sealed",
    "static_listeners",
    "to_listener",
    "violations",
    "without_keys",
]
