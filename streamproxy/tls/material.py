"""PEM and DER, as users have them, to key pairs, certificates and revocation lists, as contexts are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from ..model import KeyPair
from .errors import MaterialError

MAX_PEM = 1 << 20
"""Bytes of certificates or of a key. A bundle of every public authority is a quarter of that."""

MAX_CRLS = 16 << 20
"""Bytes of revocation lists; those of large authorities do take megabytes."""

MAX_CHAIN = 16
"""Certificates that may come with one key."""

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""Signing once with more takes a tenth of a second, which is for a client to ask for."""

CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
"""Those that TLS 1.3 has signature schemes for (RFC 8446 section 4.2.3)."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_MARK = b"-----BEGIN "
_CERTIFICATE_MARK = b"-----BEGIN CERTIFICATE-----"
_CRL_BEGIN = b"-----BEGIN X509 CRL-----"
_CRL_END = b"-----END X509 CRL-----"
_RSA_ENCRYPTION = "1.2.840.113549.1.1.1"

# What cryptography raises for DER that it cannot read, at once or when a field is looked at.
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)


def key_pair(cert_pem: bytes, key_pem: bytes, password: bytes | None = None) -> KeyPair:
    """
    A key and its certificates, each PEM or DER (in one file, where they are PEM). The leaf is the certificate that the
    key belongs to, the chain is put in order, and certificates that do not belong to it are left out.

    Raises :class:`MaterialError`: nothing readable, too much of it, a key that needs a ``password`` or fits no
    certificate, one that is too weak (RSA below 2048 bits) or of a kind TLS does not know, a signature with MD5 or
    SHA-1. Dates are not looked at.
    """
    shown = list(dict.fromkeys(_read_certificates(cert_pem, "certificate")))
    if len(shown) > MAX_CHAIN:
        raise MaterialError(f"{len(shown)} certificates are too many for one key; {MAX_CHAIN} may be given")
    key = _read_key(key_pem, password)
    chain = _chain(_leaf(shown, key), shown)
    for certificate in chain:
        _judge_signature(certificate)
    if isinstance(key, rsa.RSAPrivateKey) and chain[0].public_key_algorithm_oid.dotted_string != _RSA_ENCRYPTION:
        raise MaterialError("a certificate for RSASSA-PSS alone is not supported")
    secret = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(tuple(certificate.public_bytes(Encoding.DER) for certificate in chain), secret)


def certificates(pem: bytes) -> tuple[bytes, ...]:
    """
    Certificates to trust, from PEM or one in DER, to DER; each once, in their order. Raises :class:`MaterialError`.
    """
    found = _read_certificates(pem, "authority's certificate")
    return tuple(dict.fromkeys(certificate.public_bytes(Encoding.DER) for certificate in found))


def crls(pem: bytes) -> tuple[bytes, ...]:
    """Revocation lists, from PEM or one in DER, to DER; in their order. Raises :class:`MaterialError`."""
    if len(pem) > MAX_CRLS:
        raise MaterialError(f"the revocation lists are larger than {MAX_CRLS} bytes")
    try:
        if _MARK in pem:
            lists = [x509.load_pem_x509_crl(block) for block in _crl_blocks(pem)]
        else:
            lists = [x509.load_der_x509_crl(pem)]
    except UNREADABLE:
        raise MaterialError("a revocation list cannot be read") from None
    if not lists:
        raise MaterialError("there is no revocation list in what was given")
    return tuple(found.public_bytes(Encoding.DER) for found in lists)


def read_certificate(der: bytes) -> x509.Certificate:
    """Raises :class:`MaterialError`."""
    try:
        return x509.load_der_x509_certificate(der)
    except UNREADABLE:
        raise MaterialError("the certificate cannot be read") from None


def read_key(pair: KeyPair) -> PrivateKey:
    """Raises :class:`MaterialError`."""
    return _read_key(pair.key, None)


def _read_certificates(data: bytes, what: str) -> list[x509.Certificate]:
    if len(data) > MAX_PEM:
        raise MaterialError(f"the {what} is larger than {MAX_PEM} bytes")
    if _MARK in data and _CERTIFICATE_MARK not in data:
        raise MaterialError(f"there is no certificate in what was given as the {what}")
    try:
        return x509.load_pem_x509_certificates(data) if _MARK in data else [x509.load_der_x509_certificate(data)]
    except UNREADABLE:
        raise MaterialError(f"the {what} cannot be read") from None


def _read_key(data: bytes, password: bytes | None) -> PrivateKey:
    if len(data) > MAX_PEM:
        raise MaterialError(f"the private key is larger than {MAX_PEM} bytes")
    load = load_pem_private_key if _MARK in data else load_der_private_key
    try:
        # Whether an RSA key is consistent takes OpenSSL 60 ms to find out; that it fits its certificate has to do.
        key = load(data, password, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        if password is None:
            raise MaterialError("the private key is encrypted, and there is no password for it") from None
        return _read_key(data, None)
    except UNREADABLE:
        why = "the private key cannot be read" if password is None else "the private key or its password is wrong"
        raise MaterialError(why) from None
    return _judge_key(key)


def _judge_key(key: object) -> PrivateKey:
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < MIN_RSA_BITS:
            raise MaterialError(f"an RSA key of {key.key_size} bits is too weak; at least {MIN_RSA_BITS} are needed")
        if key.key_size > MAX_RSA_BITS:
            raise MaterialError(f"an RSA key of {key.key_size} bits is too slow; at most {MAX_RSA_BITS} are allowed")
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name not in CURVES:
            raise MaterialError(f"keys of the curve {key.curve.name} are not supported by TLS")
        return key
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)):
        return key
    raise MaterialError("the private key is of a kind that is not supported; use RSA or ECDSA")


def _leaf(shown: Sequence[x509.Certificate], key: PrivateKey) -> x509.Certificate:
    own = key.public_key()
    for certificate in shown:
        try:
            if certificate.public_key() == own:
                return certificate
        except UNREADABLE:
            # A kind of key that cryptography does not know is not ours.
            continue
    raise MaterialError(
        "the private key does not belong to the certificate"
        if len(shown) == 1
        else f"the private key belongs to none of the {len(shown)} certificates"
    )


def _chain(leaf: x509.Certificate, shown: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """From the leaf upwards, as far as what was shown goes."""
    chain = [leaf]
    left = [certificate for certificate in shown if certificate != leaf]
    while True:
        issuer = next((candidate for candidate in left if _issued(chain[-1], candidate)), None)
        if issuer is None:
            return chain
        chain.append(issuer)
        left.remove(issuer)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _judge_signature(certificate: x509.Certificate) -> None:
    try:
        used = certificate.signature_hash_algorithm
    except UNREADABLE:
        raise MaterialError("a certificate is signed in a way that is not supported") from None
    if isinstance(used, (hashes.MD5, hashes.SHA1)) and not _is_root(certificate):
        raise MaterialError(f"a certificate is signed with {used.name.upper()}, which clients refuse")


def _is_root(certificate: x509.Certificate) -> bool:
    """Nobody verifies the signature of one that is its own issuer."""
    try:
        return certificate.issuer == certificate.subject
    except UNREADABLE:
        return False


def _crl_blocks(pem: bytes) -> Iterator[bytes]:
    for part in pem.split(_CRL_END)[:-1]:
        start = part.rfind(_CRL_BEGIN)
        yield part[max(start, 0) :] + _CRL_END + b"\n"
