"""What a certificate says of itself."""

from __future__ import annotations

import contextlib
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given

from streamproxy.model import PeerIdentity
from streamproxy.tls import MaterialError, describe, identity, names_of, validity
from streamproxy.tls.description import certificate_name

from .conftest import Pki
from .pki import DAY, LATIN_T61, NOW, altered, rsa_key, self_signed, with_subject
from .test_material import SAMPLE, damaged


def extended(extension: x509.ExtensionType | None, cn: str = "a.example.com") -> bytes:
    """A certificate (DER) with an extension of any content."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    start = datetime.datetime(2030, 1, 1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + datetime.timedelta(days=1))
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


SAN = x509.SubjectAlternativeName.oid


class TestNames:
    def test_those_of_the_alternative_names_as_they_are_compared(self) -> None:
        issued = self_signed(
            "cn.example.com", sans=["B.Example.com", "*.Example.com.", "b.example.com", "xn--nxasmq6b"]
        )
        assert names_of(issued.der) == ("b.example.com", "*.example.com", "xn--nxasmq6b")

    def test_the_common_name_where_there_are_no_others(self) -> None:
        assert names_of(self_signed("A.example.com", sans=[]).der) == ("a.example.com",)
        assert names_of(self_signed("*.example.com", sans=[]).der) == ("*.example.com",)
        assert names_of(self_signed("Root CA of Somebody", sans=[]).der) == ()

    def test_but_not_beside_others_of_any_kind(self) -> None:
        assert names_of(self_signed("a.example.com", sans=["10.0.0.1", "spiffe://example/a"]).der) == ()

    @pytest.mark.parametrize(
        "name", ["", "a b", "a..b", "*.", "*.*.example.com", "a.*.example.com", "a*.example.com", "x" * 64]
    )
    def test_what_is_no_host_name_is_left_out(self, name: str) -> None:
        der = extended(x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName("b.example.com")]))
        assert names_of(der) == ("b.example.com",)

    def test_unreadable_names_are_refused(self) -> None:
        with pytest.raises(MaterialError, match="names in the certificate cannot be read"):
            names_of(extended(x509.UnrecognizedExtension(SAN, b"\x30\x05abc")))

    def test_so_is_what_is_no_certificate(self) -> None:
        for look in (names_of, validity, describe):
            with pytest.raises(MaterialError, match="the certificate cannot be read"):
                look(b"hello")

    @pytest.mark.parametrize(
        ("raw", "name"),
        [
            ("*", "*"),
            ("*.B\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", "*.xn--bcher-kva.example"),
            ("A.", "a"),
            ("*a", None),
            ("**", None),
        ],
    )
    def test_one_spelling(self, raw: str, name: str | None) -> None:
        assert certificate_name(raw) == name


def test_dates(pki: Pki) -> None:
    not_before, not_after = validity(pki.root.issue("a.example.com", valid=(-2, 3)).der)
    assert not_before == pytest.approx(NOW - 2 * DAY, abs=1)
    assert not_after == pytest.approx(NOW + 3 * DAY, abs=1)


def test_a_year_that_python_does_not_know() -> None:
    far = self_signed("a.example.com", days=40 * 366)
    start = far.der.index(b"\x18\x0f20")
    year_zero = altered(far, far.der[start : start + 6], b"\x18\x0f0000")
    for look in (validity, describe):
        with pytest.raises(MaterialError, match="dates in the certificate cannot be read"):
            look(year_zero.der)


class TestDescription:
    def test_everything_people_ask_for(self, pki: Pki) -> None:
        issued = pki.first.issue("a.example.com", sans=["a.example.com", "10.0.0.1", "spiffe://td/a", "a@example.com"])
        told = describe(issued.der)
        assert told.subject == "CN=a.example.com"
        assert told.issuer == "CN=First"
        assert int(told.serial, 16) == issued.certificate.serial_number
        assert (told.key_type, told.key_size) == ("ECDSA", 256)
        assert (told.not_before, told.not_after) == validity(issued.der)
        assert told.sans == ("DNS:a.example.com", "IP:10.0.0.1", "URI:spiffe://td/a", "email:a@example.com")
        assert told.fingerprint == issued.pair.fingerprint

    def test_the_kinds_of_keys(self, pki: Pki) -> None:
        rsa = describe(pki.root.issue("a.example.com", rsa_key()).der)
        assert (rsa.key_type, rsa.key_size) == ("RSA", 2048)
        edwards = describe(pki.root.issue("a.example.com", ed25519.Ed25519PrivateKey.generate()).der)
        assert (edwards.key_type, edwards.key_size) == ("Ed25519", 0)

    def test_names_of_kinds_nobody_matches_are_not_told(self) -> None:
        der = extended(x509.SubjectAlternativeName([x509.RegisteredID(NameOID.COMMON_NAME), x509.DNSName("a.example")]))
        assert describe(der).sans == ("DNS:a.example",)

    def test_one_that_cannot_be_described_is_refused(self) -> None:
        with pytest.raises(MaterialError, match="cannot be read"):
            describe(extended(x509.UnrecognizedExtension(SAN, b"\x30\x05abc")))


class TestIdentity:
    def test_who_a_client_is(self, pki: Pki) -> None:
        issued = pki.root.issue("alice", sans=["spiffe://td/alice"])
        who = identity(issued.certificate)
        assert who == PeerIdentity(
            "CN=alice", ("URI:spiffe://td/alice",), issued.pair.fingerprint, issued.certificate.serial_number
        )

    def test_nothing_unreadable_stands_in_the_way(self) -> None:
        broken = x509.load_der_x509_certificate(extended(x509.UnrecognizedExtension(SAN, b"\x30\x05abc")))
        assert identity(broken).sans == ()
        assert identity(broken).subject == "CN=a.example.com"
        assert identity(with_subject(LATIN_T61).certificate).subject == ""


@given(der=damaged(SAMPLE.der))
def test_whatever_comes_it_is_described_or_refused(der: bytes) -> None:
    for look in (names_of, validity, describe):
        with contextlib.suppress(MaterialError):
            look(der)
    try:
        certificate = x509.load_der_x509_certificate(der)
    except ValueError:
        return
    assert identity(certificate).fingerprint
