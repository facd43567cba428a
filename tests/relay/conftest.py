"""What the tests of the data path share."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from .loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A reactor whose clock the test moves."""
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a loopback TCP connection: ours, non-blocking, and the peer's, blocking with a timeout."""
    ours, peers = connected_pair()
    yield ours, peers
    for sock in (ours, peers):
        sock.close()


def connected_pair() -> tuple[socket.socket, socket.socket]:
    """As the fixture, for tests that need several."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peers = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    ours.setblocking(False)
    peers.settimeout(5)
    return ours, peers
