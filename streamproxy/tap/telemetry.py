"""What a process tells of its sessions: the access log, and what is scraped."""

from __future__ import annotations

import platform
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import Problem, StoreError
from ..model import AccessLogSettings, Ended, Json, Key

if TYPE_CHECKING:
    from ..control.configuration import LiveConfiguration
    from ..control.remotelog import RemoteLog
    from ..observe.accesslog import AccessLog


def access_log(reactor: Any, settings: AccessLogSettings, configuration: LiveConfiguration) -> AccessLog | RemoteLog:
    """
    A file, whose directory is made where only that is missing, or a server. Raises ``StoreError`` where the settings
    make no sense.
    """
    from ..control.remotelog import RemoteLog
    from ..observe.accesslog import AccessLog
    from ..observe.logformat import compile_format
    from ..observe.logtarget import log_target

    try:
        target = log_target(settings.path)
    except ValueError as error:
        raise StoreError(f"access_log.path: {error}") from error
    lookup = partial(_service_of, configuration)
    try:
        if target is None:
            # APISIX's default is in a directory that comes with APISIX. Without one, the log itself says what is wrong.
            with suppress(OSError):
                Path(settings.path).parent.mkdir(exist_ok=True)
            return AccessLog(settings.path, settings.format, reactor, service=lookup, escape=settings.escape)
        line = compile_format(settings.format, lookup, settings.escape)
        return RemoteLog(reactor, target, line, settings.format, time.time)
    except ValueError as error:
        raise StoreError(f"access_log.format: {error}") from error


def log_problems(log: AccessLog | RemoteLog | None) -> tuple[Problem, ...]:
    """What keeps the access log from being written."""
    problem = getattr(log, "problem", None)
    return () if problem is None else (Problem("access_log.path", "unwritable", problem),)


def metric_sources(reactor: Any, engine: Any, configuration: Any, service: Any, metrics: Any, log: Any) -> Any:
    """What is scraped."""
    from OpenSSL import SSL

    from twisted import __version__ as twisted_version

    from ..observe.metrics_live import Sources

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


def _service_of(configuration: LiveConfiguration, record: Ended) -> Mapping[str, Json] | None:
    """The TCP service that a session belonged to, as it is now."""
    dialect, _, rest = record.owner.partition(":")
    kind, _, name = rest.partition("/")
    document = configuration.get(Key(dialect, kind, name.partition("+")[0]))
    return document.body if document is not None else None
