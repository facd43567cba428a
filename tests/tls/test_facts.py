"""What is told of a handshake."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from streamproxy.model import ClientAuth, ClientVerification, PeerIdentity, ServerPolicy, TlsFacts
from streamproxy.tls import PeerRefused, handshake_facts
from streamproxy.tls.context import server_context

from .conftest import Pki
from .talk import client_context, client_of, talk


def test_everything_that_was_agreed_on(pki: Pki) -> None:
    demand = ClientVerification(ClientAuth.NEED, (pki.root.der,))
    alice = pki.root.issue("alice", sans=["spiffe://example/alice", "alice@example.com"])
    context = server_context(ServerPolicy((pki.server().pair,), demand, alpn=("mqtt",)))
    went = talk(context, client_of(client_context(version=SSL.TLS1_3_VERSION, alpn=[b"mqtt"]), alice))
    assert handshake_facts(went.server.connection) == TlsFacts(
        version="TLSv1.3",
        cipher="TLS_AES_256_GCM_SHA384",
        alpn="mqtt",
        resumed=False,
        client=PeerIdentity(
            "CN=alice",
            ("URI:spiffe://example/alice", "email:alice@example.com"),
            alice.pair.fingerprint,
            alice.certificate.serial_number,
        ),
    )


def test_a_handshake_of_the_older_kind(pki: Pki) -> None:
    went = talk(
        server_context(ServerPolicy((pki.server().pair,))), client_of(client_context(version=SSL.TLS1_2_VERSION))
    )
    facts = handshake_facts(went.server.connection)
    assert facts == TlsFacts("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")


def test_a_verified_certificate_that_cannot_be_read_is_nobodys(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL reads some that cryptography does not."""
    demand = ClientVerification(ClientAuth.NEED, (pki.root.der,))
    went = talk(server_context(ServerPolicy((pki.server().pair,), demand)), client_of(issued=pki.client()))

    def unreadable(connection: SSL.Connection, *, as_cryptography: bool) -> None:
        raise ValueError("error parsing asn1 value")

    monkeypatch.setattr(SSL.Connection, "get_peer_certificate", unreadable)
    with pytest.raises(PeerRefused, match="cannot be read"):
        handshake_facts(went.server.connection)
