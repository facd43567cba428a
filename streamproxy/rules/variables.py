"""The variables of a session, by nginx's names: what plugins, expressions and hash keys are written in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from streamproxy.model import Facts, Route, Transport

_READ: Final[Mapping[str, Callable[[Facts], str | None]]] = {
    "remote_addr": lambda facts: facts.peer.host,
    "remote_port": lambda facts: str(facts.peer.port),
    "server_addr": lambda facts: facts.local.host,
    "server_port": lambda facts: str(facts.local.port),
    "protocol": lambda facts: "UDP" if facts.listener.transport is Transport.UDP else "TCP",
    "ssl_server_name": lambda facts: facts.sni,
    "ssl_preread_server_name": lambda facts: facts.sni,
    "ssl_preread_alpn_protocols": lambda facts: ",".join(facts.alpn) or None,
    "http_host": lambda facts: facts.http_host,
    "host": lambda facts: facts.name,
    "ssl_protocol": lambda facts: (facts.handshake and facts.handshake.version) or None,
    "ssl_cipher": lambda facts: (facts.handshake and facts.handshake.cipher) or None,
    "ssl_client_verify": lambda facts: _verified(facts),
    "ssl_client_s_dn": lambda facts: _client(facts, "subject"),
    "ssl_client_fingerprint": lambda facts: _client(facts, "fingerprint"),
    "ssl_client_serial": lambda facts: _client(facts, "serial"),
    "proxy_protocol_addr": lambda facts: (facts.claimed and facts.claimed.host) or None,
    "proxy_protocol_port": lambda facts: str(facts.claimed.port) if facts.claimed else None,
    "realip_remote_addr": lambda facts: (facts.via or facts.peer).host,
    "realip_remote_port": lambda facts: str((facts.via or facts.peer).port),
}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)

NAMES: Final = (*sorted(_READ), "route_id", "route_name", "service_id")
"""Those every session may have; plugins add their own."""


def variable(name: str, facts: Facts, route: Route | None, more: Mapping[str, str]) -> str | None:
    """The value of ``name`` (without ``$``) for a session, ``None`` if it has none. ``more`` is looked at first."""
    if name in more:
        return more[name]
    read = _READ.get(name)
    if read is not None:
        return read(facts)
    if route is None:
        return None
    if name == "route_id":
        return route.id if route.document is None else route.document.id
    if name == "route_name":
        return route.name or None
    if name == "service_id":
        return route.service or None
    return None


def expand(text: str, lookup: Callable[[str], str | None]) -> tuple[str, int]:
    """``text`` with its ``$variables`` replaced (by nothing where there is none), and how many of them had a value."""
    found = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal found
        value = lookup(match[1] or match[2])
        if value:
            found += 1
        return value or ""

    return _VARIABLE.sub(replaced, text), found


def _client(facts: Facts, name: str) -> str | None:
    client = facts.handshake and facts.handshake.client
    return str(getattr(client, name)) if client else None


def _verified(facts: Facts) -> str | None:
    if facts.handshake is None:
        return None
    return "SUCCESS" if facts.handshake.client is not None else "NONE"
