"""One look at one node: a connection or a datagram, a few words, a finding, and nothing left behind."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from attrs import evolve
from twisted.internet.interfaces import IDelayedCall

from ..model import ActiveCheck, ClientPolicy, Ending, Node, Probe, Report
from ..relay.socket_leg import SocketLeg
from ..relay.target_tls import TargetHandshake
from .prober_talk import WELL, Finding, Talk, talk_of

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from ..relay.dial import Dial
    from ..relay.engine import Engine
    from ..relay.tls_leg import TlsLeg

# That we have no descriptor left says nothing about a node.
_OURS = tuple(os.strerror(number) for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

# The most that a datagram holds.
_DATAGRAM = 65535

# Told once, unless the look is called off.
Told = Callable[[Finding], None]


class Look(Protocol):
    """One look. It is begun once; ``told`` may be called before that returns."""

    def begin(self) -> None: ...

    def cancel(self) -> None:
        """Call it off; nothing is told any more."""
        ...


def look_at(engine: Engine, node: Node, check: ActiveCheck, told: Told) -> Look:
    """Raises ``ValueError`` when ``check`` cannot be carried out."""
    talk = talk_of(check, node)
    asked = node if check.port is None else evolve(node, port=check.port)
    if check.probe is Probe.UDP:
        if talk is None:
            raise AssertionError("a datagram is answered, or nothing is known")
        return DatagramLook(engine, asked, check, talk, told)
    return StreamLook(engine, asked, check, talk, told)


class _Timed:
    """What every look has: its time, and an end."""

    def __init__(self, engine: Engine, node: Node, check: ActiveCheck, talk: Talk | None, told: Told) -> None:
        self._engine = engine
        self._node = node
        self._check = check
        self._talk = talk
        self._told: Told | None = told
        self._timer: IDelayedCall | None = None
        self._ip = ""

    def begin(self) -> None:
        self._timer = self._engine.reactor.callLater(self._check.timeout, self._expired)
        try:
            self._go()
        except OSError as error:
            self._tell(_failure(error.strerror or str(error)))

    def cancel(self) -> None:
        self._told = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._let_go(orderly=False)

    def _expired(self) -> None:
        finding = self._talk.expired() if self._talk is not None and self._ip else None
        self._tell(finding or Finding(Report.TIMEOUT, f"no answer in {self._check.timeout:g} s"))

    def _tell(self, finding: Finding) -> None:
        told, self._told = self._told, None
        if told is None:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._let_go(orderly=finding.report is Report.SUCCESS)
        told(evolve(finding, ip=self._ip))

    def _go(self) -> None:
        raise NotImplementedError

    def _let_go(self, *, orderly: bool) -> None:
        raise NotImplementedError


class StreamLook(_Timed):
    """Over TCP: connect, TLS where it is HTTPS, then the talk, if there is one."""

    def __init__(self, engine: Engine, node: Node, check: ActiveCheck, talk: Talk | None, told: Told) -> None:
        super().__init__(engine, node, check, talk, told)
        self._step: Dial | TargetHandshake | None = None
        self._leg: SocketLeg | TlsLeg | None = None

    def _go(self) -> None:
        dial = self._engine.dialler.dial(self._node, self._check.timeout, self)
        if dial.who is not None:
            self._step = dial

    def _let_go(self, *, orderly: bool) -> None:
        step, self._step = self._step, None
        if step is not None:
            step.cancel()
        leg, self._leg = self._leg, None
        if leg is not None and orderly:
            leg.close()
        elif leg is not None:
            leg.abort()

    # What the dialler tells

    def failed(self, ending: Ending, detail: str) -> None:
        self._step = None
        if ending is Ending.CONNECT_TIMEOUT:
            self._tell(Finding(Report.TIMEOUT, detail))
        else:
            self._tell(_failure(detail))

    def connected(self, sock: socket.socket) -> None:
        self._step = None
        try:
            self._ip = sock.getpeername()[0]
            to_itself = sock.getpeername() == sock.getsockname()
        except OSError as error:
            sock.close()
            self._tell(_failure(error.strerror or str(error)))
            return
        if to_itself:
            # Nobody listens, and the kernel took the very port for our end.
            sock.close()
            self._tell(_failure(os.strerror(errno.ECONNREFUSED)))
        elif self._check.probe is Probe.HTTPS:
            deadlines = self._engine.target_deadline(self._check.timeout)
            policy = tls_policy(self._check, self._node)
            step = self._step = TargetHandshake(self._engine.hub, sock, policy, deadlines, self._secured)
            step.begin(self._engine.contexts)
        elif self._talk is None:
            sock.close()
            self._tell(WELL)
        else:
            self._converse(SocketLeg(self._engine.hub, sock), self._talk)

    def _secured(self, leg: TlsLeg | None, detail: str) -> None:
        self._step = None
        if leg is None or self._talk is None:
            self._tell(_failure(detail))
        else:
            self._converse(leg, self._talk)

    # The talk

    def _converse(self, leg: SocketLeg | TlsLeg, talk: Talk) -> None:
        self._leg = leg
        leg.receiver = self
        if talk.opening:
            leg.write(talk.opening)
        leg.start()

    def received(self, data: bytes) -> None:
        finding = self._talk.heard(data) if self._talk is not None else None
        if finding is not None:
            self._tell(finding)

    def ended(self) -> None:
        if self._talk is not None:
            self._tell(self._talk.ended())

    def drained(self) -> None:
        """The answer is what is waited for."""

    def lost(self, why: str, *, reset: bool) -> None:
        self._tell(_failure(why))


class DatagramLook(_Timed):
    """Over UDP: a datagram to the first address, and what comes back."""

    def __init__(self, engine: Engine, node: Node, check: ActiveCheck, talk: Talk, told: Told) -> None:
        super().__init__(engine, node, check, talk, told)
        self._words = talk
        self._socket: socket.socket | None = None
        self._asking: Deferred[tuple[str, ...]] | None = None

    def _go(self) -> None:
        known = self._engine.resolver.cached(self._node.dial_host)
        if known is not None:
            self._send(known)
            return
        asking = self._asking = self._engine.resolver.resolve(self._node.dial_host)
        asking.addCallbacks(self._resolved, self._unresolved)

    def _let_go(self, *, orderly: bool) -> None:
        sock = self._socket
        if sock is not None:
            self._engine.hub.removeReader(self)
            self._socket = None
            sock.close()

    def _resolved(self, addresses: tuple[str, ...]) -> None:
        if self._told is not None:
            try:
                self._send(addresses)
            except OSError as error:
                self._tell(_failure(error.strerror or str(error)))

    def _unresolved(self, failure: Failure) -> None:
        self._tell(_failure(failure.getErrorMessage()))

    def _send(self, addresses: tuple[str, ...]) -> None:
        address = addresses[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.connect((address, self._node.port))
            sock.send(self._words.opening)
        except OSError:
            sock.close()
            raise
        self._ip = address
        self._socket = sock
        self._engine.hub.addReader(self)

    # What the hub calls

    def fileno(self) -> int:
        return self._socket.fileno() if self._socket is not None else -1

    def logPrefix(self) -> str:
        return "streamproxy"

    def doRead(self) -> None:
        sock = self._socket
        if sock is None:
            return
        try:
            data = sock.recv(_DATAGRAM)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._tell(_failure(error.strerror or str(error)))
            return
        finding = self._words.heard(data)
        if finding is not None:
            self._tell(finding)

    def doWrite(self) -> None:
        """Never asked for."""

    def connectionLost(self, reason: Failure) -> None:
        """An error that the network reported: nobody listens there, most likely."""
        sock = self._socket
        if sock is None:
            return
        problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self._tell(_failure(os.strerror(problem)))
        else:
            self._engine.hub.addReader(self)


def tls_policy(check: ActiveCheck, node: Node) -> ClientPolicy:
    """As sessions would shake hands with the node, but for what the check says otherwise."""
    known = node.tls or ClientPolicy(node.host)
    return evolve(
        known,
        server_name=check.host or known.server_name,
        send_name=None if check.host else known.send_name,
        verify=check.verify,
        alpn=("http/1.1",),
    )


def _failure(detail: str) -> Finding:
    ours = any(words in detail for words in _OURS)
    return Finding(None if ours else Report.TCP_FAILURE, detail)
