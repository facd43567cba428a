"""What the JSON Schemas of APISIX's objects have in common."""

from __future__ import annotations

from typing import Final

from .jsonschema import Schema

ID: Final[Schema] = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-_.]+$"},
        {"type": "integer", "minimum": 1},
    ]
}
HOST: Final[Schema] = {"type": "string", "pattern": r"^\*$|^\*?[0-9a-zA-Z-._\[\]:]+$"}
PORT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
CERTIFICATE: Final[Schema] = {"type": "string", "minLength": 128, "maxLength": 65536}
TIMES: Final[dict[str, Schema]] = {"create_time": {"type": "integer"}, "update_time": {"type": "integer"}}
METADATA: Final[dict[str, Schema]] = {
    "id": ID,
    "name": {"type": "string", "minLength": 1, "maxLength": 256},
    "desc": {"type": "string", "maxLength": 256},
    "labels": {
        "type": "object",
        "patternProperties": {".*": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^\S+$"}},
    },
    **TIMES,
}
"""What every object says of itself."""


def identifier(written: str | int) -> str:
    """An id as text. Python refuses to write integers of some thousand digits, and no id is one."""
    return written if isinstance(written, str) else str(written) if abs(written) < 10**20 else "a far larger number"
