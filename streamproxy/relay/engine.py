"""The engine: what all sessions of a process share."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..balance import Pools
from ..observe.sessions import SessionTable
from ..tls import Contexts
from .deadlines import Deadlines
from .dial import Dialler
from .resolve import Resolver
from .seams import Reactor
from .target_ask import TargetAsk
from .target_tls import TargetHandshake

if TYPE_CHECKING:
    from ..model import Limits
    from .session import Session
    from .termination import Terminator

# How often in its idle time a session is looked at: it ends between one and one and a quarter of that time.
IDLE_LOOKS = 4

# A session holds two descriptors; what is left is for listeners, files, the APIs and what the kernel takes.
DESCRIPTOR_SHARE = 0.45


def default_max_sessions() -> int:
    """As many sessions as the descriptor limit carries."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 1 << 20
    return max(16, int(soft * DESCRIPTOR_SHARE))


class Engine:
    """
    ``now`` is the wall clock (seconds since the epoch), the reactor the monotonic one. ``table`` knows every session,
    ``pools`` every upstream's live side.
    """

    def __init__(
        self,
        reactor: Reactor,
        resolver: Resolver,
        table: SessionTable,
        now: Callable[[], float],
        pools: Pools | None = None,
        contexts: Contexts | None = None,
        terminator: Terminator | None = None,
    ) -> None:
        self.reactor = reactor
        self.resolver = resolver
        self.dialler = Dialler(reactor, resolver)
        self.table = table
        self.pools = Pools() if pools is None else pools
        self.now = now
        self.contexts = Contexts() if contexts is None else contexts
        self.terminator = terminator
        self.max_sessions = default_max_sessions()
        self._sniff: dict[float, Deadlines[Session]] = {}
        self._idle: dict[float, Deadlines[Session]] = {}
        self._handshake: dict[float, Deadlines[Session]] = {}
        self._target: dict[float, Deadlines[TargetHandshake]] = {}
        self._ask: dict[float, Deadlines[TargetAsk]] = {}

    def admits(self, client: str, limits: Limits) -> str:
        """May this client open one more session? Empty if so, else the limit it met."""
        most = self.max_sessions if limits.max_sessions is None else limits.max_sessions
        if len(self.table) >= most:
            return "max_sessions"
        per_client = limits.max_sessions_per_client
        if per_client is not None and self.table.of_client(client) >= per_client:
            return "max_sessions_per_client"
        return ""

    def sniff_deadline(self, seconds: float) -> Deadlines[Session]:
        """The deadlines of sessions that wait ``seconds`` for their client's first bytes."""
        queue = self._sniff.get(seconds)
        if queue is None:
            from .session import Session

            queue = self._sniff[seconds] = Deadlines(self.reactor, seconds, Session.sniff_expired)
        return queue

    def handshake_deadline(self, seconds: float) -> Deadlines[Session]:
        """The deadlines of sessions that wait ``seconds`` for their client's handshake."""
        queue = self._handshake.get(seconds)
        if queue is None:
            from .session import Session

            queue = self._handshake[seconds] = Deadlines(self.reactor, seconds, Session.handshake_expired)
        return queue

    def target_deadline(self, seconds: float) -> Deadlines[TargetHandshake]:
        """The deadlines of handshakes with targets."""
        queue = self._target.get(seconds)
        if queue is None:
            queue = self._target[seconds] = Deadlines(self.reactor, seconds, TargetHandshake.expired)
        return queue

    def ask_deadline(self, seconds: float) -> Deadlines[TargetAsk]:
        """The deadlines of conversations with targets before TLS."""
        queue = self._ask.get(seconds)
        if queue is None:
            queue = self._ask[seconds] = Deadlines(self.reactor, seconds, TargetAsk.expired)
        return queue

    def idle_watch(self, seconds: float) -> Deadlines[Session]:
        """The looks at sessions that may be idle for ``seconds``."""
        queue = self._idle.get(seconds)
        if queue is None:
            from .session import Session

            queue = self._idle[seconds] = Deadlines(self.reactor, seconds / IDLE_LOOKS, Session.idle_look)
        return queue

    def rest(self) -> None:
        """Leave no timer behind that waits for nothing."""
        for queue in (*self._sniff.values(), *self._idle.values(), *self._handshake.values()):
            queue.rest()
        for handshakes in self._target.values():
            handshakes.rest()
        for asks in self._ask.values():
            asks.rest()
        self.dialler.rest()
