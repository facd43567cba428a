"""The types of settings that are no plain text, number or quantity: from what a user wrote to values of the model."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final

from streamproxy.model import Address, Secret, canonical_interface

from ..codec import Via, between, shown
from ..hostname import canonical_host

# What can be guessed is worse than no key at all.
FEWEST_SECRET_CHARACTERS: Final = 8
MOST_CHARACTERS: Final = 1000
MOST_FORMAT_CHARACTERS: Final = 10_000

_PORT = re.compile(r"[0-9]{1,5}")
_URL_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]{0,999}")
_METRIC_PREFIX = re.compile(r"(?:[A-Za-z_:][A-Za-z0-9_:]{0,99})?")


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


def nameserver(text: str) -> Address:
    """The IP address of a DNS server, with a port if that is not 53 (IPv6 in brackets then)."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return Address(str(ipaddress.ip_address(host)), 53)
    except ValueError:
        return listen_address(text)


def interface(text: str) -> str:
    """The interface of a listener, see :func:`~streamproxy.model.canonical_interface`."""
    try:
        return canonical_interface(text)
    except ValueError:
        raise ValueError(f"expected an IP address or localhost, got {shown(text)}") from None


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
    """A path of the file system, ``-`` for standard output, or a place elsewhere, see :func:`is_elsewhere`."""
    return path(text)


def is_elsewhere(text: str) -> bool:
    """Does an access log's path mean a server?"""
    return text.startswith(("syslog:", "http://", "https://"))


def log_format(text: str) -> str:
    """``json``, ``otoroshi``, or a format string, which makes one line."""
    if not 1 <= len(text) <= MOST_FORMAT_CHARACTERS or not text.isprintable():
        raise ValueError(f"expected 1 to {MOST_FORMAT_CHARACTERS} printable characters")
    return text


def url_path(text: str) -> str:
    """The path of a URL, which needs no escapes."""
    if not _URL_PATH.fullmatch(text):
        raise ValueError(f"expected a path like /metrics, got {shown(text)}")
    return text


def metric_prefix(text: str) -> str:
    """What the names of metrics begin with; may be empty."""
    if not _METRIC_PREFIX.fullmatch(text):
        raise ValueError(f"expected letters, digits and underscores, no digit first, got {shown(text)}")
    return text


Listen = Annotated[Address, Via(str, listen_address)]
Nameserver = Annotated[Address, Via(str, nameserver)]
Interface = Annotated[str, Via(str, interface)]
SecretText = Annotated[Secret, Via(str, secret)]
Identifier = Annotated[str, Via(str, identifier)]
ClientId = Annotated[str, Via(str, client_id)]
ServerName = Annotated[str, Via(str, server_name)]
PathText = Annotated[str, Via(str, path)]
LogPath = Annotated[str, Via(str, log_path)]
UrlPath = Annotated[str, Via(str, url_path)]
MetricPrefix = Annotated[str, Via(str, metric_prefix)]
LogFormat = Annotated[str, Via(str, log_format)]
Workers = Annotated[int, Via(int, between(1, 64))]
