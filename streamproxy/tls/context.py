"""Contexts, made of policies: everything that decides a handshake is in place before it begins."""

from __future__ import annotations

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

import attrs
from attrs import define, field
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from ..model import ClientAuth, ClientPolicy, KeyPair, ServerPolicy, TlsVersion
from .errors import MaterialError, PeerRefused, reason
from .material import read_certificate, read_key
from .openssl import MODE_MOVING_BUFFER, MODE_NO_AUTO_CHAIN, limit_groups, write_whole
from .verification import demand, judge, trust

MAX_SERVERS = 1024
"""Contexts of servers that are kept, those used last. One takes some 30 kB."""

MAX_CLIENTS = 64
"""Contexts of clients that are kept. One that trusts the system's authorities takes a megabyte."""

MAX_AGE = 3600
"""
Seconds that a context serves new handshakes before an equal one takes its place. The keys of its session tickets go
with it: who steals them opens an hour's sessions of TLS 1.2 and no more, and nobody resumes a session for longer. For a
client the system's authorities are read anew.
"""

CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""Those of TLS 1.2, best first: forward secret and authenticated. OpenSSL's choice for TLS 1.3 has no other."""

LEGACY_CIPHERS = b":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA@SECLEVEL=0"
"""
What TLS 1.1 needs besides. It signs with SHA-1, which OpenSSL does at its security level 0 only; that lets weak
certificates pass as well.
"""

_OPTIONS = (
    SSL.OP_NO_RENEGOTIATION
    | SSL.OP_NO_COMPRESSION
    | SSL.OP_CIPHER_SERVER_PREFERENCE
    | SSL.OP_SINGLE_DH_USE
    | SSL.OP_SINGLE_ECDH_USE
)

_NO_VERSION = {
    TlsVersion.TLS1_1: SSL.OP_NO_TLSv1_1,
    TlsVersion.TLS1_2: SSL.OP_NO_TLSv1_2,
    TlsVersion.TLS1_3: SSL.OP_NO_TLSv1_3,
}


_Policy = TypeVar("_Policy", ServerPolicy, ClientPolicy)


@define
class _Kept(Generic[_Policy]):
    """The contexts of the ``limit`` policies that were used last, and until when each may be used."""

    limit: int
    by_policy: OrderedDict[_Policy, tuple[SSL.Context, float]] = field(factory=OrderedDict)

    def get(self, policy: _Policy, now: float, make: Callable[[_Policy], SSL.Context]) -> SSL.Context:
        context, until = self.by_policy.get(policy, (None, now))
        if context is None or until <= now:
            context = make(policy)
            self.by_policy[policy] = context, now + MAX_AGE
        self.by_policy.move_to_end(policy)
        if len(self.by_policy) > self.limit:
            self.by_policy.popitem(last=False)
        return context


class Contexts:
    """
    The contexts of policies, each made when it is first asked for and never changed after. Equal policies share one; no
    session of one context is taken up by another, since each has ticket keys of its own.

    ``keylog``, where given, is told every secret of every connection, a line in NSS's key log format each, so that
    captured traffic can be read. ``clock`` counts seconds.
    """

    def __init__(
        self,
        *,
        limit: int = MAX_SERVERS,
        client_limit: int = MAX_CLIENTS,
        keylog: Callable[[bytes], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keylog = keylog
        self._clock = clock
        self._servers: _Kept[ServerPolicy] = _Kept(limit)
        self._clients: _Kept[ClientPolicy] = _Kept(client_limit)

    def server(self, policy: ServerPolicy) -> SSL.Context:
        """To shake hands as a server. Raises :class:`MaterialError` when ``policy`` cannot work."""
        return self._servers.get(policy, self._clock(), lambda new: self._logged(server_context(new)))

    def client(self, policy: ClientPolicy) -> SSL.Context:
        """
        To shake hands as a client; :func:`~streamproxy.tls.client_connection` does the rest. The names in ``policy``
        are no part of the context. Raises :class:`MaterialError` when ``policy`` cannot work.
        """
        nameless = attrs.evolve(policy, server_name="", send_name=None)
        return self._clients.get(nameless, self._clock(), lambda new: self._logged(client_context(new)))

    def __len__(self) -> int:
        return len(self._servers.by_policy) + len(self._clients.by_policy)

    def _logged(self, context: SSL.Context) -> SSL.Context:
        keylog = self._keylog
        if keylog is not None:
            context.set_keylog_callback(lambda connection, line: keylog(line))
        return context


def server_context(policy: ServerPolicy) -> SSL.Context:
    """
    A new context for ``policy``. Sessions are resumed by tickets, which cost no memory here, and only where clients are
    not asked for certificates: who has to prove itself does so in every handshake, so that neither an expired
    certificate nor an outdated revocation list lives on in a ticket. Raises :class:`MaterialError`.
    """
    if not policy.pairs:
        raise MaterialError("there is no certificate to show")
    context = _new(SSL.TLS_SERVER_METHOD, policy.versions)
    limit_groups(context)
    for pair in policy.pairs:
        _show(context, pair)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(_digest(policy))
    context.set_timeout(MAX_AGE)
    # OpenSSL forgets a name that nobody answered for, and does not know it when a session of TLS 1.2 is resumed.
    context.set_tlsext_servername_callback(lambda connection: None)
    demand(context, policy.client)
    if policy.client.auth is not ClientAuth.NONE:
        if TlsVersion.TLS1_1 in policy.versions:
            raise MaterialError("TLS 1.1 lets weak certificates pass: it does not go with client certificates")
        context.set_options(SSL.OP_NO_TICKET)
    if policy.alpn:
        context.set_alpn_select_callback(_agree_on(_wire(policy.alpn)))
    return context


def client_context(policy: ClientPolicy) -> SSL.Context:
    """A new context for ``policy``, names apart. Raises :class:`MaterialError`."""
    context = _new(SSL.TLS_CLIENT_METHOD, [version for version in TlsVersion if version >= policy.minimum])
    if policy.verify:
        if policy.ca:
            trust(context, policy.ca)
        else:
            context.set_default_verify_paths()
        context.set_verify(SSL.VERIFY_PEER, judge("server"))
    else:
        context.set_verify(SSL.VERIFY_NONE)
    if policy.pair is not None:
        _show(context, policy.pair)
    if policy.alpn:
        context.set_alpn_protos(_wire(policy.alpn))
    return context


def _new(method: int, versions: Collection[TlsVersion]) -> SSL.Context:
    if not versions:
        raise MaterialError("no version of TLS is allowed")
    context = SSL.Context(method)
    context.set_options(_OPTIONS)
    context.set_min_proto_version(min(versions))
    for version, option in _NO_VERSION.items():
        if version not in versions:
            context.set_options(option)
    # A buffer may move between two tries to write it. A chain that was not given is not to be guessed from the
    # authorities that clients are verified by.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS | MODE_MOVING_BUFFER | MODE_NO_AUTO_CHAIN)
    write_whole(context)
    context.set_cipher_list(CIPHERS + LEGACY_CIPHERS if TlsVersion.TLS1_1 in versions else CIPHERS)
    return context


def _show(context: SSL.Context, pair: KeyPair) -> None:
    """
    Add a certificate with the chain that is its own. A context keeps one certificate of each kind of key, the last
    given. What pyOpenSSL can add from memory is one chain for all of them; a file goes with the certificate in it, so
    here is a file in memory.
    """
    key = read_key(pair)
    chain = b"".join(read_certificate(der).public_bytes(Encoding.PEM) for der in pair.chain)
    file = os.memfd_create("chain")
    try:
        with open(file, "wb", closefd=False) as written:
            written.write(chain)
        context.use_certificate_chain_file(f"/proc/self/fd/{file}")
        context.use_privatekey(key)
        context.check_privatekey()
    except (SSL.Error, crypto.Error) as error:
        why = reason(error) if isinstance(error, SSL.Error) else "it cannot be read"
        raise MaterialError(f"OpenSSL refuses the certificate {pair.fingerprint}: {why}") from None
    finally:
        os.close(file)


def _digest(policy: ServerPolicy) -> bytes:
    """The same for equal policies, and for no others. Keys need not go in: their certificates do."""
    client = policy.client
    parts = (
        tuple(pair.chain for pair in policy.pairs),
        (client.auth.value, client.ca, client.depth, client.crls),
        tuple(sorted(map(int, policy.versions))),
        policy.alpn,
    )
    return hashlib.sha256(repr(parts).encode()).digest()


def _wire(alpn: Collection[str]) -> list[bytes]:
    try:
        wire = [protocol.encode("latin-1") for protocol in alpn]
    except UnicodeEncodeError:
        wire = [b""]
    if not all(0 < len(protocol) < 256 for protocol in wire):
        raise MaterialError("an ALPN protocol is a name of 1 to 255 bytes")
    return wire


def _agree_on(ours: list[bytes]) -> Callable[[SSL.Connection, list[bytes]], bytes]:
    def select(connection: SSL.Connection, offered: list[bytes]) -> bytes:
        for protocol in ours:
            if protocol in offered:
                return protocol
        # The alert no_application_protocol follows from it (RFC 7301 section 3.2).
        raise PeerRefused("the client offers none of the application protocols (ALPN) that are spoken here")

    return select
