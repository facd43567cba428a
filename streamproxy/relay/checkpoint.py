"""The checkpoint: plugins are given what the client says and the time they want, until they let its session pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IDelayedCall

from ..plugins import More
from .early import WINDOW, Early
from .gates import Admission, Delayed, Rejected

if TYPE_CHECKING:
    from .seams import Reactor


class Traveller(Protocol):
    """Who wants to pass. ``passed`` or ``turned_back`` is told once, unless the checkpoint is left before."""

    def passed(self) -> None: ...

    def turned_back(self, detail: str) -> None: ...

    def held_up(self) -> None:
        """The client has to say more now. Told again only after the client was waited for with nothing to say."""
        ...


class Checkpoint:
    """One session at the plugins of its route."""

    __slots__ = ("_admission", "_early", "_pause", "_reactor", "_traveller", "_wanted")

    def __init__(self, admission: Admission, early: Early, reactor: Reactor, traveller: Traveller) -> None:
        self._admission = admission
        self._early = early
        self._reactor = reactor
        self._traveller = traveller
        self._pause: IDelayedCall | None = None
        self._wanted = 0

    def begin(self) -> None:
        """Ask the plugins, as far as that can be done now."""
        self._pause = None
        early = self._early
        progress = self._admission.advance(early.window, complete=early.ended)
        if isinstance(progress, More):
            self._wanted = min(progress.at_least, WINDOW)
            self._traveller.held_up()
            early.changed = self._heard
            early.listen()
            return
        early.changed = None
        if isinstance(progress, Rejected):
            self._traveller.turned_back(f"{progress.plugin}: {progress.why}")
        elif isinstance(progress, Delayed):
            self._pause = self._reactor.callLater(progress.seconds, self.begin)
            # So that it is noticed when the client gives up.
            early.listen()
        else:
            self._traveller.passed()

    def leave(self) -> None:
        """Ask no more; nothing is told."""
        self._early.changed = None
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.cancel()

    def _heard(self) -> None:
        early = self._early
        if early.ended or len(early.window) >= self._wanted:
            self.begin()
