"""The service: starts, follows the configuration file, and ends what twistd runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from ipaddress import ip_address
from itertools import chain
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import InvalidConfiguration
from ..interfaces import Explained, SessionWatcher
from ..model import (
    CertificateChoice,
    CertificateStatus,
    Config,
    Ended,
    Ending,
    Json,
    ListenerState,
    ListenerStatus,
    NameStatus,
    Ongoing,
    UpstreamStatus,
)
from ..observe.sessions import RECENT
from ..relay.engine import Engine
from .certificates import CertificateKeeper
from .configuration import LiveConfiguration
from .drain import Drain, Ends
from .explainer import Explainer
from .greeting import Credentials, greeting
from .heir import Heir
from .reconcile import Reconciler
from .sockets import Sockets
from .systemd import Notifier
from .users import users_of
from .workers import STOP_GRACE, Workforce

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


# What of the file is in force after a restart, or an upgrade.
_FIXED = ("admin", "store", "access_log", "metrics", "control", "status", "resolver", "standalone", "workers")


class Opened(Protocol):
    """A listening socket of the Admin API's, a log, a file watch: something that is started and stopped."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


@frozen
class Own:
    """What one process listens on, whatever others do."""

    _reconciler: Reconciler
    _keeper: CertificateKeeper

    def listeners(self) -> tuple[ListenerStatus, ...]:
        return self._reconciler.status()

    def certificates(self) -> tuple[CertificateStatus, ...]:
        return self._keeper.certificates()


def _end(record: Ended) -> float:
    return record.started + record.duration


class ProxyService(Service):
    """
    One proxy process. ``reread`` loads the configuration file anew (raises ``InvalidConfiguration``); ``attachments``
    are started after the listeners and stopped in the reverse order. ``sockets`` is where the listeners' come from:
    they are held as long as another process, whose ``heir`` this is, serves on them. ``notifier`` tells systemd.
    ``workforce`` are further processes that serve, of which this may be one itself (``is_worker``).
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        engine: Engine,
        reconciler: Reconciler,
        configuration: LiveConfiguration,
        keeper: CertificateKeeper,
        config: Config,
        reread: Callable[[], Config],
        close_store: Callable[[], Deferred[None]],
        drain: Drain,
        sockets: Sockets,
        notifier: Notifier,
        heir: Heir | None = None,
        workforce: Workforce | None = None,
        *,
        is_worker: bool = False,
    ) -> None:
        self._reactor = reactor
        self._engine = engine
        self._reconciler = reconciler
        self._configuration = configuration
        self._keeper = keeper
        self._config = config
        self._reread = reread
        self._close_store = close_store
        self._drain = drain
        self._sockets = sockets
        self._notifier = notifier
        self._heir = heir
        self._workforce = workforce
        self._is_worker = is_worker
        self._started = False
        self._applied = False
        self._failed = False
        self._attachments: list[Opened] = []
        self._signals: dict[int, Any] = {}
        self._privileged = False
        self._explainer = Explainer(
            configuration,
            lambda: engine.pools.status({}),
            reconciler.status,
            keeper.certificate_for,
            lambda call: deferToThreadPool(reactor, reactor.getThreadPool(), call),
        )
        self.credentials = Credentials()
        self.on_usr1: Callable[[], None] = lambda: None

    def attach(self, attachment: Opened) -> None:
        """Start and stop this with the service."""
        self._attachments.append(attachment)

    # twistd calls these; twist calls only startService

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._privileged = True
        self._begin()

    def startService(self) -> None:
        super().startService()
        self._begin()
        self._signals[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._on_hup)
        self._signals[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, self._on_usr1)
        if self._heir is None:
            self._open()
        else:
            self._reactor.callWhenRunning(self._heir.ready, self._reactor, self._take_over)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        self._signals.clear()
        self._notifier.stopping()
        self._reconciler.close()
        seconds = self._config.limits.shutdown_timeout
        drained = self._drain.wait(self._open_sessions, seconds, Ending.SHUTDOWN, "the proxy stops")
        if self._workforce is not None:
            self._workforce.dismiss(ceded=False)
            finished = self._workforce.finished(seconds + STOP_GRACE)
            drained.addCallback(lambda _: finished)
        return drained.addCallback(self._close)

    # Inside

    def _begin(self) -> None:
        """Bind what the store and the file ask for; once, and before privileges are dropped if there were any."""
        if self._started:
            return
        self._started = True
        self._configuration.start().addCallbacks(self._ready, self._cannot_start)
        if self._failed:
            raise SystemExit(1)

    def _ready(self, _: None) -> None:
        self._applied = True

    def _take_over(self) -> None:
        """Nobody else serves on the sockets any more."""
        self._sockets.held = False
        self._reconciler.start()
        self._open()
        # Where there were more processes, they had sockets of the same addresses.
        for passed in self._sockets.inherited.rest():
            self._reconciler.lend(passed.address, passed.socket)

    def _open(self) -> None:
        for attachment in self._attachments:
            attachment.start()
        self._warn(self._config)
        self._reactor.callWhenRunning(self._greet)
        self._reactor.callWhenRunning(self._notifier.ready)

    def _greet(self) -> None:
        """Say what there is. twist logs JSON to its standard output, twistd -n text: there the greeting is at home."""
        if self._is_worker:
            return
        stream = sys.__stdout__ if self._privileged else sys.__stderr__
        if stream is not None and self._applied:
            lines = greeting(self._config, self.listeners(), self._configuration.snapshot, self.credentials)
            stream.write("\n".join(lines) + "\n")
            stream.flush()

    def _cannot_start(self, failure: Failure) -> None:
        self._failed = True
        self._log.critical("cannot start: {why}", why=failure.getErrorMessage())
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"cannot start: {failure.getErrorMessage()}\n")
        if self._heir is not None:
            self._heir.fail(failure.getErrorMessage())
        if self._reactor.running:
            self._reactor.stop()

    def _warn(self, config: Config) -> None:
        """Nothing that the file says is passed over in silence."""
        if config.ignored:
            self._log.warn("keys in the file that mean nothing here: {keys}", keys=", ".join(config.ignored))
        if config.control is not None and not ip_address(config.control.host).is_loopback:
            self._log.warn("the Control API asks nobody who he is, and listens on {listen}", listen=str(config.control))

    def reload(self) -> None:
        """Read the configuration file again. What cannot be used changes nothing, and is logged and shown."""
        self._notifier.reloading()
        self._reload()
        self._notifier.ready()
        if self._workforce is not None:
            self._workforce.tell("reload")

    def _reload(self) -> None:
        try:
            config = self._reread()
        except InvalidConfiguration as error:
            self._configuration.refuse(error.problems)
            self._log.error("the configuration file was not taken over; what ran before goes on")
            for problem in error.problems:
                self._log.error("{problem}", problem=problem)
            return
        fixed = [
            name
            for name in _FIXED
            if getattr(config, name) != getattr(self._config, name)
        ]
        if fixed:
            self._log.warn("{keys}: changed in the file, in force after a restart", keys=", ".join(fixed))
        self._config = config
        self._warn(config)
        self._keeper.reload(config.tls)
        self._configuration.reload(config)
        self._log.info("the configuration file was read again")

    def _on_hup(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self.reload)

    def _on_usr1(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self.on_usr1)

    def _open_sessions(self) -> Sequence[Ends]:
        return tuple(self._engine.table.everybody())

    def status(self) -> str:
        """How it is, in a line for people."""
        listeners = self._reconciler.status()
        up = sum(each.state is ListenerState.LISTENING for each in listeners)
        count = len(self._open_sessions()) + (0 if self._workforce is None else self._workforce.sessions())
        return f"{count} sessions, {up} of {len(listeners)} listeners listen"

    def _close(self, _: None) -> Deferred[None]:
        for attachment in reversed(self._attachments):
            attachment.stop()
        self._notifier.close()
        return self._close_store()

    # What the APIs see of what runs

    def listeners(self) -> tuple[ListenerStatus, ...]:
        own = self._reconciler.status()
        return own if self._workforce is None else self._workforce.merged(own)

    @property
    def own(self) -> Own:
        """The same of this process alone."""
        return Own(self._reconciler, self._keeper)

    def refresh(self) -> Deferred[None]:
        return succeed(None) if self._workforce is None else self._workforce.refresh()

    def upstreams(self) -> tuple[UpstreamStatus, ...]:
        return self._engine.pools.status(users_of(self._configuration.snapshot))

    def sessions(self) -> int:
        return len(self._engine.table) + (0 if self._workforce is None else self._workforce.sessions())

    def live(self) -> Iterator[Ongoing]:
        own = (session.ongoing() for session in self._engine.table.everybody())
        return own if self._workforce is None else chain(own, self._workforce.live())

    def session(self, session_id: str) -> Ongoing | Ended | None:
        live = self._engine.table.shown(session_id)
        if live is not None:
            return live.ongoing()
        known: Iterable[Ongoing | Ended] = self._engine.table.recent
        if self._workforce is not None:
            known = chain(known, self._workforce.live(), self._workforce.recent())
        return next((record for record in known if record.id == session_id), None)

    def kill(self, session_id: str, detail: str) -> bool:
        live = self._engine.table.shown(session_id)
        if live is not None:
            live.kill(Ending.KILLED, detail)
            return True
        return self._workforce is not None and self._workforce.kill(session_id, detail)

    def watch(self, watcher: SessionWatcher) -> Callable[[], None]:
        table = self._engine.table
        table.watch(watcher)
        return lambda: table.unwatch(watcher)

    def why(self, session_id: str) -> Deferred[Explained | None]:
        return self._explainer.session(self.session(session_id))

    def explain(self, question: Json) -> Deferred[Explained]:
        return self._explainer.question(question)

    def recent(self) -> Sequence[Ended]:
        own = self._engine.table.latest()
        if self._workforce is None:
            return own
        return sorted((*own, *self._workforce.recent()), key=_end)[-RECENT:]

    def certificates(self) -> tuple[CertificateStatus, ...]:
        return self._keeper.certificates()

    def names(self) -> tuple[NameStatus, ...]:
        return self._engine.resolver.status()

    def certificate_for(self, name: str | None) -> CertificateChoice:
        return self._keeper.certificate_for(name)

    def ready(self) -> bool:
        """Was the configuration applied?"""
        return self._applied
