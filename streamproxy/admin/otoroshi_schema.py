"""The JSON Schema (draft 2020-12) of a TCP service, for editors and generators of forms."""

from __future__ import annotations

from typing import Any

from streamproxy.model import STARTTLS

_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_TEXTS = {"type": "array", "items": {"type": "string"}}

_TARGET = {
    "type": "object",
    "required": ["host"],
    "properties": {
        "host": {"type": "string", "description": "a name or an address"},
        "ip": {"type": ["string", "null"], "description": "connected to in place of host"},
        "port": {**_PORT, "default": 8080},
        "tls": {"type": "boolean", "default": False},
        "tlsConfig": {
            "type": "object",
            "properties": {
                "verify": {"type": "boolean", "default": True},
                "serverName": {"type": "string"},
                "ca": {"type": "string", "description": "PEM"},
                "minVersion": {"enum": ["TLSv1.2", "TLSv1.3"], "default": "TLSv1.2"},
            },
        },
    },
}

TCP_SERVICE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "TcpService",
    "type": "object",
    "required": ["name", "description", "port"],
    "properties": {
        "_loc": {"type": "object", "properties": {"tenant": {"type": "string"}, "teams": _TEXTS}},
        "id": {"type": "string", "minLength": 1, "maxLength": 256},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "enabled": {"type": "boolean", "default": False},
        "tls": {"enum": ["Disabled", "PassThrough", "Enabled"], "default": "Disabled"},
        "sni": {
            "type": "object",
            "properties": {
                "enabled": {"type": "boolean", "default": False},
                "forwardIfNoMatch": {"type": "boolean", "default": False},
                "forwardsTo": {"$ref": "#/$defs/target"},
                "httpHost": {"type": "boolean", "default": False},
            },
        },
        "clientAuth": {"enum": ["None", "Want", "Need"], "default": "None"},
        "port": _PORT,
        "interface": {"type": "string", "default": "0.0.0.0"},
        "rules": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "domain": {"type": "string", "default": "*"},
                    "targets": {"type": "array", "items": {"$ref": "#/$defs/target"}},
                },
            },
        },
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "tags": _TEXTS,
        "starttls": {"enum": ["", *STARTTLS], "default": ""},
        "access": {"type": "object", "properties": {"allow": _TEXTS, "deny": _TEXTS}},
        "limits": {"type": "object"},
        "checks": {"type": "object", "description": "as APISIX's upstreams have them"},
    },
    "$defs": {"target": _TARGET},
}
