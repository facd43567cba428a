"""The configuration file, decoded: what one process was told when it started or reloaded."""

from __future__ import annotations

import enum
import hmac
import os

from attrs import field, frozen

from .access import Access
from .address import Address, ListenAddress
from .document import Document
from .route import Network
from .settings import Limits, ListenerLimits


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
    ``api_version`` is the shape of APISIX's answers (``v3``, ``v2``). With ``cors`` pages of every site may read what
    APISIX's API answers, to those who have a key; ``server_tokens`` says whether it names its version.
    """

    listen: Address = Address("127.0.0.1", 9180)
    keys: tuple[AdminKey, ...] = ()
    clients: tuple[AdminClient, ...] = ()
    allow: tuple[Network, ...] = ()
    tls: AdminTls | None = None
    max_body: int = 1_572_864
    require_key: bool = True
    api_version: str = "v3"
    cors: bool = False
    server_tokens: bool = True


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
    """
    A ``stream_proxy`` entry. ``path`` says where it stands in the file (``stream_proxy.tcp[0]``). With
    ``tls_passthrough`` it looks for the name in a TLS handshake that it leaves alone. ``proxy_protocol_to_upstream`` is
    the version of the PROXY protocol that targets are sent (0: none). ``access`` and ``limits`` are its own.
    """

    address: ListenAddress
    path: str
    tls: bool = False
    proxy_protocol: bool = False
    proxy_protocol_to_upstream: int = 0
    tls_passthrough: bool = False
    access: Access = Access()
    limits: ListenerLimits = ListenerLimits()


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
    """
    ``path``: a file, ``-`` for standard output, ``syslog:server=...`` or a URL. ``format``: ``json``, ``otoroshi``, or
    a format string, in which values are escaped as nginx does by default or, with the ``escape`` ``json``, so that they
    fit into JSON's quotes.
    """

    path: str
    format: str = "json"
    escape: str = "default"


@frozen
class MetricsSettings:
    """
    Where metrics are scraped: at ``path`` and at ``/metrics``. ``prefix`` begins the names of APISIX's, in place of
    its own default.
    """

    listen: Address
    path: str = "/apisix/prometheus/metrics"
    prefix: str = "apisix_"


class Standalone(enum.Enum):
    """
    APISIX without etcd: ``API`` takes everything at once through ``/apisix/admin/configs``; the others read a file of
    documents beside the configuration.
    """

    API = "api"
    YAML = "yaml"
    JSON = "json"


@frozen
class ResolverSettings:
    """
    Who is asked for the addresses behind names (empty: whom the system asks). ``valid`` is how many seconds an answer
    holds (``None``: as long as it says), ``timeout`` how many are waited for one. Without ``ipv6`` only IPv4 addresses
    are asked for.
    """

    servers: tuple[Address, ...] = ()
    valid: float | None = None
    timeout: float = 5.0
    ipv6: bool = True


@frozen
class Config:
    """
    ``path`` is the file it came from. ``admin`` is ``None`` when it is switched off. ``resources`` are the declared
    documents (read-only in the APIs). ``keyring`` has what private keys in documents are sealed with, the first key,
    and what else they may have been sealed with; empty means APISIX's default. ``ignored`` names the keys that were
    understood to be another product's and have no meaning here.

    ``control`` and ``status`` are where APISIX's Control API and status server listen (``None``: nowhere).
    ``stream_plugins`` names the connection plugins there are (``None``: the default ones). Without ``stream_enabled``
    (APISIX's ``proxy_mode: http``) the Admin API takes no stream routes. The addresses in PROXY
    protocol headers are adopted from ``trusted_proxies`` only. Without ``health_checks`` no target is checked, whatever
    its upstream says. ``access`` is about the clients of every listener. ``workers`` is how many processes serve.
    """

    path: str
    admin: AdminSettings | None = AdminSettings()
    store: StoreSettings = StoreSettings()
    stream_proxy: tuple[StaticListener, ...] = ()
    tls: TlsSettings = TlsSettings()
    resources: tuple[Document, ...] = ()
    access_log: AccessLogSettings | None = None
    metrics: MetricsSettings | None = None
    limits: Limits = Limits()
    keyring: tuple[Secret, ...] = ()
    ignored: tuple[str, ...] = ()
    control: Address | None = None
    status: Address | None = None
    stream_plugins: tuple[str, ...] | None = None
    stream_enabled: bool = True
    standalone: Standalone | None = None
    trusted_proxies: tuple[Network, ...] = ()
    resolver: ResolverSettings = ResolverSettings()
    health_checks: bool = True
    access: Access = Access()
    workers: int = 1

    @property
    def documents_path(self) -> str | None:
        """The file of documents that stands beside this one, if there is to be one."""
        if self.standalone is None or self.standalone is Standalone.API:
            return None
        return os.path.join(os.path.dirname(self.path), f"apisix.{self.standalone.value}")  # noqa: PTH118, PTH120
