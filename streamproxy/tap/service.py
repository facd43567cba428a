"""From a configuration to the service of one process."""

from __future__ import annotations

import os
import random
import secrets
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..control.heir import Heir, handover_path
from ..control.wire import Wire
from ..dialects.native import load_config
from ..errors import StoreError
from ..model import Config, Fate, SessionPolicy, Snapshot, StoreType
from ..plugins.discovery import BUILT_IN, catalogue
from .options import Options, give_up

if TYPE_CHECKING:
    from twisted.application.service import IService

    from ..control.follower import Beginning
    from ..control.sockets import Sockets


def makeService(options: Options) -> IService:
    """The service of one proxy process. Exits with status 1 when the store cannot be used."""
    from twisted.internet import reactor

    steady(reactor)
    config = options.config
    path = Path(options["config"]).absolute()
    try:
        if options.heir is not None:
            options.heir.receive()
        beginning = None if options.boss is None else _beginning(options.boss)
        return _service(reactor, config, partial(load_config, path, os.environ, catalogue), options.heir, beginning)
    except StoreError as error:
        give_up(str(error), options.heir)


def steady(reactor: Any) -> None:
    """
    Have timers go by a clock that nobody sets. Twisted's is the time of day: set back by an hour it would hold up for
    an hour whatever is due. Only before the first timer, as one that runs goes by the clock it was set by.
    """
    if not reactor.getDelayedCalls():
        reactor.seconds = time.monotonic


def _beginning(boss: Wire) -> Beginning:
    """Of a worker. Raises ``StoreError``."""
    from ..control.follower import Beginning
    from ..control.wire import WireError

    beginning = Beginning(boss)
    try:
        beginning.receive()
    except (OSError, WireError) as error:
        raise StoreError(f"the process that started this worker does not speak: {error}") from error
    return beginning


def _service(
    reactor: Any, config: Config, reread: Callable[[], Config], heir: Heir | None, beginning: Beginning | None
) -> IService:
    from ..balance import Means, Pools
    from ..control.bound import bind
    from ..control.certificates import CertificateKeeper
    from ..control.configuration import LiveConfiguration
    from ..control.confirm import Confirmation
    from ..control.drain import Drain
    from ..control.expiry import Expiry
    from ..control.filewatch import FileWatch
    from ..control.follower import Follower
    from ..control.handover import Handover
    from ..control.prober import Prober, tell
    from ..control.reconcile import Reconciler
    from ..control.retire import Retirement
    from ..control.service import ProxyService
    from ..control.sessionlog import SessionLog
    from ..control.standalone import StandaloneFile
    from ..control.succession import Succession
    from ..control.systemd import Notifier
    from ..control.workers import Workforce
    from ..observe.metrics import APISIX_PREFIX, Metrics
    from ..observe.metrics_merge import plain
    from ..observe.sessions import SessionTable
    from ..relay.engine import Engine
    from ..relay.node_closer import NodeCloser
    from ..relay.resolve import dns_resolver
    from ..relay.termination import Terminator
    from ..tls import Contexts
    from .servers import servers as own_servers
    from .telemetry import access_log, log_problems, metric_sources

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

    log = None
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
        more_problems=lambda: (*keeper.problems(), *log_problems(log)),
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
    log = access_log(reactor, config.access_log, configuration) if config.access_log is not None else None
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
        metrics.read(metric_sources(reactor, engine, configuration, service.own, metrics, log))
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
    servers = list(own_servers(reactor, config, configuration, service, sockets, metrics, plugins, workforce))
    for server in servers:
        service.attach(server)
    succession = Succession(reactor, reconciler, configuration, sockets, notifier, servers, forgetful, workforce)
    service.attach(Handover(reactor, handover_path(config), succession, partial(_child, "--takeover")))
    return service


def _sockets(config: Config, heir: Heir | None, beginning: Beginning | None) -> Sockets:
    """Where listening sockets come from: the first process, the one before, systemd, or the kernel."""
    from ..control.follower import unbound
    from ..control.inherited import Inherited
    from ..control.sockets import Sockets
    from ..control.systemd import passed_sockets
    from ..control.workers import first_tcp, first_udp

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


def _child(flag: str) -> Any:
    """Start a process like this one, with this flag."""
    from ..control.spawn import command, spawn

    return spawn(command(sys.orig_argv, flag), os.environ)


def _reopen(log: Any, workforce: Any) -> None:
    log.reopen()
    workforce.tell("reopen")


def _store(reactor: Any, config: Config, heir: Heir | None, beginning: Beginning | None) -> Any:
    from ..control.follower import ToldStore
    from ..control.store.memory import MemoryStore
    from ..control.store.sqlite import SqliteStore

    if beginning is not None and beginning.documents is not None:
        return ToldStore(beginning.documents)
    if config.store.type is StoreType.MEMORY:
        store = MemoryStore()
        if heir is not None and heir.documents:
            store.commit(heir.documents, author="streamproxy", reason="left by the process before")
        return store
    return SqliteStore(config.store.path, reactor, polls=beginning is None)
