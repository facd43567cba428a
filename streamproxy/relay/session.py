"""One TCP session, from its accepted client to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..balance.member import member_key
from ..interfaces import Leg
from ..model import (
    Address,
    Ended,
    Ending,
    FactKind,
    Facts,
    ListenAddress,
    Ongoing,
    Phase,
    Route,
    TlsMode,
    Upstream,
)
from ..observe.sessions import Course
from ..rules.hashkey import hash_text
from ..rules.variables import variable
from ..sniff.opening import Opening
from ..sniff.starttls import TARGET_FIRST
from .announce import proxy_header
from .bandwidth import meters, valves
from .checkpoint import Checkpoint
from .early import WINDOW, Early
from .engine import IDLE_LOOKS
from .gates import Admission
from .introduction import HostReading, Introduction, Reading
from .limits import DENIED, Door
from .meeting import Meeting
from .proxied import Claim, HeaderReading
from .pump import Pump
from .reach import Reach
from .socket_leg import SocketLeg
from .termination import Termination
from .tls_leg import TlsLeg
from .visitor import Visitor

if TYPE_CHECKING:
    from ..balance.member import MemberKey
    from .deadlines import Deadlines
    from .engine import Engine
    from .serving import Serving

_NO_VARIABLES: Mapping[str, str] = {}


class Session:
    """
    The client introduces itself (by its first bytes, by a TLS handshake, or not at all), a route is chosen, a node of
    its upstream is reached, and a pump relays. It pins the ``serving`` it was accepted with.
    """

    __slots__ = (
        "_admission",
        "_checkpoint",
        "_client",
        "_connect_time",
        "_deadline",
        "_door",
        "_early",
        "_engine",
        "_idle_timeout",
        "_last_moved",
        "_meeting",
        "_mode",
        "_opening_time",
        "_over",
        "_pump",
        "_reach",
        "_reading",
        "_route",
        "_serving",
        "_started",
        "_started_wall",
        "_still",
        "_upstream",
        "_visitor",
        "number",
    )

    def __init__(
        self, engine: Engine, serving: Serving, door: Door, client: Leg, peer: Address, local: Address
    ) -> None:
        self.number = engine.table.next_number()
        self._engine = engine
        self._serving = serving
        self._door = door
        self._client = client
        self._visitor = Visitor(serving.listener, peer, local)
        self._started = engine.reactor.seconds()
        self._started_wall = engine.now()
        self._early = Early(client, self._client_lost)
        self._reading: Reading | HostReading | HeaderReading | None = None
        self._admission: Admission | None = None
        self._checkpoint: Checkpoint | None = None
        self._upstream: Upstream | None = None
        self._meeting: Meeting | None = None
        self._deadline: Deadlines[Session] | None = None
        self._opening_time: float | None = None
        self._connect_time: float | None = None
        self._route: Route | None = None
        self._reach: Reach | None = None
        self._pump: Pump | None = None
        self._idle_timeout = serving.limits.idle_timeout
        self._last_moved = 0
        self._still = 0
        self._over = False
        self._mode = serving.listener.tls

    # The client introduces itself

    def begin(self) -> None:
        """Take the client on."""
        host, serving = self._visitor.peer.host, self._serving
        self._door.tally.began(host)
        self._engine.table.opened(self, host)
        if serving.limits.max_duration is not None:
            self._engine.duration_watch(serving.limits.max_duration).add(self)
        accept = serving.listener.proxy_in
        if accept is None:
            self._introduce()
            return
        self._wait(self._engine.sniff_deadline(serving.limits.sniff_timeout))
        self._reading = HeaderReading(accept, host, self._early, self._client, self)
        self._reading.begin()

    def proxied(self, claim: Claim | None) -> None:
        """The PROXY protocol's header has been read."""
        self._reading = None
        self._forget_deadline()
        direct = self._visitor.peer.host
        if claim is not None and self._visitor.adopt(claim):
            client = self._visitor.peer.host
            self._engine.table.moved(self, direct, client)
            met = self._door.readmits(direct, client, self._serving)
            if met:
                self._end(Ending.DENIED if met == DENIED else Ending.OVER_LIMIT, met)
                return
        self._introduce()

    def _introduce(self) -> None:
        serving, terminator = self._serving, self._engine.terminator
        if serving.listener.fallback_names and terminator is not None:
            self._visitor.assumed = terminator.index.fallback
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
        starttls = self._serving.listener.starttls
        if starttls in TARGET_FIRST:
            self._visitor.introduction = Introduction(Opening(), None, starttls)
            self._meeting = Meeting(self._engine, self._serving, self._client, self)
            self._decide()
            return
        self._wait(self._engine.handshake_deadline(self._serving.limits.handshake_timeout))
        passes = self._passes if self._serving.listener.passes else None
        Termination(terminator, self._serving.listener, self._client, self, passes=passes).begin()

    def _passes(self, opening: Opening) -> bool:
        """Does the route that a client with this hello will take leave it encrypted?"""
        self._visitor.introduction = Introduction(opening)
        route = self._serving.table.decide(self.facts).route
        return route is not None and route.passthrough

    def introduced(self, introduction: Introduction) -> None:
        if isinstance(self._client, TlsLeg) and introduction.handshake is None:
            # It was let pass: what it has sent is still to be read, as it is.
            self._mode = TlsMode.PASSTHROUGH
            self._client = SocketLeg(self._engine.hub, self._client.surrender())
            self._early = Early(self._client, self._client_lost)
        self._visitor.introduction = introduction
        self._opening_time = self._engine.reactor.seconds() - self._started
        self._forget_deadline()
        serving = self._serving
        if self._reading is None and introduction.opening.sni is None and FactKind.HTTP_HOST in serving.sniff:
            # It has shaken hands, and may name its target yet.
            self._wait(self._engine.sniff_deadline(serving.limits.sniff_timeout))
            self._reading = HostReading(self._early, self._client, introduction, self)
            self._reading.begin()
            return
        self._decide()

    def dismissed(self, ending: Ending, detail: str, *, told: bool = False, opening: Opening | None = None) -> None:
        if opening is not None and self._visitor.introduction is None:
            self._visitor.introduction = Introduction(opening)
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
        return self._visitor.facts

    @property
    def listener(self) -> ListenAddress:
        """Where the client came in."""
        return self._serving.listener.address

    @property
    def bytes_in(self) -> int:
        """What was relayed from the client to the target so far."""
        return self._pump.to_target.moved if self._pump is not None else 0

    @property
    def bytes_out(self) -> int:
        """What was relayed from the target to the client so far."""
        return self._pump.to_client.moved if self._pump is not None else 0

    @property
    def course(self) -> Course:
        """Where it is and where it leads."""
        reach, route, upstream = self._reach, self._route, self._upstream
        return Course(
            self._serving.listener.address,
            None if route is None else route.id,
            None if upstream is None else upstream.id,
            None if reach is None or reach.node is None else reach.node.label,
        )

    def ongoing(self) -> Ongoing:
        """What is known of it now: made when somebody asks, so that it costs nothing when nobody does."""
        admission = self._admission
        return Ongoing(
            **self._account(),
            phase=self._phase(),
            variables=dict(admission.variables) if admission is not None else _NO_VARIABLES,
        )

    def _account(self) -> dict[str, Any]:
        """What records of it say, whether it goes on or is over."""
        engine, serving, reach, route, upstream = (
            self._engine,
            self._serving,
            self._reach,
            self._route,
            self._upstream,
        )
        return {
            "id": engine.table.id_of(self.number),
            "facts": self._visitor.facts,
            "owner": serving.listener.owner,
            "revision": serving.revision,
            "started": self._started_wall,
            "duration": engine.reactor.seconds() - self._started,
            "route": route.id if route is not None else None,
            "upstream": upstream.id if upstream is not None else None,
            "node": reach.node.label if reach is not None and reach.node is not None else None,
            "sniff_time": self._opening_time,
            "connect_time": self._connect_time,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "attempts": reach.attempts if reach is not None else 0,
        }

    def _phase(self) -> Phase:
        if self._pump is not None:
            return Phase.RELAYING
        if self._reach is not None:
            return Phase.QUEUED if self._reach.is_queued else Phase.CONNECTING
        if self._checkpoint is not None:
            return Phase.PLUGINS
        if isinstance(self._reading, HeaderReading):
            return Phase.HEADER
        return Phase.HANDSHAKE if self._reading is None else Phase.SNIFFING

    def _decide(self) -> None:
        facts = self.facts
        route = self._serving.table.decide(facts).route
        if route is None:
            self._end(Ending.NO_ROUTE, "no route matches")
            return
        self._route = route
        if route.plugins:
            self._admission = self._engine.gates.admission(facts, route)
            self._checkpoint = Checkpoint(self._admission, self._early, self._engine.reactor, self)
            self._checkpoint.begin()
        else:
            self._seek(facts, route)

    def held_up(self) -> None:
        """A plugin waits for the client."""
        if self._deadline is None:
            self._wait(self._engine.sniff_deadline(self._serving.limits.sniff_timeout))

    def passed(self) -> None:
        """The route's plugins let it pass."""
        self._checkpoint = None
        self._forget_deadline()
        if self._admission is not None:
            self._seek(self._admission.facts, self._admission.route)

    def turned_back(self, detail: str) -> None:
        """A plugin of the route would not have it."""
        self._end(Ending.REJECTED, detail)

    def _seek(self, facts: Facts, route: Route) -> None:
        serving, admission, engine = self._serving, self._admission, self._engine
        chosen = admission.upstream if admission is not None else None
        upstream = serving.upstreams.get(route.upstream if chosen is None else chosen)
        if upstream is None:
            self._end(Ending.NO_NODE, f"there is no upstream {chosen or route.upstream}".rstrip())
            return
        self._upstream = upstream
        key = ""
        if upstream.hash_key is not None:
            variables = admission.variables if admission is not None else {}
            key = hash_text(
                upstream.hash_key, lambda name: variable(name, facts, route, variables), facts.peer.host
            )
        announcement = b""
        if serving.listener.proxy_out:
            announcement = proxy_header(serving.listener.proxy_out, facts, engine.table.id_of(self.number))
        if upstream.timeouts.idle is not None:
            self._idle_timeout = upstream.timeouts.idle
        reach = self._reach = Reach(
            engine, serving.limits, self._mode, upstream, self._visitor.introduction, key, announcement
        )
        reach.begin(self)
        if reach.waiting and self._meeting is None:
            # Watch the client meanwhile: it may hang up.
            self._early.listen()

    def queued(self) -> None:
        """All nodes are full, and it waits for one."""
        if self._meeting is None:
            self._early.changed = self._heard_in_queue
            self._early.listen()
            self._heard_in_queue()

    def _heard_in_queue(self) -> None:
        early, reach = self._early, self._reach
        if reach is None or not reach.is_queued:
            early.changed = None
        elif early.ended and not (early.window and self._client.can_half_close):
            self._end(Ending.CLIENT_GONE, "the client closed while it waited for a node")
        if len(early.window) >= WINDOW:
            self._client.pause()

    def unreached(self, ending: Ending, detail: str) -> None:
        self._end(ending, detail)

    def reached(self, leg: Leg, beyond: bytes) -> None:
        """Hand over to the pump, unless the client has still to be greeted."""
        if self._meeting is not None and self._reach is not None and self._engine.terminator is not None:
            self._wait(self._engine.handshake_deadline(self._serving.limits.handshake_timeout))
            node = self._reach.node
            self._meeting.begin(self._engine.terminator, leg, beyond, None if node is None else node.tls)
            return
        self._connect_time = self._engine.reactor.seconds() - self._started - (self._opening_time or 0.0)
        client: Leg = self._client
        if self._serving.is_metered:
            reactor, crowd = self._engine.reactor, self._door.crowd(self._serving)
            found = meters(self._serving.limits, crowd, self._visitor.peer.host, reactor.seconds())
            client, leg = valves(reactor, found, client, len(self._early.window), leg, len(beyond))
        pump = self._pump = Pump(client, leg, self._pumped, self._engine.pipes)
        self._engine.idle_watch(self._idle_timeout).add(self)
        leg.start()
        self._early.listen()
        if beyond:
            pump.to_client.inject(beyond)
        if window := self._early.take():
            pump.to_target.inject(window)
        if self._early.ended:
            pump.to_target.ended()
        if self._engine.table.watchers and not self._over:
            self._engine.table.routed(self)

    def met(self, leg: Leg, introduction: Introduction) -> None:
        """Both sides speak TLS with us."""
        self._visitor.introduction = introduction
        self._meeting = None
        self._forget_deadline()
        self.reached(leg, b"")

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

    def outlived(self) -> None:
        """It has lasted as long as it may."""
        self.kill(Ending.MAX_DURATION, f"it lasted {self._serving.limits.max_duration:g} s")

    @property
    def place(self) -> tuple[str, MemberKey] | None:
        """The upstream and the node that it relays to, if it does."""
        if self._pump is None or self._upstream is None or self._reach is None or self._reach.node is None:
            return None
        return self._upstream.id, member_key(self._reach.node)

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
        if self._checkpoint is not None:
            self._checkpoint.leave()
        if self._reach is not None:
            self._reach.cancel()
        if self._meeting is not None:
            self._meeting.cancel()
        self._client.abort()
        self._record(ending, detail)

    def _record(self, ending: Ending, detail: str) -> None:
        if self._over:
            return
        self._over = True
        reach, engine, admission = self._reach, self._engine, self._admission
        most_seconds = self._serving.limits.max_duration
        if most_seconds is not None:
            engine.duration_watch(most_seconds).remove(self)
        record = Ended(
            **self._account(),
            ending=ending,
            detail=detail,
            code=admission.code if admission is not None else None,
            variables=admission.variables if admission is not None else _NO_VARIABLES,
            earlier=reach.earlier if reach is not None and reach.attempts > 1 else (),
        )
        self._door.tally.over(record)
        if reach is not None:
            reach.leave(broken=ending is Ending.TARGET_RESET)
        if admission is not None:
            admission.finish(record)
        # So that nothing of it waits for the garbage collector.
        self._pump = self._reach = self._reading = self._meeting = self._admission = self._checkpoint = None
        self._early.forget()
        engine.table.closed(self, self._visitor.peer.host, record)
