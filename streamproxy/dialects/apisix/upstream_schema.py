"""The JSON Schema of APISIX 3.18's upstreams, with what is ours in it."""

from __future__ import annotations

from typing import Any, Final

from .jsonschema import Schema
from .parts import CERTIFICATE, HOST, ID, METADATA, PORT

_POSITIVE: Final[Schema] = {"type": "number", "exclusiveMinimum": 0}
_WEIGHT: Final[Schema] = {"type": "integer", "minimum": 0}
_METHODS: Final = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"]


def _statuses(*default: int) -> Schema:
    return {
        "type": "array",
        "minItems": 1,
        "items": {"type": "integer", "minimum": 200, "maximum": 599},
        "uniqueItems": True,
        "default": list(default),
    }


def _times(default: int, least: int = 1) -> Schema:
    """How many reports in a row."""
    return {"type": "integer", "minimum": least, "maximum": 254, "default": default}


_INTERVAL: Final[Schema] = {"type": "integer", "minimum": 1, "default": 1}
_ACTIVE: Final[Schema] = {
    "type": "object",
    "properties": {
        # udp, send and expect are ours.
        "type": {"type": "string", "enum": ["http", "https", "tcp", "udp"], "default": "http"},
        "timeout": {"type": "number", "default": 1},
        "concurrency": {"type": "integer", "default": 10},
        "host": HOST,
        "port": PORT,
        "http_method": {"type": "string", "enum": _METHODS, "default": "GET"},
        "http_path": {"type": "string", "default": "/"},
        "http_req_body": {"type": "string", "default": ""},
        "https_verify_certificate": {"type": "boolean", "default": True},
        "req_headers": {"type": "array", "minItems": 1, "items": {"type": "string"}, "uniqueItems": True},
        "send": {"type": "string", "maxLength": 4096},
        "expect": {"type": "string", "maxLength": 4096},
        "healthy": {
            "type": "object",
            "properties": {
                "interval": _INTERVAL,
                "http_statuses": _statuses(200, 302),
                "successes": _times(2),
            },
        },
        "unhealthy": {
            "type": "object",
            "properties": {
                "interval": _INTERVAL,
                "http_statuses": _statuses(429, 404, 500, 501, 502, 503, 504, 505),
                "http_failures": _times(5),
                "tcp_failures": _times(2),
                "timeouts": _times(3),
            },
        },
    },
}
_PASSIVE: Final[Schema] = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["http", "https", "tcp"], "default": "http"},
        "healthy": {
            "type": "object",
            "properties": {
                "http_statuses": _statuses(*range(200, 209), 226, *range(300, 309)),
                "successes": _times(5, 0),
            },
        },
        "unhealthy": {
            "type": "object",
            "properties": {
                "http_statuses": _statuses(429, 500, 503),
                "tcp_failures": _times(2, 0),
                "timeouts": _times(7, 0),
                "http_failures": _times(5, 0),
            },
        },
    },
}
CHECKS: Final[Schema] = {
    "type": "object",
    "properties": {
        "active": _ACTIVE,
        "passive": _PASSIVE,
        # These two are ours.
        "close_sessions": {"type": "boolean", "default": False},
        "slow_start": {"type": "number", "minimum": 0, "default": 0},
    },
    "anyOf": [{"required": ["active"]}, {"required": ["active", "passive"]}],
}
_NODES: Final[Schema] = {
    "anyOf": [
        {"type": "object", "patternProperties": {".*": _WEIGHT}},
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "host": HOST,
                    "port": PORT,
                    "weight": _WEIGHT,
                    "priority": {"type": "integer", "default": 0},
                    "metadata": {"type": "object"},
                },
                "required": ["host", "weight"],
            },
        },
    ]
}
_TLS: Final[Schema] = {
    "type": "object",
    "properties": {
        "client_cert_id": ID,
        "client_cert": CERTIFICATE,
        "client_key": {"type": "string", "minLength": 64, "maxLength": 65536},
        "verify": {"type": "boolean", "default": False},
        "ca_certs": {"type": "array", "minItems": 1, "maxItems": 64, "items": CERTIFICATE},
    },
    "dependencies": {
        "client_cert": {"required": ["client_key"], "not": {"required": ["client_cert_id"]}},
        "client_key": {"required": ["client_cert"], "not": {"required": ["client_cert_id"]}},
        "client_cert_id": {"not": {"required": ["client_cert"]}},
    },
}
_PROPERTIES: Final[dict[str, Any]] = {
    **METADATA,
    "nodes": _NODES,
    "type": {"type": "string", "default": "roundrobin"},
    "hash_on": {
        "type": "string",
        "enum": ["vars", "header", "cookie", "consumer", "vars_combinations"],
        "default": "vars",
    },
    "key": {"type": "string"},
    "retries": {"type": "integer", "minimum": 0},
    "retry_timeout": {"type": "number", "minimum": 0},
    "timeout": {
        "type": "object",
        "properties": {"connect": _POSITIVE, "send": _POSITIVE, "read": _POSITIVE},
        "required": ["connect", "send", "read"],
    },
    "scheme": {
        "type": "string",
        "enum": ["grpc", "grpcs", "http", "https", "tcp", "tls", "udp", "kafka"],
        "default": "http",
    },
    "tls": _TLS,
    "keepalive_pool": {
        "type": "object",
        "properties": {
            "size": {"type": "integer", "minimum": 1, "default": 320},
            "idle_timeout": {"type": "number", "minimum": 0, "default": 60},
            "requests": {"type": "integer", "minimum": 1, "default": 1000},
        },
    },
    "pass_host": {"type": "string", "enum": ["pass", "node", "rewrite"], "default": "pass"},
    "upstream_host": HOST,
    "checks": CHECKS,
    "service_name": {"type": "string", "minLength": 1, "maxLength": 256},
    "discovery_type": {"type": "string"},
    "discovery_args": {
        "type": "object",
        "properties": {"namespace_id": {"type": "string"}, "group_name": {"type": "string"}},
    },
}

UPSTREAM: Final[Schema] = {
    "type": "object",
    "properties": _PROPERTIES,
    "oneOf": [{"required": ["nodes"]}, {"required": ["service_name", "discovery_type"]}],
    "additionalProperties": False,
}
