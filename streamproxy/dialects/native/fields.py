"""The types of settings that are no plain text or number: from what a user wrote to values of the model."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final

from streamproxy.model import Address, Network, Secret, canonical_interface

from ..codec import Via, between, shown
from ..hostname import canonical_host

# What can be guessed is worse than no key at all.
FEWEST_SECRET_CHARACTERS: Final = 8
MOST_CHARACTERS: Final = 1000
MOST_FORMAT_CHARACTERS: Final = 10_000
FEWEST_SECONDS: Final = 0.001
MOST_SECONDS: Final = 366 * 86400.0

_PORT = re.compile(r"[0-9]{1,5}")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def listen_address(text: str) -> Address:
    """``host:port``, where the host is an IP literal (IPv6 in brackets), ``localhost``, ``*`` or nothing."""
    host, _, port = text.rpartition(":")
    if not text.startswith(":") and not host:
        raise ValueError(f"expected host:port, got {shown(text)}")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"expected an IPv6 address in brackets, as in [::1]:9180, got {shown(text)}")
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(f"expected a port from 0 to 65535 after the last colon, got {shown(text)}")
    try:
        return Address(canonical_interface(host), int(port))
    except ValueError:
        raise ValueError(f"expected an IP address or localhost before the port, got {shown(text)}") from None


def interface(text: str) -> str:
    """The interface of a listener, see :func:`~streamproxy.model.canonical_interface`."""
    try:
        return canonical_interface(text)
    except ValueError:
        raise ValueError(f"expected an IP address or localhost, got {shown(text)}") from None


def network(text: str) -> Network:
    """An IP address or a CIDR."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"expected an IP address or a network like 10.0.0.0/8, got {shown(text)}") from None


def secret(text: str) -> Secret:
    """A key or password that a client can send in a header. What it is, no message says."""
    if not FEWEST_SECRET_CHARACTERS <= len(text) <= MOST_CHARACTERS:
        raise ValueError(f"expected {FEWEST_SECRET_CHARACTERS} to {MOST_CHARACTERS} characters, got {len(text)}")
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError("expected printable ASCII without blanks at the ends: it travels in a header")
    return Secret(text)


def identifier(text: str) -> str:
    """The name of a key or a client."""
    if not 1 <= len(text) <= MOST_CHARACTERS or not text.isprintable():
        raise ValueError(f"expected 1 to {MOST_CHARACTERS} printable characters, got {shown(text)}")
    return text


def client_id(text: str) -> str:
    """The same for one that is sent with its secret after a colon (RFC 7617)."""
    if ":" in text:
        raise ValueError(f"expected no colon, which ends the id in Basic authentication, got {shown(text)}")
    return identifier(text)


def server_name(text: str) -> str:
    """A name that a TLS client could ask for, canonical."""
    return canonical_host(text).removesuffix(".")


def path(text: str) -> str:
    """A path of the file system."""
    if not text or "\0" in text:
        raise ValueError(f"expected a path, got {shown(text)}")
    return text


def log_path(text: str) -> str:
    """A path of the file system, or ``-`` for standard output."""
    if text.startswith("syslog:"):
        raise ValueError("expected a file or -: writing to syslog is not supported")
    return path(text)


def log_format(text: str) -> str:
    """``json``, ``otoroshi``, or a format string, which makes one line."""
    if not 1 <= len(text) <= MOST_FORMAT_CHARACTERS or not text.isprintable():
        raise ValueError(f"expected 1 to {MOST_FORMAT_CHARACTERS} printable characters")
    return text


def duration(value: Any) -> float:
    """Seconds, as a number or as text with a unit: ``3``, ``0.5``, ``3s``, ``500ms``, ``10m``, ``1h``."""
    match value:
        case bool():
            seconds = None
        case int() | float():
            seconds = value
        case str() if match := _DURATION.fullmatch(value):
            seconds = float(match[1]) * _UNITS[match[2] or "s"]
        case _:
            seconds = None
    if seconds is None:
        raise ValueError("expected a number of seconds, or a text like 3s, 500ms, 10m, 1h")
    if not FEWEST_SECONDS <= seconds <= MOST_SECONDS:
        raise ValueError(f"expected {FEWEST_SECONDS * 1000:g}ms to {MOST_SECONDS / 3600:g}h")
    return float(seconds)


Listen = Annotated[Address, Via(str, listen_address)]
Interface = Annotated[str, Via(str, interface)]
NetworkText = Annotated[Network, Via(str, network)]
SecretText = Annotated[Secret, Via(str, secret)]
Identifier = Annotated[str, Via(str, identifier)]
ClientId = Annotated[str, Via(str, client_id)]
ServerName = Annotated[str, Via(str, server_name)]
PathText = Annotated[str, Via(str, path)]
LogPath = Annotated[str, Via(str, log_path)]
LogFormat = Annotated[str, Via(str, log_format)]
Duration = Annotated[float, Via(Any, duration)]
Count = Annotated[int, Via(int, between(1, 10_000_000))]
