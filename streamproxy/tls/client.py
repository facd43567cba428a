"""Being a TLS client: what is sent to a server, and what its certificate has to say."""

from __future__ import annotations

import ipaddress
import socket

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address

from ..model import ClientPolicy
from ..sniff.names import normalize_name
from .context import Contexts
from .description import identity
from .errors import MaterialError, PeerRefused
from .material import UNREADABLE
from .openssl import leave_no_loop

MAX_NAMES = 5
"""Names of a server's certificate that a refusal tells."""


def client_connection(contexts: Contexts, policy: ClientPolicy, sock: socket.socket | None = None) -> SSL.Connection:
    """
    A connection on ``sock`` (``None``: in memory) that is about to begin its handshake as a client. When that is over,
    and before anything is sent: :func:`verify_server`. Raises :class:`MaterialError` when ``policy`` cannot work.
    """
    name = name_to_send(policy)
    if policy.verify:
        _host(policy.server_name)
    connection = SSL.Connection(contexts.client(policy), sock)
    leave_no_loop(connection)
    if name is not None:
        connection.set_tlsext_host_name(name.encode("ascii"))
    connection.set_connect_state()
    return connection


def name_to_send(policy: ClientPolicy) -> str | None:
    """What the server is asked for; ``None`` for an address, which is not sent (RFC 6066 section 3)."""
    name = _host(policy.server_name if policy.send_name is None else policy.send_name)
    return None if _address(name) else name


def verify_server(connection: SSL.Connection, policy: ClientPolicy) -> None:
    """
    See to it that the server at the other end of a finished handshake is who it should be. OpenSSL has verified its
    chain; this is about the name (RFC 9525, by service-identity). Raises :class:`PeerRefused` with the reason.
    """
    if not policy.verify:
        return
    if not connection.get_verify_mode() & SSL.VERIFY_PEER or connection.get_peer_certificate() is None:
        raise PeerRefused("the server's certificate was not verified")
    name = _host(policy.server_name)
    try:
        if _address(name):
            verify_ip_address(connection, name)
        else:
            verify_hostname(connection, name)
    except (VerificationError, CertificateError):
        raise PeerRefused(f"the server's certificate is not for {name}, but for {_names(connection)}") from None
    except UNREADABLE:
        raise PeerRefused(f"the server's certificate cannot be compared with {name}") from None


def _host(name: str) -> str:
    host = normalize_name(name)
    if host is None:
        raise MaterialError(f"{name!r} is not a host name that a server could be asked for")
    return host


def _address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _names(connection: SSL.Connection) -> str:
    certificate = connection.get_peer_certificate(as_cryptography=True)
    sans = () if certificate is None else identity(certificate).sans
    more = f" and {len(sans) - MAX_NAMES} more" if len(sans) > MAX_NAMES else ""
    return ", ".join(sans[:MAX_NAMES]) + more or "nobody"
