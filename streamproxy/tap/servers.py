"""The servers of a process's own: its HTTP APIs and pages."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve

from ..model import Address, Config, MetricsSettings, Role, Standalone, StoreType
from ..plugins import Plugin


def servers(
    reactor: Any,
    config: Config,
    configuration: Any,
    service: Any,
    sockets: Any,
    metrics: Any,
    plugins: Mapping[str, Plugin],
    workforce: Any,
) -> Iterator[Any]:
    """Each that the configuration asks for; none listens yet."""
    if config.admin is not None:
        yield _admin(reactor, config, configuration, service, sockets)
    if config.metrics is not None:
        others = None if workforce is None else workforce.metrics
        yield _metrics_port(reactor, config.metrics, metrics, sockets, others)
    if config.control is not None:
        yield _control_port(reactor, config.control, configuration, service, plugins, sockets)
    if config.status is not None:
        yield _status_port(reactor, config.status, service, sockets)


def _admin(reactor: Any, config: Config, configuration: Any, service: Any, sockets: Any) -> Any:
    # Klein imports the reactor, so it is imported by none but those who have one.
    from ..admin.app import AdminApp
    from ..control.adminport import AdminPort
    from ..control.credentials import generated_key
    from ..control.greeting import Credentials

    settings = config.admin
    if settings is None:
        raise AssertionError("asked for an Admin API that is switched off")
    credentials = Credentials()
    roles = [key.role for key in settings.keys] + [client.role for client in settings.clients]
    if settings.require_key and Role.ADMIN not in roles:
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


def _metrics_port(reactor: Any, settings: MetricsSettings, metrics: Any, sockets: Any, others: Any) -> Any:
    from twisted.internet.threads import deferToThreadPool

    from ..admin.metrics_page import MetricsPage
    from ..admin.open_site import open_site
    from ..control.httpport import HttpPort

    aside = partial(deferToThreadPool, reactor, reactor.getThreadPool())
    page = MetricsPage(metrics, settings.path, aside, others)
    site = open_site(page, reactor, settings.listen.host)
    return HttpPort(reactor, "the metrics page", settings.listen, site, sockets=sockets)


def _control_port(
    reactor: Any, listen: Address, configuration: Any, service: Any, plugins: Mapping[str, Plugin], sockets: Any
) -> Any:
    from ..admin.control_api import ControlApi, ControlSources
    from ..admin.open_site import open_site
    from ..control.httpport import HttpPort

    api = ControlApi(ControlSources(configuration, service.upstreams, plugins, service.reload))
    return HttpPort(reactor, "the Control API", listen, open_site(api, reactor, listen.host), sockets=sockets)


def _status_port(reactor: Any, listen: Address, service: Any, sockets: Any) -> Any:
    from ..admin.open_site import open_site
    from ..admin.status_server import StatusPages
    from ..control.httpport import HttpPort

    site = open_site(StatusPages(service.ready), reactor, listen.host)
    return HttpPort(reactor, "the status server", listen, site, sockets=sockets)
