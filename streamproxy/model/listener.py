"""A listener as it should be: an address, who asked for it, and how its connections are treated."""

from __future__ import annotations

import enum

from attrs import frozen

from .address import ListenAddress
from .document import Key
from .facts import FactKind


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


@frozen
class Listener:
    """
    ``routing`` names the routing of the snapshot that decides here. ``sniff`` is what may be learnt from the first
    bytes; what is learnt is this, as far as the routing looks at it. ``owner`` is for people
    (``otoroshi:tcp-services/pg``, ``stream_proxy.tcp[0]``), ``documents`` are the documents behind it.
    """

    address: ListenAddress
    routing: str
    owner: str
    documents: tuple[Key, ...] = ()
    tls: TlsMode = TlsMode.DISABLED
    client_auth: ClientAuth = ClientAuth.NONE
    sniff: frozenset[FactKind] = frozenset()
