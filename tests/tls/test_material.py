"""What users have in their files, and what is made of it."""

from __future__ import annotations

import contextlib
import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import example, given
from hypothesis import strategies as st

from streamproxy.tls import MaterialError, certificates, crls, key_pair
from streamproxy.tls.material import MAX_CHAIN, MAX_CRLS, MAX_PEM, MAX_RSA_BITS

from .conftest import Pki
from .pki import LATIN_T61, Authority, Issued, altered, rsa_key, said_to_use_sha1, self_signed

RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")
SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b")
UNKNOWN = bytes.fromhex("06092a864886f70d010177")
RSA_WITH_NULL = RSA_ENCRYPTION + bytes.fromhex("0500")
PSS_WITH_DEFAULTS = bytes.fromhex("06092a864886f70d01010a3000")


def encrypted(issued: Issued, password: bytes) -> bytes:
    return issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))


def pem_of(*issued: Issued) -> bytes:
    return b"".join(each.pem for each in issued)


class TestKeyPair:
    def test_a_certificate_and_its_key(self, pki: Pki) -> None:
        issued = pki.server()
        assert key_pair(issued.pem, issued.key_pem) == issued.pair

    def test_both_may_be_der(self, pki: Pki) -> None:
        issued = pki.server()
        assert key_pair(issued.der, issued.key_der) == issued.pair
        assert key_pair(issued.der, issued.key_pem) == issued.pair

    def test_both_may_be_in_one_file_with_words_around_them(self, pki: Pki) -> None:
        issued = pki.server()
        file = b"subject=/CN=a.example.com\n" + issued.key_pem + b"\nissuer=...\n" + issued.pem
        assert key_pair(file, file) == issued.pair

    @pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8], ids=["old", "new"])
    def test_a_key_may_come_in_either_format(self, pki: Pki, form: PrivateFormat) -> None:
        for issued in (pki.server(), pki.root.issue("a.example.com", rsa_key())):
            key = issued.key.private_bytes(Encoding.PEM, form, NoEncryption())
            assert key_pair(issued.pem, key) == issued.pair

    def test_the_parameters_that_openssl_writes_in_front_are_skipped(self, pki: Pki) -> None:
        issued = pki.server()
        key = issued.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        assert key_pair(issued.pem, parameters + key) == issued.pair

    @given(order=st.permutations(range(6)))
    def test_the_chain_is_put_in_order_and_what_is_no_part_of_it_left_out(self, pki: Pki, order: list[int]) -> None:
        leaf = pki.second.issue("a.example.com")
        file = [leaf, pki.second.issued, pki.first.issued, pki.root.issued, pki.stranger.issued, pki.server()]
        pair = key_pair(pem_of(*(file[index] for index in order)), leaf.key_pem)
        assert pair.chain == (leaf.der, pki.second.der, pki.first.der, pki.root.der)

    def test_a_chain_with_a_gap_ends_there(self, pki: Pki) -> None:
        leaf = pki.second.issue("a.example.com")
        assert key_pair(pem_of(leaf, pki.first.issued), leaf.key_pem).chain == (leaf.der,)

    def test_what_is_given_twice_counts_once(self, pki: Pki) -> None:
        leaf = pki.first.issue("a.example.com")
        twice = pem_of(leaf, pki.root.issued, leaf, pki.first.issued, pki.root.issued)
        assert key_pair(twice, leaf.key_pem).chain == (leaf.der, pki.first.der, pki.root.der)

    def test_an_issuer_is_known_by_its_signature_and_not_by_its_name(self, pki: Pki) -> None:
        leaf = pki.first.issue("a.example.com")
        namesake = pki.stranger.intermediate("First")
        assert key_pair(pem_of(leaf, namesake.issued, pki.first.issued), leaf.key_pem).chain[1] == pki.first.der

    def test_a_self_signed_certificate_is_its_own_chain(self) -> None:
        issued = self_signed("a.example.com")
        assert key_pair(issued.pem, issued.key_pem) == issued.pair

    def test_two_that_signed_each_other_make_no_endless_chain(self) -> None:
        first, second = Authority.root("One"), Authority.root("Two")
        across = [first.intermediate("Two", second.issued.key), second.intermediate("One", first.issued.key)]
        pair = key_pair(pem_of(*(authority.issued for authority in across)), second.issued.key_pem)
        assert pair.chain == (across[0].der, across[1].der)

    @pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()])
    def test_edwards_curves_will_do(self, pki: Pki, key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) -> None:
        issued = pki.root.issue("a.example.com", key)
        assert key_pair(issued.pem, issued.key_pem) == issued.pair

    def test_a_key_with_a_password(self, pki: Pki) -> None:
        issued = pki.server()
        assert key_pair(issued.pem, encrypted(issued, b"sesame"), b"sesame") == issued.pair

    def test_a_password_that_is_not_needed_does_no_harm(self, pki: Pki) -> None:
        issued = pki.server()
        assert key_pair(issued.pem, issued.key_pem, b"sesame") == issued.pair

    def test_dates_are_not_looked_at(self, pki: Pki) -> None:
        expired = pki.client("expired")
        assert key_pair(expired.pem, expired.key_pem) == expired.pair


class TestRefusedPairs:
    def test_a_key_that_belongs_to_another_certificate(self, pki: Pki) -> None:
        with pytest.raises(MaterialError, match=r"^the private key does not belong to the certificate$"):
            key_pair(pki.server().pem, pki.client().key_pem)
        with pytest.raises(MaterialError, match=r"^the private key belongs to none of the 2 certificates$"):
            key_pair(pem_of(pki.server(), pki.root.issued), pki.client().key_pem)

    def test_it_is_a_value_error(self, pki: Pki) -> None:
        with pytest.raises(ValueError, match="does not belong"):
            key_pair(pki.server().pem, pki.client().key_pem)

    def test_no_certificate(self, pki: Pki) -> None:
        with pytest.raises(MaterialError, match="there is no certificate in what was given"):
            key_pair(pki.server().key_pem, pki.server().key_pem)
        for nothing in (b"", b"hello", b"-----BEGIN CERTIFICATE-----\n", pki.server().pem[:200], pki.server().der[:-1]):
            with pytest.raises(MaterialError, match="the certificate cannot be read"):
                key_pair(nothing, pki.server().key_pem)

    def test_no_key(self, pki: Pki) -> None:
        for nothing in (b"", b"hello", pki.server().pem, pki.server().key_pem[:60], pki.server().key_der[:-1]):
            with pytest.raises(MaterialError, match=r"^the private key cannot be read$"):
                key_pair(pki.server().pem, nothing)

    def test_a_key_whose_password_is_missing_or_wrong(self, pki: Pki) -> None:
        issued = pki.server()
        with pytest.raises(MaterialError, match="is encrypted, and there is no password"):
            key_pair(issued.pem, encrypted(issued, b"sesame"))
        with pytest.raises(MaterialError, match=r"^the private key or its password is wrong$") as raised:
            key_pair(issued.pem, encrypted(issued, b"sesame"), b"barley")
        assert "barley" not in repr(raised.value)

    def test_a_weak_key(self) -> None:
        issued = self_signed("a.example.com", rsa_key(0, 1024))
        with pytest.raises(MaterialError, match="an RSA key of 1024 bits is too weak"):
            key_pair(issued.pem, issued.key_pem)

    def test_a_slow_key(self, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("streamproxy.tls.material.MAX_RSA_BITS", 2047)
        assert MAX_RSA_BITS > 4096, "in earnest, that is"
        issued = pki.root.issue("a.example.com", rsa_key())
        with pytest.raises(MaterialError, match="an RSA key of 2048 bits is too slow; at most 2047"):
            key_pair(issued.pem, issued.key_pem)

    @pytest.mark.parametrize(
        ("key", "why"),
        [
            (ec.generate_private_key(ec.SECP256K1()), "the curve secp256k1"),
            (dsa.generate_private_key(2048), "of a kind that is not supported"),
        ],
        ids=["curve", "dsa"],
    )
    def test_a_kind_of_key_that_tls_does_not_know(
        self, pki: Pki, key: ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey, why: str
    ) -> None:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(MaterialError, match=why):
            key_pair(pki.server().pem, pem)

    def test_a_signature_that_nobody_takes_for_one(self) -> None:
        issued = said_to_use_sha1(Authority.root("Old Root", rsa_key()).issue("a.example.com"))
        with pytest.raises(MaterialError, match="signed with SHA1"):
            key_pair(issued.pem, issued.key_pem)

    def test_a_root_may_be_signed_as_it_likes(self) -> None:
        root = Authority.root("Old Root", rsa_key())
        leaf, old = root.issue("a.example.com"), said_to_use_sha1(root.issued)
        assert key_pair(leaf.pem + old.pem, leaf.key_pem).chain == (leaf.der, old.der)

    def test_a_signature_of_an_unknown_kind(self) -> None:
        odd = altered(self_signed("a.example.com", rsa_key()), SHA256_WITH_RSA, UNKNOWN)
        with pytest.raises(MaterialError, match="signed in a way that is not supported"):
            key_pair(odd.pem, odd.key_pem)

    def test_a_certificate_for_another_kind_of_rsa(self) -> None:
        pss = altered(self_signed("a.example.com", rsa_key()), RSA_WITH_NULL, PSS_WITH_DEFAULTS)
        with pytest.raises(MaterialError, match="RSASSA-PSS alone is not supported"):
            key_pair(pss.pem, pss.key_pem)

    def test_certificates_of_unknown_kinds_belong_to_nobody(self, pki: Pki) -> None:
        odd = altered(self_signed("a.example.com", rsa_key()), RSA_ENCRYPTION, UNKNOWN)
        with pytest.raises(MaterialError, match="does not belong to the certificate"):
            key_pair(odd.pem, odd.key_pem)
        assert key_pair(odd.pem + pki.server().pem, pki.server().key_pem) == pki.server().pair

    def test_a_name_that_cannot_be_read_is_taken_for_no_root(self) -> None:
        old = altered(self_signed("alice", rsa_key()), b"\x0c\x05alice", LATIN_T61)
        assert key_pair(old.pem, old.key_pem).chain == (old.der,)
        with pytest.raises(MaterialError, match="signed with SHA1"):
            key_pair(said_to_use_sha1(old).pem, old.key_pem)

    def test_too_many_certificates(self, pki: Pki) -> None:
        many = [pki.root.issue(f"{number}.example.com") for number in range(MAX_CHAIN + 1)]
        with pytest.raises(MaterialError, match=f"{MAX_CHAIN + 1} certificates are too many"):
            key_pair(pem_of(*many), many[0].key_pem)

    def test_too_much_of_anything(self, pki: Pki) -> None:
        much = b" " * (MAX_PEM + 1)
        with pytest.raises(MaterialError, match="the certificate is larger than"):
            key_pair(much, pki.server().key_pem)
        with pytest.raises(MaterialError, match="the private key is larger than"):
            key_pair(pki.server().pem, much)


class TestCertificates:
    def test_each_once_in_their_order(self, pki: Pki) -> None:
        bundle = pki.root.pem + b"# another\n" + pki.stranger.pem + pki.root.pem
        assert certificates(bundle) == (pki.root.der, pki.stranger.der)

    def test_one_may_be_der(self, pki: Pki) -> None:
        assert certificates(pki.root.der) == (pki.root.der,)

    @pytest.mark.parametrize("nothing", [b"", b"hello", b"-----BEGIN X-----", b"-----BEGIN CERTIFICATE-----\nAAAA"])
    def test_nothing_readable_is_refused(self, nothing: bytes) -> None:
        with pytest.raises(MaterialError, match="authority's certificate"):
            certificates(nothing)

    def test_one_unreadable_among_readable_ones_is_refused_too(self, pki: Pki) -> None:
        broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        with pytest.raises(MaterialError, match="cannot be read"):
            certificates(pki.root.pem + broken)


class TestRevocationLists:
    def test_several_in_one_file(self, pki: Pki) -> None:
        lists = (pki.root.revoke(pki.client()), pki.first.revoke())
        assert crls(b"of the root\n" + crl_pem(lists[0]) + b"of the first\n" + crl_pem(lists[1])) == lists

    def test_one_may_be_der(self, pki: Pki) -> None:
        der = pki.root.revoke()
        assert crls(der) == (der,)

    def test_nothing_readable_is_refused(self, pki: Pki) -> None:
        cut = crl_pem(pki.root.revoke()).replace(b"-----BEGIN X509 CRL-----", b"")
        for broken in (b"", b"hello", pki.root.der, cut):
            with pytest.raises(MaterialError, match="revocation list"):
                crls(broken)

    def test_a_file_of_something_else_is_refused(self, pki: Pki) -> None:
        with pytest.raises(MaterialError, match=r"^there is no revocation list in what was given$"):
            crls(pki.root.pem)

    def test_too_much(self) -> None:
        with pytest.raises(MaterialError, match="larger than"):
            crls(bytes(MAX_CRLS + 1))

    def test_many_beginnings_without_an_end_are_no_work(self) -> None:
        with pytest.raises(MaterialError, match="no revocation list"):
            crls(b"-----BEGIN X509 CRL-----\n" * 200_000)


def crl_pem(der: bytes) -> bytes:
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Something a disk, an editor or a stranger could make of ``whole``."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        data[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data)


SAMPLE = Authority.root("Root").issue("a.example.com", sans=["a.example.com", "10.0.0.1", "spiffe://a/b", "a@b.c"])
LIST = Authority.root("Root").revoke(SAMPLE)
PARTS = [SAMPLE.pem, SAMPLE.der, SAMPLE.key_pem, SAMPLE.key_der, LIST]


@given(
    cert=st.sampled_from(PARTS).flatmap(damaged) | st.binary(),
    key=st.sampled_from(PARTS).flatmap(damaged) | st.binary(),
)
@example(cert=SAMPLE.pem, key=random.Random(0).randbytes(100))
def test_whatever_comes_it_is_taken_or_refused(cert: bytes, key: bytes) -> None:
    for attempt in (
        lambda: key_pair(cert, SAMPLE.key_pem),
        lambda: key_pair(SAMPLE.pem, key),
        lambda: key_pair(SAMPLE.pem, key, b"password"),
        lambda: certificates(cert),
        lambda: crls(cert),
    ):
        with contextlib.suppress(MaterialError):
            attempt()
