"""The service: starts, follows the configuration file, and ends what twistd runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import InvalidConfiguration
from ..model import CertificateChoice, CertificateStatus, Config, Ended, Ending, ListenerStatus
from ..relay.engine import Engine
from .certificates import CertificateKeeper
from .configuration import LiveConfiguration
from .greeting import Credentials, greeting
from .reconcile import Reconciler

if TYPE_CHECKING:
    from collections.abc import Sequence

# How often it is looked whether the last session has gone, while the process waits to end (seconds).
DRAIN_POLL = 0.1


class Opened(Protocol):
    """A listening socket of the Admin API's, a log, a file watch: something that is started and stopped."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class ProxyService(Service):
    """
    One proxy process. ``reread`` loads the configuration file anew (raises ``InvalidConfiguration``); ``attachments``
    are started after the listeners and stopped in the reverse order.
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
    ) -> None:
        self._reactor = reactor
        self._engine = engine
        self._reconciler = reconciler
        self._configuration = configuration
        self._keeper = keeper
        self._config = config
        self._reread = reread
        self._close_store = close_store
        self._started = False
        self._applied = False
        self._failed = False
        self._attachments: list[Opened] = []
        self._signals: dict[int, Any] = {}
        self._privileged = False
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
        for attachment in self._attachments:
            attachment.start()
        self._warn(self._config)
        self._reactor.callWhenRunning(self._greet)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        self._signals.clear()
        self._reconciler.close()
        drained = self._drain(self._config.limits.shutdown_timeout)
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

    def _greet(self) -> None:
        """Say what there is. twist logs JSON to its standard output, twistd -n text: there the greeting is at home."""
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
        if self._reactor.running:
            self._reactor.stop()

    def _warn(self, config: Config) -> None:
        """Nothing that the file says is passed over in silence."""
        if config.ignored:
            self._log.warn("keys in the file that mean nothing here: {keys}", keys=", ".join(config.ignored))
        if config.metrics is not None:
            self._log.warn("metrics are not served yet")

    def reload(self) -> None:
        """Read the configuration file again. What cannot be used changes nothing, and is logged and shown."""
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
            for name in ("admin", "store", "access_log", "metrics")
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

    def _drain(self, seconds: float) -> Deferred[None]:
        """Wait until the last session has gone, ``seconds`` at most, then end those that are left."""
        deadline = self._reactor.seconds() + seconds
        done: Deferred[None] = Deferred()
        if len(self._engine.table):
            self._log.info(
                "waiting up to {seconds:g} s for {count} sessions to end",
                seconds=seconds,
                count=len(self._engine.table),
            )

        def look() -> None:
            if len(self._engine.table) and self._reactor.seconds() < deadline:
                return
            poll.stop()
            for session in self._engine.table:
                session.kill(Ending.SHUTDOWN, "the proxy stops")
            done.callback(None)

        poll = LoopingCall(look)
        poll.clock = self._reactor
        poll.start(DRAIN_POLL, now=True)
        return done

    def _close(self, _: None) -> Deferred[None]:
        for attachment in reversed(self._attachments):
            attachment.stop()
        return self._close_store()

    # What the APIs see of what runs

    def listeners(self) -> tuple[ListenerStatus, ...]:
        return self._reconciler.status()

    def sessions(self) -> int:
        return len(self._engine.table)

    def recent(self) -> Sequence[Ended]:
        return self._engine.table.latest()

    def certificates(self) -> tuple[CertificateStatus, ...]:
        return self._keeper.certificates()

    def certificate_for(self, name: str | None) -> CertificateChoice:
        return self._keeper.certificate_for(name)

    def ready(self) -> bool:
        """Was the configuration applied?"""
        return self._applied
