"""
The JSON Schemas of APISIX 3.18's objects, as far as they are understood here.

``checks``, ``protocol`` and ``discovery_args`` are only looked at for what type they are: a document that has them is
refused as unsupported. Where a certificate or a key is expected, a reference (``$env://...``) may stand instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .jsonschema import Schema

_ID: Final[Schema] = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-_.]+$"},
        {"type": "integer", "minimum": 1},
    ]
}
_HOST: Final[Schema] = {"type": "string", "pattern": r"^\*$|^\*?[0-9a-zA-Z-._\[\]:]+$"}
_PORT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
_POSITIVE: Final[Schema] = {"type": "number", "exclusiveMinimum": 0}
_WEIGHT: Final[Schema] = {"type": "integer", "minimum": 0}
_METADATA: Final[Schema] = {
    "id": _ID,
    "name": {"type": "string", "minLength": 1, "maxLength": 256},
    "desc": {"type": "string", "maxLength": 256},
    "labels": {
        "type": "object",
        "patternProperties": {".*": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^\S+$"}},
    },
    "create_time": {"type": "integer"},
    "update_time": {"type": "integer"},
}

UPSTREAM: Final[Schema] = {
    "type": "object",
    "properties": {
        **_METADATA,
        "nodes": {
            "anyOf": [
                {"type": "object", "patternProperties": {".*": _WEIGHT}},
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "host": _HOST,
                            "port": _PORT,
                            "weight": _WEIGHT,
                            "priority": {"type": "integer"},
                            "metadata": {"type": "object"},
                        },
                        "required": ["host", "weight"],
                    },
                },
            ]
        },
        "type": {"type": "string"},
        "hash_on": {"type": "string", "enum": ["vars", "header", "cookie", "consumer", "vars_combinations"]},
        "key": {"type": "string"},
        "retries": {"type": "integer", "minimum": 0},
        "retry_timeout": {"type": "number", "minimum": 0},
        "timeout": {
            "type": "object",
            "properties": {"connect": _POSITIVE, "send": _POSITIVE, "read": _POSITIVE},
            "required": ["connect", "send", "read"],
        },
        "scheme": {"type": "string", "enum": ["grpc", "grpcs", "http", "https", "tcp", "tls", "udp", "kafka"]},
        "tls": {
            "type": "object",
            "properties": {
                "client_cert": {"type": "string", "minLength": 128, "maxLength": 65536},
                "client_key": {"type": "string", "minLength": 64, "maxLength": 65536},
                "client_cert_id": _ID,
                "verify": {"type": "boolean"},
            },
            "dependencies": {"client_cert": ["client_key"], "client_key": ["client_cert"]},
        },
        "keepalive_pool": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 1},
                "idle_timeout": {"type": "number", "minimum": 0},
                "requests": {"type": "integer", "minimum": 1},
            },
        },
        "pass_host": {"type": "string", "enum": ["pass", "node", "rewrite"]},
        "upstream_host": _HOST,
        "checks": {"type": "object"},
        "service_name": {"type": "string", "minLength": 1, "maxLength": 256},
        "discovery_type": {"type": "string"},
        "discovery_args": {"type": "object"},
    },
    "oneOf": [{"required": ["nodes"]}, {"required": ["service_name", "discovery_type"]}],
    "additionalProperties": False,
}

STREAM_ROUTE: Final[Schema] = {
    "type": "object",
    "properties": {
        **_METADATA,
        "remote_addr": {"type": "string"},
        "server_addr": {"type": "string"},
        "server_port": _PORT,
        "sni": _HOST,
        "snis": {"type": "array", "minItems": 1, "items": _HOST},
        "upstream": UPSTREAM,
        "upstream_id": _ID,
        "service_id": _ID,
        "plugins": {"type": "object"},
        "protocol": {"type": "object"},
    },
    "additionalProperties": False,
}

_REFERENCE: Final[Schema] = {"type": "string", "pattern": r"^\$(secret|env|ENV)://"}
_CERT: Final[Schema] = {"type": "string", "minLength": 128, "maxLength": 65536}
_KEY: Final[Schema] = {"type": "string", "minLength": 64, "maxLength": 65536}

SSL: Final[Schema] = {
    "type": "object",
    "properties": {
        **{name: schema for name, schema in _METADATA.items() if name != "name"},
        "type": {"type": "string", "enum": ["server", "client"]},
        "cert": {"oneOf": [_CERT, _REFERENCE]},
        "key": {"oneOf": [_KEY, _REFERENCE]},
        "sni": _HOST,
        "snis": {"type": "array", "minItems": 1, "items": _HOST},
        "certs": {"type": "array", "items": {"oneOf": [_CERT, _REFERENCE]}},
        "keys": {"type": "array", "items": {"oneOf": [_KEY, _REFERENCE]}},
        "client": {
            "type": "object",
            "properties": {
                "ca": _CERT,
                "depth": {"type": "integer", "minimum": 0},
                "skip_mtls_uri_regex": {
                    "type": "array",
                    "minItems": 1,
                    "uniqueItems": True,
                    "items": {"type": "string"},
                },
            },
            "required": ["ca"],
        },
        "status": {"type": "integer", "enum": [1, 0]},
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

SCHEMAS: Final[Mapping[str, Schema]] = {"stream_routes": STREAM_ROUTE, "upstreams": UPSTREAM, "ssls": SSL}
