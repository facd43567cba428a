"""What is known of a connection when it is decided on."""

from __future__ import annotations

import enum

from attrs import frozen

from .address import Address, ListenAddress
from .tls import TlsFacts


class FactKind(enum.Enum):
    """A fact that costs something to learn: the client has to speak first."""

    SNI = "sni"
    HTTP_HOST = "http_host"


@frozen
class Facts:
    """
    ``peer`` is the client, ``local`` the address it reached (never a wildcard). ``sni`` and ``http_host`` are
    lower-case A-labels without trailing dot, ``None`` when the client named nothing or nothing was read.
    ``tls`` says whether the client opened with a TLS ClientHello; ``alpn`` are the protocols it offered. ``handshake``
    is what was agreed on where we terminate TLS, the client's verified certificate included.

    Where a PROXY protocol header came first, ``claimed`` is the client it names; if its sender is trusted, that is
    ``peer`` too (and ``local`` what it names there), ``via`` is the sender and ``arrived`` the address of ours that
    this one reached. ``tlvs`` are the header's, by type.
    ``assumed`` is the name that a client is taken to mean that said none.
    """

    listener: ListenAddress
    peer: Address
    local: Address
    tls: bool = False
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    http_host: str | None = None
    handshake: TlsFacts | None = None
    claimed: Address | None = None
    via: Address | None = None
    tlvs: tuple[tuple[int, bytes], ...] = ()
    assumed: str | None = None
    arrived: Address | None = None

    @property
    def accepted(self) -> Address:
        """The address of ours at which it came in, whatever somebody in front says."""
        return self.arrived or self.local

    @property
    def name(self) -> str | None:
        """The name the client asked for, by whichever protocol it said it, else the one that is assumed."""
        if self.sni is not None:
            return self.sni
        return self.http_host if self.http_host is not None else self.assumed
