"""The engine: what all sessions of a process share."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from twisted.logger import Logger, LogLevel

from ..balance import Means, Pools
from ..observe.sessions import SessionTable
from ..observe.throttle import Throttle
from ..plugins import Host, Plugin
from ..tls import Contexts
from .deadlines import Deadlines
from .descriptors import last_descriptor, opener
from .dial import Dialler
from .dns.expansion import Expansion
from .gates import Gates
from .hub import hub_over
from .limits import Crowd, Refusals
from .missing import Missing
from .resolve import Resolver
from .seams import Reactor
from .splice import pipes_here
from .target_ask import TargetAsk
from .target_tls import TargetHandshake

if TYPE_CHECKING:
    from .reach import Reach
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


_log = Logger("streamproxy.plugins")
_LEVELS = {name: LogLevel.lookupByName(name) for name in ("debug", "info", "warn", "error")}


class _Talk:
    """What plugins have to say goes to the log, as far as it can bear that."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._throttles = {level: Throttle(seconds) for level in ("debug", "info", "warn", "error")}

    def __call__(self, level: str, text: str) -> None:
        throttle = self._throttles.get(level) or self._throttles["error"]
        held = throttle.passes()
        if held is not None:
            more = f" (and {held} more of this level were not logged)" if held else ""
            _log.emit(_LEVELS.get(level, LogLevel.error), "{text}{more}", text=text, more=more)


class Engine:
    """
    ``now`` is the wall clock (seconds since the epoch), the reactor the monotonic one. ``hub`` watches the sockets of
    all sessions, ``pipes`` are for those in bulk, ``table`` knows every session, ``pools`` every upstream's live side.
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
        plugins: Mapping[str, Plugin] = MappingProxyType({}),
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.reactor = reactor
        self.resolver = resolver
        self.hub = hub_over(reactor)
        self.pipes = pipes_here()
        self.last_descriptor = last_descriptor()
        self.open_socket = opener(self.last_descriptor)
        self.dialler = Dialler(self.hub, resolver, self.open_socket)
        self.table = table
        self.pools = Pools(Means(seconds=reactor.seconds)) if pools is None else pools
        self.expansion = self.pools.expander = Expansion(resolver, reactor, self.pools.renew)
        self.now = now
        self.contexts = Contexts() if contexts is None else contexts
        self.terminator = terminator
        self.plugin_metadata: Mapping[str, Mapping[str, Any]] = {}
        talk = _Talk(reactor.seconds)
        host = Host(reactor, now, random.random, self._metadata, talk, registry or CollectorRegistry())
        self.gates = Gates(plugins, host)
        self.max_sessions = default_max_sessions()
        self.crowd = Crowd()
        self.missing = Missing()
        self.refusals = Refusals(reactor.seconds)
        self._sniff: dict[float, Deadlines[Session]] = {}
        self._idle: dict[float, Deadlines[Session]] = {}
        self._handshake: dict[float, Deadlines[Session]] = {}
        self._target: dict[float, Deadlines[TargetHandshake]] = {}
        self._ask: dict[float, Deadlines[TargetAsk]] = {}
        self._duration: dict[float, Deadlines[Session]] = {}
        self._queued: dict[float, Deadlines[Reach]] = {}

    def _metadata(self, plugin: str) -> Mapping[str, Any]:
        return self.plugin_metadata.get(plugin, {})

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

    def duration_watch(self, seconds: float) -> Deadlines[Session]:
        """The ends of sessions that may last ``seconds``."""
        queue = self._duration.get(seconds)
        if queue is None:
            from .session import Session

            queue = self._duration[seconds] = Deadlines(self.reactor, seconds, Session.outlived)
        return queue

    def queue_deadline(self, seconds: float) -> Deadlines[Reach]:
        """The deadlines of sessions that wait ``seconds`` for a node with room."""
        queue = self._queued.get(seconds)
        if queue is None:
            from .reach import Reach

            queue = self._queued[seconds] = Deadlines(self.reactor, seconds, Reach.waited_in_vain)
        return queue

    def rest(self) -> None:
        """Leave no timer behind that waits for nothing."""
        of_sessions = (self._sniff, self._idle, self._handshake, self._duration)
        for queue in (each for queues in of_sessions for each in queues.values()):
            queue.rest()
        for handshakes in self._target.values():
            handshakes.rest()
        for asks in self._ask.values():
            asks.rest()
        for waiting in self._queued.values():
            waiting.rest()
        self.dialler.rest()
