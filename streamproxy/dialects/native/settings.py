"""The sections of a configuration file, all but its listeners and its documents."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from attrs import asdict, frozen

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import (
    AccessLogSettings,
    Address,
    AdminClient,
    AdminKey,
    AdminSettings,
    AdminTls,
    Limits,
    MetricsSettings,
    ResolverSettings,
    Role,
    StoreSettings,
    StoreType,
    TlsSettings,
)

from ..codec import Via
from ..quantities import Bandwidth, Count, CountOrNone, Duration, NetworkText, RateText
from .fields import (
    ClientId,
    Identifier,
    Listen,
    LogFormat,
    LogPath,
    MetricPrefix,
    Nameserver,
    PathText,
    SecretText,
    ServerName,
    UrlPath,
    is_elsewhere,
)

_ADMIN = AdminSettings()
_STORE = StoreSettings()
_LIMITS = Limits()
_RESOLVER = ResolverSettings()
_METRICS = MetricsSettings(Address("127.0.0.1", 9091))


@frozen
class KeyEntry:
    name: Identifier
    key: SecretText
    role: Role


@frozen
class ClientEntry:
    id: ClientId
    secret: SecretText
    role: Role


def admin_keys(entries: tuple[KeyEntry | None, ...]) -> tuple[AdminKey, ...]:
    """
    The keys, where no name and no key is there twice: the audit log knows callers by name, and a key has one role.
    ``None`` keeps the place of an entry that counts for nothing. Raises ``InvalidConfiguration``.
    """
    _unique("name", [entry and entry.name for entry in entries])
    _unique("key", [entry and entry.key for entry in entries])
    return tuple(AdminKey(entry.name, entry.key, entry.role) for entry in entries if entry is not None)


def _clients(entries: tuple[ClientEntry, ...]) -> tuple[AdminClient, ...]:
    _unique("id", [entry.id for entry in entries])
    return tuple(AdminClient(entry.id, entry.secret, entry.role) for entry in entries)


def _unique(name: str, values: Sequence[Hashable | None]) -> None:
    first: dict[Hashable, int] = {}
    problems = tuple(
        Problem(f"[{index}].{name}", "conflict", f"is the {name} of [{first[value]}] already")
        for index, value in enumerate(values)
        if value is not None and first.setdefault(value, index) != index
    )
    if problems:
        raise InvalidConfiguration(problems)


@frozen
class AdminTlsSection:
    cert: PathText
    key: PathText
    client_ca: PathText | None = None

    def settings(self, directory: Path) -> AdminTls:
        client_ca = None if self.client_ca is None else resolved(directory, self.client_ca)
        return AdminTls(resolved(directory, self.cert), resolved(directory, self.key), client_ca)


@frozen
class AdminSection:
    listen: Listen = _ADMIN.listen
    keys: Annotated[tuple[AdminKey, ...], Via(tuple[KeyEntry, ...], admin_keys)] = ()
    clients: Annotated[tuple[AdminClient, ...], Via(tuple[ClientEntry, ...], _clients)] = ()
    allow: tuple[NetworkText, ...] = ()
    tls: AdminTlsSection | None = None

    def settings(self, directory: Path) -> AdminSettings:
        tls = None if self.tls is None else self.tls.settings(directory)
        return AdminSettings(self.listen, self.keys, self.clients, self.allow, tls)


@frozen
class StoreSection:
    type: StoreType = _STORE.type
    path: PathText = _STORE.path

    def settings(self, directory: Path) -> StoreSettings:
        return StoreSettings(self.type, resolved(directory, self.path))


@frozen
class TlsSection:
    certificates: PathText | None = None
    client_ca: PathText | None = None
    client_crl: PathText | None = None
    fallback_sni: ServerName | None = None

    def settings(self, directory: Path) -> TlsSettings:
        certificates, client_ca, client_crl = (
            None if path is None else resolved(directory, path)
            for path in (self.certificates, self.client_ca, self.client_crl)
        )
        return TlsSettings(certificates, client_ca, self.fallback_sni, client_crl)


@frozen
class AccessLogSection:
    path: LogPath
    format: LogFormat = "json"
    escape: Literal["default", "json"] = "default"

    def settings(self, directory: Path) -> AccessLogSettings:
        path = self.path if self.path == "-" or is_elsewhere(self.path) else resolved(directory, self.path)
        return AccessLogSettings(path, self.format, self.escape)


@frozen
class StreamProxySection:
    """The lists of entries, which :mod:`~streamproxy.dialects.stream_proxy` reads."""

    tcp: Any = ()
    udp: Any = ()


@frozen
class MetricsSection:
    listen: Listen
    path: UrlPath = _METRICS.path
    prefix: MetricPrefix = _METRICS.prefix

    def settings(self) -> MetricsSettings:
        return MetricsSettings(self.listen, self.path, self.prefix)


@frozen
class ListenSection:
    """``control`` and ``status``: a server of its own."""

    listen: Listen


@frozen
class ProxyProtocolSection:
    trusted: tuple[NetworkText, ...] = ()


@frozen
class ResolverSection:
    servers: tuple[Nameserver, ...] = _RESOLVER.servers
    valid: Duration | None = _RESOLVER.valid
    timeout: Duration = _RESOLVER.timeout
    ipv6: bool = _RESOLVER.ipv6

    def settings(self) -> ResolverSettings:
        return ResolverSettings(self.servers, self.valid, self.timeout, self.ipv6)


@frozen
class LimitsSection:
    max_sessions: Count | None = _LIMITS.max_sessions
    max_sessions_per_listener: Count | None = _LIMITS.max_sessions_per_listener
    max_sessions_per_client: Count | None = _LIMITS.max_sessions_per_client
    max_udp_sessions: Count = _LIMITS.max_udp_sessions
    session_rate: RateText | None = _LIMITS.session_rate
    session_rate_per_client: RateText | None = _LIMITS.session_rate_per_client
    bandwidth: Bandwidth | None = _LIMITS.bandwidth
    bandwidth_per_client: Bandwidth | None = _LIMITS.bandwidth_per_client
    sniff_timeout: Duration = _LIMITS.sniff_timeout
    handshake_timeout: Duration = _LIMITS.handshake_timeout
    connect_timeout: Duration = _LIMITS.connect_timeout
    idle_timeout: Duration = _LIMITS.idle_timeout
    udp_idle_timeout: Duration = _LIMITS.udp_idle_timeout
    max_duration: Duration | None = _LIMITS.max_duration
    max_sessions_per_node: Count | None = _LIMITS.max_sessions_per_node
    max_queue: CountOrNone = _LIMITS.max_queue
    queue_timeout: Duration = _LIMITS.queue_timeout
    shutdown_timeout: Duration = _LIMITS.shutdown_timeout
    drain_time: Duration = _LIMITS.drain_time

    def settings(self) -> Limits:
        return Limits(**asdict(self, recurse=False))


def resolved(directory: Path, path: str) -> str:
    """``path`` as seen from ``directory``, which is absolute."""
    return os.path.normpath(directory / path)


def exposed(admin: AdminSettings, path: str) -> Problem | None:
    """
    What is wrong with an Admin API that others than this machine can reach and that nobody has to prove anything to.
    ``path`` is where it was told to listen.
    """
    if ip_address(admin.listen.host).is_loopback or (admin.require_key and (admin.keys or admin.clients)):
        return None
    message = (
        f"{admin.listen} can be reached from elsewhere: configure admin.keys or admin.clients, or listen on 127.0.0.1"
    )
    return Problem(path, "bad_value", message)
