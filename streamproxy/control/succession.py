"""How a process gives way to the next one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from .adminport import AdminPort
from .configuration import LiveConfiguration
from .estate import Estate
from .httpport import HttpPort
from .reconcile import Reconciler
from .sockets import Sockets
from .systemd import Notifier
from .workers import Workforce

# How long (seconds) callers of the Admin API have to say what they want changed. Who has not by then starts anew.
HUSH_TIMEOUT = 5.0


@define(eq=False)
class Succession:
    """
    A :class:`~.handover.Testator`. ``servers`` are the process's own; with ``forgetful`` the store is in memory, so
    that its documents have to be left too.
    """

    _log = Logger()

    reactor: Any
    reconciler: Reconciler
    configuration: LiveConfiguration
    sockets: Sockets
    notifier: Notifier
    servers: Sequence[HttpPort]
    forgetful: bool
    workforce: Workforce | None = None
    _timer: IDelayedCall | None = field(default=None, init=False)

    def bequeath(self) -> Deferred[Estate]:
        self._log.info("another process takes over: nothing is written until it has")
        hushed: Deferred[None] = Deferred()

        def go_on(_: object = None) -> None:
            if self._timer is not None and self._timer.active():
                self._timer.cancel()
            if not hushed.called:
                hushed.callback(None)

        self._timer = self.reactor.callLater(HUSH_TIMEOUT, go_on)
        admin = self._admin
        if admin is None:
            go_on()
        else:
            admin.hush().addCallback(go_on)
        return hushed.addCallback(lambda _: self.configuration.freeze()).addCallback(self._estate)

    def keep(self) -> None:
        self.configuration.thaw()
        if self._admin is not None:
            self._admin.stir()

    def cede(self, heir: int) -> None:
        self._log.info("process {heir} has taken over; this one ends when its last session has", heir=heir)
        self.reconciler.cede()
        if self.workforce is not None:
            self.workforce.dismiss(ceded=True)
        for server in self.servers:
            server.stop()
        self.notifier.ceded(heir)
        # What is to be said to the other process comes first.
        self.reactor.callLater(0, self.reactor.stop)

    @property
    def _admin(self) -> AdminPort | None:
        return next((server for server in self.servers if isinstance(server, AdminPort)), None)

    def _estate(self, _: None) -> Estate:
        held = [*self.reconciler.held(), *self.sockets.lasting()]
        if self.workforce is not None:
            held += self.workforce.held()
        for server in self.servers:
            held += server.held()
        return Estate(tuple(held), self.configuration.stored if self.forgetful else None)
