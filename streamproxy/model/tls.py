"""TLS as data: key pairs, the certificates that names get, and how a client has to prove itself."""

from __future__ import annotations

import enum
import hashlib

from attrs import field, frozen


class TlsMode(enum.Enum):
    """``DISABLED`` relays as is, ``PASSTHROUGH`` reads the name and relays as is, ``TERMINATE`` decrypts."""

    DISABLED = "Disabled"
    PASSTHROUGH = "PassThrough"
    TERMINATE = "Enabled"


class ClientAuth(enum.Enum):
    """Whether a client certificate is asked for (``WANT``: a missing one is fine, a bad one is not) or demanded."""

    NONE = "None"
    WANT = "Want"
    NEED = "Need"


STARTTLS = ("imap", "ldap", "mysql", "pop3", "postgres", "smtp")
"""The protocols that begin in plain text and whose clients can be answered up to their ClientHello."""


class TlsVersion(enum.IntEnum):
    """By the number on the wire (RFC 8446, 4.2.1), so that versions compare."""

    TLS1_1 = 0x0302
    TLS1_2 = 0x0303
    TLS1_3 = 0x0304


@frozen
class KeyPair:
    """
    A private key (PKCS #8, DER) and the certificates that go with it (DER, the leaf first, each signed by the next).
    The key shows itself in no repr.
    """

    chain: tuple[bytes, ...] = field(repr=lambda chain: f"<{len(chain)} certificates>")
    key: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the leaf, in lower-case hex."""
        return hashlib.sha256(self.chain[0]).hexdigest()


@frozen
class ClientVerification:
    """
    What a client has to show. ``ca`` are the certificates (DER) it may be signed by, ``depth`` how many may stand
    between its own and one of those, ``crls`` revocation lists (DER) of theirs. ``NONE`` asks for nothing.
    """

    auth: ClientAuth = ClientAuth.NONE
    ca: tuple[bytes, ...] = field(default=(), repr=lambda ca: f"<{len(ca)} certificates>")
    depth: int | None = None
    crls: tuple[bytes, ...] = field(default=(), repr=lambda crls: f"<{len(crls)} lists>")


@frozen
class Certificate:
    """
    What a server shows for ``names``: host names, ``*.`` and a name for exactly one label more, or ``*`` for
    everything. Several ``pairs`` are of different kinds (RSA, ECDSA); the client's abilities choose. ``id`` says where
    it is from (``apisix:ssls/1``, ``file:/etc/certs/a.pem``). ``client``: what is demanded of clients of these names in
    place of what their listener demands. ``versions``: those allowed, empty for the default.

    ``serial`` orders those of one name: of equal claims the one with the greatest serial that is valid wins.
    ``not_before`` and ``not_after`` (seconds since the epoch) are the narrowest of its leaves.
    """

    id: str
    names: tuple[str, ...]
    pairs: tuple[KeyPair, ...]
    client: ClientVerification | None = None
    versions: frozenset[TlsVersion] = frozenset()
    serial: int = 0
    not_before: float = 0.0
    not_after: float = float("inf")


@frozen
class ServerPolicy:
    """
    Everything a server's side of a handshake follows from: two handshakes of equal policies may share sessions, no
    others do. ``alpn``: the protocols to agree on, best first; empty agrees on none.
    """

    pairs: tuple[KeyPair, ...]
    client: ClientVerification = ClientVerification()
    versions: frozenset[TlsVersion] = frozenset({TlsVersion.TLS1_2, TlsVersion.TLS1_3})
    alpn: tuple[str, ...] = ()


@frozen
class ClientPolicy:
    """
    Everything a client's side of a handshake follows from. ``server_name`` is sent (unless it is an address) and
    verified; ``send_name`` replaces what is sent, where the two differ. ``ca``: who is trusted (DER); empty trusts the
    system's. ``pair``: what is shown to a server that asks. Where it does ``follow_client``, the name the session's
    client asked for, if it did, takes the place of both names.
    """

    server_name: str
    verify: bool = True
    send_name: str | None = None
    ca: tuple[bytes, ...] = field(default=(), repr=lambda ca: f"<{len(ca)} certificates>")
    pair: KeyPair | None = None
    minimum: TlsVersion = TlsVersion.TLS1_2
    alpn: tuple[str, ...] = ()
    follow_client: bool = False


@frozen
class PeerIdentity:
    """
    A certificate that a peer showed and that was verified: its subject (RFC 4514), its alternative names
    (``DNS:a.example.com``, ``URI:spiffe://...``, ``IP:10.0.0.1``, ``email:...``), the SHA-256 of it in hex, and its
    serial number.
    """

    subject: str
    sans: tuple[str, ...]
    fingerprint: str
    serial: int


@frozen
class TlsFacts:
    """What a finished handshake agreed on. ``client`` is ``None`` when the client showed no certificate."""

    version: str
    cipher: str
    alpn: str | None = None
    resumed: bool = False
    client: PeerIdentity | None = None
