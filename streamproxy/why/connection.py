"""A made-up connection, as somebody describes it."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Annotated, Any

from attrs import evolve, field, frozen

from ..dialects.codec import Port, Via, structure
from ..errors import InvalidConfiguration, Problem
from ..model import Address, PeerIdentity, TlsFacts, Transport
from ..sniff import normalize_name

# More of a client's first bytes is never looked at.
MOST_BYTES = 80 * 1024
MOST_TEXT = 1000

DEFAULT_PEER = Address("127.0.0.1", 50000)
"""Who connects where nobody says who."""


@frozen
class Connection:
    """
    Who connects to where, and what it says. ``listener`` is an address (``host:port``; no host: whatever listens on
    ``port``). ``local`` is the address it reached (``None``: that of the listener). ``window`` are its first bytes
    (empty: nobody says), else ``tls``, ``sni``, ``alpn`` and ``http_host`` say what is in them. ``handshake`` is what
    was agreed on, where the listener terminates TLS.
    """

    port: int
    host: str | None = None
    transport: Transport = Transport.TCP
    peer: Address = DEFAULT_PEER
    local: Address | None = None
    tls: bool = False
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    http_host: str | None = None
    window: bytes = field(default=b"", repr=lambda window: f"<{len(window)} bytes>")
    handshake: TlsFacts | None = None


def _text(text: str) -> str:
    if not 0 < len(text) <= MOST_TEXT or not text.isprintable():
        raise ValueError(f"expected 1 to {MOST_TEXT} printable characters")
    return text


def _name(text: str) -> str:
    name = normalize_name(text)
    if name is None:
        raise ValueError("expected a host name")
    return name


def _address(text: str) -> Address:
    """An IP address, perhaps with a port (IPv6 in brackets then)."""
    host, colon, port = text.rpartition(":")
    bare = text
    number = 0
    if colon and port.isdecimal() and len(port) <= 5 and (":" not in host or host.startswith("[")):
        bare, number = host, int(port)
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    try:
        parsed = ipaddress.ip_address(bare)
    except ValueError:
        raise ValueError("expected an IP address, or one and a port (IPv6 in brackets then)") from None
    if number > 65535:
        raise ValueError("expected a port from 0 to 65535")
    mapped = getattr(parsed, "ipv4_mapped", None)
    return Address(str(mapped or parsed), number)


def _bytes(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected Base64") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"expected {MOST_BYTES} bytes at most")
    return data


def _listener(text: str) -> tuple[Transport | None, str | None, int]:
    """``tcp 127.0.0.1:443``, ``127.0.0.1:443``, ``:443``, ``443``."""
    first, _, rest = text.strip().rpartition(" ")
    transport = None
    if first:
        try:
            transport = Transport(first.strip().lower())
        except ValueError:
            raise ValueError("expected tcp or udp before the address") from None
    host, _, port = rest.rpartition(":")
    if not port.isdecimal() or not 0 < len(port) <= 5 or not 0 < int(port) <= 65535:
        raise ValueError("expected an address like 127.0.0.1:443, or a port")
    if host in ("", "*"):
        return transport, None, int(port)
    if host == "localhost":
        return transport, "127.0.0.1", int(port)
    return transport, _address(host).host, int(port)


_Text = Annotated[str, Via(str, _text)]
_Name = Annotated[str, Via(str, _name)]
_Peer = Annotated[Address, Via(str, _address)]
_Base64 = Annotated[bytes, Via(str, _bytes)]


@frozen
class _Client:
    subject: _Text = "CN=client"
    sans: tuple[_Text, ...] = ()
    fingerprint: _Text = "00"


@frozen
class _Tls:
    version: _Text | None = None
    cipher: _Text | None = None
    alpn: _Text | None = None
    client: _Client | None = None


@frozen
class _Asked:
    """What may be in the description. ``configuration`` is somebody else's affair."""

    listener: Any = None
    port: Port | None = None
    transport: Transport | None = None
    peer: _Peer | None = None
    local: _Peer | None = None
    sni: _Name | None = None
    http_host: _Name | None = None
    alpn: tuple[_Text, ...] = ()
    tls: Any = None
    client_hello: _Base64 | None = None
    first_bytes: _Base64 | None = None
    configuration: Any = None


def connection_of(description: object) -> Connection:
    """
    The connection that the parsed JSON object ``description`` describes. Raises
    :class:`~streamproxy.errors.InvalidConfiguration`.
    """
    asked, problems = structure(description, _Asked, forbid_extra=True, null_is_absent=True)
    if asked is None:
        raise InvalidConfiguration(problems)
    transport, host, port = _place(asked)
    made = Connection(port, host, transport, local=asked.local, alpn=asked.alpn)
    if asked.peer is not None:
        made = evolve(made, peer=Address(asked.peer.host, asked.peer.port or DEFAULT_PEER.port))
    window = asked.client_hello or asked.first_bytes or b""
    if asked.client_hello and asked.first_bytes:
        raise InvalidConfiguration((Problem("first_bytes", "conflict", "give the client_hello or these, not both"),))
    is_tls, handshake = _tls(asked.tls)
    return evolve(
        made,
        tls=is_tls or asked.sni is not None or bool(asked.alpn),
        sni=asked.sni,
        http_host=asked.http_host,
        window=window,
        handshake=handshake,
    )


def _place(asked: _Asked) -> tuple[Transport, str | None, int]:
    given: tuple[Transport | None, str | None, int] | None = None
    if asked.listener is not None:
        number = isinstance(asked.listener, int) and not isinstance(asked.listener, bool)
        if not number and not isinstance(asked.listener, str):
            raise InvalidConfiguration((Problem("listener", "wrong_type", "expected an address or a port"),))
        try:
            given = _listener(str(asked.listener))
        except ValueError as error:
            raise InvalidConfiguration((Problem("listener", "bad_value", str(error)),)) from None
    if given is None:
        if asked.port is None:
            raise InvalidConfiguration((Problem("listener", "missing", "say where it connects to"),))
        given = (None, None, asked.port)
    return given[0] or asked.transport or Transport.TCP, given[1], given[2]


def _tls(value: object) -> tuple[bool, TlsFacts | None]:
    """``true``, ``false``, or what was agreed on."""
    if value is None or isinstance(value, bool):
        return bool(value), None
    agreed, problems = structure(value, _Tls, forbid_extra=True, null_is_absent=True)
    if agreed is None:
        raise InvalidConfiguration(tuple(problem.under("tls") for problem in problems))
    client = agreed.client
    identity = None
    if client is not None:
        identity = PeerIdentity(client.subject, client.sans, client.fingerprint, 0)
    return True, TlsFacts(agreed.version or "", agreed.cipher or "", agreed.alpn, False, identity)
