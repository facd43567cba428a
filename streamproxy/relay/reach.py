"""Reaching a target: nodes are tried, in turn and within bounds, until one is connected and ready for its client."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Protocol

from ..interfaces import Leg
from ..model import Ending, Limits, Node, TlsMode, Upstream
from ..sniff.starttls import ASKS
from ..sniff.starttls.machine import NothingToAsk
from .socket_leg import SocketLeg
from .target_ask import TargetAsk
from .target_tls import TargetHandshake
from .tls_leg import TlsLeg

if TYPE_CHECKING:
    from .dial import Dial
    from .engine import Engine
    from .introduction import Introduction


class Reached(Protocol):
    """Who is told. One of the two, once, unless it is cancelled."""

    def reached(self, leg: Leg, beyond: bytes) -> None:
        """A leg to a node; ``beyond`` is what it has said already."""
        ...

    def unreached(self, ending: Ending, detail: str) -> None: ...


class Reach:
    """One session's search for a node. ``node`` is the last that was tried, ``attempts`` how many were."""

    __slots__ = (
        "_choosing",
        "_engine",
        "_failure",
        "_introduction",
        "_limits",
        "_mode",
        "_pool",
        "_started",
        "_step",
        "_tried",
        "_upstream",
        "_who",
        "attempts",
        "node",
    )

    def __init__(
        self, engine: Engine, limits: Limits, mode: TlsMode, upstream: Upstream, introduction: Introduction | None
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._mode = mode
        self._upstream = upstream
        self._introduction = introduction
        self._pool = engine.pools.of(upstream)
        self._started = engine.reactor.seconds()
        self._tried: tuple[Node, ...] = ()
        self._choosing = False
        self._failure: tuple[Ending, str] | None = None
        self._step: Dial | TargetAsk | TargetHandshake | None = None
        self._who: Reached | None = None
        self.node: Node | None = None
        self.attempts = 0

    @property
    def waiting(self) -> bool:
        """Is an answer still to come?"""
        return self._who is not None

    def begin(self, who: Reached) -> None:
        """Try. ``who`` may be told before this returns."""
        self._who = who
        self._next()

    def cancel(self) -> None:
        """Forget about it; nothing is told."""
        self._who = None
        step, self._step = self._step, None
        if step is not None:
            step.cancel()

    # Nodes in turn

    def _next(self) -> None:
        """Try nodes until one is being waited for, one is reached, or none is left."""
        timeout = self._upstream.timeouts.connect
        if timeout is None:
            timeout = self._limits.connect_timeout
        self._choosing = True
        while self.attempts < self._pool.attempts and self._may_retry():
            node = self._pool.pick(self._tried)
            if node is None:
                break
            self.node = node
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

    def _may_retry(self) -> bool:
        if not self.attempts or not self._upstream.retry_timeout:
            return True
        return self._engine.reactor.seconds() - self._started < self._upstream.retry_timeout

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
        if not self._choosing:
            self._next()

    # From a connected socket to a leg

    def connected(self, sock: socket.socket) -> None:
        self._step = None
        introduction = self._introduction
        if introduction is None or not introduction.starttls:
            self._secure(sock, b"")
            return
        node_tls = self.node is not None and self.node.tls is not None
        upgrade = self._mode is TlsMode.PASSTHROUGH or node_tls
        # Behind a handshake with us the client introduces itself anew.
        words = introduction.words if self._mode is TlsMode.PASSTHROUGH else b""
        ask = ASKS[introduction.starttls](introduction=words, upgrade=upgrade)
        if isinstance(ask, NothingToAsk):
            self._secure(sock, b"")
            return
        deadlines = self._engine.ask_deadline(self._limits.handshake_timeout)
        step = self._step = TargetAsk(self._engine.reactor, sock, ask, deadlines, self._asked)
        step.begin()

    def _asked(self, sock: socket.socket | None, beyond: bytes, why: str) -> None:
        self._step = None
        if sock is None:
            self.failed(Ending.TARGET_TLS_FAILED, why)
        else:
            self._secure(sock, beyond)

    def _secure(self, sock: socket.socket, beyond: bytes) -> None:
        policy = self.node.tls if self.node is not None else None
        if policy is None:
            self._tell(SocketLeg(self._engine.reactor, sock), beyond)
            return
        deadlines = self._engine.target_deadline(self._limits.handshake_timeout)
        step = self._step = TargetHandshake(self._engine.reactor, sock, policy, deadlines, self._secured)
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
