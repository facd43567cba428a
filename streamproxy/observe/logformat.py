"""The access log's format strings: text with nginx's variables in it, and ours."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Final, TypeAlias

from ..model import Ended, PeerIdentity, TlsFacts
from .jsonline import json_line
from .status import log_status, metrics_code
from .tcpevent import ServiceLookup, tcp_event_line

Line: TypeAlias = Callable[[Ended], str]
Read: TypeAlias = Callable[[Ended], "str | None"]
Escape: TypeAlias = Callable[[str], str]

# Not strftime's, which a program that embeds us may have translated.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HOSTNAME: Final = socket.gethostname()
# What the names of plugins' variables begin with.
_OF_PLUGINS: Final = "var_"
_VARIABLE = re.compile(r"\$(?:(?P<bare>\w+)|\{(?P<braced>\w*)\}|)", re.ASCII)
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")


def compile_format(text: str, lookup: ServiceLookup | None = None, escape: str = "default") -> Line:
    """
    What makes a line (without its end) of a record: ``json``, ``otoroshi`` (a TcpEvent; ``lookup`` finds its service)
    or a format string with ``$variables``, also written ``${variable}``.

    A value is escaped as nginx does by default: control characters, quotes, backslashes and whatever is not ASCII
    become ``\\xHH``; a missing one is ``-``. With ``escape`` ``json`` it is what stands between JSON's quotes, and a
    missing one is nothing. ``$upstream_addr`` are the nodes that were tried, ``$var_NAME`` what a plugin found out
    about the session and called ``NAME``.

    Raises ``ValueError`` for a variable there is not, naming those there are, and for text without any.
    """
    if text == "json":
        return json_line
    if text == "otoroshi":
        return lambda record: tcp_event_line(record, lookup)
    return _compiled(text.rstrip("\r\n"), _json_escape if escape == "json" else _default_escape)


def record_variable(name: str, record: Ended) -> str | None:
    """
    The value of the variable ``name`` (without ``$``) for one record, as it is; ``None`` where it has none, or there is
    no such variable.
    """
    read = _PLAIN.get(name) or _TEXTS.get(name) or _of_plugins(name)
    return None if read is None else read(record) or None


def _compiled(text: str, escape: Escape) -> Line:
    if "\n" in text or "\r" in text:
        raise ValueError("the format has a line break in it: each session is one line")
    pieces: list[str] = []
    variables: list[Line] = []
    end = 0
    for found in _VARIABLE.finditer(text):
        name = found["bare"] or found["braced"] or ""
        pieces.append(text[end : found.start()])
        variables.append(_variable(name, escape, found[0]))
        end = found.end()
    pieces.append(text[end:])
    if not variables:
        raise ValueError(f"the format {text!r} is neither json nor otoroshi nor has it a $variable")
    template = "%s".join(piece.replace("%", "%%") for piece in pieces)
    return lambda record: template % tuple([variable(record) for variable in variables])


def _variable(name: str, escape: Escape, written: str) -> Line:
    plain = _PLAIN.get(name)
    if plain is not None:
        missing = escape("")
        return lambda record: plain(record) or missing
    read = _TEXTS.get(name) or _of_plugins(name)
    if read is None:
        known = ", ".join(f"${each}" for each in sorted((*_PLAIN, *_TEXTS)))
        raise ValueError(f"no variable {written}; there are {known}, and ${_OF_PLUGINS}NAME for those of plugins")
    return lambda record: escape(read(record) or "")


def _of_plugins(name: str) -> Read | None:
    inner = name.removeprefix(_OF_PLUGINS)
    return None if inner in ("", name) else lambda record: record.variables.get(inner)


def _default_escape(value: str) -> str:
    return _UNSAFE.sub(_as_hex, value) if value else "-"


def _as_hex(found: re.Match[str]) -> str:
    # A lone surrogate is what Python makes of bytes that are not UTF-8.
    return "".join(f"\\x{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def _json_escape(value: str) -> str:
    return encode_basestring_ascii(value)[1:-1]


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _end(record: Ended) -> float:
    """nginx's time of a line is when it is written."""
    return record.started + record.duration


@lru_cache(maxsize=16)
def _iso8601(second: int) -> str:
    return datetime.fromtimestamp(second).astimezone().isoformat()


@lru_cache(maxsize=16)
def _common_log_time(second: int) -> str:
    now = datetime.fromtimestamp(second).astimezone()
    return f"{now.day:02d}/{_MONTHS[now.month - 1]}/{now.year}:{now:%H:%M:%S %z}"


def _if_dialled(record: Ended, value: str | None) -> str | None:
    """nginx knows of the traffic with an upstream only when it had chosen one."""
    return None if record.node is None else value


def _upstream_session_time(record: Ended) -> str | None:
    return _if_dialled(record, _seconds(record.duration - (record.sniff_time or 0.0)))


def _upstream_addr(record: Ended) -> str | None:
    return _if_dialled(record, ", ".join((*record.earlier, record.node or "")))


def _handshake(record: Ended, read: Callable[[TlsFacts], str | None]) -> str | None:
    handshake = record.facts.handshake
    return None if handshake is None else read(handshake)


def _client(record: Ended, read: Callable[[PeerIdentity], str]) -> str | None:
    return _handshake(record, lambda handshake: None if handshake.client is None else read(handshake.client))


def _route_id(record: Ended) -> str | None:
    """The id of its document: ``1`` of ``apisix:stream_routes/1``, ``pg`` of ``otoroshi:tcp-services/pg rules[0]``."""
    if record.route is None:
        return None
    return record.route.partition("/")[2].partition(" ")[0] or record.route


# Made of characters that need no escape anywhere; nothing where there is none.
_PLAIN: Final[Mapping[str, Read]] = {
    # nginx's
    "bytes_received": lambda record: str(record.bytes_in),
    "bytes_sent": lambda record: str(record.bytes_out),
    "msec": lambda record: _seconds(_end(record)),
    "pid": lambda _: str(os.getpid()),
    "protocol": lambda record: record.facts.listener.transport.name,
    "proxy_protocol_port": lambda record: str(record.facts.claimed.port) if record.facts.claimed else None,
    "proxy_protocol_server_port": lambda record: str(record.facts.local.port) if record.facts.arrived else None,
    "realip_remote_port": lambda record: str((record.facts.via or record.facts.peer).port),
    "remote_port": lambda record: str(record.facts.peer.port),
    "server_port": lambda record: str(record.facts.accepted.port),
    "session_time": lambda record: _seconds(record.duration),
    "ssl_client_fingerprint": lambda record: _client(record, lambda client: client.fingerprint),
    "ssl_client_serial": lambda record: _client(record, lambda client: f"{client.serial:X}"),
    "ssl_client_verify": lambda record: _handshake(record, lambda agreed: "SUCCESS" if agreed.client else "NONE"),
    "ssl_session_reused": lambda record: _handshake(record, lambda agreed: "r" if agreed.resumed else "."),
    "status": log_status,
    "time_iso8601": lambda record: _iso8601(int(_end(record))),
    "time_local": lambda record: _common_log_time(int(_end(record))),
    "upstream_bytes_received": lambda record: _if_dialled(record, str(record.bytes_out)),
    "upstream_bytes_sent": lambda record: _if_dialled(record, str(record.bytes_in)),
    "upstream_connect_time": lambda record: _seconds(record.connect_time),
    "upstream_session_time": _upstream_session_time,
    # Ours
    "attempts": lambda record: str(record.attempts),
    "code": metrics_code,
    "ending": lambda record: record.ending.value,
    "handshake_time": lambda record: _seconds(record.sniff_time if record.facts.handshake else None),
    "revision": lambda record: str(record.revision),
    "sniff_time": lambda record: _seconds(record.sniff_time),
    "tls": lambda record: "on" if record.facts.tls else None,
}

# Somebody else's words.
_TEXTS: Final[Mapping[str, Read]] = {
    # nginx's
    "connection": lambda record: record.id,
    "hostname": lambda _: _HOSTNAME,
    "proxy_protocol_addr": lambda record: record.facts.claimed.host if record.facts.claimed else None,
    "proxy_protocol_server_addr": lambda record: record.facts.local.host if record.facts.arrived else None,
    "realip_remote_addr": lambda record: (record.facts.via or record.facts.peer).host,
    "remote_addr": lambda record: record.facts.peer.host,
    "server_addr": lambda record: record.facts.accepted.host,
    "ssl_alpn_protocol": lambda record: _handshake(record, lambda agreed: agreed.alpn),
    "ssl_cipher": lambda record: _handshake(record, lambda agreed: agreed.cipher),
    "ssl_client_s_dn": lambda record: _client(record, lambda client: client.subject),
    "ssl_preread_alpn_protocols": lambda record: ",".join(record.facts.alpn),
    "ssl_preread_server_name": lambda record: record.facts.sni,
    "ssl_protocol": lambda record: _handshake(record, lambda agreed: agreed.version),
    "ssl_server_name": lambda record: record.facts.sni,
    "upstream_addr": _upstream_addr,
    # APISIX's
    "mqtt_client_id": lambda record: record.variables.get("mqtt_client_id"),
    "route_id": _route_id,
    # Ours
    "detail": lambda record: record.detail,
    "http_host": lambda record: record.facts.http_host,
    "listener": lambda record: str(record.facts.listener).replace(" ", ":"),
    "owner": lambda record: record.owner,
    "route": lambda record: record.route,
    "session_id": lambda record: record.id,
    "ssl_client_san": lambda record: _client(record, lambda client: ",".join(client.sans)),
    "upstream": lambda record: record.upstream,
}
