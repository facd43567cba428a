"""A leg over any Twisted transport: TLS of Twisted's, a wrapper, a pipe in memory, something of tomorrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IPushProducer,
    ITransport,
)
from twisted.internet.tcp import Connection
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from ..interfaces import Receiver
    from .seams import Reactor

# A peer may never answer the orderly end of a connection (a TLS close_notify, a FIN). This many seconds, then a reset.
FINISH_TIMEOUT = 10.0


@implementer(IPushProducer)
class TransportLeg:
    """
    Hears what the transport tells its protocol. Half-close is carried where the transport is plain TCP; Twisted's
    TLS has none (its ``loseWriteConnection`` would send a bare FIN that the peer takes for a truncation).
    """

    receiver: Receiver

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._transport: Any = None
        self.can_half_close = False
        self._paused = True
        self._ended = False
        self._congested = False
        self._finishing = False
        self._gone = False
        self._early: list[bytes] = []
        self._timer: IDelayedCall | None = None

    # What the pump calls

    def start(self) -> None:
        self._transport.registerProducer(self, True)
        self._paused = False
        early, self._early = self._early, []
        for data in early:
            self.receiver.received(data)
        if not self._paused:
            self._transport.resumeProducing()

    def resume(self) -> None:
        if self._paused and not self._ended and not self._gone:
            self._paused = False
            self._transport.resumeProducing()

    def pause(self) -> None:
        if not self._paused and not self._gone:
            self._paused = True
            self._transport.pauseProducing()

    def write(self, data: bytes) -> bool:
        if self._gone:
            return True
        self._transport.write(bytes(data))
        return not self._congested

    def finish(self) -> bool:
        if self._gone or self._finishing:
            return not self._congested
        self._finishing = True
        if self._congested:
            return False
        self._send_end()
        return True

    def close(self) -> None:
        if not self._gone and not self._finishing:
            self._finishing = True
            self._send_end()
        if not self._gone:
            self._transport.loseConnection()

    def abort(self) -> None:
        if not self._gone:
            self._gone = True
            self._transport.abortConnection()

    # What the transport tells its protocol

    def makeConnection(self, transport: ITransport) -> None:
        self._transport = cast("Any", transport)
        # Twisted's TLS claims to be whatever it is on, and a wrapper may be anything: only a socket is believed.
        self.can_half_close = isinstance(transport, Connection) and not transport.TLS
        self._transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        if self._gone:
            return
        if self._transport is not None and hasattr(self, "receiver") and not self._early:
            self.receiver.received(data)
        else:
            self._early.append(data)

    def readConnectionLost(self) -> None:
        if not self._ended and not self._gone:
            self._ended = True
            self.receiver.ended()

    def writeConnectionLost(self) -> None:
        """The peer shut its reading side: writing fails from now on, and the transport will say so."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        if self._gone:
            return
        self._gone = True
        if not hasattr(self, "receiver"):
            return
        # Where our end takes both directions with it, however the peer answers it is no loss.
        orderly = self._finishing and not self.can_half_close
        if reason is not None and not orderly and not reason.check(ConnectionDone):
            self.receiver.lost(reason.getErrorMessage(), reset=True)
        elif not self._ended:
            self._ended = True
            self.receiver.ended()

    # What the transport tells, as our consumer

    def pauseProducing(self) -> None:
        self._congested = True

    def resumeProducing(self) -> None:
        if not self._congested:
            return
        self._congested = False
        if self._finishing:
            self._send_end()
        if not self._gone:
            self.receiver.drained()

    def stopProducing(self) -> None:
        """The transport is going down; ``connectionLost`` follows."""

    def _send_end(self) -> None:
        self._transport.unregisterProducer()
        if self.can_half_close:
            self._transport.loseWriteConnection()
        else:
            # A paused transport would not see its peer go, and never finish.
            self._transport.resumeProducing()
            self._transport.loseConnection()
        self._timer = self._reactor.callLater(FINISH_TIMEOUT, self._give_up)

    def _give_up(self) -> None:
        self._timer = None
        if not self.can_half_close or self._ended:
            self.abort()
