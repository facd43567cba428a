"""Otoroshi's event of an ended connection, as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias, cast

from attrs import evolve

from ..model import Ended, Ending, Json, Node

# Gives the TCP service a session belonged to, as it was written; ``None`` where it belonged to none.
ServiceLookup: TypeAlias = Callable[[Ended], "Mapping[str, Json] | None"]

_SERVICE_KEY = "otoroshi:tcp-services/"
_NO_SERVICE = "otoroshi"
_ORDERLY = (Ending.CLIENT_CLOSED, Ending.TARGET_CLOSED)
_encode = json.JSONEncoder(separators=(",", ":")).encode


def tcp_event_line(record: Ended, lookup: ServiceLookup | None = None) -> str:
    """
    The record as a ``TcpEvent``, without the line's end. Times are in milliseconds, ``@timestamp`` is the end.

    What a record does not say comes from the service where ``lookup`` finds it (where several share a listener it is
    asked with the ``owner`` that won): its name and whole document, whether TLS was terminated (``protocol``) or spoken
    to the target (``target.scheme``) and whether names were looked at (``to.host``). Without it the name is the id, the
    protocol ``Tcp``, a client that named nothing asked for ``*``, and there is no ``target.scheme``.
    """
    facts = record.facts
    service = lookup(_of_one(record)) if lookup is not None else None
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
        "target": {"host": record.node or "--", **_scheme(record, service), "uri": ""},
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
    owner = _owner(record)
    if not owner.startswith(_SERVICE_KEY):
        return _NO_SERVICE, _NO_SERVICE
    service_id = owner.removeprefix(_SERVICE_KEY)
    return service_id, service_id


def _of_one(record: Ended) -> Ended:
    owner = _owner(record)
    return evolve(record, owner=owner) if owner.startswith(_SERVICE_KEY) else record


def _owner(record: Ended) -> str:
    # A route says which of the services that share a listener it is of: "otoroshi:tcp-services/pg rules[0]".
    return record.route.rsplit(" ", 1)[0] if record.route is not None else record.owner.split("+", 1)[0]


def _asked_for(record: Ended, service: Mapping[str, Json] | None) -> str:
    by_name = _is_by_name(service)
    if by_name is False:
        return "*"
    if record.facts.name is not None:
        return f"{record.facts.name}:{record.facts.listener.port}"
    return "no-sni" if by_name else "*"


def _is_by_name(service: Mapping[str, Json] | None) -> bool | None:
    """Do names choose the target? ``None``: nobody knows."""
    if service is None:
        return None
    sni = service.get("sni")
    has_tls = str(service.get("tls")).lower() in ("enabled", "passthrough")
    return has_tls and isinstance(sni, dict) and sni.get("enabled") is True


def _scheme(record: Ended, service: Mapping[str, Json] | None) -> dict[str, Json]:
    if service is None:
        return {}
    tls = any(target.get("tls") is True and _label(target) == record.node for target in _targets(service))
    return {"scheme": "Tcp/Tls" if tls else "Tcp"}


def _targets(service: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    rules, sni = service.get("rules"), service.get("sni")
    for rule in rules if isinstance(rules, list) else ():
        targets = rule.get("targets") if isinstance(rule, dict) else None
        for target in targets if isinstance(targets, list) else ():
            if isinstance(target, dict):
                yield target
    fallback = sni.get("forwardsTo") if isinstance(sni, dict) else None
    if isinstance(fallback, dict):
        yield fallback


def _label(target: Mapping[str, Json]) -> str:
    """As sessions call it: in lower case, as the rest of the record is."""
    host, ip, port = (target.get(key) for key in ("host", "ip", "port"))
    return Node(_bare(host), 8080 if port is None else cast("int", port), ip=_bare(ip) if ip else None).label


def _bare(host: Json) -> str:
    return str(host).lower().strip("[]")
