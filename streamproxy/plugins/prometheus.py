"""``prometheus``: counts the sessions of the routes it stands at (APISIX 3.18)."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from attrs import frozen
from prometheus_client import CollectorRegistry, Counter

from ..model import Ended
from .base import BaseGate, BasePlugin, with_defaults
from .seam import Host, Place

_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"prefer_name": {"type": "boolean", "default": False}},
}


@frozen(eq=False)
class _Meter(BaseGate):
    _counter: Counter

    def ended(self, record: Ended) -> None:
        self._counter.inc()


class Prometheus(BasePlugin):
    """The counter is registered where it is first used, once for each registry."""

    name = "prometheus"
    priority = 500
    schema = _SCHEMA

    def __init__(self) -> None:
        self._counters: MutableMapping[CollectorRegistry, Counter] = WeakKeyDictionary()

    def gate(self, conf: Mapping[str, Any], place: Place, host: Host) -> _Meter:
        prefer_name = with_defaults(conf, _SCHEMA)["prefer_name"]
        return _Meter(self._counter(host.registry).labels((prefer_name and place.name) or place.route_id))

    def _counter(self, registry: CollectorRegistry) -> Counter:
        counter = self._counters.get(registry)
        if counter is None:
            text = "Sessions that ended, by stream route"
            counter = Counter("apisix_stream_connection_total", text, ["route"], registry=registry)
            self._counters[registry] = counter
        return counter


prometheus = Prometheus()
