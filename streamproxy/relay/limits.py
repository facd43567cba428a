"""The door of a listener: who may begin a session, and what is counted to know that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from ..model import Listener
from ..observe.sessions import Tally
from ..observe.throttle import Throttle
from .pace import Paces
from .proxied import trusts

if TYPE_CHECKING:
    from .engine import Engine
    from .serving import Serving

DENIED = "denied"

# Lines about one limit: some at once, then one in ten seconds that counts the others.
LINES_AT_ONCE = 5
LINES_PER_SECOND = 0.1


class Crowd:
    """What is known of the clients of a process, or of one listener: when sessions began, and what they relayed."""

    __slots__ = ("begun", "inwards", "outwards")

    def __init__(self) -> None:
        self.begun = Paces()
        self.inwards = Paces()
        self.outwards = Paces()


class Refusals:
    """The log's lines about clients that were refused, as many as it can bear."""

    _log = Logger()

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._throttles: dict[str, Throttle] = {}

    def tell(self, listener: Listener, client: str, met: str) -> None:
        """``client`` was refused because of the limit called ``met``."""
        throttle = self._throttles.get(met)
        if throttle is None:
            throttle = self._throttles[met] = Throttle(self._seconds, LINES_AT_ONCE, LINES_PER_SECOND)
        held = throttle.passes()
        if held is not None:
            self._log.info(
                "{listener} refuses {client}: {met}{held}",
                listener=str(listener.address),
                client=client,
                met=met,
                held=f" (and {held} more, which were not logged)" if held else "",
            )


class Door:
    """
    One listener's. ``tally`` counts its sessions, and ``own`` is what is known of its clients where it has limits of
    its own for each of them.
    """

    __slots__ = ("_begun", "_engine", "own", "tally")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._begun = Paces(1)
        self.tally = Tally()
        self.own = Crowd()

    def refuses(self, client: str, serving: Serving) -> str:
        """May this client open one more TCP session? Empty if so, else the limit it met, which is counted and told."""
        met = self._met(client, serving)
        if met:
            self.refused(client, serving, met)
        return met

    def refuses_datagrams(self, serving: Serving, direct: str, client: str) -> str:
        """
        The same for the first datagram of a client, which came from ``direct``; how many sessions there are is
        counted elsewhere.
        """
        met, guard = "", serving.guard
        if guard is not None and not (guard.admits(direct) and (client == direct or guard.admits(client))):
            met = DENIED
        elif not self._paced(client, serving):
            met = "session_rate_per_client"
        elif not self._begins(serving):
            met = "session_rate"
        if met:
            self._engine.refusals.tell(serving.listener, client, met)
        return met

    def readmits(self, direct: str, client: str, serving: Serving) -> str:
        """
        A session from ``direct``, which a proxy that is trusted has open, is ``client``'s, and is counted as its.
        Empty if that is fine, else the limit.
        """
        self.tally.left(direct)
        self.tally.came(client)
        if serving.guard is not None and not serving.guard.admits(client):
            met = DENIED
        else:
            met = self._client_met(client, serving, already=1)
        if met:
            self._engine.refusals.tell(serving.listener, client, met)
        return met

    def refused(self, client: str, serving: Serving, met: str) -> None:
        """Count it, and say so."""
        refused = self.tally.refused
        refused[met] = refused.get(met, 0) + 1
        self._engine.refusals.tell(serving.listener, client, met)

    def crowd(self, serving: Serving) -> Crowd:
        """Where the bandwidth of a client is booked."""
        return self._engine.crowd if serving.listener.limits.bandwidth_per_client is None else self.own

    # Inside

    def _met(self, client: str, serving: Serving) -> str:
        engine, limits = self._engine, serving.limits
        if serving.guard is not None and not serving.guard.admits(client):
            return DENIED
        most = engine.max_sessions if limits.max_sessions is None else limits.max_sessions
        if len(engine.table) >= most:
            return "max_sessions"
        most_here = limits.max_sessions_per_listener
        if most_here is not None and self.tally.sessions >= most_here:
            return "max_sessions_per_listener"
        if serving.counts_clients:
            accept = serving.listener.proxy_in
            # A proxy that is trusted will say whose session it is.
            if accept is None or not trusts(accept.trusted, client):
                met = self._client_met(client, serving)
                if met:
                    return met
        return "" if self._begins(serving) else "session_rate"

    def _client_met(self, client: str, serving: Serving, already: int = 0) -> str:
        most = serving.limits.max_sessions_per_client
        if most is not None:
            own = serving.listener.limits.max_sessions_per_client is not None
            if (self.tally if own else self._engine.table).of_client(client) - already >= most:
                return "max_sessions_per_client"
        return "" if self._paced(client, serving) else "session_rate_per_client"

    def _paced(self, client: str, serving: Serving) -> bool:
        rate = serving.limits.session_rate_per_client
        if rate is None:
            return True
        crowd = self._engine.crowd if serving.listener.limits.session_rate_per_client is None else self.own
        return crowd.begun.admits(client, rate, self._engine.reactor.seconds())

    def _begins(self, serving: Serving) -> bool:
        rate = serving.limits.session_rate
        return rate is None or self._begun.admits("", rate, self._engine.reactor.seconds())
