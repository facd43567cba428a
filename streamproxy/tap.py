"""``twistd streamproxy`` and ``twist streamproxy``: the one place that constructs everything."""

from __future__ import annotations

import os
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.python import usage

from . import __version__
from .dialects.native import load_config
from .errors import InvalidConfiguration, StoreError
from .model import Config, Ended, Json, Key, Role, Snapshot, StoreType

if TYPE_CHECKING:
    from twisted.application.service import IService

    from .control.configuration import LiveConfiguration
    from .interfaces import ConfigStore


class Options(usage.Options):
    """What stands after ``streamproxy`` on the command line."""

    synopsis = "[--config FILE]"
    longdesc = (
        "Proxies TCP and UDP as the configuration file says, and as the HTTP APIs it opens are told while it runs. "
        "SIGHUP reads the file again, SIGUSR1 reopens the access log, SIGTERM lets open sessions end. "
        "`streamproxy check FILE` says what is wrong with a file without starting anything."
    )
    optParameters = (("config", "c", "streamproxy.yaml", "The configuration file, YAML or JSON."),)
    config: Config

    def opt_version(self) -> None:
        """Show the version and exit."""
        print(f"streamproxy {__version__}")  # noqa: T201 - this is what it is asked for
        sys.exit(0)

    def postOptions(self) -> None:
        path = Path(self["config"])
        try:
            self.config = load_config(path, os.environ)
        except InvalidConfiguration as error:
            for problem in error.problems:
                print(problem, file=sys.stderr)  # noqa: T201 - nothing logs yet
            count = len(error.problems)
            print(  # noqa: T201
                f"{path}: {count} {'problem' if count == 1 else 'problems'}; not started", file=sys.stderr
            )
            sys.exit(1)


def makeService(options: Options) -> IService:
    """The service of one proxy process. Exits with status 1 when the store cannot be used."""
    from twisted.internet import reactor

    config = options.config
    try:
        return _service(reactor, config, partial(load_config, Path(options["config"]).absolute(), os.environ))
    except StoreError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _service(reactor: Any, config: Config, reread: Callable[[], Config]) -> IService:
    from .control.bound import bind
    from .control.certificates import CertificateKeeper
    from .control.configuration import LiveConfiguration
    from .control.filewatch import FileWatch
    from .control.reconcile import Reconciler
    from .control.service import ProxyService
    from .observe.accesslog import AccessLog
    from .observe.sessions import SessionTable
    from .relay.engine import Engine
    from .relay.resolve import Resolver, system_lookup
    from .relay.termination import Terminator
    from .tls import Contexts

    table = SessionTable(prefix=secrets.token_hex(4))
    terminator = Terminator(Contexts(), time.time)
    resolver = Resolver(system_lookup(reactor), reactor.seconds)
    engine = Engine(
        reactor, resolver, table, time.time, contexts=terminator.contexts, terminator=terminator
    )
    reconciler = Reconciler(engine, partial(bind, engine))
    keeper = CertificateKeeper(terminator, reactor, config.tls, time.time)

    def apply(snapshot: Snapshot) -> None:
        # Certificates first, so that a listener that is new finds its own.
        keeper.apply(snapshot)
        reconciler.apply(snapshot)

    store = _store(reactor, config)
    configuration = LiveConfiguration(
        store, config, apply, environ=os.environ, more_problems=keeper.problems
    )
    service = ProxyService(reactor, engine, reconciler, configuration, keeper, config, reread, store.close)
    service.setName("streamproxy")
    if config.access_log is not None:
        try:
            log = AccessLog(
                config.access_log.path,
                config.access_log.format,
                reactor,
                service=partial(_service_of, configuration),
            )
        except ValueError as error:
            raise StoreError(f"access_log.format: {error}") from error
        table.observe(log.write)
        service.on_usr1 = log.reopen
        service.attach(log)
    service.attach(keeper)
    service.attach(FileWatch(reactor, [Path(config.path)], service.reload))
    if config.admin is not None:
        service.attach(_admin(reactor, config, configuration, service))
    return service


def _service_of(configuration: LiveConfiguration, record: Ended) -> Mapping[str, Json] | None:
    """The TCP service that a session belonged to, as it is now."""
    dialect, _, rest = record.owner.partition(":")
    kind, _, name = rest.partition("/")
    document = configuration.get(Key(dialect, kind, name.partition("+")[0]))
    return document.body if document is not None else None


def _store(reactor: Any, config: Config) -> ConfigStore:
    from .control.store.memory import MemoryStore
    from .control.store.sqlite import SqliteStore

    if config.store.type is StoreType.MEMORY:
        return MemoryStore()
    return SqliteStore(config.store.path, reactor)


def _admin(reactor: Any, config: Config, configuration: Any, service: Any) -> Any:
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
        configuration, service, settings, uuid=lambda: str(uuid.uuid4()), clock=time.time, ready=service.ready
    )
    return AdminPort(reactor, settings, app.site(reactor))
