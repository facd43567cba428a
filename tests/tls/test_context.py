"""Contexts from policies: what they agree to, what they show, and which are one."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key
from OpenSSL import SSL

from streamproxy.model import (
    ClientAuth,
    ClientPolicy,
    ClientVerification,
    KeyPair,
    ServerPolicy,
    TlsVersion,
)
from streamproxy.tls import Contexts, MaterialError, PeerRefused, handshake_facts
from streamproxy.tls.context import MAX_AGE, client_context, server_context

from . import talk as talking
from .conftest import Pki
from .pki import Authority, Issued, rsa_key, self_signed
from .talk import client_of, talk

TLS1_1, TLS1_2, TLS1_3 = TlsVersion.TLS1_1, TlsVersion.TLS1_2, TlsVersion.TLS1_3


def policy(
    *issued: Issued, versions: Iterable[TlsVersion] = (TLS1_2, TLS1_3), alpn: tuple[str, ...] = ()
) -> ServerPolicy:
    return ServerPolicy(tuple(each.pair for each in issued), versions=frozenset(versions), alpn=alpn)


class TestVersions:
    @pytest.mark.parametrize(
        ("allowed", "spoken"),
        [
            ((TLS1_2, TLS1_3), {TLS1_2, TLS1_3}),
            ((TLS1_2,), {TLS1_2}),
            ((TLS1_3,), {TLS1_3}),
            ((TLS1_1,), {TLS1_1}),
            ((TLS1_1, TLS1_3), {TLS1_1, TLS1_3}),
            ((TLS1_1, TLS1_2, TLS1_3), {TLS1_1, TLS1_2, TLS1_3}),
        ],
    )
    def test_those_allowed_are_spoken_and_no_others(
        self, pki: Pki, allowed: tuple[TlsVersion, ...], spoken: set[TlsVersion]
    ) -> None:
        context = server_context(policy(pki.server(), versions=allowed))
        worked = set()
        for version in TlsVersion:
            client = talking.client_context(version=version, ciphers=b"ALL@SECLEVEL=0")
            if talk(context, client_of(client)).worked:
                worked.add(version)
        assert worked == spoken

    def test_nothing_below_1_2_by_default(self, pki: Pki) -> None:
        context = server_context(ServerPolicy((pki.server().pair,)))
        for version in (SSL.TLS1_VERSION, SSL.TLS1_1_VERSION):
            went = talk(context, client_of(talking.client_context(version=version, ciphers=b"ALL@SECLEVEL=0")))
            assert not went.worked
            assert went.server.why == "unsupported protocol"

    def test_at_least_one_has_to_be_allowed(self, pki: Pki) -> None:
        with pytest.raises(MaterialError, match="no version of TLS"):
            server_context(policy(pki.server(), versions=()))


class TestCiphers:
    def test_all_are_forward_secret_and_authenticated(self, pki: Pki) -> None:
        for context in (server_context(policy(pki.server())), client_context(ClientPolicy("a.example.com"))):
            for cipher in SSL.Connection(context, None).get_cipher_list():
                assert cipher.startswith(("ECDHE-", "TLS_")), cipher
                assert "GCM" in cipher or "POLY1305" in cipher, cipher

    @pytest.mark.parametrize(
        "weak",
        ["AES128-GCM-SHA256", "AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "NULL", "aNULL"],
    )
    def test_a_client_that_has_nothing_better_is_refused(self, pki: Pki, weak: str) -> None:
        both = policy(pki.root.issue("a.example.com", rsa_key()), pki.server())
        client = talking.client_context(version=SSL.TLS1_2_VERSION, ciphers=f"{weak}@SECLEVEL=0".encode())
        went = talk(server_context(both), client_of(client))
        assert not went.worked
        assert went.server.why == "no shared cipher"

    def test_the_server_chooses(self, pki: Pki) -> None:
        ciphers = b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
        client = talking.client_context(version=SSL.TLS1_2_VERSION, ciphers=ciphers)
        went = talk(server_context(policy(pki.server())), client_of(client))
        assert handshake_facts(went.server.connection).cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"

    @pytest.mark.parametrize(
        ("group", "known"), [(b"X25519", True), (b"P-256", True), (b"P-384", True), (b"P-521", False), (b"X448", False)]
    )
    def test_a_costly_key_exchange_is_not_to_be_had(self, pki: Pki, group: bytes, known: bool) -> None:
        client = talking.client_context()
        assert SSL._lib.SSL_CTX_set1_curves_list(client._context, group) == 1  # type: ignore[attr-defined]
        assert talk(server_context(policy(pki.server())), client_of(client)).worked is known

    def test_what_both_know_of_post_quantum_key_exchange_is_used(self, pki: Pki) -> None:
        client = talking.client_context()
        if SSL._lib.SSL_CTX_set1_curves_list(client._context, b"X25519MLKEM768") != 1:  # type: ignore[attr-defined]
            pytest.skip("this OpenSSL does not know it")
        assert talk(server_context(policy(pki.server())), client_of(client)).worked


def test_nobody_renegotiates_or_compresses(pki: Pki) -> None:
    context = server_context(policy(pki.server()))
    for option in (SSL.OP_NO_RENEGOTIATION, SSL.OP_NO_COMPRESSION, SSL.OP_CIPHER_SERVER_PREFERENCE):
        assert context.set_options(0) & option
    went = talk(context, client_of(talking.client_context(version=SSL.TLS1_2_VERSION)))
    went.client.connection.renegotiate()
    went.client.finished = False
    talking._shuttle(went, 1 << 16)
    assert went.client.why == "no renegotiation"


def test_writes_are_whole_and_may_move_and_idle_connections_hold_no_buffers(pki: Pki) -> None:
    partial, moving = 0x1, 0x2
    for context in (server_context(policy(pki.server())), client_context(ClientPolicy("a.example.com"))):
        wanted = moving | SSL.MODE_RELEASE_BUFFERS
        assert context.set_mode(0) & (wanted | partial) == wanted


class TestPairs:
    """A client that knows but one kind of signature gets the certificate of that kind, with its own chain."""

    @pytest.fixture
    def over_rsa(self, pki: Pki) -> Issued:
        return pki.root.intermediate("RSA Issuing", rsa_key(1)).issue("a.example.com", rsa_key())

    @pytest.fixture
    def over_ec(self, pki: Pki) -> Issued:
        return pki.root.intermediate("EC Issuing").intermediate("EC Issuing 2").issue("a.example.com")

    def shown(self, server: ServerPolicy, kind: str, version: int) -> list[bytes]:
        client = talking.client_context(version=version)
        signatures = {"rsa": b"rsa_pss_rsae_sha256:rsa_pkcs1_sha256", "ec": b"ecdsa_secp256r1_sha256"}[kind]
        assert SSL._lib.SSL_CTX_set1_sigalgs_list(client._context, signatures) == 1  # type: ignore[attr-defined]
        went = talk(server_context(server), client_of(client))
        assert went.worked, (went.server.why, went.client.why)
        return went.shown()

    @pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
    def test_each_comes_with_its_own_chain(self, over_rsa: Issued, over_ec: Issued, version: int) -> None:
        for both in (policy(over_rsa, over_ec), policy(over_ec, over_rsa)):
            assert self.shown(both, "rsa", version) == list(over_rsa.pair.chain)
            assert self.shown(both, "ec", version) == list(over_ec.pair.chain)

    @pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
    def test_or_with_none(self, pki: Pki, over_rsa: Issued, version: int) -> None:
        alone = pki.root.issue("a.example.com")
        both = policy(over_rsa, alone)
        assert self.shown(both, "rsa", version) == list(over_rsa.pair.chain)
        assert self.shown(both, "ec", version) == [alone.der]

    def test_no_chain_is_made_up_from_whom_clients_come_from(self, pki: Pki) -> None:
        leaf = pki.first.issue("a.example.com")
        alone = Issued(leaf.certificate, leaf.key)
        server = ServerPolicy((alone.pair,), ClientVerification(ClientAuth.WANT, (pki.first.der, pki.root.der)))
        assert talk(server_context(server), client_of()).shown() == [alone.der]

    def test_of_one_kind_the_last_is_shown(self, pki: Pki) -> None:
        old, new = pki.root.issue("a.example.com"), pki.first.issue("a.example.com")
        assert self.shown(policy(old, new), "ec", SSL.TLS1_3_VERSION) == list(new.pair.chain)

    @pytest.mark.parametrize("key", [ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
    def test_other_curves_sign_too(self, pki: Pki, key: ec.EllipticCurve) -> None:
        issued = pki.root.issue("a.example.com", ec.generate_private_key(key))
        assert talk(server_context(policy(issued)), client_of()).worked


class TestUnusable:
    def test_there_has_to_be_a_certificate(self) -> None:
        with pytest.raises(MaterialError, match="no certificate to show"):
            server_context(ServerPolicy(()))

    def test_a_key_has_to_fit(self, pki: Pki) -> None:
        wrong = KeyPair((pki.server().der,), pki.client().key_der)
        with pytest.raises(MaterialError, match=f"OpenSSL refuses the certificate {wrong.fingerprint}"):
            server_context(ServerPolicy((wrong,)))

    @pytest.mark.parametrize("pair", [KeyPair((b"0\x03abc",), b""), KeyPair((b"",), b"")], ids=["garbage", "nothing"])
    def test_certificates_have_to_be_readable(self, pair: KeyPair) -> None:
        with pytest.raises(MaterialError, match="cannot be read"):
            server_context(ServerPolicy((pair,)))

    def test_so_do_keys_and_they_stay_secret(self, pki: Pki) -> None:
        pair = KeyPair((pki.server().der,), b"0\x06secret")
        with pytest.raises(MaterialError, match="the private key cannot be read") as raised:
            client_context(ClientPolicy("a.example.com", pair=pair))
        assert "secret" not in str(raised.value)

    def test_a_certificate_that_openssl_finds_too_weak_is_refused(self) -> None:
        weak = self_signed("a.example.com", rsa_key(0, 1024))
        with pytest.raises(MaterialError, match="too weak"):
            server_context(policy(weak))

    @pytest.mark.parametrize("protocol", ["", "x" * 256, "\N{SNOWMAN}"])
    def test_a_protocol_has_a_name(self, pki: Pki, protocol: str) -> None:
        with pytest.raises(MaterialError, match="ALPN"):
            server_context(policy(pki.server(), alpn=("h2", protocol)))
        with pytest.raises(MaterialError, match="ALPN"):
            client_context(ClientPolicy("a.example.com", alpn=(protocol,)))


class TestAlpn:
    def agreed(self, pki: Pki, ours: tuple[str, ...], theirs: list[bytes]) -> talking.Talk:
        server = server_context(policy(pki.server(), alpn=ours))
        return talk(server, client_of(talking.client_context(alpn=theirs)))

    def test_our_first_that_the_client_offers_too(self, pki: Pki) -> None:
        went = self.agreed(pki, ("mqtt", "h2", "http/1.1"), [b"http/1.1", b"h2"])
        assert went.worked
        assert handshake_facts(went.server.connection).alpn == "h2"

    def test_a_client_that_offers_none_gets_none(self, pki: Pki) -> None:
        went = self.agreed(pki, ("mqtt",), [])
        assert went.worked
        assert handshake_facts(went.server.connection).alpn is None

    def test_without_protocols_of_our_own_there_is_no_agreement(self, pki: Pki) -> None:
        went = self.agreed(pki, (), [b"h2"])
        assert went.worked
        assert handshake_facts(went.server.connection).alpn is None

    def test_a_client_that_offers_only_others_is_refused(self, pki: Pki) -> None:
        went = self.agreed(pki, ("mqtt",), [b"h2", b"http/1.1"])
        assert isinstance(went.server.error, PeerRefused)
        assert "none of the application protocols" in went.server.why
        assert "no application protocol" in went.client.why

    def test_and_leaves_nothing_behind_for_the_next(self, pki: Pki) -> None:
        server = server_context(policy(pki.server(), alpn=("mqtt",)))
        for offered, let_in in [(b"h2", False), (b"mqtt", True), (b"h2", False), (b"mqtt", True)]:
            assert talk(server, client_of(talking.client_context(alpn=[offered]))).worked is let_in


class TestContexts:
    def test_equal_policies_have_one_context(self, pki: Pki) -> None:
        contexts = Contexts()
        assert contexts.server(policy(pki.server())) is contexts.server(policy(pki.server()))
        assert contexts.server(policy(pki.server(), alpn=("h2",))) is not contexts.server(policy(pki.server()))
        assert len(contexts) == 2

    def test_names_of_servers_make_no_difference(self) -> None:
        contexts = Contexts()
        one = contexts.client(ClientPolicy("a.example.com"))
        assert contexts.client(ClientPolicy("b.example.com", send_name="c.example.com")) is one
        assert contexts.client(ClientPolicy("a.example.com", verify=False)) is not one

    def test_clients_take_no_room_from_servers(self, pki: Pki) -> None:
        contexts = Contexts(limit=1, client_limit=1)
        server = contexts.server(policy(pki.server()))
        for verify in (True, False, True):
            contexts.client(ClientPolicy("a.example.com", verify=verify))
        assert len(contexts) == 2
        assert contexts.server(policy(pki.server())) is server

    def test_only_so_many_are_kept_and_the_used_ones_stay(self, pki: Pki) -> None:
        contexts = Contexts(limit=2)
        policies = [policy(pki.server(), alpn=(protocol,)) for protocol in ("a", "b", "c")]
        first, second = contexts.server(policies[0]), contexts.server(policies[1])
        assert contexts.server(policies[0]) is first
        contexts.server(policies[2])
        assert len(contexts) == 2
        assert contexts.server(policies[0]) is first, "it was used last"
        assert contexts.server(policies[1]) is not second, "it had not been used for longest"

    def test_they_are_made_anew_after_a_while(self, pki: Pki) -> None:
        now = [0.0]
        contexts = Contexts(clock=lambda: now[0])
        first = contexts.server(policy(pki.server()))
        now[0] = MAX_AGE
        assert contexts.server(policy(pki.server())) is not first
        assert len(contexts) == 1

    def test_what_cannot_work_is_not_kept(self, pki: Pki) -> None:
        contexts = Contexts()
        broken = ServerPolicy((pki.server().pair,), ClientVerification(ClientAuth.NEED))
        for _ in range(2):
            with pytest.raises(MaterialError):
                contexts.server(broken)
        assert len(contexts) == 0

    def test_a_context_in_use_cannot_be_changed(self, pki: Pki) -> None:
        context = Contexts().server(policy(pki.server()))
        talk(context, client_of())
        with pytest.raises(ValueError, match="cannot be mutated"):
            context.set_verify(SSL.VERIFY_NONE)

    def test_secrets_are_told_to_who_asks_for_them_and_to_nobody_else(
        self, pki: Pki, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        file = tmp_path_factory.mktemp("keys") / "log"
        monkeypatch.setenv("SSLKEYLOGFILE", str(file))
        lines: list[bytes] = []
        talk(Contexts().server(policy(pki.server())), client_of())
        assert not file.exists()
        assert lines == []
        assert talk(Contexts(keylog=lines.append).server(policy(pki.server())), client_of()).worked
        assert {line.split()[0] for line in lines} >= {b"CLIENT_TRAFFIC_SECRET_0", b"SERVER_TRAFFIC_SECRET_0"}
        assert not file.exists()


def test_an_rsa_key_is_not_examined_again_and_again(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take 60 ms each time, which is what a handshake with a name not seen for long would wait for."""
    examined: list[bool] = []

    def watched(data: bytes, password: bytes | None, *, unsafe_skip_rsa_key_validation: bool = False) -> object:
        examined.append(not unsafe_skip_rsa_key_validation)
        return load_der_private_key(data, password, unsafe_skip_rsa_key_validation=unsafe_skip_rsa_key_validation)

    monkeypatch.setattr("streamproxy.tls.material.load_der_private_key", watched)
    issued = pki.root.issue("a.example.com", rsa_key())
    assert isinstance(issued.key, rsa.RSAPrivateKey)
    server_context(policy(issued))
    assert examined == [False]


def test_authorities_that_issue_with_rsa_are_trusted_like_others(pki: Pki) -> None:
    authority = Authority.root("RSA Root", rsa_key(2))
    server = ServerPolicy((pki.server().pair,), ClientVerification(ClientAuth.NEED, (authority.der,)))
    assert talk(server_context(server), client_of(issued=authority.issue("alice"))).worked
