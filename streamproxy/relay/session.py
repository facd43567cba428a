"""One TCP session, from its accepted client to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interfaces import Leg
from ..model import Address, Ended, Ending, Facts, Route, TlsMode
from .early import Early
from .engine import IDLE_LOOKS
from .introduction import Introduction, Reading
from .pump import Pump
from .reach import Reach
from .termination import Termination
from .tls_leg import TlsLeg

if TYPE_CHECKING:
    from ..observe.sessions import Tally
    from .deadlines import Deadlines
    from .engine import Engine
    from .serving import Serving


class Session:
    """
    The client introduces itself (by its first bytes, by a TLS handshake, or not at all), a route is chosen, a node of
    its upstream is reached, and a pump relays. It pins the ``serving`` it was accepted with.
    """

    __slots__ = (
        "_client",
        "_connect_time",
        "_deadline",
        "_early",
        "_engine",
        "_idle_timeout",
        "_introduction",
        "_last_moved",
        "_local",
        "_opening_time",
        "_over",
        "_peer",
        "_pump",
        "_reach",
        "_reading",
        "_route",
        "_serving",
        "_started",
        "_started_wall",
        "_still",
        "_tally",
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
        self._early = Early(client, self._client_lost)
        self._reading: Reading | None = None
        self._deadline: Deadlines[Session] | None = None
        self._introduction: Introduction | None = None
        self._opening_time: float | None = None
        self._connect_time: float | None = None
        self._route: Route | None = None
        self._reach: Reach | None = None
        self._pump: Pump | None = None
        self._idle_timeout = serving.limits.idle_timeout
        self._last_moved = 0
        self._still = 0
        self._over = False

    # The client introduces itself

    def begin(self) -> None:
        """Take the client on."""
        self._tally.sessions += 1
        self._tally.accepted += 1
        self._engine.table.opened(self, self._peer.host)
        serving = self._serving
        if serving.listener.tls is TlsMode.TERMINATE:
            self._terminate()
        elif serving.sniff:
            self._wait(self._engine.sniff_deadline(serving.limits.sniff_timeout))
            self._reading = Reading(self._early, self._client, serving.sniff, serving.listener.starttls, self)
            self._reading.begin()
        else:
            self._decide()

    def _terminate(self) -> None:
        terminator = self._engine.terminator
        if terminator is None or not isinstance(self._client, TlsLeg):
            self._end(Ending.HANDSHAKE_FAILED, "TLS cannot be terminated on this transport")
            return
        self._wait(self._engine.handshake_deadline(self._serving.limits.handshake_timeout))
        Termination(terminator, self._serving.listener, self._client, self).begin()

    def introduced(self, introduction: Introduction) -> None:
        self._introduction = introduction
        self._opening_time = self._engine.reactor.seconds() - self._started
        self._forget_deadline()
        self._decide()

    def dismissed(self, ending: Ending, detail: str, *, told: bool = False) -> None:
        if told:
            self._client.close()
        self._end(ending, detail)

    def _wait(self, deadline: Deadlines[Session]) -> None:
        self._deadline = deadline
        deadline.add(self)

    def _forget_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.remove(self)

    def sniff_expired(self) -> None:
        """The client took too long to name its target."""
        size, seconds = len(self._early.window), self._serving.limits.sniff_timeout
        self._end(Ending.SNIFF_TIMEOUT, f"{size} bytes in {seconds:g} s")

    def handshake_expired(self) -> None:
        """The client took too long to shake hands."""
        self._end(Ending.HANDSHAKE_TIMEOUT, f"no handshake in {self._serving.limits.handshake_timeout:g} s")

    def _client_lost(self, why: str) -> None:
        self._end(Ending.CLIENT_RESET, why)

    # A node is reached

    @property
    def facts(self) -> Facts:
        """What is known of the connection so far."""
        address = self._serving.listener.address
        introduction = self._introduction
        if introduction is None:
            return Facts(address, self._peer, self._local)
        said = introduction.opening
        return Facts(
            address, self._peer, self._local, said.tls, said.sni, said.alpn, said.http_host, introduction.handshake
        )

    def _decide(self) -> None:
        serving = self._serving
        route = serving.table.decide(self.facts).route
        if route is None:
            self._end(Ending.NO_ROUTE, "no route matches")
            return
        self._route = route
        upstream = serving.upstream(route)
        if upstream.timeouts.idle is not None:
            self._idle_timeout = upstream.timeouts.idle
        reach = self._reach = Reach(
            self._engine, serving.limits, serving.listener.tls, upstream, self._introduction
        )
        reach.begin(self)
        if reach.waiting:
            # Watch the client meanwhile: it may hang up.
            self._early.listen()

    def unreached(self, ending: Ending, detail: str) -> None:
        self._end(ending, detail)

    def reached(self, leg: Leg, beyond: bytes) -> None:
        """Hand over to the pump."""
        self._connect_time = self._engine.reactor.seconds() - self._started - (self._opening_time or 0.0)
        pump = self._pump = Pump(self._client, leg, self._pumped)
        self._engine.idle_watch(self._idle_timeout).add(self)
        leg.start()
        self._early.listen()
        if beyond:
            pump.to_client.inject(beyond)
        if window := self._early.take():
            pump.to_target.inject(window)
        if self._early.ended:
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
        self._forget_deadline()
        if self._reading is not None:
            self._reading.stop()
        if self._reach is not None:
            self._reach.cancel()
        self._client.abort()
        self._record(ending, detail)

    def _record(self, ending: Ending, detail: str) -> None:
        if self._over:
            return
        self._over = True
        pump, reach, route, engine = self._pump, self._reach, self._route, self._engine
        bytes_in = pump.to_target.moved if pump is not None else 0
        bytes_out = pump.to_client.moved if pump is not None else 0
        tally = self._tally
        tally.sessions -= 1
        tally.bytes_in += bytes_in
        tally.bytes_out += bytes_out
        tally.ended[ending] += 1
        record = Ended(
            id=engine.table.id_of(self.number),
            facts=self.facts,
            owner=self._serving.listener.owner,
            revision=self._serving.revision,
            ending=ending,
            started=self._started_wall,
            duration=engine.reactor.seconds() - self._started,
            route=route.id if route is not None else None,
            upstream=route.upstream if route is not None else None,
            node=reach.node.label if reach is not None and reach.node is not None else None,
            detail=detail,
            sniff_time=self._opening_time,
            connect_time=self._connect_time,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            attempts=reach.attempts if reach is not None else 0,
        )
        # So that nothing of it waits for the garbage collector.
        self._pump = self._reach = self._reading = None
        self._early.take()
        engine.table.closed(self, self._peer.host, record)
