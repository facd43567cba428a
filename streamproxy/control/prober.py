"""Active checks: the nodes of the upstreams in use are asked, again and again, how they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from attrs import define
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger, LogLevel

from ..balance import Pool
from ..balance.member import MemberKey, member_key
from ..model import ActiveCheck, Node
from ..relay.engine import Engine
from .prober_probe import Look, look_at
from .prober_talk import Finding

# By which part of itself an interval is made longer or shorter, so that not all ask at the same time.
JITTER = 0.1

# The nodes of an upstream are asked for the first time within so many seconds of its first session.
FIRST = 1.0

# Nobody is asked more often than this (seconds).
LEAST_INTERVAL = 0.1

_log = Logger("streamproxy.health")


def tell(level: str, text: str) -> None:
    """Write a line to the process's log."""
    _log.emit(LogLevel.lookupByName(level), "{text}", text=text)


@define(eq=False)
class _Turn:
    """One node's: it waits for its time (``call``), or for its look to end."""

    node: Node
    call: IDelayedCall | None = None
    look: Look | None = None
    began: float = 0.0


class Checker:
    """Asks the nodes of one upstream, each after its interval, ``check.concurrency`` at a time."""

    def __init__(self, engine: Engine, pool: Pool, check: ActiveCheck, random: Callable[[], float]) -> None:
        self.check = check
        self._engine = engine
        self._pool = pool
        self._random = random
        self._turns: dict[MemberKey, _Turn] = {}
        self._waiting: deque[_Turn] = deque()
        self._looking = 0

    def follow(self, pool: Pool) -> None:
        """These are the nodes now. Those that were there are asked as before."""
        self._pool = pool
        pool.members.checked = True
        nodes = {member_key(node): node for node in pool.nodes}
        for gone in self._turns.keys() - nodes.keys():
            self._end(self._turns.pop(gone))
        for key, node in nodes.items():
            turn = self._turns.get(key)
            if turn is not None:
                turn.node = node
            else:
                self._turns[key] = turn = _Turn(node)
                first = min(FIRST, self._interval(turn))
                turn.call = self._engine.reactor.callLater(self._random() * first, self._due, turn)
        self._next()

    def stop(self) -> None:
        """Ask nobody any more; nothing is left behind."""
        self._pool.members.checked = False
        for turn in self._turns.values():
            self._end(turn)
        self._turns.clear()

    def _end(self, turn: _Turn) -> None:
        call, turn.call = turn.call, None
        if call is not None:
            call.cancel()
        look, turn.look = turn.look, None
        if look is not None:
            self._looking -= 1
            look.cancel()
        if turn in self._waiting:
            self._waiting.remove(turn)

    def _interval(self, turn: _Turn) -> float:
        usable = self._pool.health(turn.node).usable
        interval = self.check.healthy_interval if usable else self.check.unhealthy_interval
        return max(LEAST_INTERVAL, interval)

    def _due(self, turn: _Turn) -> None:
        turn.call = None
        self._waiting.append(turn)
        self._next()

    def _next(self) -> None:
        """Begin as many looks as may go on at once."""
        while self._waiting and self._looking < max(1, self.check.concurrency):
            turn = self._waiting.popleft()
            turn.began = self._engine.reactor.seconds()
            try:
                look = look_at(self._engine, turn.node, self.check, partial(self._found, turn))
            except ValueError as error:
                self._record(turn, Finding(None, str(error)))
                continue
            self._looking += 1
            turn.look = look
            look.begin()

    def _found(self, turn: _Turn, finding: Finding) -> None:
        turn.look = None
        self._looking -= 1
        self._record(turn, finding)
        # Not at once: a look may find something before its beginning is over.
        if self._waiting:
            self._engine.reactor.callLater(0, self._next)

    def _record(self, turn: _Turn, finding: Finding) -> None:
        now = self._engine.reactor.seconds()
        self._pool.probed(turn.node, finding.report, now, ip=finding.ip, detail=finding.detail)
        spread = 1.0 + JITTER * (2.0 * self._random() - 1.0)
        wait = turn.began + self._interval(turn) * spread - now
        turn.call = self._engine.reactor.callLater(max(0.0, wait), self._due, turn)


class Prober:
    """
    A checker for each upstream that has active checks and is in use, from its first session on (as with APISIX) to its
    end. It is an attachment of the service, and a :class:`~streamproxy.balance.Watcher` of the pools while it runs.
    ``random`` gives a number in [0, 1); ``log`` writes a line.
    """

    def __init__(self, engine: Engine, random: Callable[[], float], log: Callable[[str, str], None] = tell) -> None:
        self._engine = engine
        self._random = random
        self._log = log
        self._checkers: dict[str, Checker] = {}

    def start(self) -> None:
        self._engine.pools.watch(self)

    def stop(self) -> None:
        self._engine.pools.unwatch(self)
        for upstream_id in tuple(self._checkers):
            self.gone(upstream_id)

    def __len__(self) -> int:
        return len(self._checkers)

    # What the pools tell

    def in_use(self, pool: Pool) -> None:
        upstream = pool.upstream
        check = upstream.checks.active if upstream.checks is not None else None
        checker = self._checkers.get(upstream.id)
        if checker is not None and checker.check != check:
            self.gone(upstream.id)
            checker = None
        if check is None:
            return
        if checker is None:
            self._log("info", f"create new checker: {upstream.id}, {check.probe.value}")
            checker = self._checkers[upstream.id] = Checker(self._engine, pool, check, self._random)
        checker.follow(pool)

    def gone(self, upstream_id: str) -> None:
        checker = self._checkers.pop(upstream_id, None)
        if checker is not None:
            self._log("info", f"try to release checker: {upstream_id}")
            checker.stop()
