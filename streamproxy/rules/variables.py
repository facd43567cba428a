"""
The variables of a session, by nginx's names: what plugins, expressions and hash keys are written in.

Of the stream module's (https://nginx.org/en/docs/stream/ngx_stream_core_module.html and its neighbours) these are the
ones that are known before a session has a node. ``ssl_client_fingerprint`` is SHA-256, where nginx has SHA-1.
``proxy_protocol_tlv_0xEA`` and the like are the TLVs of a PROXY protocol v2 header, by type; the registered ones also
go by their names. ``host`` is the name the client asked for, in TLS or in HTTP.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from typing import Final

from streamproxy.model import Facts, PeerIdentity, Route, TlsFacts, Transport

_TLV: Final = "proxy_protocol_tlv_"
_TLV_TYPES: Final[Mapping[str, int]] = {"alpn": 0x01, "authority": 0x02, "unique_id": 0x05, "netns": 0x30}
_TLV_NUMBER = re.compile(r"0x[0-9A-Fa-f]{1,2}")

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)

_HOSTNAME = socket.gethostname()


def _agreed(facts: Facts, read: Callable[[TlsFacts], str | None]) -> str | None:
    return read(facts.handshake) if facts.handshake else None


def _client(facts: Facts, read: Callable[[PeerIdentity], str]) -> str | None:
    return _agreed(facts, lambda agreed: read(agreed.client) if agreed.client else None)


def _serial(client: PeerIdentity) -> str:
    """Whole octets in hex."""
    digits = f"{client.serial:X}"
    return digits.zfill(len(digits) + len(digits) % 2)


_OF_FACTS: Final[Mapping[str, Callable[[Facts], str | None]]] = {
    "hostname": lambda _: _HOSTNAME,
    "pid": lambda _: str(os.getpid()),
    "protocol": lambda facts: "UDP" if facts.listener.transport is Transport.UDP else "TCP",
    "remote_addr": lambda facts: facts.peer.host,
    "remote_port": lambda facts: str(facts.peer.port),
    "server_addr": lambda facts: facts.accepted.host,
    "server_port": lambda facts: str(facts.accepted.port),
    # The client's name for where it goes
    "host": lambda facts: facts.name,
    "http_host": lambda facts: facts.http_host,
    "ssl_preread_alpn_protocols": lambda facts: ",".join(facts.alpn) or None,
    "ssl_preread_server_name": lambda facts: facts.sni,
    "ssl_server_name": lambda facts: facts.sni,
    # TLS that ends here
    "ssl_alpn_protocol": lambda facts: _agreed(facts, lambda agreed: agreed.alpn),
    "ssl_cipher": lambda facts: _agreed(facts, lambda agreed: agreed.cipher),
    "ssl_client_fingerprint": lambda facts: _client(facts, lambda client: client.fingerprint),
    "ssl_client_s_dn": lambda facts: _client(facts, lambda client: client.subject),
    "ssl_client_serial": lambda facts: _client(facts, _serial),
    "ssl_client_verify": lambda facts: _agreed(facts, lambda agreed: "SUCCESS" if agreed.client else "NONE"),
    "ssl_protocol": lambda facts: _agreed(facts, lambda agreed: agreed.version),
    "ssl_session_reused": lambda facts: _agreed(facts, lambda agreed: "r" if agreed.resumed else "."),
    # A PROXY protocol header
    "proxy_protocol_addr": lambda facts: facts.claimed.host if facts.claimed else None,
    "proxy_protocol_port": lambda facts: str(facts.claimed.port) if facts.claimed else None,
    "proxy_protocol_server_addr": lambda facts: facts.local.host if facts.via else None,
    "proxy_protocol_server_port": lambda facts: str(facts.local.port) if facts.via else None,
    "realip_remote_addr": lambda facts: (facts.via or facts.peer).host,
    "realip_remote_port": lambda facts: str((facts.via or facts.peer).port),
}
_OF_ROUTE: Final[Mapping[str, Callable[[Route], str]]] = {
    "route_id": lambda route: route.id if route.document is None else route.document.id,
    "route_name": lambda route: route.name,
    "service_id": lambda route: route.service,
}

NAMES: Final = (*sorted([*_OF_FACTS, *(f"{_TLV}{name}" for name in _TLV_TYPES)]), *_OF_ROUTE)
"""Those every session may have; plugins add their own."""


def variable(name: str, facts: Facts, route: Route | None, more: Mapping[str, str]) -> str | None:
    """
    The value of ``name`` (without ``$``) for a session, ``None`` if it has none. ``more``, which is what plugins found
    out, is looked at first.
    """
    if name in more:
        return more[name]
    of_facts = _OF_FACTS.get(name)
    if of_facts is not None:
        return of_facts(facts) or None
    of_route = _OF_ROUTE.get(name)
    if of_route is not None:
        return (of_route(route) or None) if route is not None else None
    if name.startswith(_TLV):
        return _tlv(name[len(_TLV) :], facts)
    return None


def expand(text: str, lookup: Callable[[str], str | None]) -> tuple[str, int]:
    """
    ``text`` with its ``$variables`` (``${variable}`` where a letter follows) replaced, by nothing where there is none,
    and how many of them had a value.
    """
    found = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal found
        value = lookup(match[1] or match[2])
        if value:
            found += 1
        return value or ""

    return _VARIABLE.sub(replaced, text), found


def _tlv(name: str, facts: Facts) -> str | None:
    wanted = int(name, 16) if _TLV_NUMBER.fullmatch(name) else _TLV_TYPES.get(name)
    for type_, value in facts.tlvs:
        if type_ == wanted:
            return value.decode("utf-8", "backslashreplace")
    return None
