"""Being a client: what is sent, and who is believed."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from streamproxy.model import ClientAuth, ClientPolicy, ClientVerification, ServerPolicy, TlsVersion
from streamproxy.tls import (
    Contexts,
    MaterialError,
    PeerRefused,
    client_connection,
    handshake_facts,
    name_to_send,
    verify_server,
)
from streamproxy.tls.context import server_context
from streamproxy.tls.openssl import is_resumed

from .conftest import Pki
from .pki import CLIENT_ONLY, Issued, self_signed
from .talk import Talk, talk


def serving(issued: Issued, client: ClientVerification = ClientVerification(), **policy: Any) -> SSL.Context:
    return server_context(evolve(ServerPolicy((issued.pair,), client), **policy))


def believing(pki: Pki, server_name: str, **policy: Any) -> ClientPolicy:
    return evolve(ClientPolicy(server_name, ca=(pki.root.der,)), **policy)


def visit(server: SSL.Context, policy: ClientPolicy) -> Talk:
    """Shake hands; where that worked, see who it was."""
    went = talk(server, client_connection(Contexts(), policy))
    if went.client.finished and went.client.error is None:
        verify_server(went.client.connection, policy)
    return went


class TestTheName:
    @pytest.mark.parametrize(
        ("policy", "sent"),
        [
            (ClientPolicy("db.example.com"), "db.example.com"),
            (ClientPolicy("DB.Example.com."), "db.example.com"),
            (ClientPolicy("db.example.com", send_name="apisix_backend"), "apisix_backend"),
            (ClientPolicy("10.0.0.1", send_name="db.example.com"), "db.example.com"),
            (ClientPolicy("b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"), "xn--bcher-kva.example"),
            (ClientPolicy("10.0.0.1"), None),
            (ClientPolicy("2001:db8::1"), None),
            (ClientPolicy("[2001:DB8::1]"), None),
        ],
    )
    def test_is_sent_unless_it_is_an_address(self, pki: Pki, policy: ClientPolicy, sent: str | None) -> None:
        assert name_to_send(policy) == sent
        went = talk(serving(pki.server()), client_connection(Contexts(), evolve(policy, verify=False)))
        assert went.worked
        assert went.server.connection.get_servername() == (None if sent is None else sent.encode())

    @pytest.mark.parametrize("name", ["", "a b", "a\0b", "x" * 300])
    def test_has_to_be_one(self, name: str) -> None:
        with pytest.raises(MaterialError, match="is not a host name"):
            client_connection(Contexts(), ClientPolicy(name))
        with pytest.raises(MaterialError, match="is not a host name"):
            client_connection(Contexts(), ClientPolicy(name, send_name="a.example.com"))
        with pytest.raises(MaterialError, match="is not a host name"):
            client_connection(Contexts(), ClientPolicy("a.example.com", send_name=name))


class TestBelieved:
    @pytest.mark.parametrize(
        ("asked", "sans"),
        [
            ("db.example.com", ["db.example.com"]),
            ("DB.example.com.", ["db.example.com"]),
            ("db.example.com", ["*.example.com"]),
            ("b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", ["xn--bcher-kva.example"]),
            ("my_service", ["my_service"]),
            ("10.0.0.1", ["10.0.0.1"]),
            ("[2001:db8::1]", ["2001:db8::1"]),
        ],
    )
    def test_who_has_the_name(self, pki: Pki, asked: str, sans: list[str]) -> None:
        assert visit(serving(pki.root.issue("x", sans=sans)), believing(pki, asked)).worked

    @pytest.mark.parametrize(
        ("asked", "sans", "but"),
        [
            ("db.example.com", ["other.example.com"], "DNS:other.example.com"),
            ("a.db.example.com", ["*.example.com"], "DNS:*.example.com"),
            ("db.example.com", [], "nobody"),
            ("10.0.0.1", ["10.0.0.2", "db.example.com"], "IP:10.0.0.2, DNS:db.example.com"),
            ("db.example.com", ["10.0.0.1"], "IP:10.0.0.1"),
            ("x", [f"{n}.example" for n in range(7)], ", ".join(f"DNS:{n}.example" for n in range(5)) + " and 2 more"),
        ],
    )
    def test_who_has_another_is_not(self, pki: Pki, asked: str, sans: list[str], but: str) -> None:
        """A common name counts for nothing (RFC 9525): all these have the right one."""
        with pytest.raises(PeerRefused) as raised:
            visit(serving(pki.root.issue(asked, sans=sans)), believing(pki, asked))
        assert raised.value.why == f"the server's certificate is not for {asked}, but for {but}"

    def test_the_name_that_is_verified_is_not_the_one_that_is_sent(self, pki: Pki) -> None:
        server = serving(pki.root.issue("db.example.com"))
        assert visit(server, believing(pki, "db.example.com", send_name="front.example.com")).worked
        with pytest.raises(PeerRefused, match=r"not for front\.example\.com"):
            visit(server, believing(pki, "front.example.com", send_name="db.example.com"))

    def test_a_name_that_cannot_be_compared_is_nobodys(self, pki: Pki) -> None:
        with pytest.raises(PeerRefused, match="cannot be compared with 123"):
            visit(serving(pki.root.issue("db.example.com")), believing(pki, "123"))

    def test_with_its_chain(self, pki: Pki) -> None:
        assert visit(serving(pki.second.issue("db.example.com")), believing(pki, "db.example.com")).worked

    def test_from_an_authority_in_the_middle(self, pki: Pki) -> None:
        policy = believing(pki, "db.example.com", ca=(pki.first.der,))
        assert visit(serving(pki.second.issue("db.example.com")), policy).worked

    def test_by_its_own_certificate(self) -> None:
        issued = self_signed("db.example.com")
        assert visit(serving(issued), ClientPolicy("db.example.com", ca=(issued.der,))).worked

    def test_anybody_when_told_so(self, pki: Pki) -> None:
        assert visit(serving(self_signed("other")), ClientPolicy("db.example.com", verify=False)).worked


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("unknown", "none of the trusted authorities issued it"),
        ("self-signed", "none of the trusted authorities issued it"),
        ("expired", "it has expired"),
        ("for clients", "it is for another purpose"),
    ],
)
def test_who_is_not_believed_by_openssl_never_gets_that_far(pki: Pki, kind: str, why: str) -> None:
    issued = {
        "unknown": pki.stranger.issue("db.example.com"),
        "self-signed": self_signed("db.example.com"),
        "expired": pki.root.issue("db.example.com", valid=(-9, -1)),
        "for clients": pki.root.issue("db.example.com", purpose=CLIENT_ONLY),
    }[kind]
    went = visit(serving(issued), believing(pki, "db.example.com"))
    assert not went.client.finished
    assert went.client.why == f"the server's certificate (CN=db.example.com) is refused: {why}"


class TestSystemAuthorities:
    @pytest.fixture
    def ours(self, pki: Pki, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path_factory.mktemp("system") / "ca.pem"
        file.write_bytes(pki.root.issued.certificate.public_bytes(Encoding.PEM))
        monkeypatch.setenv("SSL_CERT_FILE", str(file))

    @pytest.mark.usefixtures("ours")
    def test_are_trusted_when_none_is_named(self, pki: Pki) -> None:
        assert visit(serving(pki.root.issue("db.example.com")), ClientPolicy("db.example.com")).worked

    @pytest.mark.usefixtures("ours")
    def test_and_not_beside_those_that_are(self, pki: Pki) -> None:
        policy = ClientPolicy("db.example.com", ca=(pki.stranger.der,))
        assert not visit(serving(pki.root.issue("db.example.com")), policy).client.finished

    @pytest.mark.usefixtures("ours")
    def test_nor_ever_for_clients(self, pki: Pki) -> None:
        demand = ClientVerification(ClientAuth.NEED, (pki.stranger.der,))
        policy = believing(pki, "a.example.com", pair=pki.client().pair)
        went = visit(serving(pki.server(), demand), policy)
        assert not went.worked
        assert "none of the trusted authorities issued it" in went.server.why


class TestWhatIsShown:
    def test_a_certificate_of_ones_own(self, pki: Pki) -> None:
        demand = ClientVerification(ClientAuth.NEED, (pki.root.der,))
        policy = believing(pki, "a.example.com", pair=pki.client("one between").pair)
        went = visit(serving(pki.server(), demand), policy)
        assert went.worked, went.server.why
        known = handshake_facts(went.server.connection).client
        assert known is not None
        assert known.subject == "CN=bob"

    def test_protocols(self, pki: Pki) -> None:
        went = visit(serving(pki.server(), alpn=("mqtt",)), believing(pki, "a.example.com", alpn=("h2", "mqtt")))
        assert went.client.connection.get_alpn_proto_negotiated() == b"mqtt"

    @pytest.mark.parametrize(
        ("minimum", "server", "works"),
        [
            (TlsVersion.TLS1_2, TlsVersion.TLS1_1, False),
            (TlsVersion.TLS1_2, TlsVersion.TLS1_2, True),
            (TlsVersion.TLS1_3, TlsVersion.TLS1_2, False),
            (TlsVersion.TLS1_3, TlsVersion.TLS1_3, True),
            (TlsVersion.TLS1_1, TlsVersion.TLS1_1, True),
        ],
    )
    def test_versions(self, pki: Pki, minimum: TlsVersion, server: TlsVersion, works: bool) -> None:
        context = serving(pki.server(), versions=frozenset({server}))
        assert visit(context, believing(pki, "a.example.com", minimum=minimum)).worked is works


def test_nobody_is_believed_whom_openssl_did_not_verify(pki: Pki) -> None:
    """A connection of another policy, or one without a handshake: a mistake in our own house."""
    server = serving(pki.root.issue("db.example.com"))
    policy = believing(pki, "db.example.com")
    lax = talk(server, client_connection(Contexts(), evolve(policy, verify=False)))
    for connection in (lax.client.connection, client_connection(Contexts(), policy)):
        with pytest.raises(PeerRefused, match="was not verified"):
            verify_server(connection, policy)


def test_a_client_takes_up_no_session(pki: Pki) -> None:
    """What it verified once it verifies again."""
    contexts, server = Contexts(), serving(pki.server())
    for _ in range(2):
        went = talk(server, client_connection(contexts, believing(pki, "a.example.com")))
        assert went.worked
        assert not is_resumed(went.client.connection)


def test_what_holds_no_data_ends_a_read(pki: Pki) -> None:
    # Or a server that sends nothing but KeyUpdates would have the process to itself for as long as it does.
    policy = believing(pki, "a.example.com", verify=False)
    ours = client_connection(Contexts(), policy)
    theirs = SSL.Connection(serving(pki.server()), None)
    theirs.set_accept_state()
    with pytest.raises(SSL.WantReadError):
        ours.do_handshake()
    theirs.bio_write(ours.bio_read(1 << 16))
    with pytest.raises(SSL.WantReadError):
        theirs.do_handshake()
    ours.bio_write(theirs.bio_read(1 << 16))
    ours.do_handshake()
    theirs.bio_write(ours.bio_read(1 << 16))
    theirs.do_handshake()
    theirs.send(b"data")
    ours.bio_write(theirs.bio_read(1 << 16))
    for _ in range(2):
        # Tickets come before the data.
        with pytest.raises(SSL.WantReadError):
            ours.recv(100)
    assert ours.recv(100) == b"data"
