"""
The JSON Schemas of APISIX 3.18's objects, with what later versions added to stream routes (``snis``,
``tls_passthrough``) and upstreams (``tls.ca_certs``). ``default`` is for readers: nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .conformity import Check, conformity
from .jsonschema import Schema
from .parts import CERTIFICATE, HOST, ID, METADATA, PORT
from .upstream_schema import UPSTREAM

# IPv4 and IPv6, each with or without the length of a network; what is none of them after all is found by parsing.
_NETWORK: Final[Schema] = {
    "title": "an IP address or a network",
    "anyOf": [
        {"type": "string", "pattern": r"^([0-9]{1,3}\.){3}[0-9]{1,3}(/[0-9]{1,2})?$"},
        {"type": "string", "pattern": r"^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(/[0-9]{1,3})?$"},
    ],
}
_NAMES: Final[Schema] = {"type": "array", "minItems": 1, "items": HOST}

_PROTOCOL: Final[Schema] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "superior_id": ID,
        "conf": {"type": "object"},
        "logger": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "filter": {"type": "array"},
                    "conf": {"type": "object"},
                },
                "dependencies": {"name": ["conf"]},
                "additionalProperties": False,
            },
        },
    },
    "required": ["name"],
}

STREAM_ROUTE: Final[Schema] = {
    "type": "object",
    "properties": {
        **METADATA,
        "remote_addr": _NETWORK,
        "server_addr": _NETWORK,
        "server_port": PORT,
        "sni": HOST,
        "snis": _NAMES,
        "tls_passthrough": {"type": "boolean", "default": False},
        "upstream": UPSTREAM,
        "upstream_id": ID,
        "service_id": ID,
        "plugins": {"type": "object"},
        "protocol": _PROTOCOL,
    },
    "not": {"required": ["sni", "snis"]},
    "additionalProperties": False,
}

SERVICE: Final[Schema] = {
    "type": "object",
    "properties": {
        **METADATA,
        "upstream": UPSTREAM,
        "upstream_id": ID,
        "plugins": {"type": "object"},
        "script": {"type": "string", "minLength": 10, "maxLength": 102400},
        "enable_websocket": {"type": "boolean"},
        "hosts": {"type": "array", "minItems": 1, "items": HOST, "uniqueItems": True},
    },
    "additionalProperties": False,
}

_REFERENCE: Final[Schema] = {"type": "string", "pattern": r"^\$(secret|env|ENV)://"}
_KEY: Final[Schema] = {"type": "string", "minLength": 64, "maxLength": 65536}

SSL: Final[Schema] = {
    "type": "object",
    "properties": {
        **{name: schema for name, schema in METADATA.items() if name != "name"},
        "type": {"type": "string", "enum": ["server", "client"], "default": "server"},
        "cert": {"oneOf": [CERTIFICATE, _REFERENCE]},
        "key": {"oneOf": [_KEY, _REFERENCE]},
        "sni": HOST,
        "snis": _NAMES,
        "certs": {"type": "array", "items": {"oneOf": [CERTIFICATE, _REFERENCE]}},
        "keys": {"type": "array", "items": {"oneOf": [_KEY, _REFERENCE]}},
        "client": {
            "type": "object",
            "properties": {
                "ca": CERTIFICATE,
                "depth": {"type": "integer", "minimum": 0, "default": 1},
                "skip_mtls_uri_regex": {
                    "type": "array",
                    "minItems": 1,
                    "uniqueItems": True,
                    "items": {"type": "string"},
                },
            },
            "required": ["ca"],
        },
        "status": {"type": "integer", "enum": [1, 0], "default": 1},
        "ssl_protocols": {
            "type": "array",
            "maxItems": 3,
            "uniqueItems": True,
            "items": {"type": "string", "enum": ["TLSv1.1", "TLSv1.2", "TLSv1.3"]},
        },
    },
    "if": {"properties": {"type": {"enum": ["server"]}}},
    "then": {"oneOf": [{"required": ["sni", "key", "cert"]}, {"required": ["snis", "key", "cert"]}]},
    "else": {"required": ["key", "cert"]},
    "additionalProperties": False,
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "stream_routes": STREAM_ROUTE,
    "upstreams": UPSTREAM,
    "services": SERVICE,
    "ssls": SSL,
}
"""By the kind of document. That of ``plugin_metadata`` is the plugin's."""

CONFORMS: Final[Mapping[int, Check]] = {id(schema): conformity(schema) for schema in SCHEMAS.values()}
"""Whether there is nothing to be found, by the identity of the schema: what is right need not be looked at twice."""

SHOWN: Final[Mapping[str, Schema]] = {
    "stream_route": STREAM_ROUTE,
    "upstream": UPSTREAM,
    "service": SERVICE,
    "ssl": SSL,
}
"""By the name under which APISIX shows them."""
