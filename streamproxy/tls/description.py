"""What a certificate says: its names, its dates, and the rest that people ask about."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from ..model import PeerIdentity
from ..sniff.names import normalize_name
from .errors import MaterialError
from .material import UNREADABLE, read_certificate


@frozen
class Description:
    """
    A certificate for an API. ``subject`` and ``issuer`` are as in RFC 4514, ``serial`` is hex, ``key_size`` in bits
    (0 where the type says it all), times are seconds since the epoch, ``sans`` as in
    :class:`~streamproxy.model.PeerIdentity`, ``fingerprint`` is the SHA-256 in hex.
    """

    subject: str
    issuer: str
    serial: str
    key_type: str
    key_size: int
    not_before: float
    not_after: float
    sans: tuple[str, ...]
    fingerprint: str


def names_of(leaf: bytes) -> tuple[str, ...]:
    """
    The host names that ``leaf`` (DER) is for, wildcards included: those of its alternative names or, where it has
    none of any kind, its common name. Lower-case A-labels, each once; what is no host name is left out.

    Raises :class:`MaterialError` when it cannot be read.
    """
    certificate = read_certificate(leaf)
    try:
        extension = _alternative(certificate)
        if extension is not None:
            given = extension.get_values_for_type(x509.DNSName)
        else:
            given = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except UNREADABLE:
        raise MaterialError("the names in the certificate cannot be read") from None
    names = (certificate_name(name) for name in given)
    return tuple(dict.fromkeys(name for name in names if name is not None))


def certificate_name(raw: str) -> str | None:
    """
    The one spelling of a name that a certificate may be for: ``*``, ``*.`` and a host name, or a host name
    (:func:`~streamproxy.sniff.normalize_name`). ``None``: it is none.
    """
    if raw == "*":
        return raw
    wildcard = raw.startswith("*.")
    name = normalize_name(raw[2:] if wildcard else raw)
    return f"*.{name}" if wildcard and name is not None else name


def validity(leaf: bytes) -> tuple[float, float]:
    """From when until when ``leaf`` (DER) is valid, in seconds since the epoch. Raises :class:`MaterialError`."""
    return _validity(read_certificate(leaf))


def describe(leaf: bytes) -> Description:
    """Raises :class:`MaterialError` when ``leaf`` (DER) cannot be read."""
    certificate = read_certificate(leaf)
    not_before, not_after = _validity(certificate)
    try:
        key_type, key_size = _key(certificate)
        return Description(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            serial=f"{certificate.serial_number:x}",
            key_type=key_type,
            key_size=key_size,
            not_before=not_before,
            not_after=not_after,
            sans=tuple(_alternative_names(certificate)),
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        )
    except UNREADABLE:
        raise MaterialError("the certificate cannot be read") from None


def identity(certificate: x509.Certificate) -> PeerIdentity:
    """Who shows ``certificate``. What it says in an unreadable way it does not say."""
    try:
        subject = certificate.subject.rfc4514_string()
    except UNREADABLE:
        subject = ""
    try:
        sans = tuple(_alternative_names(certificate))
    except UNREADABLE:
        sans = ()
    return PeerIdentity(subject, sans, certificate.fingerprint(hashes.SHA256()).hex(), certificate.serial_number)


def _alternative(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _alternative_names(certificate: x509.Certificate) -> Iterator[str]:
    for name in _alternative(certificate) or ():
        if isinstance(name, x509.DNSName):
            yield f"DNS:{name.value}"
        elif isinstance(name, x509.UniformResourceIdentifier):
            yield f"URI:{name.value}"
        elif isinstance(name, x509.IPAddress):
            yield f"IP:{name.value}"
        elif isinstance(name, x509.RFC822Name):
            yield f"email:{name.value}"


def _validity(certificate: x509.Certificate) -> tuple[float, float]:
    try:
        return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    except UNREADABLE:
        raise MaterialError("the dates in the certificate cannot be read") from None


def _key(certificate: x509.Certificate) -> tuple[str, int]:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ECDSA", key.key_size
    return type(key).__name__.removesuffix("PublicKey"), 0
