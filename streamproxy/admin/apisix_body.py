"""Bodies of requests for APISIX's API: read, identified and dated."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from streamproxy.model import Json

from .apisix_answer import ApisixError, refused
from .apisix_kinds import Kind
from .bodies import BodyError, parse_json, parse_yaml

Conf = dict[str, Any]

# Of a body that cannot be read, so much is sent back.
_SHOWN = 2000
_TIMES = ("create_time", "update_time")
# What Lua takes for a number, but for hexadecimal ones.
_NUMBER = re.compile(r"\s*-?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?\s*")
# Where two integers next to each other are no longer two numbers to Lua.
_EXACT = 2**53
# Thirty years: longer is for good.
_LONGEST = 1e9


def read(data: bytes) -> tuple[bool, Json]:
    """Is there a body, and what does it say? Its type is never looked at: ``curl -d`` calls everything a form."""
    if not data:
        return False, None
    try:
        return True, parse_json(data, _fraction)
    except BodyError as error:
        raise _unreadable(error, req_body=data[:_SHOWN].decode("utf-8", "replace")) from None


def read_whole(data: bytes, media_type: str) -> Conf:
    """A whole configuration, in JSON or YAML. Raises :class:`ApisixError` (400)."""
    if not data:
        raise refused("invalid request body: empty request body")
    is_yaml = media_type == "application/yaml"
    try:
        value = parse_yaml(data) if is_yaml else parse_json(data, _fraction)
    except BodyError as error:
        raise _unreadable(error) from None
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise refused(f"invalid request body: {'invalid yaml request body' if is_yaml else 'expected an object'}")
    return value


def _fraction(text: str) -> float:
    """To Lua, and to JSON Schema, 1.0 is an integer, and some libraries write all of theirs so."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def _unreadable(error: BodyError, **extra: Any) -> ApisixError:
    return refused(f"invalid request body: {error.why}", **extra)


def conf_of(is_given: bool, value: Json) -> Conf:
    """What a document is to be made of. Raises :class:`ApisixError` (400)."""
    if not is_given or value is False:
        raise refused("missing configurations")
    if value == []:
        # Lua, and so PHP's callers, cannot tell one from the other.
        return {}
    if not isinstance(value, dict):
        raise refused(f"invalid configuration: wrong type: expected object, got {lua_type(value)}")
    return value


def lua_type(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "userdata" if value is None else "string" if isinstance(value, str) else "table"


def identified(kind: Kind, uri_id: str, conf: Conf) -> tuple[str, Conf]:
    """
    The id that ``conf`` is to be stored under, and ``conf`` with it: as the text in the path, or as the value in the
    body where the path has none. Raises :class:`ApisixError` (400).
    """
    if kind.is_named_by_plugin:
        if not uri_id:
            raise refused("missing plugin name")
        return uri_id, {**conf, "id": uri_id}
    own = conf.get("id", False)
    if not uri_id and own is False:
        raise refused(f"missing {kind.word} id")
    if uri_id:
        if own is not False and id_text(own) != uri_id:
            raise refused(f"wrong {kind.word} id")
        return uri_id, {**conf, "id": uri_id}
    text = id_text(own)
    if text is None:
        raise refused('invalid configuration: property "id" validation failed: object matches none of the required')
    return text, conf


def id_text(value: Json) -> str | None:
    """As it stands in a key; ``None``: it never can."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def check_unidentified(kind: Kind, uri_id: str, conf: Conf) -> None:
    """Raises :class:`ApisixError` (400)."""
    if uri_id or conf.get("id", False) is not False:
        raise refused(f"wrong {kind.word} id, do not need it")


def check_undated(conf: Mapping[str, Any]) -> None:
    """The times are ours to say. Raises :class:`ApisixError` (400)."""
    for prefix, place in (("", conf), ("upstream.", conf.get("upstream")), ("plugins.", conf.get("plugins"))):
        for name in _TIMES:
            # Two spaces: so it reads there.
            if isinstance(place, Mapping) and place.get(name, False) is not False:
                raise refused(f"the property is forbidden:  {prefix}{name}")


def dated(conf: Conf, created: int, updated: int) -> Conf:
    """``conf`` with its times at the end."""
    rest = {name: value for name, value in conf.items() if name not in _TIMES}
    return {**rest, "create_time": created, "update_time": updated}


def number(text: str) -> float | None:
    """The number that ``text`` spells."""
    return float(text) if _NUMBER.fullmatch(text) else None


def seconds_to_live(text: str | None) -> float | None:
    """Of ``?ttl=``. Raises :class:`ApisixError` (400)."""
    if text is None:
        return None
    value = number(text)
    if value is None or not value > 0 or math.isinf(value):
        raise refused("invalid argument ttl: should be a number")
    return min(value, _LONGEST)
