"""Otoroshi's event of an ended connection, as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..model import Ended, Ending, Json

# Gives the TCP service a session belonged to, as it was written; ``None`` where it belonged to none.
ServiceLookup: TypeAlias = Callable[[Ended], "Mapping[str, Json] | None"]

_SERVICE_KEY = "otoroshi:tcp-services/"
_NO_SERVICE = "otoroshi"
_ORDERLY = (Ending.CLIENT_CLOSED, Ending.TARGET_CLOSED)
_encode = json.JSONEncoder(separators=(",", ":")).encode


def tcp_event_line(record: Ended, lookup: ServiceLookup | None = None) -> str:
    """
    The record as a ``TcpEvent``, without the line's end. Times are in milliseconds, ``@timestamp`` is the end.

    What a record does not say comes from the service where ``lookup`` finds it: its name and whole document, whether
    TLS was terminated (``protocol``) and whether names were looked at (``to.host``). Without it the name is the id,
    the protocol ``Tcp`` and a client that named nothing asked for ``*``. ``target.scheme`` is left out: nothing here
    knows it.
    """
    facts = record.facts
    service = lookup(record) if lookup is not None else None
    service_id, name = _named(record, service)
    protocol = "Tcp/Tls" if service is not None and str(service.get("tls")).lower() == "enabled" else "Tcp"
    event: dict[str, Any] = {
        "@type": "TcpEvent",
        "@id": record.id,
        "@timestamp": int((record.started + record.duration) * 1000),
        "reqId": record.id,
        "protocol": protocol,
        "port": facts.listener.port,
        "to": {"host": _asked_for(record, service), "scheme": protocol, "uri": ""},
        "target": {"host": record.node or "--", "uri": ""},
        "remote": f"/{facts.peer}",
        "local": f"/{facts.local}",
        "duration": int(record.duration * 1000),
        "overhead": int(((record.sniff_time or 0.0) + (record.connect_time or 0.0)) * 1000),
        "data": {"dataIn": record.bytes_in, "dataOut": record.bytes_out},
        "gwError": None if record.ending in _ORDERLY else ": ".join(filter(None, (record.ending.value, record.detail))),
        "@serviceId": service_id,
        "@service": name,
    }
    if service is not None:
        event["service"] = dict(service)
    return _encode(event)


def _named(record: Ended, service: Mapping[str, Json] | None) -> tuple[str, str]:
    if service is not None:
        return str(service.get("id", _NO_SERVICE)), str(service.get("name", _NO_SERVICE))
    # A route says which of the services that share a listener it is of: "otoroshi:tcp-services/pg rules[0]".
    key = record.route.rsplit(" ", 1)[0] if record.route is not None else record.owner.split("+", 1)[0]
    if not key.startswith(_SERVICE_KEY):
        return _NO_SERVICE, _NO_SERVICE
    service_id = key.removeprefix(_SERVICE_KEY)
    return service_id, service_id


def _asked_for(record: Ended, service: Mapping[str, Json] | None) -> str:
    name = record.facts.name
    if name is not None:
        return f"{name}:{record.facts.listener.port}"
    sni = service.get("sni") if service is not None else None
    return "no-sni" if isinstance(sni, dict) and sni.get("enabled") is True else "*"
