"""The configuration file as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from attrs import evolve, fields_dict, frozen

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import (
    Access,
    AccessLogSettings,
    Address,
    AdminSettings,
    Config,
    Document,
    Json,
    ListenAddress,
    MetricsSettings,
    StaticListener,
    StoreType,
    Transport,
)
from streamproxy.plugins.seam import Plugin

from ..assemble import Vault, assemble
from ..claims import Claims
from ..codec import bounded, kind_of, structure
from ..restrictions import AccessText
from ..stream_proxy import expand
from . import apisix_config
from .apisix_config import EXPORT_ADDR, Apisix, NginxConfig, PluginAttr, at, is_given
from .apisix_deployment import Deployment
from .environment import substitute
from .fields import Identifier, Workers
from .resources import Resources, declared
from .settings import (
    AccessLogSection,
    AdminSection,
    LimitsSection,
    ListenSection,
    MetricsSection,
    ProxyProtocolSection,
    ResolverSection,
    StoreSection,
    StreamProxySection,
    TlsSection,
    exposed,
)
from .source import parse, read

T = TypeVar("T")


@frozen
class Sections:
    """The keys of our own at the top of a file."""

    admin: Any = None
    store: Any = None
    stream_proxy: Any = None
    tls: Any = None
    resources: Any = None
    access_log: Any = None
    metrics: Any = None
    limits: Any = None
    access: Any = None
    stream_plugins: Any = None
    proxy_protocol: Any = None
    resolver: Any = None
    control: Any = None
    status: Any = None
    workers: Any = None


Catalogue: TypeAlias = Callable[[tuple[str, ...] | None], Mapping[str, Plugin]]
"""
The connection plugins of these names (``None``: the default ones). Raises ``InvalidConfiguration`` for a name that
nobody has, with its place among the names as the path.
"""


def without_plugins(_: tuple[str, ...] | None) -> Mapping[str, Plugin]:
    """There are none."""
    return {}


def load_config(
    path: str | os.PathLike[str], environ: Mapping[str, str], plugins: Catalogue = without_plugins
) -> Config:
    """
    What the configuration file ``path`` says: JSON where the name ends in ``.json``, else YAML. ``plugins`` finds the
    connection plugins that its documents may use.

    Raises ``InvalidConfiguration`` with everything that is wrong with it, each with its path in the file.
    """
    file = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link away from its directory
    tree, problems = parse(read(file), is_json=file.suffix == ".json")
    return decode(tree, file, environ, problems, plugins)


def decode(
    tree: Json,
    file: Path,
    environ: Mapping[str, str],
    problems: Iterable[Problem] = (),
    plugins: Catalogue = without_plugins,
) -> Config:
    """
    The same for what was read from ``file`` (an absolute path), and the ``problems`` that were found doing so. Nothing
    in ``tree`` is deeper than :data:`~streamproxy.dialects.native.composer.MOST_DEPTH`.
    """
    tree, unset = substitute(tree, environ)
    if not isinstance(tree, dict):
        problem = Problem("", "wrong_type", f"expected an object at the top, got {kind_of(tree)}")
        raise InvalidConfiguration((*problems, *unset, problem))
    reader = _Reader(tree, file, environ, plugins)
    config = reader.config()
    # Where a reference could not be replaced it still stands, and that it is no number is no news.
    told = {problem.path for problem in unset}
    found = (*problems, *unset, *(problem for problem in reader.problems if problem.path not in told))
    if found:
        raise InvalidConfiguration(bounded(found))
    return config


class _Reader:
    """Reads one tree. ``problems`` are complete when ``config`` has been called."""

    def __init__(
        self, tree: Mapping[str, Any], file: Path, environ: Mapping[str, str], catalogue: Catalogue
    ) -> None:
        self.problems: list[Problem] = []
        self._tree = tree
        self._file = str(file)
        self._directory = file.parent
        self._environ = environ
        self._catalogue = catalogue
        self._claims = Claims()

    def config(self) -> Config:
        """The configuration; where something is a problem, something else."""
        self.problems += self._unknown()
        self.problems += apisix_config.conflicts(self._tree)
        apisix = self._section("apisix", Apisix, strict=False) or Apisix()
        nginx = self._section("nginx_config", NginxConfig, strict=False) or NginxConfig()
        given = self._section("deployment", Deployment, strict=False)
        admin = self._admin(apisix, given)
        deployment = given or Deployment()
        metrics = self._metrics()
        control = self._server("control", "apisix.control", apisix.control_address)
        status = self._server("status", "apisix.status", apisix.status_address)
        static = self._static(apisix, deployment)
        access: Access = self._given("access", AccessText) or Access()
        limits = nginx.limits((self._section("limits", LimitsSection) or LimitsSection()).settings())
        # What nobody can write to needs no database.
        nothing = StoreSection(StoreType.MEMORY) if deployment.is_data_plane else StoreSection()
        store = self._given("store", StoreSection) or nothing
        resolver = self._section("resolver", ResolverSection) or ResolverSection()
        proxy_protocol = self._section("proxy_protocol", ProxyProtocolSection) or ProxyProtocolSection()
        tls = self._section("tls", TlsSection) or TlsSection()
        stream_plugins = self._given("stream_plugins", tuple[Identifier, ...])
        trusted = proxy_protocol.trusted or nginx.stream.real_ip_from
        fallback_sni = tls.fallback_sni or apisix.ssl.fallback_sni
        return Config(
            path=self._file,
            admin=admin,
            store=store.settings(self._directory),
            stream_proxy=static,
            tls=evolve(tls, fallback_sni=fallback_sni).settings(self._directory),
            resources=self._resources(
                Vault.of(apisix.data_encryption.keyring, self._environ),
                self._plugins(stream_plugins),
                static=static,
                limits=limits,
                access=access,
                client_ca=tls.client_ca is not None,
                trusted_proxies=trusted,
            ),
            access_log=self._access_log(nginx),
            metrics=metrics,
            limits=limits,
            access=access,
            keyring=apisix.data_encryption.keyring,
            ignored=apisix_config.ignored(self._tree, apisix, deployment),
            control=control,
            status=status,
            stream_plugins=stream_plugins,
            stream_enabled=apisix.serves_streams,
            standalone=deployment.standalone,
            trusted_proxies=trusted,
            resolver=apisix.resolver(resolver.settings()),
            workers=self._given("workers", Workers) or 1,
            health_checks=not apisix.disable_upstream_healthcheck,
        )

    def _unknown(self) -> Iterator[Problem]:
        own = {key: value for key, value in self._tree.items() if key not in apisix_config.KEYS}
        for problem in structure(own, Sections, forbid_extra=True)[1]:
            # APISIX's file of documents has them at the top.
            is_list = problem.path in fields_dict(Resources)
            meant = f"is not known here: did you mean resources.{problem.path}?"
            yield evolve(problem, message=meant) if is_list else problem

    def _section(self, name: str, type_: type[T], *, strict: bool = True) -> T | None:
        """The section ``name``, its defaults if it is not given, ``None`` if something is wrong with it."""
        return type_() if self._tree.get(name) is None else self._given(name, type_, strict=strict)

    def _given(self, name: str, type_: type[T], *, strict: bool = True) -> T | None:
        value = self._tree.get(name)
        if value is None:
            return None
        section, problems = structure(value, type_, forbid_extra=strict, null_is_absent=True)
        self.problems += [problem.under(name) for problem in problems]
        return section

    def _admin(self, apisix: Apisix, deployment: Deployment | None) -> AdminSettings | None:
        given = self._tree.get("admin")
        if (given is False and apisix.enable_admin) or (isinstance(given, dict) and apisix.enable_admin is False):
            message = "contradicts admin, which is given too: keep one of them"
            self.problems.append(Problem("apisix.enable_admin", "conflict", message))
        section = AdminSection() if given is False else self._section("admin", AdminSection)
        if given is False or section is None or deployment is None:
            return None
        if given is None and (apisix.serves_admin is False or deployment.is_data_plane):
            return None
        own = section.settings(self._directory)
        own = evolve(own, server_tokens=apisix.enable_server_tokens)
        admin = apisix_config.admin_settings(own, self._tree, deployment.admin, self._directory)
        ours = not is_given(self._tree, "deployment.admin") or is_given(self._tree, "admin.listen")
        path = "admin.listen" if ours else "deployment.admin.admin_listen"
        problem = exposed(admin, path)
        if problem is not None:
            self.problems.append(problem)
        self._take(admin.listen, path)
        return admin

    def _metrics(self) -> MetricsSettings | None:
        attributes = self._section("plugin_attr", PluginAttr, strict=False)
        section = self._given("metrics", MetricsSection)
        if section is not None:
            self._take(section.listen, "metrics.listen")
            return section.settings()
        if attributes is None or not is_given(self._tree, EXPORT_ADDR):
            return None
        settings = attributes.prometheus.settings
        if settings is not None:
            self._take(settings.listen, EXPORT_ADDR)
        return settings

    def _server(self, ours: str, theirs: str, address: Address | None) -> Address | None:
        """Where the server listens that is described at the path ``ours``, or else at ``theirs`` (``address``)."""
        section = self._given(ours, ListenSection)
        path = theirs if section is None else f"{ours}.listen"
        address = address if section is None else section.listen
        if address is not None:
            self._take(address, path)
        return address

    def _take(self, address: Address, path: str) -> None:
        """The TCP port is for what stands at ``path``. The kernel finds a free one in place of 0."""
        if address.port == 0:
            return
        listen = ListenAddress(Transport.TCP, address.host, address.port)
        owner = self._claims.owner(listen)
        if owner is not None:
            self.problems.append(Problem(path, "conflict", f"{address} is already taken by {owner}"))
        self._claims.take(listen, path)

    def _static(self, apisix: Apisix, deployment: Deployment) -> tuple[StaticListener, ...]:
        self._given("stream_proxy", StreamProxySection)
        is_ours = is_given(self._tree, "stream_proxy")
        path = "stream_proxy" if is_ours else "apisix.stream_proxy"
        default = apisix.proxy_protocol
        tcp, tcp_problems = expand(
            self._listed(f"{path}.tcp"),
            Transport.TCP,
            f"{path}.tcp",
            claims=self._claims,
            proxy_protocol=default.enable_tcp_pp,
            proxy_protocol_to_upstream=default.enable_tcp_pp_to_upstream,
        )
        udp, udp_problems = expand(self._listed(f"{path}.udp"), Transport.UDP, f"{path}.udp", claims=self._claims)
        self.problems += (*tcp_problems, *udp_problems)
        return (*tcp, *udp) if is_ours or (apisix.serves_streams and deployment.proxies) else ()

    def _listed(self, path: str) -> Any:
        """What stands at ``path``, whatever is wrong around it."""
        value = at(self._tree, path)
        return () if value is None else value

    def _plugins(self, names: tuple[str, ...] | None) -> Mapping[str, Plugin]:
        try:
            return self._catalogue(names)
        except InvalidConfiguration as error:
            self.problems += [problem.under("stream_plugins") for problem in error.problems]
            return self._catalogue(None)

    def _resources(self, vault: Vault, plugins: Mapping[str, Plugin], **circumstances: Any) -> tuple[Document, ...]:
        """The documents, seen to work with one another under the ``circumstances`` of :func:`assemble`."""
        found = declared(self._tree.get("resources"), self._file, vault, plugins)
        assembled = assemble(found.documents, vault=vault, plugins=plugins, **circumstances)
        self.problems += found.problems
        for each in assembled.problems:
            self.problems.append(each.problem if each.key is None else each.problem.under(found.paths[each.key]))
        for listener in assembled.snapshot.listeners:
            owner = self._claims.owner(listener.address)
            if listener.documents and owner is not None:
                path, address = found.paths[listener.documents[0]], listener.address
                message = f"port {address.port} on {address.interface} is already taken by {owner}"
                where = "addr" if listener.documents[0].dialect == "native" else "port"
                self.problems.append(Problem(f"{path}.{where}", "conflict", message))
        return found.documents

    def _access_log(self, nginx: NginxConfig) -> AccessLogSettings | None:
        section = self._given("access_log", AccessLogSection) or nginx.stream.access_log_section
        return None if section is None else section.settings(self._directory)
