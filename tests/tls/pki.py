"""A small certificate authority: whatever certificate a test needs, made in a fraction of a millisecond."""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Sequence
from ipaddress import ip_address

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from streamproxy.model import KeyPair

DAY = 86400.0
NOW = time.time()

CLIENT_ONLY = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_ONLY = ExtendedKeyUsageOID.SERVER_AUTH

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


@functools.cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Making one takes long, so tests share them."""
    return rsa.generate_private_key(65537, bits)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@frozen
class Issued:
    """A certificate, its key, and those above it, the root last and left out."""

    certificate: x509.Certificate
    key: Key
    above: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_der(self) -> bytes:
        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def chain_pem(self) -> bytes:
        return self.pem + b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self.above)

    @property
    def pair(self) -> KeyPair:
        """As the code under test should make it; built by other means, so that it can be compared."""
        return KeyPair((self.der, *(above.public_bytes(Encoding.DER) for above in self.above)), self.key_der)


@frozen
class Authority:
    issued: Issued
    is_root: bool = True

    @classmethod
    def root(cls, name: str, key: Key | None = None) -> Authority:
        key = key or ec_key()
        return cls(Issued(_sign(name, key, None, authority=True), key))

    @property
    def der(self) -> bytes:
        return self.issued.der

    @property
    def pem(self) -> bytes:
        return self.issued.pem

    def intermediate(self, name: str, key: Key | None = None, *, valid: tuple[float, float] = (-1, 30)) -> Authority:
        return Authority(self._issue(name, key or ec_key(), authority=True, valid=valid), is_root=False)

    def issue(
        self,
        name: str,
        key: Key | None = None,
        *,
        sans: Sequence[str] | None = None,
        valid: tuple[float, float] = (-1, 30),
        purpose: ObjectIdentifier | None = None,
    ) -> Issued:
        """For ``name`` and, by default, for that name alone; ``valid`` in days from now."""
        sans = [name] if sans is None else sans
        return self._issue(name, key or ec_key(), sans=sans, valid=valid, purpose=purpose)

    def revoke(self, *issued: Issued | Authority, days: tuple[float, float] = (-1, 30)) -> bytes:
        """A revocation list (DER) of these."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.issued.certificate.subject)
            .last_update(_date(days[0]))
            .next_update(_date(days[1]))
        )
        for each in issued:
            certificate = each.issued.certificate if isinstance(each, Authority) else each.certificate
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(_date(-1))
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.issued.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _issue(
        self,
        name: str,
        key: Key,
        *,
        authority: bool = False,
        sans: Sequence[str] = (),
        valid: tuple[float, float],
        purpose: ObjectIdentifier | None = None,
    ) -> Issued:
        certificate = _sign(name, key, self.issued, authority=authority, sans=sans, valid=valid, purpose=purpose)
        above = () if self.is_root else (self.issued.certificate, *self.issued.above)
        return Issued(certificate, key, above)


def said_to_use_sha1(issued: Issued) -> Issued:
    """A certificate of an RSA authority, with another algorithm's name on its signature: nobody signs so today."""
    return altered(issued, bytes.fromhex("06092a864886f70d01010b"), bytes.fromhex("06092a864886f70d010105"))


def altered(issued: Issued, old: bytes, new: bytes) -> Issued:
    """A certificate (whose signature is wrong now) with other bytes in it."""
    return Issued(x509.load_der_x509_certificate(issued.der.replace(old, new)), issued.key, issued.above)


# Names, in the five bytes of a UTF8String and its header, that OpenSSL reads and cryptography does not, and vice versa.
LATIN_T61 = b"\x14\x05Andr\xe9"
BROKEN_UTF8 = b"\x0c\x05al\xff\xfee"


def with_subject(value: bytes) -> Issued:
    return altered(self_signed("alice"), b"\x0c\x05alice", value)


def self_signed(name: str, key: Key | None = None, *, sans: Sequence[str] | None = None, days: float = 30) -> Issued:
    key = key or ec_key()
    return Issued(_sign(name, key, None, sans=[name] if sans is None else sans, valid=(-1, days)), key)


def _sign(
    name: str,
    key: Key,
    issuer: Issued | None,
    *,
    authority: bool = False,
    sans: Sequence[str] = (),
    valid: tuple[float, float] = (-1, 30),
    purpose: ObjectIdentifier | None = None,
) -> x509.Certificate:
    # A common name has 64 characters at most.
    parts = [name[start : start + 64] for start in range(0, len(name), 64)]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, part) for part in parts])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_date(valid[0]))
        .not_valid_after(_date(valid[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(san) for san in sans]), critical=False)
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())


def _general(san: str) -> x509.GeneralName:
    if "://" in san:
        return x509.UniformResourceIdentifier(san)
    if "@" in san:
        return x509.RFC822Name(san)
    try:
        return x509.IPAddress(ip_address(san))
    except ValueError:
        return x509.DNSName(san)


def _date(days: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(NOW + days * DAY, datetime.timezone.utc)
