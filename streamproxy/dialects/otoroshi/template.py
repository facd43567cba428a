"""The document a new TCP service starts from, and the ids of those that bring none."""

from __future__ import annotations

from collections.abc import Mapping

from streamproxy.model import Json

from .domain import name_pattern
from .service import Location, Rule, Target, TcpService, encode


def template(
    *,
    uuid: str,
    env_prod: bool = False,
    tenant: str = "default",
    team: str = "default",
    overrides: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """
    Otoroshi's template, with ``overrides`` merged into it: objects key by key, everything else replaced. It is not
    checked: what overrides make of it is decoded when it is written.
    """
    service = TcpService(
        id=f"tcp_service_{uuid}" if env_prod else f"tcp_service_dev_{uuid}",
        name="TCP Proxy",
        description="A TCP Proxy",
        port=4200,
        # As it is written when it is stored.
        _loc=Location(tenant.lower().strip(), (team,)),
        enabled=True,
        rules=(Rule(name_pattern("*"), (Target("42.42.42.42", port=4200),)),),
    )
    return _merged(encode(service), overrides or {})


def _merged(under: Mapping[str, Json], over: Mapping[str, Json]) -> dict[str, Json]:
    merged = dict(under)
    for key, value in over.items():
        known = merged.get(key)
        merged[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def new_id(body: Mapping[str, Json], *, uuid: str, env_prod: bool = False) -> str:
    """
    The id of a service that is created: the body's ``client_id``, ``clientId`` or ``id``, else one made of ``uuid``
    (with a hyphen where the template's has an underscore: so it is in Otoroshi).
    """
    for key in ("client_id", "clientId", "id"):
        given = body.get(key)
        if isinstance(given, str) and given:
            return given
    return f"tcp-service_{uuid}" if env_prod else f"tcp-service_dev_{uuid}"
