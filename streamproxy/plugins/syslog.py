"""``syslog``: a line for each session, sent to a syslog server (APISIX 3.18; RFC 5424)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from attrs import define, field

from ..errors import Problem
from ..model import Ended
from ..observe.jsonline import utc
from ..observe.logformat import record_variable
from ..rules.variables import variable
from ..sniff.names import normalize_name
from .base import BaseGate, BasePlugin, with_defaults
from .batch import Batches, BatchSettings, Transmitter
from .datagram_transmitter import DatagramTransmitter
from .logentry import Entry, compile_entry
from .seam import Host, Place
from .stream_transmitter import StreamTransmitter

_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "host": {"type": "string"},
        "port": {"type": "integer"},
        "flush_limit": {"type": "integer", "minimum": 1, "default": 4096},
        "drop_limit": {"type": "integer", "default": 1048576},
        "timeout": {"type": "integer", "minimum": 1, "default": 3000},
        "log_format": {"type": "object"},
        "sock_type": {"type": "string", "default": "tcp", "enum": ["tcp", "udp"]},
        "pool_size": {"type": "integer", "minimum": 5, "default": 5},
        "tls": {"type": "boolean", "default": False},
        "name": {"type": "string", "default": "stream sys logger"},
        "max_retry_count": {"type": "integer", "minimum": 0, "default": 0},
        "retry_delay": {"type": "integer", "minimum": 0, "default": 1},
        "buffer_duration": {"type": "integer", "minimum": 1, "default": 60},
        "inactive_timeout": {"type": "integer", "minimum": 1, "default": 5},
        "batch_max_size": {"type": "integer", "minimum": 1, "default": 1000},
    },
    "required": ["host", "port"],
}
_METADATA_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "log_format": {"type": "object"},
        "max_pending_entries": {"type": "integer", "minimum": 1},
    },
}

# Facility syslog (5), severity informational (6); RFC 5424, section 6.2.1.
_PRIORITY: Final = 5 * 8 + 6

# Seconds. A timer has to be able to count them.
_LONGEST: Final = 86_400.0


@define(eq=False)
class _Logger(BaseGate):
    """``format`` is the use's own, and goes before the one of all uses."""

    _format: Mapping[str, Any] | None
    _place: Place
    _host: Host
    _batches: Batches
    _compiled: tuple[Mapping[str, Any], Entry] | None = field(init=False, default=None)

    def ended(self, record: Ended) -> None:
        metadata = self._host.metadata(Syslog.name)
        format_ = self._format if self._format is not None else metadata.get("log_format")
        # Lua takes an empty object for an empty array.
        if not isinstance(format_, Mapping) or (not format_ and self._format is None):
            self._host.log("error", "syslog's log_format is not set")
            return
        try:
            entry = self._entry(format_)(lambda name: _variable(name, record, self._place))
        except ValueError as error:
            self._host.log("error", f"syslog's log_format cannot be used: {error}")
            return
        if self._place.service:
            entry["service_id"] = self._place.service
        entry["route_id"] = self._place.route_id
        self._batches.push(_line(entry, self._host.now()), metadata.get("max_pending_entries"))

    def close(self) -> None:
        self._batches.close()

    def _entry(self, format_: Mapping[str, Any]) -> Entry:
        if self._compiled is None or self._compiled[0] != format_:
            self._compiled = (format_, compile_entry(format_))
        return self._compiled[1]


class Syslog(BasePlugin):
    """
    ``flush_limit`` and ``pool_size`` change nothing: a batch that is due is sent at once, whatever its size, over one
    connection.
    """

    name = "syslog"
    priority = 401
    schema = _SCHEMA
    metadata_schema = _METADATA_SCHEMA

    def problems(self, conf: Mapping[str, Any]) -> Iterator[Problem]:
        host = conf.get("host")
        if isinstance(host, str) and normalize_name(host) is None:
            yield Problem("host", "bad_value", "it is neither the name of a host nor an address")
        port = conf.get("port")
        if isinstance(port, int) and not 1 <= port <= 65535:
            yield Problem("port", "bad_value", "a port is from 1 to 65535")
        if conf.get("tls") is True and conf.get("sock_type") == "udp":
            yield Problem("tls", "bad_value", "there is no TLS over UDP: leave it out, or write sock_type tcp")
        format_ = conf.get("log_format")
        try:
            compile_entry(format_ if isinstance(format_, Mapping) else {})
        except ValueError as error:
            yield Problem("log_format", "bad_value", str(error))

    def gate(self, conf: Mapping[str, Any], place: Place, host: Host) -> _Logger:
        conf = with_defaults(conf, _SCHEMA)
        settings = BatchSettings(
            name=conf["name"],
            size=conf["batch_max_size"],
            inactive=_seconds(conf["inactive_timeout"]),
            duration=_seconds(conf["buffer_duration"]),
            retries=conf["max_retry_count"],
            retry_delay=_seconds(conf["retry_delay"]),
            most_bytes=conf["drop_limit"],
        )
        batches = Batches(host.reactor, _transmitter(conf, host), settings, host.log)
        format_ = conf.get("log_format")
        return _Logger({} if format_ == [] else format_, place, host, batches)


def _transmitter(conf: Mapping[str, Any], host: Host) -> Transmitter:
    name, patience = conf["host"].removeprefix("[").removesuffix("]"), _seconds(conf["timeout"] / 1000)
    if conf["sock_type"] == "udp":
        return DatagramTransmitter(host.reactor, name, conf["port"], patience, host.log)
    return StreamTransmitter(host.reactor, name, conf["port"], patience, conf["tls"])


def _seconds(value: float) -> float:
    return float(min(value, _LONGEST))


def _line(entry: Mapping[str, Any], now: float) -> bytes:
    """In ASCII: what is not would want a byte order mark (RFC 5424, section 6.4). The name is the one filters know."""
    text = json.dumps(entry, separators=(",", ":"))
    return f"<{_PRIORITY}>1 {utc(now)} - apisix {os.getpid()} - - {text}\n".encode()


def _variable(name: str, record: Ended, place: Place) -> str | None:
    of_place: Callable[[], str] | None = {
        "route_id": lambda: place.route_id,
        "route_name": lambda: place.name,
        "service_id": lambda: place.service,
    }.get(name)
    if of_place is not None:
        return of_place() or None
    found = variable(name, record.facts, None, record.variables)
    return found if found is not None else record_variable(name, record)


syslog = Syslog()
