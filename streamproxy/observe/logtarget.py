"""Where an access log goes that stays on no disk of ours: a syslog server, a web server."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from attrs import frozen

from .jsonline import utc

SYSLOG: Final = "syslog:"
SCHEMES: Final = ("http://", "https://")

# RFC 5424, section 6.2.1.
_FACILITIES: Final[Mapping[str, int]] = {
    **{name: number for number, name in enumerate(("kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news"))},
    **{name: number for number, name in enumerate(("uucp", "clock", "authpriv", "ftp"), 8)},
    **{f"local{number}": 16 + number for number in range(8)},
}
_SEVERITIES: Final = ("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug")
_TRANSPORTS: Final = ("udp", "tcp", "tls")
_SERVER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?")
_TAG = re.compile(r"[A-Za-z0-9_]{1,48}")


@frozen
class SyslogTarget:
    """
    A syslog server (RFC 5424), over ``transport``: ``udp``, a line a datagram; ``tcp`` or ``tls``, each line with its
    end. ``priority`` is the facility's and the severity's, ``tag`` the name it goes by.
    """

    host: str
    port: int
    transport: str = "udp"
    priority: int = 23 * 8 + 6
    tag: str = "streamproxy"
    hostname: str = "-"

    def framed(self, line: str, now: float) -> bytes:
        """``line`` as it is sent at ``now``, in seconds since the epoch."""
        head = f"<{self.priority}>1 {utc(now)} {self.hostname} {self.tag} {os.getpid()} - - "
        end = "" if self.transport == "udp" else "\n"
        return f"{head}{line}{end}".encode("utf-8", "backslashreplace")


@frozen
class HttpTarget:
    """A web server that lines are posted to: together, as a JSON array where they are JSON."""

    url: str


Target: TypeAlias = "SyslogTarget | HttpTarget"


def log_target(path: str) -> Target | None:
    """
    What the ``path`` of an access log means where it is no file: ``syslog:server=HOST[:PORT]``, then perhaps
    ``,facility=local7,severity=info,tag=streamproxy,nohostname`` (as for nginx) and ``transport=udp`` (``tcp``,
    ``tls``); or a URL. Raises ``ValueError``.
    """
    if path.startswith(SYSLOG):
        return _syslog(path.removeprefix(SYSLOG))
    if path.startswith(SCHEMES):
        return _http(path)
    return None


def _http(url: str) -> HttpTarget:
    parts = urlsplit(url)
    if not url.isascii() or not parts.hostname or any(character.isspace() for character in url):
        raise ValueError("expected a URL like https://logs.example.com/streamproxy")
    if "@" in parts.netloc:
        raise ValueError("credentials in a URL end up in logs: leave them out")
    # Raises ValueError itself where it is none.
    _ = parts.port
    return HttpTarget(url)


def _syslog(text: str) -> SyslogTarget:
    options: dict[str, str] = {}
    for item in text.split(","):
        name, _, value = item.partition("=")
        if name not in ("server", "facility", "severity", "tag", "transport", "nohostname") or name in options:
            raise ValueError(f"{name!r} is no option of syslog's, or is there twice")
        options[name] = value
    found = _SERVER.fullmatch(options.get("server", ""))
    port = int(found["port"] or 514) if found is not None else 0
    if found is None or not 1 <= port <= 65535:
        raise ValueError("expected syslog:server=HOST or syslog:server=HOST:PORT")
    tag = options.get("tag", "streamproxy")
    if not _TAG.fullmatch(tag):
        raise ValueError("tag: expected up to 48 letters, digits and underscores")
    facility = _one_of("facility", options.get("facility", "local7"), tuple(_FACILITIES))
    severity = _one_of("severity", options.get("severity", "info"), _SEVERITIES)
    return SyslogTarget(
        found["host"].strip("[]"),
        port,
        _one_of("transport", options.get("transport", "udp"), _TRANSPORTS),
        _FACILITIES[facility] * 8 + _SEVERITIES.index(severity),
        tag,
        "-" if "nohostname" in options else re.sub(r"[^!-~]", "_", socket.gethostname())[:255] or "-",
    )


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}")
    return value
