"""``limit-conn``: how many sessions may be open at a time, by client or by whatever else (APISIX 3.18)."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakValueDictionary

from attrs import define
from prometheus_client import CollectorRegistry

from ..rules.variables import expand
from .base import BaseGate, BasePlugin, with_defaults
from .printable import printable
from .seam import Go, Host, Place, Reject, Verdict, Visit

_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "conn": {"type": "integer", "exclusiveMinimum": 0},
        "burst": {"type": "integer", "minimum": 0},
        "default_conn_delay": {"type": "number", "exclusiveMinimum": 0},
        "only_use_default_delay": {"type": "boolean", "default": False},
        "key": {"type": "string"},
        "key_type": {"type": "string", "enum": ["var", "var_combination"], "default": "var"},
    },
    "required": ["conn", "burst", "default_conn_delay", "key"],
}

# A client may choose what it is counted by (its client id, say): longer keys are kept as digests.
_LONGEST_KEY = 128
# Seconds. Nobody waits longer for a connection, and a timer has to be able to count them.
_LONGEST_DELAY = 3600.0

_FULL: Final = Reject(503, "too many sessions are open")


@define(eq=False)
class _Limit(BaseGate):
    """
    Up to ``conn`` sessions of a key pass, ``burst`` more are delayed, all others rejected. ``open`` is how many there
    are of each key that has any, and ``prefix`` what they are counted for.
    """

    _conn: int
    _burst: int
    _delay: float
    _key: Callable[[Visit], str | None]
    _log: Callable[[str, str], None]
    _prefix: str
    open: Counter[str]

    def admit(self, visit: Visit) -> Verdict:
        key = self._key(visit)
        if not key:
            self._log("info", "The value of the configured key is empty, use client IP instead")
            key = visit.facts.peer.host
        self._log("info", f"limit key: {self._prefix}:{printable(key)}")
        if len(key) > _LONGEST_KEY:
            key = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        count = self.open[key] + 1
        if count > self._conn + self._burst:
            return _FULL
        self.open[key] = count
        # The first to wait, wait once; each ``conn`` more wait once more.
        delay = self._delay * ((count - 1) // self._conn)
        return Go(delay=min(delay, _LONGEST_DELAY), release=partial(self._leave, key))

    def _leave(self, key: str) -> None:
        left = self.open[key] - 1
        if left > 0:
            self.open[key] = left
        else:
            del self.open[key]


class LimitConn(BasePlugin):
    """
    ``only_use_default_delay`` changes nothing: what APISIX uses in place of the default delay is how long an HTTP
    request took, and a session has none. What is counted is of the object that the plugin stands in and of its
    configuration: all routes of a service that brings it are counted together.
    """

    name = "limit-conn"
    priority = 1003
    schema = _SCHEMA

    def __init__(self) -> None:
        # Those that sessions or gates still hold; a host has a registry of its own.
        self._open: MutableMapping[CollectorRegistry, WeakValueDictionary[str, Counter[str]]] = WeakKeyDictionary()

    def gate(self, conf: Mapping[str, Any], place: Place, host: Host) -> _Limit:
        conf = with_defaults(conf, _SCHEMA)
        prefix = f"{_resource(place)}:{zlib.crc32(json.dumps(conf, sort_keys=True).encode())}"
        key = _combined if conf["key_type"] == "var_combination" else _single
        delay = float(min(conf["default_conn_delay"], _LONGEST_DELAY))
        counts = self._open.setdefault(host.registry, WeakValueDictionary())
        found = counts.setdefault(prefix, Counter())
        return _Limit(conf["conn"], conf["burst"], delay, partial(key, conf["key"]), host.log, prefix, found)


def _single(name: str, visit: Visit) -> str | None:
    return visit.variable(name)


def _combined(text: str, visit: Visit) -> str | None:
    key, found = expand(text, visit.variable)
    return key if found else None


def _resource(place: Place) -> str:
    """What APISIX calls an object of its own."""
    document = place.document
    if document is None or document.dialect != "apisix":
        return place.route
    return f"/apisix/services/{place.service}" if place.inherited else f"/apisix/{document.kind}/{document.id}"


limit_conn = LimitConn()
