"""Lines over UDP."""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.python.failure import Failure

from streamproxy.plugins.datagram_transmitter import DatagramTransmitter

from .turning import Turning


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.bind((request.param, 0))
        made.settimeout(10)
        yield made


def to(turning: Turning, server: socket.socket, host: str | None = None, log: list[str] | None = None) -> Any:
    name, port, *_ = server.getsockname()
    lines: list[str] = [] if log is None else log
    return DatagramTransmitter(turning.reactor, host or name, port, 5.0, lambda level, line: lines.append(line))


def sent(turning: Turning, transmitter: DatagramTransmitter, *lines: bytes) -> Failure | None:
    waiting = deque(lines)
    end = turning.result(transmitter.send(waiting))
    assert bool(waiting) is (end is not None)
    return end


def test_each_line_is_a_datagram(turning: Turning, server: socket.socket) -> None:
    transmitter = to(turning, server)
    assert sent(turning, transmitter, b"one\n", b"two\n") is None
    assert sent(turning, transmitter, b"three\n") is None
    assert [server.recv(99) for _ in range(3)] == [b"one\n", b"two\n", b"three\n"]
    transmitter.close()
    turning.until(lambda: not turning.open, "the socket was closed")
    transmitter.close()


def test_a_name_is_looked_up(turning: Turning) -> None:
    turning.with_threads()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        transmitter = to(turning, server, "localhost")
        assert sent(turning, transmitter, b"one\n") is None
        transmitter.close()


def test_a_name_that_nobody_has(turning: Turning, server: socket.socket) -> None:
    turning.with_threads()
    end = sent(turning, to(turning, server, "nobody.invalid"), b"one\n")
    assert end is not None
    assert end.getErrorMessage() == "nobody.invalid has no address"


def test_a_name_that_is_looked_up_for_ever(turning: Turning, server: socket.socket) -> None:
    port = server.getsockname()[1]
    transmitter = DatagramTransmitter(turning.reactor, "slow.invalid", port, 0.1, lambda level, line: None)
    # Without threads there is no answer.
    end = sent(turning, transmitter, b"one\n")
    assert end is not None
    turning.with_threads()
    turning.settle()


def test_a_line_that_is_too_long_is_lost_alone(turning: Turning, server: socket.socket) -> None:
    log: list[str] = []
    transmitter = to(turning, server, log=log)
    assert sent(turning, transmitter, b"one\n", b"x" * 70_000, b"two\n") is None
    assert [server.recv(99) for _ in range(2)] == [b"one\n", b"two\n"]
    assert log == ["a line of 70000 bytes is too long for a datagram"]
    transmitter.close()


def test_what_the_kernel_refuses_is_not_sent(
    turning: Turning, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    transmitter = to(turning, server)
    assert sent(turning, transmitter, b"one\n") is None

    def refuse(data: bytes, address: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(transmitter._socket.transport, "write", refuse)
    end = sent(turning, transmitter, b"two\n")
    assert end is not None
    assert end.getErrorMessage() == "Resource temporarily unavailable"
    transmitter.close()
