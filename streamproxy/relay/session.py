"""One TCP session, from its accepted client to its end."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ..interfaces import Leg
from ..model import Address, Ended, Ending, Facts, Node, Route, TlsFacts, TlsMode, Upstream
from ..sniff import Hit, Miss, Need
from ..sniff.opening import Opening, read_opening
from .engine import IDLE_LOOKS
from .pump import Pump
from .socket_leg import SocketLeg
from .target_tls import TargetHandshake
from .termination import Termination
from .tls_leg import TlsLeg

if TYPE_CHECKING:
    from ..balance import Pool
    from ..observe.sessions import Tally
    from .dial import Dial
    from .engine import Engine
    from .serving import Serving

# What a client may say before its target is there. A hello of 64 KiB fits, with the records around it.
WINDOW = 80 * 1024


class Session:
    """
    Until the target is there it hears the client's leg itself and keeps what the client says (the window); then a
    pump takes over. It pins the ``serving`` it was accepted with.
    """

    __slots__ = (
        "_attempts",
        "_choosing",
        "_client",
        "_client_ended",
        "_connect_time",
        "_connected_at",
        "_dial",
        "_engine",
        "_failure",
        "_handshake",
        "_idle_timeout",
        "_last_moved",
        "_listening",
        "_local",
        "_node",
        "_opening",
        "_over",
        "_peer",
        "_pool",
        "_pump",
        "_route",
        "_serving",
        "_sniff_time",
        "_started",
        "_started_wall",
        "_still",
        "_tally",
        "_target_handshake",
        "_tried",
        "_wanted",
        "_window",
        "number",
    )

    def __init__(
        self, engine: Engine, serving: Serving, tally: Tally, client: Leg, peer: Address, local: Address
    ) -> None:
        self.number = engine.table.next_number()
        self._engine = engine
        self._serving = serving
        self._tally = tally
        self._client = client
        self._peer = peer
        self._local = local
        self._started = engine.reactor.seconds()
        self._started_wall = engine.now()
        self._window = b""
        self._wanted = 1
        self._opening: Opening | None = None
        self._handshake: TlsFacts | None = None
        self._target_handshake: TargetHandshake | None = None
        self._sniff_time: float | None = None
        self._connect_time: float | None = None
        self._connected_at = 0.0
        self._route: Route | None = None
        self._pool: Pool | None = None
        self._node: Node | None = None
        self._tried: tuple[Node, ...] = ()
        self._attempts = 0
        self._choosing = False
        self._dial: Dial | None = None
        self._failure: tuple[Ending, str] | None = None
        self._pump: Pump | None = None
        self._idle_timeout = serving.limits.idle_timeout
        self._last_moved = 0
        self._still = 0
        self._listening = False
        self._client_ended = False
        self._over = False

    # Accepted

    def begin(self) -> None:
        """Take the client on."""
        self._tally.sessions += 1
        self._tally.accepted += 1
        self._engine.table.opened(self, self._peer.host)
        self._client.receiver = self
        if self._serving.listener.tls is TlsMode.TERMINATE:
            self._terminate()
        elif self._serving.sniff:
            self._engine.sniff_deadline(self._serving.limits.sniff_timeout).add(self)
            self._listen()
        else:
            self._decide()

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            self._client.start()

    # Terminating TLS

    def _terminate(self) -> None:
        terminator = self._engine.terminator
        if terminator is None or not isinstance(self._client, TlsLeg):
            self._end(Ending.HANDSHAKE_FAILED, "this transport cannot be decrypted here")
            return
        self._engine.handshake_deadline(self._serving.limits.handshake_timeout).add(self)
        Termination(terminator, self._serving.listener, self._client, self).begin()

    def opened(self, opening: Opening, handshake: TlsFacts) -> None:
        """The client's stream is there, decrypted."""
        self._opening = opening
        self._handshake = handshake
        self._sniff_time = self._engine.reactor.seconds() - self._started
        self._forget_opening_deadlines()
        self._decide()

    def unopened(self, ending: Ending, detail: str) -> None:
        """There was no handshake, or a failed one."""
        self._end(ending, detail)

    def handshake_expired(self) -> None:
        """The client took too long to shake hands."""
        self._end(Ending.HANDSHAKE_TIMEOUT, f"no handshake in {self._serving.limits.handshake_timeout:g} s")

    # The client's leg tells, until the pump takes over

    def received(self, data: bytes) -> None:
        self._window += data
        if self._route is None:
            self._sniff()
        elif len(self._window) >= WINDOW:
            self._client.pause()

    def ended(self) -> None:
        self._client_ended = True
        if self._route is not None:
            return
        if self._window:
            self._sniff()
        else:
            self._end(Ending.CLIENT_GONE, "the client closed before it said anything")

    def drained(self) -> None:
        """Nothing was written to the client yet."""

    def lost(self, why: str, *, reset: bool) -> None:
        self._end(Ending.CLIENT_RESET, why)

    # Reading the name

    def _sniff(self) -> None:
        if len(self._window) < self._wanted and not self._client_ended:
            return
        verdict = read_opening(self._window, self._serving.sniff, complete=self._client_ended)
        if isinstance(verdict, Need):
            self._wanted = verdict.at_least
            if self._wanted > WINDOW:
                self._end(Ending.SNIFF_FAILED, f"the first {WINDOW} bytes name no target")
        elif isinstance(verdict, Miss):
            self._end(Ending.SNIFF_FAILED, verdict.why)
        elif isinstance(verdict, Hit):
            self._opening = verdict.value
            self._sniff_time = self._engine.reactor.seconds() - self._started
            self._forget_opening_deadlines()
            self._decide()

    def _forget_opening_deadlines(self) -> None:
        if self._serving.listener.tls is TlsMode.TERMINATE:
            self._engine.handshake_deadline(self._serving.limits.handshake_timeout).remove(self)
        elif self._serving.sniff:
            self._engine.sniff_deadline(self._serving.limits.sniff_timeout).remove(self)

    def sniff_expired(self) -> None:
        """The client took too long to name its target."""
        self._end(Ending.SNIFF_TIMEOUT, f"{len(self._window)} bytes in {self._serving.limits.sniff_timeout:g} s")

    # Deciding and dialling

    @property
    def facts(self) -> Facts:
        """What is known of the connection so far."""
        opening = self._opening
        address = self._serving.listener.address
        if opening is None:
            return Facts(address, self._peer, self._local)
        return Facts(
            address,
            self._peer,
            self._local,
            opening.tls,
            opening.sni,
            opening.alpn,
            opening.http_host,
            self._handshake,
        )

    def _decide(self) -> None:
        route = self._serving.table.decide(self.facts).route
        if route is None:
            self._end(Ending.NO_ROUTE, "no route matches")
            return
        self._route = route
        upstream = self._serving.upstream(route)
        if upstream.timeouts.idle is not None:
            self._idle_timeout = upstream.timeouts.idle
        self._pool = self._engine.pools.of(upstream)
        self._dial_next(self._pool, upstream)

    def _dial_next(self, pool: Pool, upstream: Upstream) -> None:
        """Try nodes until one is being waited for, one is connected, or none is left."""
        timeout = upstream.timeouts.connect
        if timeout is None:
            timeout = self._serving.limits.connect_timeout
        self._choosing = True
        self._try_nodes(pool, upstream, timeout)
        self._choosing = False

    def _try_nodes(self, pool: Pool, upstream: Upstream, timeout: float) -> None:
        while self._attempts < pool.attempts and self._may_retry(upstream):
            node = pool.pick(self._tried)
            if node is None:
                break
            self._node = node
            self._tried += (node,)
            self._attempts += 1
            self._failure = None
            self._dial = None
            dial = self._engine.dialler.dial(node, timeout, self)
            if self._pump is not None or self._over or self._target_handshake is not None:
                return
            if self._failure is None:
                self._dial = dial
                # Watch the client meanwhile: it may hang up.
                self._listen()
                return
        ending, detail = self._failure or (Ending.NO_NODE, f"{upstream.id} has no node to connect to")
        self._end(ending, detail)

    def _may_retry(self, upstream: Upstream) -> bool:
        if not self._attempts or not upstream.retry_timeout:
            return True
        return self._engine.reactor.seconds() - self._started < upstream.retry_timeout

    def failed(self, ending: Ending, detail: str) -> None:
        """This node cannot be had: on to the next, unless whoever tries them is still at it."""
        self._failure = (ending, detail)
        self._dial = None
        if not self._choosing and self._pool is not None:
            self._dial_next(self._pool, self._pool.upstream)

    def connected(self, sock: socket.socket) -> None:
        """The target is there; perhaps it has to prove itself first."""
        self._dial = None
        policy = self._node.tls if self._node is not None else None
        if policy is None:
            self._relay(SocketLeg(self._engine.reactor, sock))
            return
        engine = self._engine
        deadlines = engine.target_deadline(self._serving.limits.handshake_timeout)
        self._target_handshake = TargetHandshake(engine.reactor, sock, policy, deadlines, self._secured)
        self._target_handshake.begin(engine.contexts)
        if self._target_handshake is not None:
            self._listen()

    def _secured(self, leg: TlsLeg | None, detail: str) -> None:
        """The target shook hands and is who it should be, or not."""
        self._target_handshake = None
        if leg is not None:
            self._relay(leg)
            return
        self.failed(Ending.TARGET_TLS_FAILED, detail)

    def _relay(self, target: Leg) -> None:
        """Hand over to the pump."""
        self._connected_at = self._engine.reactor.seconds()
        self._connect_time = self._connected_at - self._started - (self._sniff_time or 0.0)
        pump = self._pump = Pump(self._client, target, self._pumped)
        self._engine.idle_watch(self._idle_timeout).add(self)
        target.start()
        self._listen()
        window, self._window = self._window, b""
        if window:
            pump.to_target.inject(window)
        if self._client_ended:
            pump.to_target.ended()

    # The end

    def idle_look(self) -> None:
        """Has anything moved since the last look?"""
        pump = self._pump
        if pump is None:
            return
        moved = pump.moved
        if moved != self._last_moved:
            self._last_moved = moved
            self._still = 0
        else:
            self._still += 1
        if self._still >= IDLE_LOOKS:
            pump.stop(Ending.IDLE_TIMEOUT, f"nothing moved for {self._idle_timeout:g} s")
        else:
            self._engine.idle_watch(self._idle_timeout).add(self)

    def kill(self, ending: Ending, detail: str = "") -> None:
        """End it now; both peers are reset."""
        if self._pump is not None:
            self._pump.stop(ending, detail)
        else:
            self._end(ending, detail)

    def _pumped(self, ending: Ending, detail: str) -> None:
        self._engine.idle_watch(self._idle_timeout).remove(self)
        self._record(ending, detail)

    def _end(self, ending: Ending, detail: str) -> None:
        """It is over before it came to relaying."""
        if self._over:
            return
        self._forget_opening_deadlines()
        dial, self._dial = self._dial, None
        if dial is not None:
            dial.cancel()
        handshake, self._target_handshake = self._target_handshake, None
        if handshake is not None:
            handshake.cancel()
        self._client.abort()
        self._record(ending, detail)

    def _record(self, ending: Ending, detail: str) -> None:
        if self._over:
            return
        self._over = True
        pump = self._pump
        bytes_in = pump.to_target.moved if pump is not None else 0
        bytes_out = pump.to_client.moved if pump is not None else 0
        tally = self._tally
        tally.sessions -= 1
        tally.bytes_in += bytes_in
        tally.bytes_out += bytes_out
        tally.ended[ending] += 1
        route = self._route
        engine = self._engine
        engine.table.closed(
            self,
            self._peer.host,
            Ended(
                id=engine.table.id_of(self.number),
                facts=self.facts,
                owner=self._serving.listener.owner,
                revision=self._serving.revision,
                ending=ending,
                started=self._started_wall,
                duration=engine.reactor.seconds() - self._started,
                route=route.id if route is not None else None,
                upstream=route.upstream if route is not None else None,
                node=self._node.label if self._node is not None else None,
                detail=detail,
                sniff_time=self._sniff_time,
                connect_time=self._connect_time,
                bytes_in=bytes_in,
                bytes_out=bytes_out,
                attempts=self._attempts,
            ),
        )
        self._window = b""
        self._pump = None
