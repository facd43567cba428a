"""The UDP proxy of one listener."""

from __future__ import annotations

import math
import select
import socket
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, ClassVar

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from ..model import Address, Ended, Ending, Facts, ListenAddress, ProxyAccept
from .pktinfo import BoundSocket, Origin, bound_socket
from .proxied import Claim, read_datagram
from .seams import Reactor
from .udp_idle import IdleWheel
from .udp_seams import DatagramCounters, DatagramLimits, DatagramResolver, DatagramRouter, Refused
from .udp_session import DatagramSession, OpenSocket, Read

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

# Datagrams taken in one wake-up, empty ones included, so that a flood does not keep everything else waiting: of all
# sockets together (the clients' last turn may exceed it), and of the clients' before the nodes' get their turn.
BUDGET = 128
LISTENER_BUDGET = 64
# UDP's length field allows no more, so nothing is ever cut short (RFC 768).
LARGEST_DATAGRAM = 65_535
_DROPS = {
    Ending.REJECTED: "rejected",
    Ending.QUEUE_FULL: "nodes_full",
    Ending.CONNECT_FAILED: "unreachable",
}
# An idle session ends within this many seconds after its timeout.
IDLE_TICK = 0.5


@implementer(IReadDescriptor)
@define(eq=False, repr=False)
class DatagramProxy:
    """
    Relays datagrams between the clients of one bound socket and nodes. Each client (socket address and local address
    it asked) has a session of its own, which keeps its node; see :class:`DatagramSession`.

    ``sock`` is bound and non-blocking, and belongs to the proxy from here on. ``router`` and ``limits`` may be
    replaced at any time; sessions that are open keep what they have. ``began`` is told of each session that has its
    node, ``record`` gets its record when it has ended; datagrams that never got a session are in ``counters`` only,
    since a flood must not become a log. ``ids`` names sessions, ``now`` is seconds since the epoch, ``open_socket`` is
    called with family and type, ``proxy_in``: a PROXY protocol header stands in front of each datagram; ``largest`` is
    the largest datagram relayed (in bytes; a larger one is dropped whole). Raises ``OSError`` when the kernel has no
    descriptor left.

    All its sockets hang on an epoll of its own, and only that is known to the reactor: what the reactor spends on an
    event is then spent once for all datagrams that have arrived meanwhile, not once for each socket.
    """

    _log: ClassVar[Logger] = Logger()

    reactor: Reactor
    _sock: socket.socket
    router: DatagramRouter
    listen: ListenAddress = field(kw_only=True)
    resolver: DatagramResolver = field(kw_only=True)
    _record: Callable[[Ended], None] = field(kw_only=True)
    _ids: Callable[[], str] = field(kw_only=True)
    _now: Callable[[], float] = field(kw_only=True)
    proxy_in: ProxyAccept | None = field(kw_only=True, default=None)
    limits: DatagramLimits = field(kw_only=True, default=DatagramLimits())
    _began: Callable[[DatagramSession], None] = field(kw_only=True, default=lambda session: None)
    open_socket: OpenSocket = field(kw_only=True, default=socket.socket)
    largest: int = field(kw_only=True, default=LARGEST_DATAGRAM)
    counters: DatagramCounters = field(init=False, factory=DatagramCounters)
    address: Address = field(init=False)
    buffer: memoryview = field(init=False)
    queued_bytes: int = field(init=False, default=0)
    _bound: BoundSocket = field(init=False)
    _epoll: select.epoll = field(init=False)
    _readers: dict[int, Read] = field(init=False, factory=dict)
    # By client, for its datagrams; and by id, those included that take no more datagrams.
    _by_origin: dict[Hashable, DatagramSession] = field(init=False, factory=dict)
    _by_id: dict[str, DatagramSession] = field(init=False, factory=dict)
    _per_client: dict[str, int] = field(init=False, factory=dict)
    _wheel: IdleWheel[DatagramSession] = field(init=False, factory=lambda: IdleWheel(IDLE_TICK))
    # Looking for a second datagram costs half as much as relaying one. It is done where there was one the last time;
    # else only the epoll, which is asked anyway, can tell that there is.
    _bursts: bool = field(init=False, default=False)
    _share: int = field(init=False, default=1)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _closing: bool = field(init=False, default=False)
    _closed: bool = field(init=False, default=False)
    _waiters: list[Deferred[None]] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.address = Address(*self._sock.getsockname()[:2])
        self.buffer = memoryview(bytearray(self.largest))
        try:
            self._bound = bound_socket(self._sock)
            self._epoll = select.epoll()
        except OSError:
            self._sock.close()
            raise
        self.watch(self._sock, self._read_clients)

    def start(self) -> None:
        """Take datagrams from now on."""
        self.reactor.addReader(self)

    @property
    def descriptor(self) -> int:
        """That of the bound socket."""
        return self._sock.fileno()

    @property
    def sessions(self) -> int:
        """How many are open. Iterate over the proxy to see them."""
        return len(self._by_id)

    def __iter__(self) -> Iterator[DatagramSession]:
        return iter(tuple(self._by_id.values()))

    def find(self, session_id: str) -> DatagramSession | None:
        """The open session of that id."""
        return self._by_id.get(session_id)

    def kill(self, session_id: str) -> bool:
        """End one session. False: there is none of that id."""
        session = self._by_id.get(session_id)
        if session is None:
            return False
        session.finish(Ending.KILLED)
        return True

    def close(self, *, drain: bool = False, deaf: bool = False) -> Deferred[None]:
        """
        Take no new clients. With ``drain`` the open sessions go on until they end by themselves, and because their
        datagrams come through the one socket it stays bound until then; without, they end at once. The Deferred
        fires when the socket is closed. A drain may be cut short by another ``close``. ``deaf``: another process reads
        the clients' datagrams by now, and sessions go on to relay what their nodes say.
        """
        self._closing = True
        if deaf and self._sock.fileno() in self._readers:
            self.unwatch(self._sock)
        if not drain:
            for session in self:
                session.finish(Ending.SHUTDOWN)
        self._close_if_done()
        if self._closed:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def _close_if_done(self) -> None:
        if self._by_id or self._closed:
            return
        self._closed = True
        self.reactor.removeReader(self)
        if self._sock.fileno() in self._readers:
            self.unwatch(self._sock)
        self._sock.close()
        self._epoll.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    # Datagrams

    def doRead(self) -> None:
        """Something is on the listening socket or on a session's."""
        poll, readers = self._epoll.poll, self._readers
        now = self.reactor.seconds()
        budget = BUDGET
        self._share = LISTENER_BUDGET if self._bursts else 1
        while budget > 0 and not self._closed:
            events = poll(0, budget)
            if not events:
                return
            for descriptor, _ in events:
                # An earlier one may have ended this one.
                read = readers.get(descriptor)
                budget -= 1 if read is None else read(now)

    def _read_clients(self, now: float) -> int:
        counters, buffer, receive, sessions = self.counters, self.buffer, self._bound.receive, self._by_origin
        share, self._share = self._share, LISTENER_BUDGET
        for taken in range(share):
            try:
                size, origin = receive(buffer)
            except OSError:
                # Nothing more, as a rule. Anything else the kernel has to say concerned one datagram, and is said.
                self._bursts = taken > 1
                return taken + 1
            counters.datagrams_in += 1
            if size > len(buffer):
                counters.truncated += 1
                continue
            counters.bytes_in += size
            if self.proxy_in is not None:
                self._read_proxied(self.proxy_in, origin, bytes(buffer[:size]), now)
                continue
            session = sessions.get(origin) or self._open(origin, origin, now, bytes(buffer[:size]))
            if session is not None:
                session.forward(buffer[:size], now)
        return share

    def _read_proxied(self, accept: ProxyAccept, origin: Origin, datagram: bytes, now: float) -> None:
        """A datagram behind a proxy: each has a header, and one sender may speak for many clients."""
        sender, _ = self._bound.ends(origin)
        read = read_datagram(accept, sender.host, datagram)
        if read is None:
            self.counters.dropped_proxy_header += 1
            return
        claim, payload = read
        key = (origin, claim.source) if claim is not None and claim.adopted else origin
        session = self._by_origin.get(key) or self._open(origin, key, now, payload, claim)
        if session is not None:
            session.forward(payload, now)

    def _open(
        self, origin: Origin, key: Hashable, now: float, datagram: bytes, claim: Claim | None = None
    ) -> DatagramSession | None:
        """A session for a new client, or ``None``: counted, and the datagram is dropped."""
        counters, limits = self.counters, self.limits
        if self._closing:
            counters.dropped_closing += 1
            return None
        peer, local = self._bound.ends(origin)
        if peer == local:
            # Forged: the answers would come back here as the client's next datagrams, without end.
            counters.dropped_loop += 1
            return None
        facts = Facts(self.listen, peer, local)
        if claim is not None:
            facts = evolve(facts, claimed=claim.source, tlvs=claim.tlvs)
            if claim.adopted and claim.source is not None:
                facts = evolve(facts, peer=claim.source, via=peer)
                if claim.destination is not None:
                    facts = evolve(facts, local=claim.destination, arrived=local)
        met = limits.refuses(peer.host, facts.peer.host) or self._met(facts.peer.host)
        if met:
            counters.drop(met)
            return None
        router = self.router
        routed = router.route(facts, datagram)
        if isinstance(routed, Refused):
            self._refuse(facts, routed, now)
            return None
        session = DatagramSession(
            id=self._ids(),
            facts=facts,
            key=key,
            routed=routed,
            owner=router.owner,
            revision=router.revision,
            started=self._now(),
            begun=now,
            idle_timeout=limits.idle_timeout if routed.idle_timeout is None else routed.idle_timeout,
            keeper=self,
            reply=self._bound.replier(origin),
            ends_at=math.inf if limits.max_duration is None else now + limits.max_duration,
            meters=limits.meters(facts.peer.host),
        )
        self._remember(session)
        if not session.start(self.resolver):
            self._forget(session)
            routed.release(session.record(Ending.OVER_LIMIT, "no descriptor was left"))
            counters.dropped_no_descriptor += 1
            return None
        counters.sessions += 1
        if session.ending is not None:
            return None
        self._began(session)
        return session

    def _refuse(self, facts: Facts, refused: Refused, now: float) -> None:
        """Count it; and where plugins were asked, who hold something for it, tell them that it is over."""
        self.counters.drop(_DROPS.get(refused.ending, "no_route"))
        admission = refused.admission
        if admission is None:
            return
        record = Ended(
            id=self._ids(),
            facts=facts,
            owner=self.router.owner,
            revision=self.router.revision,
            ending=refused.ending,
            started=self._now(),
            duration=self.seconds() - now,
            route=refused.route_id,
            detail=refused.why,
            code=refused.code,
            variables=admission.variables,
        )
        admission.finish(record)

    def _met(self, host: str) -> str:
        """The limit that one more session of this client would be over."""
        if self.sessions >= self.limits.max_sessions:
            return "over_limit"
        most = self.limits.max_sessions_per_client
        return "" if most is None or self._per_client.get(host, 0) < most else "max_sessions_per_client"

    def _remember(self, session: DatagramSession) -> None:
        host = session.facts.peer.host
        self._by_origin[session.key] = session
        self._by_id[session.id] = session
        self._per_client[host] = self._per_client.get(host, 0) + 1
        self._wheel.add(session, session.due)
        self._arm()

    def _forget(self, session: DatagramSession) -> None:
        host = session.facts.peer.host
        self.unbind(session)
        del self._by_id[session.id]
        if self._per_client[host] == 1:
            del self._per_client[host]
        else:
            self._per_client[host] -= 1
        self._wheel.remove(session)

    def seconds(self) -> float:
        return self.reactor.seconds()

    def call_later(self, delay: float, call: Callable[..., object], *arguments: object) -> IDelayedCall:
        return self.reactor.callLater(delay, call, *arguments)

    def watch(self, sock: socket.socket, read: Read) -> None:
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._readers[sock.fileno()] = read

    def unwatch(self, sock: socket.socket) -> None:
        del self._readers[sock.fileno()]
        self._epoll.unregister(sock.fileno())

    def unbind(self, session: DatagramSession) -> None:
        if self._by_origin.get(session.key) is session:
            del self._by_origin[session.key]

    def ended(self, session: DatagramSession, ended: Ended) -> None:
        self._forget(session)
        try:
            session.routed.release(ended)
            self._record(ended)
        except Exception:  # noqa: BLE001 - whatever they are, the other sessions are not to suffer
            self._log.failure("the end of a UDP session could not be recorded")
        if self._closing:
            self._close_if_done()

    # Idle sessions

    def _arm(self) -> None:
        if self._timer is None and self._wheel:
            self._timer = self.reactor.callLater(IDLE_TICK, self._look_for_idle)

    def _look_for_idle(self) -> None:
        self._timer = None
        now = self.reactor.seconds()
        for session in self._wheel.take_due(now):
            due = session.due
            if session.ending is not None:
                continue
            if session.ends_at <= now:
                session.finish(Ending.MAX_DURATION, f"it lasted {now - session.begun:.3g} s")
            elif due <= now:
                session.finish(Ending.IDLE_TIMEOUT)
            else:
                self._wheel.add(session, due)
        self._arm()

    # What the reactor calls besides

    def fileno(self) -> int:
        return -1 if self._closed else self._epoll.fileno()

    def logPrefix(self) -> str:
        return "udp"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor watches no more: because it stops, or for an exception here, in spite of which we go on."""
        if self._closed:
            return
        if reason.check(ConnectionLost):
            self.close()
            return
        # The reactor has logged it, and the datagram that caused it is off its socket.
        self.reactor.addReader(self)
