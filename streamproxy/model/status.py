"""What is true now, of listeners and of the certificates they show."""

from __future__ import annotations

import enum

from attrs import field, frozen

from .listener import Listener
from .tls import ClientAuth, TlsVersion


class ListenerState(enum.Enum):
    """``FAILED``: the address could not be bound and is tried again. ``DRAINING``: unbound, sessions still open."""

    LISTENING = "listening"
    FAILED = "failed"


@frozen
class ListenerStatus:
    """
    ``bound_port`` is the kernel's choice where port 0 was asked for. ``error`` and ``retry_in`` (seconds) say why a
    failed one failed and when it is tried again. ``ended`` counts ended sessions by their reason. Datagrams are counted
    of UDP listeners only, those that were dropped among them.
    """

    listener: Listener
    state: ListenerState
    bound_port: int
    error: str = ""
    retry_in: float | None = None
    revision: int = 0
    sessions: int = 0
    accepted: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    ended: tuple[tuple[str, int], ...] = ()
    datagrams_in: int = 0
    datagrams_out: int = 0


@frozen
class LeafStatus:
    """
    A certificate as people ask about it: ``subject`` and ``issuer`` as in RFC 4514, ``serial`` and ``fingerprint``
    (SHA-256) in hex, ``key_size`` in bits (0 where the type says it all), times in seconds since the epoch, ``sans`` as
    in :class:`~streamproxy.model.PeerIdentity`. ``chain`` is what is shown (DER), itself first. There is no key in it.
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
    is_self_signed: bool
    is_authority: bool
    chain: tuple[bytes, ...] = field(repr=lambda chain: f"<{len(chain)} certificates>")


@frozen
class CertificateStatus:
    """
    What clients of ``names`` are shown: one of ``leaves``, by their abilities. ``id`` is where it is from
    (``apisix:ssls/1``, ``file:/etc/certs/a.pem``). ``not_before`` and ``not_after`` are the narrowest of the leaves.
    ``client_auth``: what is demanded of those clients, whatever their listener demands (``None``: nothing of its own).
    ``versions``: those allowed, empty for the default.
    """

    id: str
    names: tuple[str, ...]
    leaves: tuple[LeafStatus, ...]
    not_before: float
    not_after: float
    client_auth: ClientAuth | None = None
    versions: frozenset[TlsVersion] = frozenset()


@frozen
class CertificateCandidate:
    """A certificate that could be for a client, by its id: the name of it that fits, and why it won or lost."""

    id: str
    name: str
    won: bool
    why: str


@frozen
class CertificateChoice:
    """
    The certificate for a client that asks for a name; ``None`` where there is none and so no handshake. ``candidates``
    from the most to the least specific.
    """

    certificate: CertificateStatus | None
    why: str
    candidates: tuple[CertificateCandidate, ...] = ()
