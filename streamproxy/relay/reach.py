"""Reaching a target: nodes are tried, in turn and within bounds, until one is connected and ready for its client."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Protocol

from attrs import evolve

from ..interfaces import Leg
from ..model import ClientPolicy, Ending, Limits, Node, Report, TlsMode, Upstream
from ..sniff.starttls import ASKS, TARGET_FIRST, MysqlAsk
from ..sniff.starttls.machine import Ask, NothingToAsk
from .socket_leg import SocketLeg
from .target_ask import Asked, TargetAsk
from .target_tls import TargetHandshake
from .tls_leg import TlsLeg

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from ..balance.queue import Queue
    from .dial import Dial
    from .engine import Engine
    from .introduction import Introduction


# What is kept of a session when it is over should not be the whole of an upstream that is down.
MOST_EARLIER = 32


class Reached(Protocol):
    """Who is told. One of the two, once, unless it is cancelled."""

    def reached(self, leg: Leg, beyond: bytes) -> None:
        """A leg to a node; ``beyond`` is what it has said already."""
        ...

    def unreached(self, ending: Ending, detail: str) -> None: ...

    def queued(self) -> None:
        """All nodes are full: one of the two above comes later."""
        ...


class Reach:
    """One session's search for a node. ``node`` is the last that was tried, ``attempts`` how many were."""

    __slots__ = (
        "_announcement",
        "_choosing",
        "_dialled",
        "_engine",
        "_failure",
        "_held",
        "_introduction",
        "_key",
        "_limits",
        "_mode",
        "_pool",
        "_queue",
        "_started",
        "_step",
        "_tried",
        "_upstream",
        "_who",
        "attempts",
        "node",
    )

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        mode: TlsMode,
        upstream: Upstream,
        introduction: Introduction | None,
        key: str = "",
        announcement: bytes = b"",
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._mode = mode
        self._upstream = upstream
        self._introduction = introduction
        self._key = key
        self._announcement = announcement
        self._dialled = 0.0
        self._held = False
        self._pool = engine.pools.of(upstream)
        self._started = engine.reactor.seconds()
        self._tried: tuple[Node, ...] = ()
        self._choosing = False
        self._failure: tuple[Ending, str] | None = None
        self._step: Deferred[str] | Dial | TargetAsk | TargetHandshake | None = None
        self._who: Reached | None = None
        self.node: Node | None = None
        self.attempts = 0
        self._queue: Queue | None = None

    @property
    def is_queued(self) -> bool:
        """Does it wait for a node with room?"""
        return self._queue is not None

    @property
    def earlier(self) -> tuple[str, ...]:
        """The labels of the nodes that were tried before the last one, the last of them where they are many."""
        return tuple(node.label for node in self._tried[-1 - MOST_EARLIER : -1])

    @property
    def waiting(self) -> bool:
        """Is an answer still to come?"""
        return self._who is not None

    def begin(self, who: Reached) -> None:
        """Try. ``who`` may be told before this returns."""
        self._who = who
        asking = None if self._pool.nodes else self._engine.expansion.lookup(self._upstream, self._connect_timeout)
        if asking is None:
            self._next()
        else:
            self._step = asking
            asking.addCallback(self._expanded)

    def cancel(self) -> None:
        """Forget about it; nothing is told."""
        self._who = None
        self._leave_queue()
        step, self._step = self._step, None
        if step is not None:
            step.cancel()
        self._let_go()

    def leave(self, *, broken: bool) -> None:
        """The session with the node that was reached is over; ``broken`` by the node."""
        if broken and self.node is not None and self._held:
            self._pool.report(self.node, Report.TCP_FAILURE, self._engine.reactor.seconds())
        self._let_go()

    def _let_go(self) -> None:
        if self._held and self.node is not None:
            self._held = False
            self._pool.closed(self.node)

    def _reported(self, report: Report, elapsed: float | None = None) -> None:
        if self.node is not None:
            self._pool.report(self.node, report, self._engine.reactor.seconds(), elapsed)

    # Nodes in turn

    @property
    def _connect_timeout(self) -> float:
        timeout = self._upstream.timeouts.connect
        return self._limits.connect_timeout if timeout is None else timeout

    def _expanded(self, problem: str) -> None:
        """It is known now what stands behind the upstream's names, or what is wrong with them."""
        self._step = None
        if self._who is not None:
            self._pool = self._engine.pools.of(self._upstream)
            if problem:
                self._failure = (Ending.RESOLVE_FAILED, problem)
            self._next()

    def _next(self, first: Node | None = None) -> None:
        """Try nodes, ``first`` before others, until one is being waited for, one is reached, or none is left."""
        timeout = self._connect_timeout
        self._choosing = True
        while self.attempts < self._pool.attempts and self._may_retry():
            node, first = first or self._pick(), None
            if node is None:
                self._choosing = False
                self._find_no_room()
                return
            self.node = node
            self._held = True
            self._pool.opened(node)
            self._dialled = self._engine.reactor.seconds()
            self._tried += (node,)
            self.attempts += 1
            self._failure = None
            dial = self._engine.dialler.dial(node, timeout, self)
            if dial.who is not None:
                self._step = dial
            if self._who is None or self._failure is None:
                self._choosing = False
                return
        self._choosing = False
        self._give_up()

    def _pick(self) -> Node | None:
        """A node, unless others were here before and wait for one."""
        pool = self._pool
        if pool.members.queue:
            return None
        return pool.pick(self._tried, self._key, self._limits.max_sessions_per_node)

    def _may_retry(self) -> bool:
        if self._failure is not None and self._failure[0] is Ending.OVER_LIMIT:
            return False
        if not self.attempts or not self._upstream.retry_timeout:
            return True
        return self._engine.reactor.seconds() - self._started < self._upstream.retry_timeout

    # When all nodes are full

    def _find_no_room(self) -> None:
        pool, limits = self._pool, self._limits
        queue = pool.members.queue
        if not queue and not pool.is_full(self._tried, limits.max_sessions_per_node):
            self._give_up()
        elif len(queue) >= limits.max_queue:
            full = f"every node of {self._upstream.id} has all the sessions it may have, and {len(queue)} wait"
            self._failure = self._failure or (Ending.QUEUE_FULL, full)
            self._give_up()
        else:
            queue.join(self)
            self._queue = queue
            self._engine.queue_deadline(limits.queue_timeout).add(self)
            if self._who is not None:
                self._who.queued()

    def _leave_queue(self) -> None:
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.leave(self)
            self._engine.queue_deadline(self._limits.queue_timeout).remove(self)

    def your_turn(self) -> bool:
        """A node may have room now."""
        # There may be others than when the waiting began.
        self._pool = self._engine.pools.of(self._upstream)
        node = self._pool.pick(self._tried, self._key, self._limits.max_sessions_per_node)
        if node is None:
            return False
        self._leave_queue()
        if not self.attempts:
            # To have waited is not to have tried.
            self._started = self._engine.reactor.seconds()
        self._next(node)
        return True

    def waited_in_vain(self) -> None:
        """No node had room in time."""
        self._leave_queue()
        why = f"no node of {self._upstream.id} had room within {self._limits.queue_timeout:g} s"
        self._failure = self._failure or (Ending.QUEUE_TIMEOUT, why)
        self._give_up()

    def _give_up(self) -> None:
        who, self._who = self._who, None
        if who is not None:
            ending, detail = self._failure or (
                Ending.NO_NODE,
                f"{self._upstream.id} has no node to connect to",
            )
            who.unreached(ending, detail)

    def failed(self, ending: Ending, detail: str) -> None:
        """This node cannot be had: on to the next, unless whoever tries them is still at it."""
        self._step = None
        self._failure = (ending, detail)
        if ending is not Ending.OVER_LIMIT:
            self._reported(Report.TIMEOUT if ending is Ending.CONNECT_TIMEOUT else Report.TCP_FAILURE)
        self._let_go()
        if not self._choosing:
            self._next()

    # From a connected socket to a leg

    def connected(self, sock: socket.socket) -> None:
        self._step = None
        self._reported(Report.SUCCESS, self._engine.reactor.seconds() - self._dialled)
        if self._announcement and not _sent(sock, self._announcement):
            self.failed(Ending.CONNECT_FAILED, "the PROXY protocol header could not be sent")
            return
        introduction = self._introduction
        if introduction is None or not introduction.starttls:
            self._secure(sock, b"")
            return
        if introduction.starttls in TARGET_FIRST:
            self._ask(sock, MysqlAsk(), self._greeted)
            return
        node_tls = self.node is not None and self.node.tls is not None
        upgrade = self._mode is TlsMode.PASSTHROUGH or node_tls
        # Behind a handshake with us the client introduces itself anew.
        words = introduction.words if self._mode is TlsMode.PASSTHROUGH else b""
        ask = ASKS[introduction.starttls](introduction=words, upgrade=upgrade)
        if isinstance(ask, NothingToAsk):
            self._secure(sock, b"")
            return
        self._ask(sock, ask, self._asked)

    def _ask(self, sock: socket.socket, ask: Ask, asked: Asked) -> None:
        deadlines = self._engine.ask_deadline(self._limits.handshake_timeout)
        step = self._step = TargetAsk(self._engine.hub, sock, ask, deadlines, asked)
        step.begin()

    def _greeted(self, sock: socket.socket | None, greeting: bytes, why: str) -> None:
        """The target has said its first word, which the client has to hear before there is any TLS."""
        self._step = None
        if sock is None:
            self.failed(Ending.TARGET_TLS_FAILED, why)
        else:
            self._tell(SocketLeg(self._engine.hub, sock), greeting)

    def _asked(self, sock: socket.socket | None, beyond: bytes, why: str) -> None:
        self._step = None
        if sock is None:
            self.failed(Ending.TARGET_TLS_FAILED, why)
        else:
            self._secure(sock, beyond)

    def _secure(self, sock: socket.socket, beyond: bytes) -> None:
        policy = self.node.tls if self.node is not None else None
        if policy is not None and policy.follow_client:
            policy = _following(policy, self._introduction)
        if policy is None:
            self._tell(SocketLeg(self._engine.hub, sock), beyond)
            return
        deadlines = self._engine.target_deadline(self._limits.handshake_timeout)
        step = self._step = TargetHandshake(self._engine.hub, sock, policy, deadlines, self._secured)
        step.begin(self._engine.contexts)

    def _secured(self, leg: TlsLeg | None, detail: str) -> None:
        self._step = None
        if leg is None:
            self.failed(Ending.TARGET_TLS_FAILED, detail)
        else:
            self._tell(leg, b"")

    def _tell(self, leg: Leg, beyond: bytes) -> None:
        who, self._who = self._who, None
        if who is not None:
            who.reached(leg, beyond)


def _sent(sock: socket.socket, data: bytes) -> bool:
    """Send what is less than any empty socket buffer holds."""
    try:
        if sock.send(data) == len(data):
            return True
    except OSError:
        """The same as too few: this node is not to be had."""
    sock.close()
    return False


def _following(policy: ClientPolicy, introduction: Introduction | None) -> ClientPolicy:
    """The policy for a client that asked for a name, or for none."""
    name = introduction.opening.sni if introduction is not None else None
    return policy if name is None else evolve(policy, server_name=name, send_name=name)
