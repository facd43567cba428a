"""``twistd streamproxy`` and ``twist streamproxy``: the one place that constructs everything."""

from __future__ import annotations

import os
import platform
import random
import secrets
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import evolve
from twisted.python import usage

from . import __version__
from .control.heir import PATIENCE, Heir, handover_path
from .control.spawn import channel
from .control.wire import Wire
from .dialects.native import load_config
from .errors import InvalidConfiguration, StoreError
from .model import (
    AccessLogSettings,
    Address,
    Config,
    Ended,
    Fate,
    Json,
    Key,
    MetricsSettings,
    Role,
    SessionPolicy,
    Snapshot,
    Standalone,
    StoreType,
)
from .plugins.discovery import BUILT_IN, catalogue

if TYPE_CHECKING:
    from twisted.application.service import IService

    from .control.configuration import LiveConfiguration
    from .control.follower import Beginning
    from .control.remotelog import RemoteLog
    from .control.sockets import Sockets
    from .observe.accesslog import AccessLog
    from .plugins import Plugin


class Options(usage.Options):
    """What stands after ``streamproxy`` on the command line."""

    synopsis = "[--config FILE] [--takeover]"
    longdesc = (
        "Proxies TCP and UDP as the configuration file says, and as the HTTP APIs it opens are told while it runs. "
        "SIGHUP reads the file again, SIGUSR1 reopens the access log, SIGTERM lets open sessions end. "
        "`streamproxy check FILE` says what is wrong with a file without starting anything, `streamproxy upgrade` "
        "replaces the running process without losing a connection."
    )
    optFlags = (
        ("takeover", None, "Take the listening sockets over from the running process, which ends with its sessions."),
        ("worker", None, "What a process with several workers starts them with; of no use otherwise."),
    )
    optParameters = (("config", "c", "streamproxy.yaml", "The configuration file, YAML or JSON."),)
    config: Config
    heir: Heir | None = None
    boss: Wire | None = None

    def opt_version(self) -> None:
        """Show the version and exit."""
        print(f"streamproxy {__version__}")  # noqa: T201 - this is what it is asked for
        sys.exit(0)

    def postOptions(self) -> None:
        path = Path(self["config"])
        # Whoever started this process to be taken over by it wants to know why it ends.
        parent = channel(os.environ)
        if self["takeover"] and parent is not None:
            self.heir = Heir(parent)
        if self["worker"]:
            if parent is None:
                _give_up("--worker is for processes that another one starts", None)
            self.boss = Wire(parent, PATIENCE)
        try:
            self.config = load_config(path, os.environ, catalogue)
            if self["takeover"] and self.heir is None:
                self.heir = Heir.of(handover_path(self.config))
        except InvalidConfiguration as error:
            count = len(error.problems)
            not_started = f"{path}: {count} {'problem' if count == 1 else 'problems'}; not started"
            _give_up("\n".join([*map(str, error.problems), not_started]), self.heir)
        except StoreError as error:
            _give_up(str(error), self.heir)


def _give_up(why: str, heir: Heir | None) -> NoReturn:
    print(why, file=sys.stderr)  # noqa: T201 - nothing logs yet
    if heir is not None:
        heir.fail(why)
    sys.exit(1)


def makeService(options: Options) -> IService:
    """The service of one proxy process. Exits with status 1 when the store cannot be used."""
    from twisted.internet import reactor

    config = options.config
    path = Path(options["config"]).absolute()
    try:
        if options.heir is not None:
            options.heir.receive()
        beginning = None if options.boss is None else _beginning(options.boss)
        return _service(reactor, config, partial(load_config, path, os.environ, catalogue), options.heir, beginning)
    except StoreError as error:
        _give_up(str(error), options.heir)


def _beginning(boss: Wire) -> Beginning:
    """Of a worker. Raises ``StoreError``."""
    from .control.follower import Beginning
    from .control.wire import WireError

    beginning = Beginning(boss)
    try:
        beginning.receive()
    except (OSError, WireError) as error:
        raise StoreError(f"the process that started this worker does not speak: {error}") from error
    return beginning


def _service(
    reactor: Any, config: Config, reread: Callable[[], Config], heir: Heir | None, beginning: Beginning | None
) -> IService:
    from .balance import Means, Pools
    from .control.bound import bind
    from .control.certificates import CertificateKeeper
    from .control.configuration import LiveConfiguration
    from .control.confirm import Confirmation
    from .control.drain import Drain
    from .control.expiry import Expiry
    from .control.filewatch import FileWatch
    from .control.follower import Follower
    from .control.handover import Handover
    from .control.prober import Prober, tell
    from .control.reconcile import Reconciler
    from .control.retire import Retirement
    from .control.service import ProxyService
    from .control.sessionlog import SessionLog
    from .control.standalone import StandaloneFile
    from .control.succession import Succession
    from .control.systemd import Notifier
    from .control.workers import Workforce
    from .observe.metrics import APISIX_PREFIX, Metrics
    from .observe.metrics_merge import plain
    from .observe.sessions import SessionTable
    from .relay.engine import Engine
    from .relay.node_closer import NodeCloser
    from .relay.resolve import dns_resolver
    from .relay.termination import Terminator
    from .tls import Contexts

    # All there are: which of them routes may use can change while the process runs.
    plugins = {**catalogue([plugin.name for plugin in BUILT_IN]), **catalogue()}
    table = SessionTable(prefix=secrets.token_hex(4))
    metrics = Metrics(APISIX_PREFIX if config.metrics is None else config.metrics.prefix)
    terminator = Terminator(Contexts(), time.time)
    resolver = dns_resolver(reactor, config.resolver)
    engine = Engine(
        reactor,
        resolver,
        table,
        time.time,
        Pools(Means(reactor.seconds, random.random, tell)),
        contexts=terminator.contexts,
        terminator=terminator,
        plugins=plugins,
        registry=metrics.registry,
    )
    sockets = _sockets(config, heir, beginning)
    engine.pools.closer = NodeCloser(engine)
    reconciler = Reconciler(engine, partial(bind, engine, sockets))
    keeper = CertificateKeeper(terminator, reactor, config.tls, time.time)

    def apply(snapshot: Snapshot) -> None:
        # Certificates first, so that a listener that is new finds its own.
        keeper.apply(snapshot)
        reconciler.apply(snapshot)
        for told in followers:
            told(snapshot)

    def retire(before: Snapshot, after: Snapshot, policy: SessionPolicy) -> None:
        retirement.retire(before, after, policy)
        if workforce is not None and policy.fate is not Fate.KEEP:
            workforce.retire(after.revision, policy)

    followers: list[Callable[[Snapshot], None]] = []
    workforce = None
    if config.workers > 1 and beginning is None:
        spawn = partial(_child, "--worker")
        workforce = Workforce(reactor, config.workers - 1, spawn, reconciler.lend, sockets.inherited.take)
    forgetful = config.store.type is StoreType.MEMORY
    drain = Drain(reactor, random.random)
    retirement = Retirement(table, drain)
    store = _store(reactor, config, heir, beginning)
    configuration = LiveConfiguration(
        store,
        config,
        apply,
        environ=os.environ,
        more_problems=keeper.problems,
        recent=table.latest,
        continues=heir is not None or beginning is not None,
        retire=retire,
    )
    environ = os.environ if beginning is None else {}
    notifier = Notifier(reactor, environ, os.getpid(), lambda: service.status())
    service = ProxyService(
        reactor,
        engine,
        reconciler,
        configuration,
        keeper,
        config,
        reread,
        store.close,
        drain,
        sockets,
        notifier,
        heir,
        workforce,
        is_worker=beginning is not None,
    )
    service.setName("streamproxy")
    table.observe(SessionLog(reactor.seconds).ended)
    log = _access_log(reactor, config.access_log, configuration) if config.access_log is not None else None
    if log is not None:
        table.observe(log.write)
        service.on_usr1 = log.reopen if workforce is None else partial(_reopen, log, workforce)
        service.attach(log)
    service.attach(keeper)
    service.attach(resolver)
    service.attach(Prober(engine, random.random))
    if config.documents_path is not None:
        documents = StandaloneFile(reactor, config.documents_path, os.environ, configuration)
        documents.load()
        service.attach(documents)
    if config.metrics is not None:
        table.observe(metrics.ended)
        metrics.read(_sources(reactor, engine, configuration, service.own, metrics, log))
    if beginning is not None:
        follower = Follower(
            reactor,
            beginning.wire,
            sockets.inherited,
            store,
            reconciler,
            retirement,
            table,
            lambda: plain(metrics.scrape().families),
            service.reload,
            lambda: service.on_usr1(),
        )
        followers.append(follower.applied)
        service.attach(follower)
        return service
    service.attach(FileWatch(reactor, [Path(config.path)], service.reload))
    service.attach(Expiry(reactor, configuration, time.time))
    service.attach(Confirmation(reactor, configuration, time.time))
    if workforce is not None:
        followers.append(partial(_lead, workforce, reconciler, configuration, forgetful))
        reconciler.changed = lambda: workforce.follow(reconciler.held())
        service.attach(workforce)
    servers = list(_servers(reactor, config, configuration, service, sockets, metrics, plugins, workforce))
    for server in servers:
        service.attach(server)
    succession = Succession(reactor, reconciler, configuration, sockets, notifier, servers, forgetful, workforce)
    service.attach(Handover(reactor, handover_path(config), succession, partial(_child, "--takeover")))
    return service


def _sockets(config: Config, heir: Heir | None, beginning: Beginning | None) -> Sockets:
    """Where listening sockets come from: the first process, the one before, systemd, or the kernel."""
    from .control.follower import unbound
    from .control.inherited import Inherited
    from .control.sockets import Sockets
    from .control.systemd import passed_sockets
    from .control.workers import first_tcp, first_udp

    if beginning is not None:
        return Sockets(beginning.inherited, bind_tcp=unbound, bind_udp=unbound)
    inherited = Inherited()
    inherited.add(passed_sockets(os.environ, os.getpid()) if heir is None else heir.passed)
    is_held = heir is not None
    if config.workers > 1:
        return Sockets(inherited, is_held, bind_tcp=first_tcp, bind_udp=first_udp)
    return Sockets(inherited, is_held)


def _lead(workforce: Any, reconciler: Any, configuration: Any, forgetful: bool, snapshot: Snapshot) -> None:
    """Have the workers serve this, too."""
    workforce.follow(reconciler.held())
    workforce.news(snapshot.revision, configuration.stored if forgetful else None)


def _servers(
    reactor: Any,
    config: Config,
    configuration: Any,
    service: Any,
    sockets: Any,
    metrics: Any,
    plugins: Mapping[str, Plugin],
    workforce: Any,
) -> Iterator[Any]:
    """The process's own."""
    if config.admin is not None:
        yield _admin(reactor, config, configuration, service, sockets)
    if config.metrics is not None:
        others = None if workforce is None else workforce.metrics
        yield _metrics_port(reactor, config.metrics, metrics, sockets, others)
    if config.control is not None:
        yield _control_port(reactor, config.control, configuration, service, plugins, sockets)
    if config.status is not None:
        yield _status_port(reactor, config.status, service, sockets)


def _child(flag: str) -> Any:
    """Start a process like this one, with this flag."""
    from .control.spawn import command, spawn

    return spawn(command(sys.orig_argv, flag), os.environ)


def _reopen(log: Any, workforce: Any) -> None:
    log.reopen()
    workforce.tell("reopen")


def _access_log(reactor: Any, settings: AccessLogSettings, configuration: LiveConfiguration) -> AccessLog | RemoteLog:
    """A file, or a server."""
    from .control.remotelog import RemoteLog
    from .observe.accesslog import AccessLog
    from .observe.logformat import compile_format
    from .observe.logtarget import log_target

    try:
        target = log_target(settings.path)
    except ValueError as error:
        raise StoreError(f"access_log.path: {error}") from error
    lookup = partial(_service_of, configuration)
    try:
        if target is None:
            return AccessLog(settings.path, settings.format, reactor, service=lookup, escape=settings.escape)
        line = compile_format(settings.format, lookup, settings.escape)
        return RemoteLog(reactor, target, line, settings.format, time.time)
    except ValueError as error:
        raise StoreError(f"access_log.format: {error}") from error


def _sources(reactor: Any, engine: Any, configuration: Any, service: Any, metrics: Any, log: Any) -> Any:
    """What is scraped."""
    from OpenSSL import SSL

    from twisted import __version__ as twisted_version

    from .observe.metrics_live import Sources

    totals: dict[str, tuple[str, Callable[[], float]]] = {}
    if log is not None:
        totals["streamproxy_access_log_lost_lines"] = "Lines there was no room for.", lambda: log.lost
    return Sources(
        running=service,
        upstreams=partial(engine.pools.status, {}),
        asked=configuration,
        table=engine.table,
        ended=metrics.ended,
        build={
            "version": __version__,
            "python": platform.python_version(),
            "twisted": twisted_version,
            "openssl": SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode("ascii", "replace"),
            "reactor": type(reactor).__name__,
        },
        hostname=socket.gethostname(),
        gauges={"streamproxy_reactor_timers": ("Calls that are to come.", lambda: len(reactor.getDelayedCalls()))},
        totals=totals,
    )


def _metrics_port(reactor: Any, settings: MetricsSettings, metrics: Any, sockets: Any, others: Any) -> Any:
    from twisted.internet.threads import deferToThreadPool

    from .admin.metrics_page import MetricsPage
    from .admin.open_site import open_site
    from .control.httpport import HttpPort

    aside = partial(deferToThreadPool, reactor, reactor.getThreadPool())
    page = MetricsPage(metrics, settings.path, aside, others)
    site = open_site(page, reactor, settings.listen.host)
    return HttpPort(reactor, "the metrics page", settings.listen, site, sockets=sockets)


def _control_port(
    reactor: Any, listen: Address, configuration: Any, service: Any, plugins: Mapping[str, Plugin], sockets: Any
) -> Any:
    from .admin.control_api import ControlApi, ControlSources
    from .admin.open_site import open_site
    from .control.httpport import HttpPort

    api = ControlApi(ControlSources(configuration, service.upstreams, plugins, service.reload))
    return HttpPort(reactor, "the Control API", listen, open_site(api, reactor, listen.host), sockets=sockets)


def _status_port(reactor: Any, listen: Address, service: Any, sockets: Any) -> Any:
    from .admin.open_site import open_site
    from .admin.status_server import StatusPages
    from .control.httpport import HttpPort

    site = open_site(StatusPages(service.ready), reactor, listen.host)
    return HttpPort(reactor, "the status server", listen, site, sockets=sockets)


def _service_of(configuration: LiveConfiguration, record: Ended) -> Mapping[str, Json] | None:
    """The TCP service that a session belonged to, as it is now."""
    dialect, _, rest = record.owner.partition(":")
    kind, _, name = rest.partition("/")
    document = configuration.get(Key(dialect, kind, name.partition("+")[0]))
    return document.body if document is not None else None


def _store(reactor: Any, config: Config, heir: Heir | None, beginning: Beginning | None) -> Any:
    from .control.follower import ToldStore
    from .control.store.memory import MemoryStore
    from .control.store.sqlite import SqliteStore

    if beginning is not None and beginning.documents is not None:
        return ToldStore(beginning.documents)
    if config.store.type is StoreType.MEMORY:
        store = MemoryStore()
        if heir is not None and heir.documents:
            store.commit(heir.documents, author="streamproxy", reason="left by the process before")
        return store
    return SqliteStore(config.store.path, reactor, polls=beginning is None)


def _admin(reactor: Any, config: Config, configuration: Any, service: Any, sockets: Any) -> Any:
    # Klein imports the reactor, so it is imported by none but those who have one.
    from .admin.app import AdminApp
    from .control.adminport import AdminPort
    from .control.credentials import generated_key
    from .control.greeting import Credentials

    settings = config.admin
    if settings is None:
        raise AssertionError("asked for an Admin API that is switched off")
    credentials = Credentials()
    roles = [key.role for key in settings.keys] + [client.role for client in settings.clients]
    if Role.ADMIN not in roles:
        kept = None if config.store.type is StoreType.MEMORY else Path(config.store.path + ".admin-key")
        key, is_new = generated_key(kept)
        settings = evolve(settings, keys=(*settings.keys, key))
        credentials = Credentials(key.key.value if is_new else "", str(kept) if kept else "")
    service.credentials = credentials
    app = AdminApp(
        configuration,
        service,
        settings,
        uuid=lambda: str(uuid.uuid4()),
        clock=time.time,
        ready=service.ready,
        plugins=lambda: configuration.plugins,
        vault=lambda: configuration.vault,
        stream_enabled=config.stream_enabled,
        is_standalone=config.standalone is Standalone.API,
        call_later=reactor.callLater,
    )
    return AdminPort(reactor, settings, app.site(reactor), sockets)
