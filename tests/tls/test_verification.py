"""Who gets in: every kind of client against every kind of demand, in both versions of TLS."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from streamproxy.model import ClientAuth, ClientVerification, ServerPolicy, TlsVersion
from streamproxy.tls import MaterialError, PeerRefused, handshake_facts
from streamproxy.tls.context import server_context
from streamproxy.tls.verification import MAX_HINTED, MAX_SUBJECT

from .conftest import Pki
from .pki import BROKEN_UTF8, LATIN_T61, Authority, Issued, with_subject
from .talk import Talk, client_context, client_of, talk

NEED, WANT, NONE = ClientAuth.NEED, ClientAuth.WANT, ClientAuth.NONE

VERSIONS = pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])

NOT_ISSUED = "none of the trusted authorities issued it"


def demanding(pki: Pki, verification: ClientVerification) -> SSL.Context:
    return server_context(ServerPolicy((pki.server().pair,), verification))


def attempt(
    pki: Pki, verification: ClientVerification, issued: Issued | None, version: int | None = None, piece: int = 1 << 16
) -> Talk:
    client = client_of(client_context(version=version, ciphers=b"DEFAULT@SECLEVEL=0"), issued)
    return talk(demanding(pki, verification), client, piece=piece)


@VERSIONS
@pytest.mark.parametrize("auth", [NEED, WANT])
@pytest.mark.parametrize("kind", ["good", "one between", "two between"])
def test_a_certificate_of_the_authority_is_let_in(pki: Pki, kind: str, auth: ClientAuth, version: int) -> None:
    went = attempt(pki, ClientVerification(auth, (pki.root.der,)), pki.client(kind), version)
    assert went.worked, went.server.why
    known = handshake_facts(went.server.connection).client
    assert known is not None
    assert known.fingerprint == pki.client(kind).pair.fingerprint


@VERSIONS
@pytest.mark.parametrize("auth", [NEED, WANT])
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("expired", "the client's certificate (CN=dave) is refused: it has expired"),
        ("not yet", "the client's certificate (CN=erin) is refused: it is not valid yet"),
        ("unknown", f"the client's certificate (CN=mallory) is refused: {NOT_ISSUED}"),
        ("self-signed", f"the client's certificate (CN=mallory) is refused: {NOT_ISSUED}"),
        ("for servers", "the client's certificate (CN=frank) is refused: it is for another purpose"),
        ("of nobody", "a certificate above the client's (CN=grace) is refused: it is not that of an authority"),
        ("weak", "the client's certificate (CN=heidi) is refused: its key is too weak"),
    ],
)
def test_a_bad_certificate_is_not(pki: Pki, kind: str, why: str, auth: ClientAuth, version: int) -> None:
    went = attempt(pki, ClientVerification(auth, (pki.root.der,)), pki.client(kind), version)
    assert not went.worked, f"{kind} came through"
    assert went.server.why == why
    assert "alert" in went.client.why, "the client was not told"


@VERSIONS
@pytest.mark.parametrize(("auth", "let_in"), [(NEED, False), (WANT, True), (NONE, True)])
def test_no_certificate_at_all(pki: Pki, auth: ClientAuth, let_in: bool, version: int) -> None:
    went = attempt(pki, ClientVerification(auth, (pki.root.der,)), None, version)
    assert went.worked is let_in, went.server.why
    if let_in:
        assert handshake_facts(went.server.connection).client is None
    else:
        assert went.server.why == "peer did not return a certificate"


@VERSIONS
def test_where_nobody_asks_nobody_is_known(pki: Pki, version: int) -> None:
    went = attempt(pki, ClientVerification(), pki.client("unknown"), version)
    assert went.worked, went.server.why
    assert handshake_facts(went.server.connection).client is None


@VERSIONS
@pytest.mark.parametrize(
    ("trusted", "kind", "between"),
    [
        ("root", "good", 0),
        ("root", "one between", 1),
        ("root", "two between", 2),
        ("first", "one between", 0),
        ("first", "two between", 1),
        ("second", "two between", 0),
    ],
)
def test_depth_is_how_many_may_stand_between(pki: Pki, trusted: str, kind: str, between: int, version: int) -> None:
    authority: Authority = getattr(pki, trusted)
    for depth in range(4):
        verification = ClientVerification(NEED, (authority.der,), depth)
        went = attempt(pki, verification, pki.client(kind), version)
        assert went.worked is (between <= depth), f"depth {depth}: {went.server.why or 'came through'}"
        if not went.worked:
            assert "is refused" in went.server.why


def test_any_depth_is_a_depth_but_not_a_negative_one(pki: Pki) -> None:
    deep = attempt(pki, ClientVerification(NEED, (pki.root.der,), 1 << 80), pki.client("two between"))
    assert deep.worked, deep.server.why
    with pytest.raises(MaterialError, match="fewer than no certificates"):
        demanding(pki, ClientVerification(NEED, (pki.root.der,), -1))


@VERSIONS
def test_an_authority_in_the_middle_can_be_the_trusted_one(pki: Pki, version: int) -> None:
    verification = ClientVerification(NEED, (pki.first.der,))
    assert attempt(pki, verification, pki.client("one between"), version).worked
    above = attempt(pki, verification, pki.client("good"), version)
    assert not above.worked, "the root is not trusted, only one below it"
    assert NOT_ISSUED in above.server.why


def test_the_shorter_way_is_taken_when_both_ends_of_it_are_trusted(pki: Pki) -> None:
    for order in ((pki.root.der, pki.first.der), (pki.first.der, pki.root.der)):
        assert attempt(pki, ClientVerification(NEED, order, 1), pki.client("two between")).worked


def test_a_certificate_without_its_chain_is_not_completed_from_elsewhere(pki: Pki) -> None:
    alone = Issued(pki.client("one between").certificate, pki.client("one between").key)
    went = attempt(pki, ClientVerification(NEED, (pki.root.der,)), alone)
    assert not went.worked
    assert NOT_ISSUED in went.server.why


@pytest.mark.parametrize("auth", [NEED, WANT])
def test_verifying_by_nobody_is_refused_before_any_client_comes(pki: Pki, auth: ClientAuth) -> None:
    with pytest.raises(MaterialError, match="no authority is named"):
        demanding(pki, ClientVerification(auth))


@pytest.mark.parametrize("authority", [b"", b"0\x03garbage", with_subject(BROKEN_UTF8).der], ids=["no", "bad", "odd"])
def test_an_unreadable_authority_is_refused(pki: Pki, authority: bytes) -> None:
    with pytest.raises(MaterialError, match="cannot be read"):
        demanding(pki, ClientVerification(NEED, (authority,)))


@VERSIONS
def test_a_name_that_only_openssl_can_read_stands_in_nobodys_way(pki: Pki, version: int) -> None:
    odd = with_subject(LATIN_T61)
    trusted = attempt(pki, ClientVerification(NEED, (odd.der,)), odd, version)
    assert trusted.worked, trusted.server.why
    assert handshake_facts(trusted.server.connection).client is not None
    stranger = attempt(pki, ClientVerification(NEED, (pki.root.der,)), odd, version)
    assert stranger.server.why == f"the client's certificate (unreadable) is refused: {NOT_ISSUED}"


def test_an_unreadable_revocation_list_is_refused(pki: Pki) -> None:
    with pytest.raises(MaterialError, match="revocation list cannot be read"):
        demanding(pki, ClientVerification(NEED, (pki.root.der,), crls=(b"0\x03garbage",)))


class TestRevocation:
    @VERSIONS
    def test_whose_certificate_was_revoked_stays_out(self, pki: Pki, version: int) -> None:
        lists = (pki.root.revoke(pki.client("good")),)
        verification = ClientVerification(NEED, (pki.root.der,), crls=lists)
        went = attempt(pki, verification, pki.client("good"), version)
        assert went.server.why == "the client's certificate (CN=alice) is refused: it was revoked"
        assert attempt(pki, verification, pki.root.issue("bob"), version).worked, "the others are not revoked"

    @VERSIONS
    def test_so_does_whoever_has_theirs_from_a_revoked_authority(self, pki: Pki, version: int) -> None:
        lists = (pki.root.revoke(pki.first), pki.first.revoke())
        verification = ClientVerification(NEED, (pki.root.der,), crls=lists)
        went = attempt(pki, verification, pki.client("one between"), version)
        assert went.server.why == "a certificate above the client's (CN=First) is refused: it was revoked"

    def test_every_authority_on_the_way_needs_a_list(self, pki: Pki) -> None:
        verification = ClientVerification(NEED, (pki.root.der,), crls=(pki.root.revoke(),))
        went = attempt(pki, verification, pki.client("one between"))
        assert "there is no revocation list of its issuer" in went.server.why

    def test_a_list_that_is_out_of_date_lets_nobody_in(self, pki: Pki) -> None:
        verification = ClientVerification(NEED, (pki.root.der,), crls=(pki.root.revoke(days=(-9, -1)),))
        went = attempt(pki, verification, pki.client("good"))
        assert "the revocation list of its issuer is out of date" in went.server.why

    def test_a_list_that_somebody_else_signed_does_not_count(self, pki: Pki) -> None:
        forged = Authority.root("Root").revoke()
        went = attempt(pki, ClientVerification(NEED, (pki.root.der,), crls=(forged,)), pki.client("good"))
        assert "the revocation list of its issuer has a wrong signature" in went.server.why

    @VERSIONS
    @pytest.mark.parametrize("piece", [1, 1 << 16], ids=["bytewise", "at once"])
    @pytest.mark.parametrize("of_root_too", [False, True])
    def test_a_trusted_authority_below_a_root_needs_none_of_its_own(
        self, pki: Pki, of_root_too: bool, piece: int, version: int
    ) -> None:
        """OpenSSL looks for the root's list, and for the root to verify it by. Bytewise shows errors left behind."""
        lists = (pki.first.revoke(), *([pki.root.revoke()] if of_root_too else []))
        verification = ClientVerification(NEED, (pki.first.der,), crls=lists)
        went = attempt(pki, verification, pki.client("one between"), version, piece)
        assert went.worked, went.server.why

    @VERSIONS
    def test_yet_it_is_out_when_a_list_says_so(self, pki: Pki, version: int) -> None:
        lists = (pki.first.revoke(), pki.root.revoke(pki.first))
        verification = ClientVerification(NEED, (pki.first.der,), crls=lists)
        went = attempt(pki, verification, pki.client("one between"), version)
        assert not went.worked
        assert "it was revoked" in went.server.why

    def test_and_its_own_list_is_heeded(self, pki: Pki) -> None:
        lists = (pki.first.revoke(pki.client("one between")),)
        verification = ClientVerification(NEED, (pki.first.der,), crls=lists)
        went = attempt(pki, verification, pki.client("one between"))
        assert went.server.why == "the client's certificate (CN=bob) is refused: it was revoked"


class TestHints:
    def test_a_client_is_told_which_authorities_would_do(self, pki: Pki) -> None:
        went = attempt(pki, ClientVerification(WANT, (pki.root.der, pki.stranger.der)), None)
        assert [name.commonName for name in went.client.connection.get_client_ca_list()] == ["Root", "Stranger"]

    def test_unless_there_are_too_many_to_tell(self, pki: Pki) -> None:
        many = [Authority.root(f"Authority {number}") for number in range(MAX_HINTED // len(pki.root.der) + 1)]
        verification = ClientVerification(NEED, (pki.root.der, *(authority.der for authority in many)))
        went = attempt(pki, verification, pki.client("good"))
        assert went.worked, went.server.why
        assert went.client.connection.get_client_ca_list() == []
        assert attempt(pki, verification, many[-1].issue("bob")).worked, "but all are trusted"


def test_a_refusal_is_an_openssl_error_too(pki: Pki) -> None:
    went = attempt(pki, ClientVerification(NEED, (pki.root.der,)), pki.client("unknown"))
    assert isinstance(went.server.error, PeerRefused)
    assert isinstance(went.server.error, SSL.Error)


def test_one_refused_client_leaves_nothing_behind_for_the_next(pki: Pki) -> None:
    context = demanding(pki, ClientVerification(NEED, (pki.root.der,)))
    for kind, let_in in [("unknown", False), ("good", True), ("expired", False), ("good", True)]:
        assert talk(context, client_of(issued=pki.client(kind))).worked is let_in, kind


def test_a_subject_of_any_length_is_told_in_few_characters(pki: Pki) -> None:
    long = pki.stranger.issue("m" * 2000, sans=["mallory"])
    went = attempt(pki, ClientVerification(NEED, (pki.root.der,)), long)
    assert MAX_SUBJECT < len(went.server.why) < MAX_SUBJECT + 100


def test_tls_1_1_does_not_go_with_client_certificates(pki: Pki) -> None:
    versions = frozenset({TlsVersion.TLS1_1, TlsVersion.TLS1_2})
    verification = ClientVerification(WANT, (pki.root.der,))
    with pytest.raises(MaterialError, match=r"TLS 1\.1"):
        server_context(ServerPolicy((pki.server().pair,), verification, versions))
