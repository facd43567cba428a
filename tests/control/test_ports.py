"""Listening sockets."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from streamproxy.control import ports
from streamproxy.control.ports import TcpPort, bind_tcp
from streamproxy.model import ListenAddress, Transport
from tests.relay.loop import Loop


@pytest.fixture
def loop() -> Any:
    loop = Loop()
    yield loop
    loop.close()


def address(interface: str = "127.0.0.1", port: int = 0) -> ListenAddress:
    return ListenAddress(Transport.TCP, interface, port)


class Accepted:
    def __init__(self) -> None:
        self.sockets: list[tuple[socket.socket, Any]] = []

    def __call__(self, sock: socket.socket, peer: Any) -> None:
        self.sockets.append((sock, peer))

    def close(self) -> None:
        for sock, _ in self.sockets:
            sock.close()


@pytest.mark.parametrize("interface", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_it_accepts_and_hands_over(loop: Loop, interface: str) -> None:
    accepted = Accepted()
    port = TcpPort(loop, bind_tcp(address(interface)), accepted)
    port.start()
    host = "::1" if ":" in interface else "127.0.0.1"
    with socket.create_connection((host, port.port)) as client:
        loop.until(lambda: accepted.sockets, "the connection was accepted")
        sock, peer = accepted.sockets[0]
        assert peer[:2] == client.getsockname()[:2]
        assert not sock.getblocking()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    port.close()
    port.close()
    accepted.close()
    assert loop.descriptors == 0


def test_both_wildcards_stand_side_by_side() -> None:
    four = bind_tcp(address("0.0.0.0"))
    six = bind_tcp(address("::", four.getsockname()[1]))
    six.close()
    four.close()


def test_a_busy_port_raises_and_leaks_nothing() -> None:
    with bind_tcp(address()) as taken, pytest.raises(OSError) as caught:
        bind_tcp(address(port=taken.getsockname()[1]))
    assert caught.value.errno == errno.EADDRINUSE


def test_a_storm_does_not_keep_the_reactor(loop: Loop) -> None:
    accepted = Accepted()
    port = TcpPort(loop, bind_tcp(address()), accepted)
    clients = [socket.create_connection(("127.0.0.1", port.port)) for _ in range(ports.ACCEPTS_PER_TURN + 10)]
    port.doRead()
    assert len(accepted.sockets) == ports.ACCEPTS_PER_TURN
    port.doRead()
    assert len(accepted.sockets) == len(clients)
    port.close()
    accepted.close()
    for client in clients:
        client.close()


class Troubled:
    """A listening socket whose accept fails as told, then works."""

    def __init__(self, sock: socket.socket, *errors: int) -> None:
        self._sock = sock
        self.errors = list(errors)

    def accept(self) -> Any:
        if self.errors:
            raise OSError(self.errors.pop(0), "trouble")
        return self._sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


@pytest.mark.parametrize("trouble", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINVAL])
def test_exhaustion_pauses_and_goes_on_by_itself(loop: Loop, trouble: int) -> None:
    accepted = Accepted()
    sock = Troubled(bind_tcp(address()), trouble)
    port = TcpPort(loop, sock, accepted)  # type: ignore[arg-type]
    port.start()
    with socket.create_connection(("127.0.0.1", port.port)):
        loop.until(lambda: not sock.errors, "accept was tried")
        assert loop.descriptors == 0, "it still spins on a socket it cannot accept from"
        assert port.exhausted == (trouble != errno.EINVAL)
        loop.advance(ports.EXHAUSTED_PAUSE)
        loop.until(lambda: accepted.sockets, "accepting went on")
    port.close()
    accepted.close()


def test_a_pause_ends_with_the_port(loop: Loop) -> None:
    sock = Troubled(bind_tcp(address()), errno.EMFILE)
    port = TcpPort(loop, sock, Accepted())  # type: ignore[arg-type]
    port.doRead()
    port.close()
    loop.advance(ports.EXHAUSTED_PAUSE)
    port.connectionLost(Failure(ConnectionLost()))
    assert loop.descriptors == 0


def test_a_connection_that_died_in_the_queue_is_passed_over(loop: Loop) -> None:
    accepted = Accepted()
    sock = Troubled(bind_tcp(address()), errno.ECONNABORTED, errno.EPROTO)
    port = TcpPort(loop, sock, accepted)  # type: ignore[arg-type]
    with socket.create_connection(("127.0.0.1", port.port)):
        port.doRead()
    assert len(accepted.sockets) == 1
    port.close()
    accepted.close()


def test_a_bug_in_one_connection_leaves_the_listener_alive(loop: Loop) -> None:
    seen: list[socket.socket] = []

    def broken(sock: socket.socket, peer: Any) -> None:
        seen.append(sock)
        raise RuntimeError("a bug")

    port = TcpPort(loop, bind_tcp(address()), broken)
    port.start()
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port.port)) as client:
            before = len(seen)
            loop.until(lambda before=before: len(seen) > before, "the connection was accepted")  # type: ignore[misc]
            assert seen[-1].fileno() == -1
            client.settimeout(5)
            assert client.recv(1) == b""
    port.connectionLost(Failure(ConnectionLost()))
    assert loop.descriptors == 1
    port.close()


def test_a_client_for_whom_no_descriptor_is_left_waits(loop: Loop) -> None:
    accepted = Accepted()
    spare = socket.socket()
    with socket.socket() as above:
        last = above.fileno() - 1
        port = TcpPort(loop, bind_tcp(address()), accepted, last + 1)
        port.start()
        with socket.create_connection(("127.0.0.1", port.port)) as client:
            loop.until(lambda: port.exhausted, "it found that there are too few")
            loop.advance(ports.EXHAUSTED_PAUSE)
            assert accepted.sockets == [], "it is tried again, in vain"
            spare.close()
            loop.advance(ports.EXHAUSTED_PAUSE)
            ((sock, peer),) = accepted.sockets
            assert peer == client.getsockname()
            client.sendall(b"hello")
            loop.settle()
            assert sock.recv(5) == b"hello"
            assert not sock.getblocking()
            assert port.exhausted == 1
        port.close()
    accepted.close()


def test_a_client_who_waits_is_not_forgotten_when_the_port_is_closed(loop: Loop) -> None:
    accepted = Accepted()
    port = TcpPort(loop, bind_tcp(address()), accepted, 5)
    port.start()
    with socket.create_connection(("127.0.0.1", port.port)):
        port._last = port._socket.fileno()
        loop.until(lambda: port.exhausted, "it found that there are too few")
        port.close()
        assert len(accepted.sockets) == 1
        loop.advance(ports.EXHAUSTED_PAUSE)
    accepted.close()
    assert loop.descriptors == 0


def test_only_so_many_may_wait(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "MOST_WAITING", 0)
    accepted = Accepted()
    port = TcpPort(loop, bind_tcp(address()), accepted, 3)
    port.start()
    with socket.create_connection(("127.0.0.1", port.port)) as client:
        loop.until(lambda: port.exhausted, "it found that there are too few")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    port.close()
    loop.advance(ports.EXHAUSTED_PAUSE)
    assert accepted.sockets == []
