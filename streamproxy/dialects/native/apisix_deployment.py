"""``deployment`` in an APISIX 3.x ``config.yaml``: which part a process plays, and its Admin API."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Final, Literal

from attrs import frozen

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import Address, AdminKey, Network, Role, Secret, Standalone

from ..codec import Port, Via
from ..quantities import NetworkText
from .fields import Identifier, Interface, PathText, secret
from .settings import AdminTlsSection, KeyEntry, admin_keys

LISTEN: Final = Address("0.0.0.0", 9180)
"""Where APISIX's Admin API listens by default."""

_ALLOW: Final = (ip_network("127.0.0.0/24"),)


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
    ip: Interface = LISTEN.host
    port: Port = LISTEN.port


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
    admin_api_version: str = "v3"
    enable_admin_cors: bool = True

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
class RoleTraditional:
    config_provider: Literal["etcd", "yaml"] = "etcd"


@frozen
class RoleControlPlane:
    config_provider: Literal["etcd"] = "etcd"


def _provider(text: str) -> Standalone:
    if text not in ("yaml", "json"):
        raise InvalidConfiguration((Problem("", "unsupported", f"{text} is not supported: use yaml or json"),))
    return Standalone(text)


@frozen
class RoleDataPlane:
    config_provider: Annotated[Standalone, Via(Literal["etcd", "yaml", "json", "xds"], _provider)]


@frozen
class Deployment:
    admin: Admin = Admin()
    role: Literal["traditional", "control_plane", "data_plane"] = "traditional"
    role_traditional: RoleTraditional = RoleTraditional()
    role_control_plane: RoleControlPlane = RoleControlPlane()
    role_data_plane: RoleDataPlane | None = None

    def __attrs_post_init__(self) -> None:
        if self.role == "data_plane" and self.role_data_plane is None:
            path = "role_data_plane.config_provider"
            raise InvalidConfiguration((Problem(path, "missing", "is required for this role: yaml or json"),))

    @property
    def standalone(self) -> Standalone | None:
        if self.role == "data_plane" and self.role_data_plane is not None:
            return self.role_data_plane.config_provider
        is_api = self.role == "traditional" and self.role_traditional.config_provider == "yaml"
        return Standalone.API if is_api else None

    @property
    def is_data_plane(self) -> bool:
        return self.role == "data_plane"

    @property
    def proxies(self) -> bool:
        """A control plane leaves that to others."""
        return self.role != "control_plane"
