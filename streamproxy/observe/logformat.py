"""The access log's format strings: text with nginx's variables in it, and ours."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias

from ..model import Ended, Ending
from .jsonline import json_line
from .tcpevent import ServiceLookup, tcp_event_line

Line: TypeAlias = Callable[[Ended], str]

# What nginx's stream module would have said: 001 stands for a session no route was found for.
_STATUS: Mapping[Ending, str] = {
    Ending.CLIENT_CLOSED: "200",
    Ending.TARGET_CLOSED: "200",
    Ending.CLIENT_RESET: "200",
    Ending.TARGET_RESET: "200",
    Ending.IDLE_TIMEOUT: "200",
    Ending.SNIFF_TIMEOUT: "200",
    Ending.HANDSHAKE_TIMEOUT: "500",
    Ending.CLIENT_GONE: "200",
    Ending.KILLED: "200",
    Ending.SHUTDOWN: "200",
    Ending.SNIFF_FAILED: "400",
    Ending.HANDSHAKE_FAILED: "500",
    Ending.NO_ROUTE: "001",
    Ending.REJECTED: "001",
    Ending.NO_NODE: "502",
    Ending.CONNECT_TIMEOUT: "502",
    Ending.CONNECT_FAILED: "502",
    Ending.RESOLVE_FAILED: "502",
    Ending.TARGET_TLS_FAILED: "502",
    Ending.OVER_LIMIT: "503",
    Ending.INTERNAL_ERROR: "500",
}
# Not strftime's, which a program that embeds us may have translated.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_VARIABLE = re.compile(r"\$(?:(?P<bare>\w+)|\{(?P<braced>\w*)\}|)", re.ASCII)
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")


def compile_format(text: str, lookup: ServiceLookup | None = None) -> Line:
    """
    What makes a line (without its end) of a record: ``json``, ``otoroshi`` (a TcpEvent; ``lookup`` finds its service)
    or a format string with ``$variables``, also written ``${variable}``.

    A value is escaped as nginx does by default: control characters, quotes, backslashes and whatever is not ASCII
    become ``\\xHH``; a missing one is ``-``. ``$upstream_addr`` is the last node that was tried.

    Raises ``ValueError`` for a variable there is not, naming those there are, and for text without any.
    """
    if text == "json":
        return json_line
    if text == "otoroshi":
        return lambda record: tcp_event_line(record, lookup)
    return _compiled(text.rstrip("\r\n"))


def _compiled(text: str) -> Line:
    if "\n" in text or "\r" in text:
        raise ValueError("the format has a line break in it: each session is one line")
    pieces: list[str] = []
    variables: list[Line] = []
    end = 0
    for found in _VARIABLE.finditer(text):
        name = found["bare"] or found["braced"] or ""
        if name not in _VARIABLES:
            raise ValueError(
                f"no variable {found[0]}; there are {', '.join(f'${known}' for known in sorted(_VARIABLES))}"
            )
        pieces.append(text[end : found.start()])
        variables.append(_VARIABLES[name])
        end = found.end()
    pieces.append(text[end:])
    if not variables:
        raise ValueError(f"the format {text!r} is neither json nor otoroshi nor has it a $variable")
    template = "%s".join(piece.replace("%", "%%") for piece in pieces)
    return lambda record: template % tuple([variable(record) for variable in variables])


def _escaped(value: str | None) -> str:
    """``-`` for nothing."""
    return _UNSAFE.sub(_as_hex, value) if value else "-"


def _as_hex(found: re.Match[str]) -> str:
    # A lone surrogate is what Python makes of bytes that are not UTF-8.
    return "".join(f"\\x{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


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


def _if_dialled(record: Ended, value: str) -> str:
    """nginx knows of the traffic with an upstream only when it had chosen one."""
    return "-" if record.node is None else value


def _upstream_session_time(record: Ended) -> str:
    return _if_dialled(record, _seconds(record.duration - (record.sniff_time or 0.0)))


_hostname = _escaped(socket.gethostname())

_VARIABLES: Mapping[str, Line] = {
    # nginx's
    "bytes_received": lambda record: str(record.bytes_in),
    "bytes_sent": lambda record: str(record.bytes_out),
    "connection": lambda record: _escaped(record.id),
    "hostname": lambda _: _hostname,
    "msec": lambda record: _seconds(_end(record)),
    "pid": lambda _: str(os.getpid()),
    "protocol": lambda record: record.facts.listener.transport.name,
    "remote_addr": lambda record: _escaped(record.facts.peer.host),
    "remote_port": lambda record: str(record.facts.peer.port),
    "server_addr": lambda record: _escaped(record.facts.local.host),
    "server_port": lambda record: str(record.facts.local.port),
    "session_time": lambda record: _seconds(record.duration),
    "ssl_preread_alpn_protocols": lambda record: _escaped(",".join(record.facts.alpn)),
    "ssl_preread_server_name": lambda record: _escaped(record.facts.sni),
    "ssl_server_name": lambda record: _escaped(record.facts.sni),
    "status": lambda record: _STATUS[record.ending],
    "time_iso8601": lambda record: _iso8601(int(_end(record))),
    "time_local": lambda record: _common_log_time(int(_end(record))),
    "upstream_addr": lambda record: _escaped(record.node),
    "upstream_bytes_received": lambda record: _if_dialled(record, str(record.bytes_out)),
    "upstream_bytes_sent": lambda record: _if_dialled(record, str(record.bytes_in)),
    "upstream_connect_time": lambda record: _seconds(record.connect_time),
    "upstream_session_time": _upstream_session_time,
    # Ours
    "attempts": lambda record: str(record.attempts),
    "detail": lambda record: _escaped(record.detail),
    "ending": lambda record: record.ending.value,
    "http_host": lambda record: _escaped(record.facts.http_host),
    "listener": lambda record: str(record.facts.listener).replace(" ", ":"),
    "owner": lambda record: _escaped(record.owner),
    "revision": lambda record: str(record.revision),
    "route": lambda record: _escaped(record.route),
    "sniff_time": lambda record: _seconds(record.sniff_time),
    "tls": lambda record: "on" if record.facts.tls else "-",
    "upstream": lambda record: _escaped(record.upstream),
}
