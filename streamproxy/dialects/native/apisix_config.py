"""
The keys of an APISIX 3.x ``config.yaml`` that mean something here, in the places where APISIX has them.

What a class below has no field for is another product's: :func:`ignored` names it, so that a whole ``config.yaml`` can
be pasted and its user still knows what of it works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from attrs import evolve, fields, frozen, has, resolve_types

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import Address, AdminKey, AdminSettings, Network, Role, Secret

from ..apisix import KEY_LENGTHS
from ..codec import Port, Via, member
from .fields import Identifier, Interface, LogFormat, LogPath, NetworkText, PathText, ServerName, secret
from .settings import AccessLogSection, AdminTlsSection, KeyEntry, StreamProxySection, admin_keys

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
        "stream_plugins",
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
    ("metrics", EXPORT_ADDR),
)

# APISIX's defaults, for what is said only in its places.
_ALLOW: Final = (ip_network("127.0.0.0/24"),)
_LISTEN: Final = Address("0.0.0.0", 9180)
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
class Apisix:
    proxy_mode: Literal["http", "stream", "http&stream"] | None = None
    stream_proxy: StreamProxySection = StreamProxySection()
    ssl: Ssl = Ssl()
    proxy_protocol: ProxyProtocol = ProxyProtocol()
    data_encryption: DataEncryption = DataEncryption()
    enable_admin: bool | None = None

    @property
    def serves_streams(self) -> bool:
        """Without a ``proxy_mode`` nobody says no."""
        return self.proxy_mode != "http"

    @property
    def serves_admin(self) -> bool | None:
        """``None``: nothing is said of it. The mode ``stream`` is the one without an HTTP server."""
        return False if self.proxy_mode == "stream" else self.enable_admin


def _key(text: str) -> Secret | None:
    return secret(text) if text else None


@frozen
class KeyItem:
    """With an empty ``key``, APISIX makes one up."""

    name: Identifier
    key: Annotated[Secret | None, Via(str, _key)] = None
    role: Role = Role.ADMIN


def _entry(item: KeyItem) -> KeyEntry | None:
    return None if item.key is None else KeyEntry(item.name, item.key, item.role)


def _allow(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    if not networks:
        raise ValueError("lets nobody in: list networks, or set apisix.enable_admin: false")
    return networks


@frozen
class AdminListen:
    ip: Interface = _LISTEN.host
    port: Port = _LISTEN.port


@frozen
class AdminMtls:
    admin_ssl_cert: PathText | None = None
    admin_ssl_cert_key: PathText | None = None
    admin_ssl_ca_cert: PathText | None = None


@frozen
class Admin:
    admin_key: Annotated[
        tuple[AdminKey, ...], Via(tuple[Annotated[KeyEntry | None, Via(KeyItem, _entry)], ...], admin_keys)
    ] = ()
    admin_key_required: bool = True
    allow_admin: Annotated[tuple[Network, ...], Via(tuple[NetworkText, ...], _allow)] = _ALLOW
    admin_listen: AdminListen = AdminListen()
    https_admin: bool = False
    admin_api_mtls: AdminMtls = AdminMtls()

    def __attrs_post_init__(self) -> None:
        if self.https_admin and self.tls is None:
            raise InvalidConfiguration((Problem("https_admin", "missing", "missing ssl cert for https admin"),))

    @property
    def tls(self) -> AdminTlsSection | None:
        files = self.admin_api_mtls
        if not self.https_admin or files.admin_ssl_cert is None or files.admin_ssl_cert_key is None:
            return None
        return AdminTlsSection(files.admin_ssl_cert, files.admin_ssl_cert_key, files.admin_ssl_ca_cert)


@frozen
class Deployment:
    admin: Admin = Admin()


@frozen
class Stream:
    enable_access_log: bool = False
    access_log: LogPath = "logs/access_stream.log"
    access_log_format: LogFormat = _LOG_FORMAT

    @property
    def access_log_section(self) -> AccessLogSection | None:
        return AccessLogSection(self.access_log, self.access_log_format) if self.enable_access_log else None


@frozen
class NginxConfig:
    stream: Stream = Stream()


@frozen
class ExportAddr:
    ip: Interface = "127.0.0.1"
    port: Port = 9091


@frozen
class Prometheus:
    enable_export_server: bool = True
    export_addr: ExportAddr = ExportAddr()

    @property
    def address(self) -> Address | None:
        return Address(self.export_addr.ip, self.export_addr.port) if self.enable_export_server else None


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
        changes["listen"] = _LISTEN
    if admin.admin_key:
        changes["keys"] = admin.admin_key
    if is_given(tree, "deployment.admin") and not is_given(tree, "admin.allow"):
        changes["allow"] = admin.allow_admin
    if admin.tls is not None:
        changes["tls"] = admin.tls.settings(directory)
    return evolve(own, **changes)


_SECTIONS: Final[Mapping[str, type]] = {
    "apisix": Apisix,
    "deployment": Deployment,
    "nginx_config": NginxConfig,
    "plugin_attr": PluginAttr,
}


def ignored(tree: Mapping[str, Any], apisix: Apisix) -> tuple[str, ...]:
    """
    The dotted names of what ``tree`` holds of APISIX's that has no meaning here, in the order they stand in; at the
    end what ``apisix`` itself switches off.
    """
    names = [name for key in tree if key in KEYS for name in _ignored(tree[key], _SECTIONS.get(key), key)]
    if not apisix.serves_streams and is_given(tree, "apisix.stream_proxy"):
        names.append("apisix.stream_proxy")
    return tuple(names)


def _ignored(value: Any, section: Any, path: str) -> Iterator[str]:
    if section is None:
        yield path
    elif isinstance(section, type) and has(section) and isinstance(value, Mapping):
        known = {field.alias: field.type for field in fields(resolve_types(section))}
        for key, item in value.items():
            yield from _ignored(item, known.get(key), member(path, key))
