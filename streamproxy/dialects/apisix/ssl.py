"""APISIX's ``ssls``: certificates, and what is demanded of those who connect to their names."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import evolve, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from streamproxy.errors import Problem
from streamproxy.model import Certificate, ClientAuth, ClientVerification, Json, Key, KeyPair, TlsVersion
from streamproxy.tls import (
    Contexts,
    MaterialError,
    certificate_name,
    certificates,
    key_pair,
    server_policy,
    validity,
)

from ..codec import shown
from .secrets import SecretError, Vault

# OpenSSL's words, by which APISIX tells that something is no PEM.
NO_CERT: Final = "failed to parse cert: PEM_read_bio_X509_AUX() failed"
_NO_KEY: Final = "failed to parse key: PEM_read_bio_PrivateKey() failed"

# Deeper than any chain, and still a number for OpenSSL.
_MOST_DEPTH: Final = 100

_VERSIONS: Final = {"TLSv1.1": TlsVersion.TLS1_1, "TLSv1.2": TlsVersion.TLS1_2, "TLSv1.3": TlsVersion.TLS1_3}


@frozen
class Ssl:
    """
    An object and what it holds. ``certificate`` is what clients of its names are shown: ``None`` where it is switched
    off, and where it is for ourselves to show to targets (``is_client``), which name it by its id.
    """

    key: Key
    pairs: tuple[KeyPair, ...]
    is_client: bool = False
    certificate: Certificate | None = None

    def at(self, revision: int) -> Ssl:
        """The same, written at ``revision``: of two for one name the later one is shown."""
        if self.certificate is None:
            return self
        return evolve(self, certificate=evolve(self.certificate, serial=revision))


def to_ssl(key: Key, body: Mapping[str, Any], vault: Vault) -> tuple[Ssl | None, tuple[Problem, ...]]:
    """
    The object that ``body``, which its schema has nothing against, describes; or what of it cannot be done or cannot
    work. When its certificates are valid is not looked at: see :func:`refused`.
    """
    found = [*_pairs(body, vault)]
    client = _client(body["client"], vault) if "client" in body else None
    is_client = body.get("type") == "client"
    names = () if is_client else tuple(_names(body))
    problems = tuple(each for each in (*found, client, *names) if isinstance(each, Problem))
    if problems:
        return None, problems
    pairs = tuple(each for each in found if isinstance(each, KeyPair))
    if is_client or body.get("status") == 0:
        return Ssl(key, pairs, is_client), ()
    dates = [validity(pair.chain[0]) for pair in pairs]
    certificate = Certificate(
        str(key),
        tuple(name for name in names if isinstance(name, str)),
        pairs,
        client if isinstance(client, ClientVerification) else None,
        frozenset(_VERSIONS[version] for version in body.get("ssl_protocols", ())),
        not_before=max(start for start, _ in dates),
        not_after=min(end for _, end in dates),
    )
    return Ssl(key, pairs, certificate=certificate), ()


def refused(ssl: Ssl, now: float) -> Iterator[Problem]:
    """
    What speaks against storing ``ssl`` at ``now`` (seconds since the epoch), though what is stored already goes on
    being served: a certificate that has expired, or what no handshake can be had with.
    """
    for index, pair in enumerate(ssl.pairs):
        end = validity(pair.chain[0])[1]
        if end < now:
            day = time.strftime("%Y-%m-%d", time.gmtime(end))
            path = f"certs[{index - 1}]" if index else "cert"
            yield Problem(path, "bad_value", f"the certificate expired on {day}")
    if ssl.certificate is not None:
        try:
            Contexts(limit=1).server(server_policy(ssl.certificate, ClientVerification()))
        except MaterialError as error:
            yield Problem("", "bad_value", str(error))


def without_keys(body: Mapping[str, Json]) -> dict[str, Json]:
    """As an object is shown to those who ask for it: keys, sealed or not, are nobody's business."""
    return {name: value for name, value in body.items() if name not in ("key", "keys")}


def to_pair(cert: str, key: str, cert_path: str, key_path: str, vault: Vault) -> KeyPair | Problem:
    """
    The certificates and the private key that are written at two paths of a document, as PEM, sealed, or as references;
    or what is wrong with them, in APISIX's words where it looks.
    """
    cert_pem = to_public(cert, cert_path, vault)
    if isinstance(cert_pem, Problem):
        return cert_pem
    try:
        key_text = vault.key(key)
    except SecretError as error:
        return Problem(key_path, error.code, str(error))
    if key_text is None:
        return Problem(key_path, "bad_value", "failed to decrypt previous encrypted key")
    key_pem = key_text.encode()
    try:
        pair = key_pair(cert_pem, key_pem)
        validity(pair.chain[0])
    except MaterialError as error:
        if _is_readable(cert_pem) and not _is_key(key_pem):
            return Problem(key_path, "bad_value", _NO_KEY)
        return Problem(cert_path, "bad_value", str(error) if _is_readable(cert_pem) else NO_CERT)
    return pair


def to_public(written: str, path: str, vault: Vault) -> bytes | Problem:
    """The PEM that is written at ``path``, which is shown to everybody and so may not hold a key by mistake."""
    if "PRIVATE KEY" in written:
        return Problem(path, "bad_value", "holds a private key, which belongs into key: what stands here is no secret")
    try:
        return vault.text(written).encode()
    except SecretError as error:
        return Problem(path, error.code, str(error))


def _pairs(body: Mapping[str, Any], vault: Vault) -> Iterator[KeyPair | Problem]:
    yield to_pair(body["cert"], body["key"], "cert", "key", vault)
    certs, keys = list(body.get("certs", ())), list(body.get("keys", ()))
    if len(certs) != len(keys):
        yield Problem("certs", "bad_value", "mismatched number of certs and keys")
        return
    for index, (cert, key) in enumerate(zip(certs, keys, strict=True)):
        pair = to_pair(cert, key, f"certs[{index}]", f"keys[{index}]", vault)
        if isinstance(pair, Problem):
            pair = evolve(pair, message=f"failed to handle cert-key pair[{index + 1}]: {pair.message}")
        yield pair


def _is_readable(cert: bytes) -> bool:
    try:
        certificates(cert)
    except MaterialError:
        return False
    return True


def _is_key(pem: bytes) -> bool:
    try:
        load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        # It is encrypted. That this is what is wrong with it can be said more clearly.
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _client(client: Mapping[str, Any], vault: Vault) -> ClientVerification | Problem:
    pem = to_public(client["ca"], "client.ca", vault)
    if isinstance(pem, Problem):
        return pem
    try:
        return ClientVerification(ClientAuth.NEED, certificates(pem), min(client.get("depth", 1), _MOST_DEPTH))
    except MaterialError:
        return Problem("client.ca", "bad_value", f"failed to validate client_cert: {NO_CERT}")


def _names(body: Mapping[str, Any]) -> Iterator[str | Problem]:
    places = {"sni": body["sni"]} if "sni" in body else {f"snis[{i}]": name for i, name in enumerate(body["snis"])}
    for path, written in places.items():
        name = certificate_name(written)
        if name is not None:
            yield name
        elif written.startswith("*"):
            yield Problem(path, "unsupported", f"{shown(written)}: a wildcard is *, or *. and a name")
        else:
            yield Problem(path, "bad_value", f"{shown(written)} is no host name")
