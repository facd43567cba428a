"""Messages between processes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.testing import MemoryReactorClock

from streamproxy.control import wire
from streamproxy.control.wire import Channel, Message, Wire, WireError, encoded


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    yield one, other
    one.close()
    other.close()


def test_what_is_said_is_heard_descriptors_included(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = Wire(pair[0], 5), Wire(pair[1], 5)
    reading, writing = os.pipe()
    sender.send({"number": 1}, (reading,))
    sender.send({"number": 2})
    first, second = receiver.receive(), receiver.receive()
    assert (first.body, second) == ({"number": 1}, Message({"number": 2}))
    os.write(writing, b"through")
    assert os.read(first.descriptors[0], 100) == b"through"
    first.discard()
    os.close(reading)
    os.close(writing)
    sender.close()
    with pytest.raises(WireError, match="hung up"):
        receiver.receive()
    receiver.close()


def test_messages_may_come_in_pieces_and_together(pair: tuple[socket.socket, socket.socket]) -> None:
    receiver = Wire(pair[1], 5)
    data = encoded({"a": "b" * 1000}) + encoded({"c": 1}) + encoded({"d": 2})[:3]
    for start in range(0, len(data), 400):
        pair[0].send(data[start : start + 400])
    assert [receiver.receive().body for _ in range(2)] == [{"a": "b" * 1000}, {"c": 1}]
    pair[0].send(encoded({"d": 2})[3:])
    assert receiver.receive().body == {"d": 2}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff\xff\xff\xff\0\0", "bytes"),
        (b"\0\0\0\2\0\1{}", "without its descriptors"),
        (b"\0\0\0\2\0\0{]", "no JSON"),
        (b"\0\0\0\2\0\0[]", "no object"),
    ],
)
def test_what_is_no_message_is_refused(pair: tuple[socket.socket, socket.socket], data: bytes, why: str) -> None:
    pair[0].send(data)
    with pytest.raises(WireError, match=why):
        Wire(pair[1], 5).receive()


def test_too_many_descriptors_are_for_several_messages() -> None:
    with pytest.raises(ValueError, match="201"):
        encoded({}, range(201))


class Told:
    def __init__(self) -> None:
        self.bodies: list[object] = []
        self.gone = 0

    def heard(self, message: Message) -> None:
        message.discard()
        self.bodies.append(message.body)
        if message.body.get("raise"):
            raise RuntimeError("a bug of whoever listens")

    def is_gone(self) -> None:
        self.gone += 1


def test_a_channel_tells_what_comes_and_when_it_is_over(
    pair: tuple[socket.socket, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    reactor, told = MemoryReactorClock(), Told()
    channel = Channel(reactor, pair[0], told.heard, told.is_gone)
    channel.start()
    assert channel in reactor.getReaders()
    channel.doRead()
    other = Wire(pair[1], 5)
    other.send({"raise": True})
    other.send({"after": 1})
    channel.doRead()
    assert told.bodies == [{"raise": True}, {"after": 1}], "a bug does not stop it"
    channel.send({"back": 1})
    assert other.receive().body == {"back": 1}
    other.close()
    channel.doRead()
    channel.doRead() if not told.gone else None
    assert told.gone == 1
    assert reactor.getReaders() == []
    channel.send({"nobody": 1})
    channel.close()


def test_what_the_kernel_does_not_take_at_once_is_kept(pair: tuple[socket.socket, socket.socket]) -> None:
    reactor, told = MemoryReactorClock(), Told()
    channel = Channel(reactor, pair[0], told.heard, told.is_gone)
    channel.start()
    null = os.open("/dev/null", os.O_RDONLY)
    for number in range(3):
        channel.send({"number": number, "much": "x" * 1_000_000}, (null,))
    os.close(null)
    assert channel in reactor.getWriters()
    other = Wire(pair[1], 5)
    pair[1].setblocking(True)
    for number in range(3):
        message = None
        while message is None:
            channel.doWrite()
            other.socket.settimeout(0.05)
            try:
                message = other.receive()
            except TimeoutError:
                continue
        assert message.body["number"] == number
        assert len(message.descriptors) == 1
        message.discard()
    channel.doWrite()
    assert reactor.getWriters() == []
    channel.send({"number": 3, "much": "x" * 1_000_000}, (0,))
    channel.close()


def test_a_wire_that_becomes_a_channel_forgets_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    reactor, told = MemoryReactorClock(), Told()
    pair[1].send(encoded({"first": 1}) + encoded({"second": 2}) + encoded({"third": 3})[:4])
    waiting = Wire(pair[0], 5)
    assert waiting.receive().body == {"first": 1}
    channel = waiting.watched(reactor, told.heard, told.is_gone)
    assert told.bodies == []
    channel.start()
    pair[1].send(encoded({"third": 3})[4:])
    channel.doRead()
    assert told.bodies == [{"second": 2}, {"third": 3}]
    channel.close()


def test_a_path_may_be_longer_than_the_kernel_takes(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    path = directory / "socket"
    path.write_text("in the way")
    listening = wire.listen(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with wire.connect(path, 5) as client:
        listening.setblocking(True)
        accepted, _ = listening.accept()
        assert wire.peer(accepted) == (os.getpid(), os.geteuid())
        accepted.close()
        assert client.fileno() >= 0
    listening.close()
    with pytest.raises(OSError, match="refused"):
        wire.connect(path, 5)
