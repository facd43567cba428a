"""One client of a UDP proxy: its datagrams, and its own connected socket to a node for them."""

from __future__ import annotations

import errno
import math
import socket
from collections import deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from attrs import define, field

from ..balance.member import MemberKey, member_key
from ..model import Ended, Ending, Facts, Ongoing, Phase
from ..observe.sessions import Course
from .pktinfo import Send
from .udp_seams import DatagramCounters, DatagramResolver, Routed

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from .bandwidth import Meter

# What may wait while the node's name is resolved: for one session, and for all of a listener together.
QUEUE_DATAGRAMS = 16
QUEUE_BYTES = 64 * 1024
QUEUE_BYTES_TOTAL = 4 * 1024 * 1024

# The node, or the way to it, is not there; another one may be.
_UNREACHABLE = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
    }
)
# The process or the machine has no more to give, whatever the node: descriptors, memory, watches, local ports.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC, errno.EAGAIN})

OpenSocket: TypeAlias = Callable[[int, int], socket.socket]
Data: TypeAlias = "bytes | memoryview"
# Called with the time when a socket has something; answers how many datagrams it took.
Read: TypeAlias = Callable[[float], int]


class Keeper(Protocol):
    """What the sessions of one listener share, and who is told about them."""

    counters: DatagramCounters
    # One is enough: a datagram is on its way before the next one is read.
    buffer: memoryview
    # (family, type); raises OSError.
    open_socket: OpenSocket
    # What waits in all queues together.
    queued_bytes: int

    def seconds(self) -> float:
        """The reactor's clock."""
        ...

    def call_later(self, delay: float, call: Callable[..., object], *arguments: object) -> IDelayedCall:
        """The reactor's ``callLater``."""
        ...

    def watch(self, sock: socket.socket, read: Read) -> None:
        """Call ``read`` when there is something on the socket. Raises ``OSError``."""
        ...

    def unwatch(self, sock: socket.socket) -> None: ...

    def unbind(self, session: DatagramSession) -> None:
        """The client's next datagram belongs to a new session. Idempotent."""
        ...

    def ended(self, session: DatagramSession, ended: Ended) -> None:
        """Forget the session, release its node, keep the record."""
        ...


@define(eq=False, repr=False)
class DatagramSession:
    """
    ``key`` is what its datagrams are known by; ``started`` is seconds since the epoch; ``begun`` and ``last`` (the
    last datagram either way) are on the reactor's clock, and so is ``ends_at``, when it ends whatever happens.
    ``bytes_in`` and ``datagrams_in`` went from the client to the node, ``_out`` the other way. ``ending`` says how it
    ended, once it has.
    """

    id: str
    facts: Facts
    key: Hashable
    routed: Routed
    owner: str
    revision: int
    started: float
    begun: float
    idle_timeout: float
    _keeper: Keeper
    _reply: Send
    ends_at: float = math.inf
    # Of what the client sends, and gets.
    _meters: tuple[Meter, Meter] | None = None
    last: float = field(init=False)
    slot: int = field(init=False, default=0)
    bytes_in: int = field(init=False, default=0)
    bytes_out: int = field(init=False, default=0)
    datagrams_in: int = field(init=False, default=0)
    datagrams_out: int = field(init=False, default=0)
    icmp_errors: int = field(init=False, default=0)
    connect_time: float | None = field(init=False, default=None)
    ending: Ending | None = field(init=False, default=None)
    _waiting: deque[bytes] = field(init=False, factory=deque)
    _waiting_bytes: int = field(init=False, default=0)
    _resolving: Deferred[Any] | None = field(init=False, default=None)
    _pause: IDelayedCall | None = field(init=False, default=None)
    _socket: socket.socket | None = field(init=False, default=None)
    # The connected socket's own methods, looked up once.
    _send: Callable[[Data], int] | None = field(init=False, default=None)
    _receive: Callable[[memoryview, int, int], int] | None = field(init=False, default=None)
    _counting: bool = field(init=False)
    # Stands in front of every datagram to the node.
    _prefix: bytes = field(init=False)
    _lost_answers: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.last = self.begun
        self._prefix = self.routed.prefix
        self._counting = self.routed.requests is not None or self.routed.responses is not None

    def start(self, resolver: DatagramResolver) -> bool:
        """
        Find the node's address and open a socket to it. False: no descriptor was left, and nothing has happened.
        True: otherwise, though the session may have ended by now for another reason.
        """
        if self.routed.delay > 0:
            self._pause = self._keeper.call_later(self.routed.delay, self._start_after, resolver)
            return True
        return self._find(resolver)

    def _start_after(self, resolver: DatagramResolver) -> None:
        self._pause = None
        if not self._find(resolver):
            self.finish(Ending.OVER_LIMIT, "no descriptor was left")
        elif self._resolving is None and self.ending is None:
            self._send_waiting()

    def _find(self, resolver: DatagramResolver) -> bool:
        host = self.routed.node.dial_host
        known = resolver.cached(host)
        if known is not None:
            return self._connect(known)
        resolving = self._resolving = resolver.resolve(host)
        resolving.addCallbacks(self._resolved, self._unresolved).addErrback(self._broken)
        return True

    def forward(self, data: Data, now: float) -> None:
        """A datagram from the client, at ``now`` on the reactor's clock. ``data`` is not kept."""
        self.last = now
        if self._meters is not None and not self._meters[0].admits(len(data), now):
            self._keeper.counters.dropped_bandwidth += 1
            return
        send = self._send
        if send is None:
            self._wait(data)
            return
        try:
            send(data if not self._prefix else self._prefix + bytes(data))
        except OSError as error:
            self._send_failed(error)
            return
        self.datagrams_in += 1
        self.bytes_in += len(data)
        if self._counting:
            self._check_counts()

    def finish(self, ending: Ending, detail: str = "") -> None:
        """It is over, and leaves its record. Does nothing when it was over before."""
        if self.ending is not None:
            return
        self.ending = ending
        keeper = self._keeper
        keeper.counters.dropped_queue += len(self._take_waiting())
        resolving, self._resolving = self._resolving, None
        if resolving is not None:
            resolving.cancel()
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.cancel()
        if self._socket is not None:
            keeper.unwatch(self._socket)
            self._socket.close()
            self._socket = self._send = self._receive = None
        keeper.ended(self, self.record(ending, detail))

    @property
    def due(self) -> float:
        """When it ends if nothing comes any more."""
        return min(self.last + self.idle_timeout, self.ends_at)

    @property
    def place(self) -> tuple[str | None, MemberKey]:
        """The upstream and the node that it relays to."""
        return self.routed.upstream_id, member_key(self.routed.node)

    def kill(self, ending: Ending, detail: str = "") -> None:
        """End it now."""
        self.finish(ending, detail)

    @property
    def course(self) -> Course:
        """Where it is and where it leads."""
        routed = self.routed
        return Course(self.facts.listener, routed.route_id, routed.upstream_id, routed.node.label)

    def ongoing(self) -> Ongoing:
        """What is known of it now."""
        return Ongoing(
            id=self.id,
            facts=self.facts,
            owner=self.owner,
            revision=self.revision,
            phase=Phase.CONNECTING if self._socket is None else Phase.RELAYING,
            started=self.started,
            duration=self._keeper.seconds() - self.begun,
            route=self.routed.route_id,
            upstream=self.routed.upstream_id,
            node=self.routed.node.label,
            connect_time=self.connect_time,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            attempts=1,
            variables=dict(self.routed.variables),
        )

    def record(self, ending: Ending, detail: str) -> Ended:
        """What it leaves when it ends now, like this."""
        return Ended(
            id=self.id,
            facts=self.facts,
            owner=self.owner,
            revision=self.revision,
            ending=ending,
            started=self.started,
            duration=self._keeper.seconds() - self.begun,
            route=self.routed.route_id,
            upstream=self.routed.upstream_id,
            node=self.routed.node.label,
            detail=detail,
            connect_time=self.connect_time,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            attempts=1,
            variables=self.routed.variables,
        )

    # Until there is a socket

    def _wait(self, data: Data) -> None:
        keeper, size = self._keeper, len(data)
        if (
            len(self._waiting) >= QUEUE_DATAGRAMS
            or self._waiting_bytes + size > QUEUE_BYTES
            or keeper.queued_bytes + size > QUEUE_BYTES_TOTAL
        ):
            keeper.counters.dropped_queue += 1
            return
        self._waiting.append(bytes(data))
        self._waiting_bytes += size
        keeper.queued_bytes += size
        if self._counting:
            self._check_counts()

    def _take_waiting(self) -> deque[bytes]:
        waiting, self._waiting = self._waiting, deque()
        self._keeper.queued_bytes -= self._waiting_bytes
        self._waiting_bytes = 0
        return waiting

    def _resolved(self, addresses: tuple[str, ...]) -> None:
        self._resolving = None
        if self.ending is not None:
            return
        if not self._connect(addresses):
            self.finish(Ending.OVER_LIMIT, "no descriptor was left")
            return
        self._send_waiting()

    def _send_waiting(self) -> None:
        now = self._keeper.seconds()
        for data in self._take_waiting():
            if self.ending is None:
                self.forward(data, now)

    def _unresolved(self, failure: Failure) -> None:
        self._resolving = None
        self.finish(Ending.RESOLVE_FAILED, failure.getErrorMessage())

    def _broken(self, failure: Failure) -> None:
        self.finish(Ending.INTERNAL_ERROR, failure.getErrorMessage())

    def _connect(self, addresses: tuple[str, ...]) -> bool:
        """Use the first address there is a way to. False: no descriptor was left."""
        problem = "the name has no address"
        for address in addresses:
            try:
                sock = self._open(address)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    return False
                problem = f"{address}: {error.strerror}"
                continue
            self._socket, self._send, self._receive = sock, sock.send, sock.recv_into
            self.connect_time = self._keeper.seconds() - self.begun
            return True
        self.finish(Ending.CONNECT_FAILED, problem)
        return True

    def _open(self, address: str) -> socket.socket:
        # Numeric only: an answer that is not an address must not start a lookup of its own.
        family, kind, _, _, where = socket.getaddrinfo(
            address, self.routed.node.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )[0]
        sock = self._keeper.open_socket(family, kind)
        try:
            sock.setblocking(False)
            sock.connect(where)
            self._keeper.watch(sock, self.read)
        except OSError:
            sock.close()
            raise
        return sock

    # Traffic

    def read(self, now: float) -> int:
        """
        Take one datagram of the node's, or learn of an error. One and no more: what is left is told again, after the
        others had their turn, and looking for more would cost as much as half a datagram when there is none.
        """
        receive = self._receive
        if receive is None:
            return 1
        keeper = self._keeper
        buffer, counters = keeper.buffer, keeper.counters
        try:
            size = receive(buffer, 0, socket.MSG_TRUNC)
        except BlockingIOError:
            return 1
        except OSError as error:
            self._node_failed(error)
            return 1
        self.last = now
        if size > len(buffer):
            counters.truncated += 1
            self._lost_answers += 1
        elif self._meters is not None and not self._meters[1].admits(size, now):
            counters.dropped_bandwidth += 1
            self._lost_answers += 1
        else:
            try:
                self._reply(buffer[:size])
            except OSError:
                counters.send_errors += 1
                self._lost_answers += 1
            else:
                self.datagrams_out += 1
                self.bytes_out += size
                counters.datagrams_out += 1
                counters.bytes_out += size
        if self._counting:
            self._check_counts()
        return 1

    def _check_counts(self) -> None:
        routed = self.routed
        if routed.requests is not None:
            if self.datagrams_in + len(self._waiting) < routed.requests:
                return
            self._keeper.unbind(self)
        if routed.responses is None or self._waiting:
            return
        if self.datagrams_out + self._lost_answers >= routed.responses * self.datagrams_in:
            self.finish(Ending.TARGET_CLOSED, "every answer that was expected came")

    def _send_failed(self, error: OSError) -> None:
        if error.errno in _UNREACHABLE:
            self._node_failed(error)
        else:
            self._keeper.counters.send_errors += 1

    def _node_failed(self, error: OSError) -> None:
        """An ICMP error for something sent earlier, which the kernel tells at the next call."""
        self.icmp_errors += 1
        self._keeper.counters.icmp_errors += 1
        if error.errno in _UNREACHABLE:
            self.finish(Ending.CONNECT_FAILED, error.strerror or "")
