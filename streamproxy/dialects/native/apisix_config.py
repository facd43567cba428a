"""
The keys of an APISIX 3.x ``config.yaml`` that mean something here, in the places where APISIX has them.

What a class below has no field for is another product's: :func:`ignored` names it, so that a whole ``config.yaml`` can
be pasted and its user still knows what of it works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from attrs import evolve, fields, frozen, has, resolve_types

from streamproxy.errors import Problem
from streamproxy.model import (
    Address,
    AdminSettings,
    Limits,
    MetricsSettings,
    ResolverSettings,
    Secret,
)

from ..apisix import KEY_LENGTHS
from ..codec import Port, Via, member
from ..quantities import Duration, NetworkText
from .apisix_deployment import LISTEN, Admin, Deployment
from .fields import (
    Interface,
    LogFormat,
    LogPath,
    MetricPrefix,
    Nameserver,
    ServerName,
    UrlPath,
)
from .settings import AccessLogSection, StreamProxySection

# The top-level keys of APISIX's own file.
KEYS: Final = frozenset(
    {
        "apisix",
        "deployment",
        "discovery",
        "etcd",
        "event",
        "ext-plugin",
        "graphql",
        "nginx_config",
        "plugin_attr",
        "plugins",
        "wasm",
        "xrpc",
    }
)

EXPORT_ADDR: Final = "plugin_attr.prometheus.export_addr"
# Each pair says one thing in two places.
SAME: Final = (
    ("stream_proxy", "apisix.stream_proxy"),
    ("tls.fallback_sni", "apisix.ssl.fallback_sni"),
    ("admin.listen", "deployment.admin.admin_listen"),
    ("admin.keys", "deployment.admin.admin_key"),
    ("admin.allow", "deployment.admin.allow_admin"),
    ("admin.tls", "deployment.admin.admin_api_mtls"),
    ("access_log", "nginx_config.stream.enable_access_log"),
    ("control", "apisix.control"),
    ("status", "apisix.status"),
    ("proxy_protocol.trusted", "nginx_config.stream.real_ip_from"),
    ("resolver.servers", "apisix.dns_resolver"),
    ("resolver.valid", "apisix.dns_resolver_valid"),
    ("resolver.timeout", "apisix.resolver_timeout"),
    ("resolver.ipv6", "apisix.enable_ipv6"),
    ("limits.shutdown_timeout", "nginx_config.worker_shutdown_timeout"),
    ("metrics", EXPORT_ADDR),
)

# APISIX's defaults, for what is said only in its places.
_METRICS: Final = MetricsSettings(Address("127.0.0.1", 9091))
_LOG_FORMAT: Final = "$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time"


@frozen
class Ssl:
    fallback_sni: ServerName | None = None


def _ring_key(text: str) -> Secret:
    if len(text) not in KEY_LENGTHS or not text.isascii():
        raise ValueError(f"expected 16 or 32 ASCII characters, got {len(text)} characters")
    return Secret(text)


def _keyring(keys: tuple[Secret, ...]) -> tuple[Secret, ...]:
    if not keys:
        raise ValueError("expected one key at least")
    return keys


@frozen
class DataEncryption:
    """``keyring``: what private keys in documents are sealed with is the first."""

    keyring: Annotated[tuple[Secret, ...], Via(tuple[Annotated[Secret, Via(str, _ring_key)], ...], _keyring)] = ()


@frozen
class ProxyProtocol:
    """For the TCP entries of ``stream_proxy`` that do not say."""

    enable_tcp_pp: bool = False
    enable_tcp_pp_to_upstream: bool = False


@frozen
class ControlServer:
    ip: Interface = "127.0.0.1"
    port: Port = 9090


@frozen
class StatusServer:
    ip: Interface = "127.0.0.1"
    port: Port = 7085


def _nameservers(servers: tuple[Address, ...]) -> tuple[Address, ...]:
    if not servers:
        raise ValueError("expected one server at least")
    return servers


@frozen
class Apisix:
    proxy_mode: Literal["http", "stream", "http&stream"] | None = None
    stream_proxy: StreamProxySection = StreamProxySection()
    ssl: Ssl = Ssl()
    proxy_protocol: ProxyProtocol = ProxyProtocol()
    data_encryption: DataEncryption = DataEncryption()
    enable_admin: bool | None = None
    enable_control: bool | None = None
    control: ControlServer | None = None
    status: StatusServer | None = None
    dns_resolver: Annotated[tuple[Address, ...], Via(tuple[Nameserver, ...], _nameservers)] = ()
    dns_resolver_valid: Duration | None = None
    resolver_timeout: Duration | None = None
    enable_ipv6: bool | None = None
    disable_upstream_healthcheck: bool = False
    enable_server_tokens: bool = True

    @property
    def serves_streams(self) -> bool:
        """Without a ``proxy_mode`` nobody says no."""
        return self.proxy_mode != "http"

    @property
    def serves_admin(self) -> bool | None:
        """``None``: nothing is said of it. The mode ``stream`` is the one without an HTTP server."""
        return False if self.proxy_mode == "stream" else self.enable_admin

    @property
    def control_address(self) -> Address | None:
        """As for the metrics, what nobody mentions does not listen."""
        if self.proxy_mode == "stream" or self.enable_control is False:
            return None
        control = self.control or (ControlServer() if self.enable_control else None)
        return None if control is None else Address(control.ip, control.port)

    @property
    def status_address(self) -> Address | None:
        if self.proxy_mode == "stream" or self.status is None:
            return None
        return Address(self.status.ip, self.status.port)

    def resolver(self, own: ResolverSettings) -> ResolverSettings:
        """``own`` with what is said here."""
        said: dict[str, Any] = {
            "servers": self.dns_resolver or None,
            "valid": self.dns_resolver_valid,
            "timeout": self.resolver_timeout,
            "ipv6": self.enable_ipv6,
        }
        return evolve(own, **{name: value for name, value in said.items() if value is not None})


@frozen
class Stream:
    enable_access_log: bool = False
    access_log: LogPath = "logs/access_stream.log"
    access_log_format: LogFormat = _LOG_FORMAT
    access_log_format_escape: Literal["default", "json"] = "default"
    real_ip_from: tuple[NetworkText, ...] = ()

    @property
    def access_log_section(self) -> AccessLogSection | None:
        if not self.enable_access_log:
            return None
        return AccessLogSection(self.access_log, self.access_log_format, self.access_log_format_escape)


@frozen
class NginxConfig:
    stream: Stream = Stream()
    worker_shutdown_timeout: Duration | None = None

    def limits(self, own: Limits) -> Limits:
        """``own`` with what is said here."""
        timeout = self.worker_shutdown_timeout
        return own if timeout is None else evolve(own, shutdown_timeout=timeout)


@frozen
class ExportAddr:
    ip: Interface = _METRICS.listen.host
    port: Port = _METRICS.listen.port


@frozen
class Prometheus:
    """``refresh_interval`` is how old APISIX's answers may be; ours are always new."""

    export_uri: UrlPath = _METRICS.path
    metric_prefix: MetricPrefix = _METRICS.prefix
    enable_export_server: bool = True
    export_addr: ExportAddr = ExportAddr()
    refresh_interval: Duration = 15.0

    @property
    def settings(self) -> MetricsSettings | None:
        if not self.enable_export_server:
            return None
        return MetricsSettings(Address(self.export_addr.ip, self.export_addr.port), self.export_uri, self.metric_prefix)


@frozen
class PluginAttr:
    prometheus: Prometheus = Prometheus()


def at(tree: Mapping[str, Any], path: str) -> Any:
    """What stands at the dotted ``path``, or ``None``."""
    value: Any = tree
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def is_given(tree: Mapping[str, Any], path: str) -> bool:
    """Does anything but ``null`` stand at the dotted ``path``?"""
    return at(tree, path) is not None


def conflicts(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """What is said in both places."""
    for ours, theirs in SAME:
        if is_given(tree, ours) and is_given(tree, theirs):
            yield Problem(theirs, "conflict", f"is the same as {ours}, which is given too: keep one of them")


def admin_settings(own: AdminSettings, tree: Mapping[str, Any], admin: Admin, directory: Path) -> AdminSettings:
    """
    ``own`` with what ``deployment.admin`` says. Where APISIX would listen on every address by default, this is done
    only with a key: without one (APISIX makes one up) the API is for this machine.
    """
    changes: dict[str, Any] = {"require_key": admin.admin_key_required}
    if is_given(tree, "deployment.admin.admin_listen"):
        changes["listen"] = Address(admin.admin_listen.ip, admin.admin_listen.port)
    elif admin.admin_key and not is_given(tree, "admin.listen"):
        changes["listen"] = LISTEN
    if admin.admin_key:
        changes["keys"] = admin.admin_key
    if is_given(tree, "deployment.admin") and not is_given(tree, "admin.allow"):
        changes["allow"] = admin.allow_admin
    if admin.tls is not None:
        changes["tls"] = admin.tls.settings(directory)
    if is_given(tree, "deployment.admin"):
        # Where nobody has to prove anything, the page of any site could write too.
        changes["cors"] = admin.enable_admin_cors and admin.admin_key_required
        # Whatever is not v3 has the shapes of old.
        changes["api_version"] = "v3" if admin.admin_api_version == "v3" else "v2"
    return evolve(own, **changes)


_SECTIONS: Final[Mapping[str, type]] = {
    "apisix": Apisix,
    "deployment": Deployment,
    "nginx_config": NginxConfig,
    "plugin_attr": PluginAttr,
}


def ignored(tree: Mapping[str, Any], apisix: Apisix, deployment: Deployment) -> tuple[str, ...]:
    """
    The dotted names of what ``tree`` holds of APISIX's that has no meaning here, in the order they stand in; at the
    end what ``apisix`` and ``deployment`` themselves switch off.
    """
    names = [name for key in tree if key in KEYS for name in _ignored(tree[key], _SECTIONS.get(key), key)]
    if not (apisix.serves_streams and deployment.proxies) and is_given(tree, "apisix.stream_proxy"):
        names.append("apisix.stream_proxy")
    return tuple(names)


def _ignored(value: Any, section: Any, path: str) -> Iterator[str]:
    section = next((each for each in get_args(section) if isinstance(each, type) and has(each)), section)
    if section is None:
        yield path
    elif isinstance(section, type) and has(section) and isinstance(value, Mapping):
        known = {field.alias: field.type for field in fields(resolve_types(section))}
        for key, item in value.items():
            yield from _ignored(item, known.get(key), member(path, key))
