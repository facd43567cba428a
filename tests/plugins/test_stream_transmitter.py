"""Lines over TCP and TLS, to real servers."""

from __future__ import annotations

import socket
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from twisted.python.failure import Failure

from streamproxy.plugins.stream_transmitter import StreamTransmitter
from tests.tls.pki import Authority, self_signed

from .turning import Sink, Turning, sink

ROOT = Authority.root("the root")


def to(turning: Turning, server: Sink, host: str | None = None, patience: float = 5.0, tls: bool = False) -> Any:
    return StreamTransmitter(turning.reactor, host or server.host, server.port, patience, tls)


def sent(turning: Turning, transmitter: StreamTransmitter, *lines: bytes) -> Failure | None:
    """How that ended; all lines are gone exactly when it ended well."""
    waiting = deque(lines)
    end = turning.result(transmitter.send(waiting))
    assert bool(waiting) is (end is not None)
    return end


def gone(turning: Turning, transmitter: StreamTransmitter) -> None:
    """Close it, and see that nothing is left."""
    transmitter.close()
    turning.until(lambda: not turning.open and not turning.timers, "everything was freed")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_lines_arrive_over_one_connection(turning: Turning, host: str) -> None:
    with sink(host=host) as server:
        transmitter = to(turning, server)
        assert sent(turning, transmitter, b"one\n", b"two\n") is None
        assert sent(turning, transmitter, b"three\n") is None
        turning.until(lambda: server.text == b"one\ntwo\nthree\n", "they arrived")
        assert len(server.got) == 1
        gone(turning, transmitter)


def test_a_name_is_looked_up(turning: Turning) -> None:
    turning.with_threads()
    with sink() as server:
        transmitter = to(turning, server, "localhost")
        assert sent(turning, transmitter, b"one\n") is None
        turning.until(lambda: server.text == b"one\n", "it arrived")
        gone(turning, transmitter)


def test_a_name_that_nobody_has(turning: Turning) -> None:
    turning.with_threads()
    transmitter = StreamTransmitter(turning.reactor, "nobody.invalid", 514, 5.0)
    end = sent(turning, transmitter, b"one\n")
    assert end is not None
    assert "nobody.invalid" in end.getErrorMessage()


def test_many_lines_arrive_whole(turning: Turning) -> None:
    lines = [b"%d " % number + b"x" * (number % 3000) + b"\n" for number in range(3000)]
    lines.append(b"y" * 1_000_000 + b"\n")
    with sink() as server:
        transmitter = to(turning, server)
        assert sent(turning, transmitter, *lines) is None
        turning.until(lambda: len(server.text) == sum(map(len, lines)), "all of it arrived")
        assert server.text == b"".join(lines)
        gone(turning, transmitter)


def test_a_connection_that_was_ended_is_made_again(turning: Turning) -> None:
    with sink() as server:
        transmitter = to(turning, server)
        sent(turning, transmitter, b"one\n")
        turning.until(lambda: server.text == b"one\n", "the first arrived")
        server.drop()
        turning.until(lambda: not turning.open, "that was noticed")
        assert sent(turning, transmitter, b"two\n") is None
        turning.until(lambda: server.text == b"one\ntwo\n", "the second arrived")
        assert len(server.got) == 2
        gone(turning, transmitter)


def test_it_can_be_used_again_after_it_was_closed(turning: Turning) -> None:
    with sink() as server:
        transmitter = to(turning, server)
        sent(turning, transmitter, b"one\n")
        gone(turning, transmitter)
        assert sent(turning, transmitter, b"two\n") is None
        turning.until(lambda: server.text == b"one\ntwo\n", "both arrived")
        gone(turning, transmitter)


def test_nobody_listens(turning: Turning) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        transmitter = StreamTransmitter(turning.reactor, "127.0.0.1", unused.getsockname()[1], 5.0)
        end = sent(turning, transmitter, b"one\n")
    assert end is not None
    assert "refused" in end.getErrorMessage()
    gone(turning, transmitter)


def test_a_server_that_takes_nothing_is_given_up(turning: Turning) -> None:
    with sink(deaf=True) as server:
        transmitter = to(turning, server, patience=0.2)
        end = sent(turning, transmitter, *[b"x" * 60_000] * 500)
        assert end is not None
        assert end.getErrorMessage() == "the server took nothing for 0.2 s"
        gone(turning, transmitter)


def test_a_server_that_goes_away_meanwhile(turning: Turning) -> None:
    with sink(deaf=True) as server:
        transmitter = to(turning, server)
        waiting = deque([b"x" * 60_000] * 500)
        ends: list[object] = []
        transmitter.send(waiting).addBoth(ends.append)
        turning.until(lambda: len(waiting) < 500 and server.connected, "some of it was sent")
        turning.settle()
        assert not ends
        server.drop()
        turning.until(lambda: ends, "that was noticed")
        assert isinstance(ends[0], Failure)
        assert waiting
        gone(turning, transmitter)


def tls_sink(tmp_path: Path, issued: Any) -> Any:
    return sink(issued=issued, directory=tmp_path)


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system trusts our root."""
    path = tmp_path / "roots.pem"
    path.write_bytes(ROOT.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


@pytest.mark.usefixtures("trusting")
def test_tls(turning: Turning, tmp_path: Path) -> None:
    with tls_sink(tmp_path, ROOT.issue("127.0.0.1")) as server:
        transmitter = to(turning, server, tls=True)
        assert sent(turning, transmitter, b"one\n", b"x" * 300_000) is None
        assert sent(turning, transmitter, b"three\n") is None
        turning.until(lambda: len(server.text) == 300_010, "all of it arrived")
        assert len(server.got) == 1
        gone(turning, transmitter)


@pytest.mark.usefixtures("trusting")
def test_tls_by_name(turning: Turning, tmp_path: Path) -> None:
    turning.with_threads()
    with tls_sink(tmp_path, ROOT.issue("localhost")) as server:
        transmitter = to(turning, server, "localhost", tls=True)
        assert sent(turning, transmitter, b"one\n") is None
        turning.until(lambda: server.text == b"one\n", "it arrived")
        gone(turning, transmitter)


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("issued", [self_signed("127.0.0.1"), ROOT.issue("127.0.0.2")], ids=["untrusted", "misnamed"])
def test_a_server_that_is_not_who_it_should_be_hears_nothing(turning: Turning, tmp_path: Path, issued: Any) -> None:
    with tls_sink(tmp_path, issued) as server:
        transmitter = to(turning, server, tls=True)
        end = sent(turning, transmitter, b"secret\n")
        assert end is not None
        turning.until(lambda: server.refused or server.got, "the server noticed")
        assert server.text == b""
        gone(turning, transmitter)


@pytest.mark.usefixtures("trusting")
def test_a_server_that_never_shakes_hands_is_given_up(turning: Turning) -> None:
    with sink(deaf=True) as server:
        transmitter = to(turning, server, patience=0.2, tls=True)
        end = sent(turning, transmitter, b"one\n")
        assert end is not None
        assert end.getErrorMessage() == "the server took nothing for 0.2 s"
        gone(turning, transmitter)


@pytest.mark.usefixtures("trusting")
def test_a_server_that_does_not_speak_tls(turning: Turning) -> None:
    with sink() as server:
        transmitter = to(turning, server, tls=True)
        waiting = deque([b"one\n"])
        ends: list[object] = []
        transmitter.send(waiting).addBoth(ends.append)
        turning.until(lambda: server.text, "it was greeted")
        server.drop()
        turning.until(lambda: ends, "that was noticed")
        assert isinstance(ends[0], Failure)
        gone(turning, transmitter)
