"""A leg on a real socket; the test holds the other end of it."""

from __future__ import annotations

import socket
import struct

import pytest
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from streamproxy.relay import departure
from streamproxy.relay.socket_leg import SocketLeg

from .conftest import connected_pair
from .loop import Loop

Pair = tuple[socket.socket, socket.socket]


class Heard:
    """A receiver that writes down what it is told."""

    def __init__(self, leg: SocketLeg) -> None:
        self.leg = leg
        leg.receiver = self
        self.data = bytearray()
        self.chunks = 0
        self.is_ended = 0
        self.drains = 0
        self.losses: list[tuple[str, bool]] = []

    def received(self, data: bytes) -> None:
        self.data += data
        self.chunks += 1

    def ended(self) -> None:
        self.is_ended += 1

    def drained(self) -> None:
        self.drains += 1

    def lost(self, why: str, *, reset: bool) -> None:
        self.losses.append((why, reset))


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_all(sock: socket.socket) -> bytes:
    data = bytearray()
    while chunk := sock.recv(65536):
        data += chunk
    return bytes(data)


def test_it_tells_what_the_peer_sends_and_its_end(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    heard = Heard(SocketLeg(loop, ours))
    heard.leg.start()
    peer.sendall(b"hello")
    loop.until(lambda: heard.data == b"hello", "the bytes were told")
    peer.shutdown(socket.SHUT_WR)
    loop.until(lambda: heard.is_ended, "the end was told")
    loop.settle()
    heard.leg.resume()
    loop.settle()
    assert heard.is_ended == 1, "the end was told more than once"
    assert loop.descriptors == 0, "a leg at the end of its stream is still being read"


def test_it_sends_at_once(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    leg = SocketLeg(loop, ours)
    assert leg.write(b"no turn of the reactor is needed")
    assert peer.recv(100) == b"no turn of the reactor is needed"
    assert loop.descriptors == 0


def test_what_the_kernel_does_not_take_is_kept_and_sent_when_it_does(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    heard = Heard(SocketLeg(loop, ours))
    data = bytes(range(256)) * 256
    sent = 0
    while heard.leg.write(data):
        sent += len(data)
    sent += len(data)
    assert not heard.leg.write(b"more while some is kept")
    assert not heard.leg.finish(), "finish said it was done with bytes unsent"
    got = bytearray()
    while len(got) < sent + 23:
        loop.turn()
        got += peer.recv(1 << 20)
    loop.until(lambda: heard.drains, "it was told that all is gone")
    assert bytes(got) == data * (sent // len(data)) + b"more while some is kept"
    assert peer.recv(10) == b"", "the FIN did not follow the bytes"
    assert heard.drains == 1


def test_finish_sends_fin_and_leaves_reading_alone(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    heard = Heard(SocketLeg(loop, ours))
    heard.leg.start()
    heard.leg.write(b"bye")
    assert heard.leg.finish()
    assert heard.leg.finish(), "a second finish is harmless"
    assert read_all(peer) == b"bye"
    peer.sendall(b"still here")
    loop.until(lambda: heard.data == b"still here", "bytes after our FIN were told")


def test_pause_and_resume_are_idempotent(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    heard = Heard(SocketLeg(loop, ours))
    heard.leg.start()
    heard.leg.pause()
    heard.leg.pause()
    peer.sendall(b"wait")
    loop.settle()
    assert heard.data == b""
    heard.leg.resume()
    heard.leg.resume()
    loop.until(lambda: heard.data == b"wait", "the bytes came after the pause")


def test_abort_resets_the_peer(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    leg = SocketLeg(loop, ours)
    leg.start()
    leg.abort()
    leg.abort()
    with pytest.raises(ConnectionResetError):
        peer.recv(1)
    assert loop.descriptors == 0
    assert leg.write(b"nothing happens")
    assert leg.finish()
    leg.resume()
    leg.doRead()
    leg.doWrite()


def test_abort_lets_what_was_written_before_arrive(loop: Loop) -> None:
    ours, peer = connected_pair()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    leg = SocketLeg(loop, ours)
    leg.receiver = Heard(leg)
    leg.write(b"m" * 200_000)
    leg.abort()
    got = bytearray()
    with pytest.raises(ConnectionResetError):
        while chunk := peer.recv(4096):
            got += chunk
            loop.advance(departure.ABORT_POLL / 100)
            loop.advance(0 if len(got) < 100_000 else departure.ABORT_POLL)
    assert len(got) > 100_000, f"the reset overtook the bytes: {len(got)} of them arrived"
    peer.close()


def test_a_peer_that_does_not_read_does_not_hold_an_abort_for_ever(loop: Loop, pair: Pair) -> None:
    ours, _ = pair
    leg = SocketLeg(loop, ours)
    leg.receiver = Heard(leg)
    while leg.write(b"x" * 65536):
        pass
    leg.abort()
    assert loop.getDelayedCalls(), "it did not wait for the peer at all"
    loop.pump([departure.ABORT_POLL] * int(departure.ABORT_GRACE / departure.ABORT_POLL + 2))
    assert not loop.getDelayedCalls(), "it still waits after the grace"
    assert ours.fileno() == -1


def test_a_reset_of_the_peer_is_told(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    heard = Heard(SocketLeg(loop, ours))
    heard.leg.start()
    reset(peer)
    loop.until(lambda: heard.losses, "the reset was told")
    assert heard.losses == [("Connection reset by peer", True)]
    assert loop.descriptors == 0
    assert ours.fileno() == -1


def test_the_last_words_of_a_peer_that_refuses_more_are_heard(loop: Loop, pair: Pair) -> None:
    """As MySQL's "too many connections": said, then closed with the client's bytes unread, so that they meet RST."""
    ours, peer = pair
    heard = Heard(SocketLeg(loop, ours))
    heard.leg.write(b"login")
    peer.sendall(b"too many connections")
    peer.close()
    for _ in range(100):
        heard.leg.write(b"query")
        if heard.losses:
            break
    assert heard.data == b"too many connections"
    assert [was_reset for _, was_reset in heard.losses] == [True]


def test_a_receiver_may_abort_while_it_hears_the_last_words(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    leg = SocketLeg(loop, ours)

    class Impatient(Heard):
        def received(self, data: bytes) -> None:
            super().received(data)
            self.leg.abort()

    heard = Impatient(leg)
    leg.write(b"login")
    peer.sendall(b"no")
    peer.close()
    for _ in range(100):
        leg.write(b"query")
    assert heard.losses == []
    assert heard.data == b"no"


def test_a_congested_leg_hears_of_its_peers_reset(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    heard = Heard(SocketLeg(loop, ours))
    while heard.leg.write(b"x" * 65536):
        pass
    reset(peer)
    loop.until(lambda: heard.losses, "the reset was told to a leg that only writes")
    assert heard.losses[0][1]


def test_a_stale_hang_up_of_another_descriptor_does_no_harm(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    heard = Heard(SocketLeg(loop, ours))
    heard.leg.start()
    loop.removeReader(heard.leg)
    heard.leg.connectionLost(Failure(ConnectionLost()))
    peer.sendall(b"alive")
    loop.until(lambda: heard.data == b"alive", "the leg was still being read")
    while heard.leg.write(b"x" * 65536):
        pass
    loop.removeWriter(heard.leg)
    loop.removeReader(heard.leg)
    heard.leg.connectionLost(Failure(ConnectionLost()))
    while not heard.drains:
        peer.recv(1 << 20)
        loop.turn()


def test_a_hang_up_after_the_leg_is_gone_is_nothing(loop: Loop, pair: Pair) -> None:
    ours, _ = pair
    heard = Heard(SocketLeg(loop, ours))
    heard.leg.close()
    heard.leg.connectionLost(Failure(ConnectionLost()))
    assert heard.losses == []
    assert ours.fileno() == -1


def test_an_exception_of_the_receiver_ends_the_leg_and_nothing_else(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    leg = SocketLeg(loop, ours)

    class Broken(Heard):
        def received(self, data: bytes) -> None:
            raise RuntimeError("a bug")

    heard = Broken(leg)
    leg.start()
    peer.sendall(b"x")
    with pytest.raises(RuntimeError):
        leg.doRead()
    leg.connectionLost(Failure(RuntimeError("a bug")))
    assert heard.losses == [("internal error: a bug", False)]


def test_a_peer_that_is_gone_when_fin_is_sent_is_told(loop: Loop, pair: Pair) -> None:
    ours, peer = pair
    heard = Heard(SocketLeg(loop, ours))
    reset(peer)
    heard.leg.finish()
    heard.leg.start()
    loop.until(lambda: heard.losses, "the loss was told")
    assert heard.losses[0][1]
