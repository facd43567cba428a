"""Who is trusted, and what is said of those who are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from ..model import ClientAuth, ClientVerification
from .errors import MaterialError, PeerRefused
from .material import UNREADABLE, read_certificate

MAX_HINTED = 49152
"""
Bytes of authorities' certificates up to which a server tells its clients their names, so that they know what to show.
Clients manage without, and the message that holds the names may not be longer than 64 KiB.
"""

MAX_DEPTH = 100
"""OpenSSL's own, where nobody names one."""

MAX_SUBJECT = 200
"""Characters of a refused certificate's subject that are told; a stranger chose them."""

_Codes = SSL.X509VerificationCodes
_Flags = crypto.X509StoreFlags
_Callback = Callable[[SSL.Connection, crypto.X509, int, int, int], bool]

_NOT_ISSUED = "none of the trusted authorities issued it"
_WORDS = {
    _Codes.ERR_UNABLE_TO_GET_ISSUER_CERT: _NOT_ISSUED,
    _Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: _NOT_ISSUED,
    _Codes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: _NOT_ISSUED,
    _Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: _NOT_ISSUED,
    _Codes.ERR_SELF_SIGNED_CERT_IN_CHAIN: _NOT_ISSUED,
    _Codes.ERR_CERT_SIGNATURE_FAILURE: "its signature is wrong",
    _Codes.ERR_CERT_NOT_YET_VALID: "it is not valid yet",
    _Codes.ERR_CERT_HAS_EXPIRED: "it has expired",
    _Codes.ERR_CERT_REVOKED: "it was revoked",
    _Codes.ERR_CERT_CHAIN_TOO_LONG: "too many others stand between it and a trusted authority",
    _Codes.ERR_INVALID_CA: "it is not that of an authority",
    _Codes.ERR_INVALID_PURPOSE: "it is for another purpose",
    _Codes.ERR_UNABLE_TO_GET_CRL: "there is no revocation list of its issuer",
    _Codes.ERR_CRL_HAS_EXPIRED: "the revocation list of its issuer is out of date",
    _Codes.ERR_CRL_NOT_YET_VALID: "the revocation list of its issuer is not valid yet",
    _Codes.ERR_CRL_SIGNATURE_FAILURE: "the revocation list of its issuer has a wrong signature",
    # X509_V_ERR_EE_KEY_TOO_SMALL, CA_KEY_TOO_SMALL and CA_MD_TOO_WEAK (x509_vfy.h), which pyOpenSSL does not name.
    66: "its key is too weak",
    67: "its key is too weak",
    68: "it is signed with a digest that is too weak",
}

# Why OpenSSL cannot look up whether a certificate was revoked. It asks this of an authority that is trusted by name
# as well, whose own issuer is not in the chain and need not be known.
_UNKNOWN_REVOCATION = {
    _Codes.ERR_UNABLE_TO_GET_CRL,
    _Codes.ERR_UNABLE_TO_GET_CRL_ISSUER,
    _Codes.ERR_CRL_SIGNATURE_FAILURE,
}


def demand(context: SSL.Context, verification: ClientVerification) -> None:
    """
    Have a server's ``context`` ask its clients for certificates, and trust the named authorities alone.

    With revocation lists, the issuer of the client's certificate and each authority between it and the trusted one
    needs a list that is in date. Raises :class:`MaterialError`: clients are to be verified, but no authority is named,
    or what is named cannot be read.
    """
    if verification.auth is ClientAuth.NONE:
        context.set_verify(SSL.VERIFY_NONE)
        return
    if not verification.ca:
        raise MaterialError("client certificates are asked for, but no authority is named that they may come from")
    trust(context, verification.ca)
    if sum(map(len, verification.ca)) <= MAX_HINTED:
        for authority in verification.ca:
            context.add_client_ca(read_certificate(authority))
    if verification.crls:
        _revoke(context, verification.crls)
    if verification.depth is not None:
        # For OpenSSL a negative depth is none at all, and one of more than 31 bits is no number.
        if verification.depth < 0:
            raise MaterialError("fewer than no certificates cannot stand between a client's and its authority")
        # It counts as the model does: neither the peer's own certificate nor the trusted one.
        context.set_verify_depth(min(verification.depth, MAX_DEPTH))
    mode = SSL.VERIFY_PEER
    if verification.auth is ClientAuth.NEED:
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    context.set_verify(mode, judge("client", frozenset(verification.ca)))


def trust(context: SSL.Context, authorities: Sequence[bytes]) -> None:
    """
    Trust these authorities (DER) in a new ``context``, which trusts nobody. One that is not self-signed will do:
    somebody chose it. Raises :class:`MaterialError`.
    """
    store = _store(context)
    try:
        for authority in authorities:
            store.add_cert(crypto.X509.from_cryptography(read_certificate(authority)))
    except crypto.Error:
        raise MaterialError("an authority's certificate cannot be read") from None
    store.set_flags(_Flags.PARTIAL_CHAIN)


def judge(peer: str, authorities: AbstractSet[bytes] = frozenset()) -> _Callback:
    """
    A callback for :meth:`~OpenSSL.SSL.Context.set_verify` that changes nothing but how a refusal is told: as
    :class:`PeerRefused`. (It lets pass what is not known of the revocation of ``authorities``, trusted by name.)
    """

    def callback(connection: SSL.Connection, certificate: crypto.X509, code: int, depth: int, ok: int) -> bool:
        if ok:
            return True
        try:
            shown = certificate.to_cryptography()
            if code in _UNKNOWN_REVOCATION and shown.public_bytes(Encoding.DER) in authorities:
                return True
            subject = shown.subject.rfc4514_string()[:MAX_SUBJECT]
        except UNREADABLE:
            subject = "unreadable"
        words = _WORDS.get(code, f"OpenSSL's verification error {code}")
        whose = f"the {peer}'s certificate" if depth == 0 else f"a certificate above the {peer}'s"
        raise PeerRefused(f"{whose} ({subject}) is refused: {words}")

    return callback


def _revoke(context: SSL.Context, lists: Sequence[bytes]) -> None:
    store = _store(context)
    try:
        for der in lists:
            store.add_crl(x509.load_der_x509_crl(der))
    except (*UNREADABLE, crypto.Error):
        raise MaterialError("a revocation list cannot be read") from None
    store.set_flags(_Flags.CRL_CHECK | _Flags.CRL_CHECK_ALL)


def _store(context: SSL.Context) -> crypto.X509Store:
    store = context.get_cert_store()
    if store is None:
        raise AssertionError("every context has a store")
    return store
