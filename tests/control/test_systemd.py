"""What systemd gives and wants to hear."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from streamproxy.control import systemd
from streamproxy.control.systemd import STATUS_INTERVAL, Notifier, passed_sockets
from streamproxy.model import Transport


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def heard(manager: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(manager.recv(4096).decode())
        except BlockingIOError:
            return found


def test_it_is_told_of_a_whole_life(manager: socket.socket) -> None:
    clock = Clock()
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "7"}
    notifier = Notifier(clock, environ, 7, lambda: "fine", lambda: 123)
    notifier.ready()
    assert heard(manager) == ["READY=1\nSTATUS=fine", "WATCHDOG=1"]
    clock.pump([1] * 5)
    assert heard(manager) == ["WATCHDOG=1"] * 2
    notifier.reloading()
    notifier.ready()
    assert heard(manager) == ["RELOADING=1\nMONOTONIC_USEC=123", "READY=1\nSTATUS=fine"]
    clock.pump([1] * int(STATUS_INTERVAL))
    assert "STATUS=fine" in heard(manager)
    notifier.stopping()
    assert heard(manager) == ["STOPPING=1\nSTATUS=fine"]
    notifier.ceded(9)
    notifier.stopping()
    assert heard(manager) == ["MAINPID=9"]
    assert clock.getDelayedCalls() == []
    Notifier(clock, environ, 9).ready(9)
    assert heard(manager) == ["MAINPID=9\nREADY=1\nSTATUS="], "another process's watchdog"


def test_abstract_sockets_and_deaf_ones() -> None:
    clock = Clock()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"streamproxy-{os.getpid()}"
        sock.bind(f"\0{name}")
        sock.setblocking(False)
        notifier = Notifier(clock, {"NOTIFY_SOCKET": f"@{name}"}, 1)
        notifier.send("STATUS=x")
        assert heard(sock) == ["STATUS=x"]
    notifier.send("STATUS=y")
    notifier.close()
    for environ in ({}, {"NOTIFY_SOCKET": "vsock:1:2"}):
        nobody = Notifier(clock, environ, 1)
        nobody.ready()
        nobody.close()
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("text", ["", "0", "soon"])
def test_a_watchdog_that_does_not_care(manager: socket.socket, text: str) -> None:
    clock = Clock()
    notifier = Notifier(clock, {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": text}, 1)
    notifier.ready()
    assert len(heard(manager)) == 1
    notifier.close()


def test_its_sockets_are_known_by_their_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind(("::1", 0))
    connected = socket.create_connection(tcp.getsockname())
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "u"))
    file = os.open("/dev/null", os.O_RDONLY)
    first = 200
    sources = [tcp.fileno(), udp.fileno(), connected.fileno(), unix.fileno(), file]
    for index, descriptor in enumerate(sources):
        os.dup2(descriptor, first + index)
    monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", first)
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": str(len(sources) + 1), "LISTEN_FDNAMES": "a:b", "ELSE": "1"}
    passed = passed_sockets(environ, 7)
    assert environ == {"ELSE": "1"}
    assert [(each.address.transport, each.address.interface, each.lasting) for each in passed] == [
        (Transport.TCP, "127.0.0.1", True),
        (Transport.UDP, "::1", True),
    ]
    for sock in (*(each.socket for each in passed), tcp, udp, connected, unix):
        sock.close()
    os.close(file)
    for index in (2, 3, 4):
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(first + index)


def test_what_is_for_another_process_is_not_taken() -> None:
    assert passed_sockets({"LISTEN_PID": "8", "LISTEN_FDS": "1"}, 7) == []
    assert passed_sockets({}, 7) == []
