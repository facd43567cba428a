"""What a server learns from a handshake."""

from __future__ import annotations

from OpenSSL import SSL

from ..model import PeerIdentity, TlsFacts
from .description import identity
from .errors import PeerRefused
from .material import UNREADABLE
from .openssl import is_resumed


def handshake_facts(connection: SSL.Connection) -> TlsFacts:
    """
    What the finished handshake of ``connection``, a server's, agreed on. Raises :class:`PeerRefused` for a client whose
    certificate OpenSSL verified and nobody else can read: nothing could be said of who it is.
    """
    return TlsFacts(
        version=connection.get_protocol_version_name(),
        cipher=connection.get_cipher_name() or "",
        alpn=connection.get_alpn_proto_negotiated().decode("latin-1") or None,
        resumed=is_resumed(connection),
        client=_client(connection),
    )


def _client(connection: SSL.Connection) -> PeerIdentity | None:
    # What nobody asked for nobody verified.
    if not connection.get_verify_mode() & SSL.VERIFY_PEER:
        return None
    try:
        certificate = connection.get_peer_certificate(as_cryptography=True)
    except UNREADABLE:
        raise PeerRefused("the client's certificate cannot be read") from None
    return None if certificate is None else identity(certificate)
