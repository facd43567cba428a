"""The configuration file, decoded: what one process was told when it started or reloaded."""

from __future__ import annotations

import enum
import hmac

from attrs import field, frozen

from .address import Address, ListenAddress
from .document import Document
from .route import Network
from .settings import Limits


@frozen
class Secret:
    """Text that shows itself to nobody: not in a repr, not in a message."""

    value: str = field(repr=lambda _: "'***'")

    def matches(self, offered: str) -> bool:
        """Is it the same text? Takes the same time wherever they differ."""
        return hmac.compare_digest(self.value.encode(), offered.encode("utf-8", "surrogateescape"))

    def __str__(self) -> str:
        return "***"


class Role(enum.Enum):
    """``VIEWER`` may read only."""

    ADMIN = "admin"
    VIEWER = "viewer"


@frozen
class AdminKey:
    """What a caller proves with ``X-API-KEY``."""

    name: str
    key: Secret
    role: Role


@frozen
class AdminClient:
    """What a caller proves with Otoroshi's client id and secret headers, or with Basic authentication."""

    id: str
    secret: Secret
    role: Role


@frozen
class AdminTls:
    """Paths of PEM files. With ``client_ca`` every caller needs a certificate of it."""

    cert: str
    key: str
    client_ca: str | None = None


@frozen
class AdminSettings:
    """
    ``allow``: callers from elsewhere get 403; empty allows everybody. ``max_body`` in bytes. Without ``require_key``
    nobody has to prove anything (APISIX's ``admin_key_required: false``), and everybody is an administrator.
    """

    listen: Address = Address("127.0.0.1", 9180)
    keys: tuple[AdminKey, ...] = ()
    clients: tuple[AdminClient, ...] = ()
    allow: tuple[Network, ...] = ()
    tls: AdminTls | None = None
    max_body: int = 1_572_864
    require_key: bool = True


class StoreType(enum.Enum):
    MEMORY = "memory"
    SQLITE = "sqlite"


@frozen
class StoreSettings:
    """``path`` is resolved against the directory of the configuration file."""

    type: StoreType = StoreType.SQLITE
    path: str = "streamproxy.db"


@frozen
class StaticListener:
    """A ``stream_proxy`` entry. ``path`` says where it stands in the file (``stream_proxy.tcp[0]``)."""

    address: ListenAddress
    path: str
    tls: bool = False
    proxy_protocol: bool = False
    proxy_protocol_to_upstream: bool = False


@frozen
class TlsSettings:
    """
    ``certificates`` is a directory of PEM files; ``client_ca`` (who vouches for clients) and ``client_crl`` (whom they
    have revoked) are PEM files. All absolute.
    """

    certificates: str | None = None
    client_ca: str | None = None
    fallback_sni: str | None = None
    client_crl: str | None = None


@frozen
class AccessLogSettings:
    """``path``: a file, or ``-`` for standard output. ``format``: ``json``, ``otoroshi``, or a format string."""

    path: str
    format: str = "json"


@frozen
class Config:
    """
    ``path`` is the file it came from. ``admin`` is ``None`` when it is switched off. ``resources`` are the declared
    documents (read-only in the APIs). ``keyring`` has what private keys in documents are sealed with, the first key,
    and what else they may have been sealed with; empty means APISIX's default. ``ignored`` names the keys that were
    understood to be another product's and have no meaning here.
    """

    path: str
    admin: AdminSettings | None = AdminSettings()
    store: StoreSettings = StoreSettings()
    stream_proxy: tuple[StaticListener, ...] = ()
    tls: TlsSettings = TlsSettings()
    resources: tuple[Document, ...] = ()
    access_log: AccessLogSettings | None = None
    metrics: Address | None = None
    limits: Limits = Limits()
    keyring: tuple[Secret, ...] = ()
    ignored: tuple[str, ...] = ()
