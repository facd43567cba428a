"""Who may call the Admin API: pure decisions about headers and addresses."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from attrs import define, frozen
from twisted.web.http_headers import Headers

from streamproxy.model import AdminClient, AdminKey, Network, Role

HOW_TO = (
    "send a key as X-API-KEY, or a client's id and secret as Otoroshi-Client-Id and Otoroshi-Client-Secret"
    " or as HTTP Basic authentication"
)

# A name or an IPv4 literal, or an IPv6 literal in brackets; then perhaps a port.
_HOST = re.compile(r"([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,64}\])(?::([0-9]{1,5}))?")
# What Otoroshi's documentation, SDKs and tests call its Admin API on a developer's machine; it points at loopback.
_OTOROSHI = "otoroshi-api.oto.tools"
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@frozen
class Identity:
    """Who a caller proved to be: the name of a key, or the id of a client."""

    name: str
    role: Role


@define
class Credentials:
    """The keys and clients that are let in. With none of either, nobody is."""

    keys: tuple[AdminKey, ...]
    clients: tuple[AdminClient, ...]

    def identify(self, headers: Headers, key: str | None = None) -> Identity | None:
        """
        Whom the headers prove, or a ``key`` from elsewhere in the request, which counts in place of the header's; the
        first in the order of configuration. Every key and client is compared whatever
        the others say, so that the time it takes tells nothing.
        """
        key = _first(headers, b"X-API-KEY") if key is None else key
        proven = [Identity(known.name, known.role) for known in self.keys if known.key.matches(key or "") and key]
        for identifier, secret in _pairs(headers):
            for client in self.clients:
                # Both are looked at, always: which one is wrong is nobody's business.
                same_secret = client.secret.matches(secret)
                if (client.id == identifier) & same_secret & bool(secret):
                    proven.append(Identity(client.id, client.role))
        return proven[0] if proven else None


def basic(value: str) -> tuple[str, str] | None:
    """Id and secret of an ``Authorization: Basic`` header (RFC 7617), ``None`` for anything else."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(token.strip(), validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return None
    identifier, colon, secret = text.partition(":")
    return (identifier, secret) if colon else None


def allowed(peer: str, networks: Iterable[Network]) -> bool:
    """Does ``peer`` (an IP literal, or empty for a local socket) lie in one of ``networks``? No network: yes."""
    every = tuple(networks)
    if not every or not peer:
        return True
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(peer.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in every)


def split_host(value: str) -> tuple[str, str | None] | None:
    """Host (lower-case, without brackets or trailing dot) and port of a ``Host`` header; ``None``: malformed."""
    match = _HOST.fullmatch(value)
    return (match[1].strip("[]").rstrip(".").lower(), match[2]) if match else None


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_us(host: str, listen_host: str) -> bool:
    """
    May a request for ``host`` reach an API that listens on ``listen_host``? A name that somebody else owns may be made
    to point at a loopback address, and then a page from there can call us with its own origin (DNS rebinding): behind
    loopback only ``localhost``, addresses, the very name we listen on and the one that Otoroshi's clients use are us.
    """
    known = (listen_host.lower(), _OTOROSHI)
    return not is_loopback(listen_host) or is_loopback(host) or host in known or _is_address(host)


def is_cross_site(headers: Headers, host: str | None) -> bool:
    """Did a browser send this for a page of another origin than ``host``, the ``Host`` header?"""
    if (_first(headers, b"Sec-Fetch-Site") or "").lower() == "cross-site":
        return True
    origin = _first(headers, b"Origin")
    if origin is None:
        return False
    ours = split_host(host) if host is not None else None
    theirs = _origin(origin)
    if ours is None or theirs is None:
        return True
    name, port, default = theirs
    # Whoever terminates TLS in front of us leaves us not knowing the scheme, but the browser does.
    return (name, port) != (ours[0], ours[1] or default)


def _origin(value: str) -> tuple[str, str, str] | None:
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    split = split_host(parts.netloc)
    default = _DEFAULT_PORTS.get(parts.scheme)
    return (split[0], split[1] or default, default) if split and default else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _first(headers: Headers, name: bytes) -> str | None:
    values = headers.getRawHeaders(name)
    return values[0].decode("utf-8", "surrogateescape") if values else None


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    pairs = []
    identifier, secret = _first(headers, b"Otoroshi-Client-Id"), _first(headers, b"Otoroshi-Client-Secret")
    if identifier is not None and secret is not None:
        pairs.append((identifier, secret))
    authorization = basic(_first(headers, b"Authorization") or "")
    if authorization is not None:
        pairs.append(authorization)
    return pairs
