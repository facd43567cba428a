"""Legs of every kind on real sockets with little room, and peers that the test plays."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.tcp import Server

from streamproxy.interfaces import Leg
from streamproxy.model import ServerPolicy
from streamproxy.relay.factory import Arrival
from streamproxy.relay.hub import Hub
from streamproxy.relay.socket_leg import SocketLeg
from streamproxy.relay.tls_leg import TlsLeg
from streamproxy.relay.transport_leg import TransportLeg
from streamproxy.tls import Contexts
from tests.tls.pki import Authority

from .loop import Loop

ROOT = Authority.root("the root")
CONTEXTS = Contexts()
SERVER = ServerPolicy((ROOT.issue("a.example.com").pair,))

# Bytes that a kernel's buffer is asked to hold: less than one read, so that writes are short, and more than what would
# make the two kernels wait for each other's timers.
LITTLE = 1 << 15

# What each side says, as far as it says anything.
SPEECH = {
    "client": random.Random(1).randbytes(1 << 22),
    "target": random.Random(2).randbytes(1 << 22),
}


class Peer:
    """The other end of a leg. It never blocks: it sends what fits and reads what is there."""

    def __init__(self, sock: socket.socket, speech: bytes) -> None:
        self.sock = sock
        self.speech = speech
        self.sent = 0
        self.got = bytearray()
        self.at_end = False
        self.was_reset = False
        self.said_end = False
        sock.setblocking(False)

    def sends(self, size: int) -> int:
        """Say so much more, or as much of it as there is room for; how much that was."""
        if self.said_end:
            return 0
        try:
            sent = self._send(self.speech[self.sent : self.sent + size])
        except BlockingIOError:
            return 0
        except OSError:
            # What it does not take any more is no business of this one's.
            self.said_end = True
            return 0
        self.sent += sent
        return sent

    def _send(self, data: bytes) -> int:
        return self.sock.send(data)

    def _recv(self, size: int) -> bytes:
        return self.sock.recv(size)

    def pushes(self) -> None:
        """Go on with what was begun to be sent."""

    def reads(self, size: int) -> int:
        if self.at_end or self.was_reset:
            return 0
        try:
            data = self._recv(size)
        except BlockingIOError:
            return 0
        except ConnectionResetError:
            self.was_reset = True
            return 0
        if not data:
            self.at_end = True
        self.got += data
        return len(data)

    def ends(self) -> None:
        if not self.said_end:
            self.said_end = True
            self.sock.shutdown(socket.SHUT_WR)

    def resets(self) -> None:
        self.said_end = True
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


class TlsPeer(Peer):
    """One that speaks TLS."""

    def __init__(self, sock: socket.socket, speech: bytes, connection: SSL.Connection) -> None:
        super().__init__(sock, speech)
        self.connection = connection
        self._again = b""

    def _send(self, data: bytes) -> int:
        # A write that did not fit has to be repeated as it was.
        data = self._again or data
        self._again = data
        try:
            sent = self.connection.send(data)
        except (SSL.WantReadError, SSL.WantWriteError):
            raise BlockingIOError from None
        except SSL.Error as error:
            raise OSError(str(error)) from None
        self._again = b""
        return sent

    def _recv(self, size: int) -> bytes:
        try:
            return self.connection.recv(size)
        except (SSL.WantReadError, SSL.WantWriteError):
            raise BlockingIOError from None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise ConnectionResetError(str(error)) from None

    def pushes(self) -> None:
        if self._again:
            self.sends(0)

    def ends(self) -> None:
        if not self._again and not self.said_end:
            self.said_end = True
            with contextlib.suppress(SSL.Error):
                self.connection.shutdown()


def narrow_pair(room: int = LITTLE) -> tuple[socket.socket, socket.socket]:
    """Both ends of a loopback connection whose buffers hold ``room`` bytes, or about that."""
    with socket.socket() as server:
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            server.setsockopt(socket.SOL_SOCKET, option, room)
        server.bind(("127.0.0.1", 0))
        server.listen()
        peers = socket.socket()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            peers.setsockopt(socket.SOL_SOCKET, option, room)
        peers.connect(server.getsockname())
        ours, _ = server.accept()
    ours.setblocking(False)
    ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peers.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, peers


def socket_leg(loop: Loop, hub: Hub, speech: bytes) -> tuple[Leg, Peer]:
    ours, peers = narrow_pair()
    return SocketLeg(hub, ours), Peer(peers, speech)


def transport_leg(loop: Loop, hub: Hub, speech: bytes) -> tuple[Leg, Peer]:
    """On a TCP transport of Twisted's."""
    ours, peers = narrow_pair()
    leg = TransportLeg(loop)
    arrival = Arrival(cast("Any", None))
    arrival.leg = leg
    leg.makeConnection(cast("Any", Server(ours, arrival, ours.getpeername(), cast("Any", None), 0, cast("Any", loop))))
    return leg, Peer(peers, speech)


class _Shaking:
    """Waits for a handshake."""

    def __init__(self) -> None:
        self.done = False

    def peeked(self, window: bytes, *, complete: bool) -> None:
        raise AssertionError("nobody wanted to peek")

    def shaken(self) -> None:
        self.done = True

    def unshaken(self, why: str) -> None:
        raise AssertionError(why)


def tls_leg(loop: Loop, hub: Hub, speech: bytes) -> tuple[Leg, Peer]:
    """After the handshake."""
    ours, peers = narrow_pair()
    leg = TlsLeg(hub, ours, strict=False)
    connection = SSL.Connection(CONTEXTS.server(SERVER), ours)
    connection.set_accept_state()
    peers.setblocking(False)
    theirs = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), peers)
    theirs.set_connect_state()
    shaking = _Shaking()
    leg.shake(connection, shaking)

    def shaken() -> bool:
        try:
            theirs.do_handshake()
        except (SSL.WantReadError, SSL.WantWriteError):
            return False
        return shaking.done

    loop.until(shaken, "the handshake was done")
    return leg, TlsPeer(peers, speech, theirs)
