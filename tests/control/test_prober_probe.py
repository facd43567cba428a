"""One look at one node, over real sockets."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed

from streamproxy.control.prober_probe import Look, look_at, tls_policy
from streamproxy.control.prober_talk import Finding
from streamproxy.model import ActiveCheck, ClientPolicy, Node, Probe, Report
from streamproxy.observe.sessions import SessionTable
from streamproxy.relay.engine import Engine
from streamproxy.relay.resolve import ResolutionError, Resolver
from tests.relay.loop import Loop
from tests.tls.pki import Authority, Issued

TCP = ActiveCheck(Probe.TCP, timeout=2.0)
HTTP = ActiveCheck(Probe.HTTP, timeout=2.0)
HTTPS = ActiveCheck(Probe.HTTPS, timeout=2.0)
UDP = ActiveCheck(Probe.UDP, timeout=2.0, send=b"ping", expect="pong")
NAMES = {"local.example": ("127.0.0.1",), "two.example": ("127.0.0.2", "127.0.0.1")}

Serve = Callable[[socket.socket], None]


@define
class Asker:
    """Looks at nodes, and turns the loop until something is found."""

    loop: Loop
    names: dict[str, Deferred[tuple[str, ...]]] = field(factory=dict)
    engine: Engine = field(init=False)
    found: list[Finding] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.engine = Engine(self.loop, Resolver(self._lookup, self.loop.seconds), SessionTable("t"), lambda: 0.0)

    def _lookup(self, host: str) -> Deferred[tuple[str, ...]]:
        if host in self.names:
            return self.names[host]
        return succeed(NAMES[host]) if host in NAMES else fail(ResolutionError("no such name"))

    def begin(self, node: Node, check: ActiveCheck) -> Look:
        look = look_at(self.engine, node, check, self.found.append)
        look.begin()
        return look

    def finding(self, node: Node, check: ActiveCheck) -> Finding:
        self.begin(node, check)
        self.loop.until(lambda: self.found, "something was found")
        self.is_over()
        return self.found[0]

    def is_over(self) -> None:
        """Nothing is left, but for what waits for the last acknowledgement of a connection that was reset."""
        self.loop.settle()
        self.loop.advance(10)
        self.loop.settle()
        self.engine.rest()
        assert self.loop.descriptors == 0
        assert self.loop.getDelayedCalls() == []
        assert len(self.found) <= 1, "it is told once"


@pytest.fixture
def asker() -> Iterator[Asker]:
    loop = Loop()
    yield Asker(loop)
    loop.close()


@contextmanager
def server(serve: Serve = lambda sock: None, context: ssl.SSLContext | None = None) -> Iterator[Node]:
    """A server that handles connections one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            while True:
                try:
                    sock, _ = listening.accept()
                except OSError:
                    return
                sock.settimeout(10)
                with sock, suppress(OSError):
                    if context is None:
                        serve(sock)
                    else:
                        with context.wrap_socket(sock, server_side=True) as wrapped:
                            serve(wrapped)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield Node("127.0.0.1", listening.getsockname()[1])
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def says(answer: bytes) -> Serve:
    """Hear something, say ``answer``, and wait until the other has gone."""

    def serve(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(answer)
        sock.recv(4096)

    return serve


def silent(sock: socket.socket) -> None:
    while sock.recv(4096):
        pass


def nobody() -> Node:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return Node("127.0.0.1", listening.getsockname()[1])


# TCP


def test_who_accepts_is_well(asker: Asker) -> None:
    with server() as node:
        assert asker.finding(node, TCP) == Finding(Report.SUCCESS, ip="127.0.0.1")


def test_who_refuses_is_not(asker: Asker) -> None:
    finding = asker.finding(nobody(), TCP)
    assert finding.report is Report.TCP_FAILURE
    assert "refused" in finding.detail


def test_another_port_may_be_asked(asker: Asker) -> None:
    with server() as node:
        assert asker.finding(evolve(nobody()), evolve(TCP, port=node.port)).report is Report.SUCCESS


def test_every_address_of_a_name_is_tried(asker: Asker) -> None:
    with server() as node:
        assert asker.finding(Node("two.example", node.port), TCP) == Finding(Report.SUCCESS, ip="127.0.0.1")


def test_a_name_that_nobody_knows(asker: Asker) -> None:
    finding = asker.finding(Node("nowhere.example", 1), TCP)
    assert finding.report is Report.TCP_FAILURE
    assert "nowhere.example" in finding.detail


def test_a_name_that_takes_too_long(asker: Asker) -> None:
    asker.names["slow.example"] = Deferred()
    asker.begin(Node("slow.example", 1), TCP)
    asker.loop.advance(2.0)
    assert [finding.report for finding in asker.found] == [Report.TIMEOUT]
    asker.names["slow.example"].callback(("127.0.0.1",))
    asker.is_over()


def test_an_answer_is_expected(asker: Asker) -> None:
    check = evolve(TCP, send=b"PING\r\n", expect=r"\+PONG")
    with server(says(b"+PONG\r\n")) as node:
        assert asker.finding(node, check).report is Report.SUCCESS


def test_another_answer_comes(asker: Asker) -> None:
    with server(lambda sock: sock.sendall(b"-LOADING\r\n")) as node:
        finding = asker.finding(node, evolve(TCP, expect=r"\+PONG"))
    assert finding.report is Report.TCP_FAILURE
    assert "LOADING" in finding.detail


def test_no_answer_comes(asker: Asker) -> None:
    with server(silent) as node:
        asker.begin(node, evolve(TCP, send=b"PING\r\n"))
        asker.loop.settle()
        assert asker.found == []
        asker.loop.advance(2.0)
        assert asker.found == [Finding(Report.TIMEOUT, "no answer in time", "127.0.0.1")]
        asker.is_over()


def test_it_hangs_up(asker: Asker) -> None:
    def reset(sock: socket.socket) -> None:
        sock.recv(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with server(reset) as node:
        finding = asker.finding(node, evolve(TCP, send=b"x" * 10))
    assert finding.report is Report.TCP_FAILURE
    assert finding.detail


def test_a_look_that_is_called_off_tells_nothing(asker: Asker) -> None:
    with server(silent) as node:
        look = asker.begin(node, evolve(TCP, send=b"PING\r\n"))
        asker.loop.settle()
        look.cancel()
        look.cancel()
        asker.is_over()
    assert asker.found == []


def test_so_does_one_that_has_not_connected_yet(asker: Asker) -> None:
    asker.names["slow.example"] = Deferred()
    for check in (TCP, UDP):
        look = asker.begin(Node("slow.example", 1), check)
        look.cancel()
    asker.names["slow.example"].callback(("127.0.0.1",))
    asker.is_over()
    assert asker.found == []


@pytest.mark.parametrize("check", [TCP, UDP])
def test_that_we_have_no_descriptor_left_says_nothing_of_the_node(
    asker: Asker, check: ActiveCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "socket", none_left)
    asker.begin(Node("127.0.0.1", 1), check)
    monkeypatch.undo()
    assert [finding.report for finding in asker.found] == [None]
    assert "Too many open files" in asker.found[0].detail
    asker.is_over()


def test_a_connection_to_itself_is_none(asker: Asker) -> None:
    """Where nobody listens the kernel may give our own end the very port that is asked."""
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        ours.connect(ours.getsockname())
        look = look_at(asker.engine, Node("127.0.0.1", 1), TCP, asker.found.append)
        look.connected(ours.dup())  # type: ignore[attr-defined]
    assert [(finding.report, finding.detail) for finding in asker.found] == [
        (Report.TCP_FAILURE, "Connection refused")
    ]


def test_a_connection_that_broke_at_once(asker: Asker) -> None:
    look = look_at(asker.engine, Node("127.0.0.1", 1), TCP, asker.found.append)
    look.connected(socket.socket())  # type: ignore[attr-defined]
    assert asker.found[0].report is Report.TCP_FAILURE


# HTTP


@pytest.mark.parametrize(
    ("answer", "report"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", Report.SUCCESS),
        (b"HTTP/1.1 503 Oh\r\n\r\n", Report.HTTP_FAILURE),
        (b"HTTP/1.1 418 Tea\r\n\r\n", None),
    ],
)
def test_a_status(asker: Asker, answer: bytes, report: Report | None) -> None:
    with server(says(answer)) as node:
        finding = asker.finding(node, HTTP)
    assert finding.report is report, finding


def test_what_is_asked(asker: Asker) -> None:
    heard: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        heard.append(sock.recv(4096))
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with server(serve) as node:
        asker.finding(node, evolve(HTTP, host="web.example", path="/health"))
    assert heard[0].startswith(f"GET /health HTTP/1.1\r\nHost: web.example:{node.port}\r\n".encode())


def test_a_body_without_end_is_not_read(asker: Asker) -> None:
    def serve(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(b"x" * 65536)

    with server(serve) as node:
        assert asker.finding(node, HTTP).report is Report.SUCCESS


# HTTPS


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.root("Root")


def served(directory: Path, issued: Issued) -> ssl.SSLContext:
    path = directory / "pair.pem"
    path.write_bytes(issued.key_pem + issued.chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize(
    ("name", "check", "report"),
    [
        ("web.example", HTTPS, Report.SUCCESS),
        ("other.example", HTTPS, Report.TCP_FAILURE),
        ("other.example", evolve(HTTPS, verify=False), Report.SUCCESS),
        ("other.example", evolve(HTTPS, host="other.example"), Report.SUCCESS),
        ("web.example", evolve(HTTPS, host="other.example"), Report.TCP_FAILURE),
    ],
)
def test_a_certificate(
    asker: Asker, authority: Authority, tmp_path: Path, name: str, check: ActiveCheck, report: Report
) -> None:
    context = served(tmp_path, authority.issue(name))
    with server(says(b"HTTP/1.1 200 OK\r\n\r\n"), context) as node:
        trusting = evolve(node, tls=ClientPolicy("web.example", ca=(authority.der,)))
        finding = asker.finding(trusting, check)
    assert finding.report is report, finding


def test_a_certificate_of_nobody(asker: Asker, authority: Authority, tmp_path: Path) -> None:
    with server(silent, served(tmp_path, authority.issue("127.0.0.1"))) as node:
        finding = asker.finding(node, HTTPS)
    assert finding.report is Report.TCP_FAILURE
    assert "certificate" in finding.detail


def test_who_does_not_speak_tls(asker: Asker) -> None:
    with server(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as node:
        assert asker.finding(node, evolve(HTTPS, verify=False)).report is Report.TCP_FAILURE


def test_who_does_not_shake_hands(asker: Asker) -> None:
    with server(silent) as node:
        asker.begin(node, HTTPS)
        asker.loop.settle()
        asker.loop.advance(2.0)
        assert [finding.report for finding in asker.found] == [Report.TIMEOUT]
        asker.is_over()


def test_the_name_is_the_nodes_unless_it_is_said() -> None:
    assert tls_policy(HTTPS, Node("a.example", 1)).server_name == "a.example"
    assert tls_policy(evolve(HTTPS, host="b.example"), Node("a.example", 1)).server_name == "b.example"
    node = Node("10.0.0.1", 1, tls=ClientPolicy("c.example", send_name="d.example", verify=False))
    assert tls_policy(HTTPS, node) == ClientPolicy("c.example", send_name="d.example", alpn=("http/1.1",))
    assert tls_policy(evolve(HTTPS, host="b.example"), node).send_name is None


# UDP


@contextmanager
def udp_server() -> Iterator[tuple[Node, socket.socket]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield Node("127.0.0.1", sock.getsockname()[1]), sock


@pytest.mark.parametrize("host", ["127.0.0.1", "local.example"])
def test_a_datagram_is_answered(asker: Asker, host: str) -> None:
    with udp_server() as (node, sock):
        asker.begin(evolve(node, host=host), UDP)
        data, peer = sock.recvfrom(100)
        assert data == b"ping"
        sock.sendto(b"what?", peer)
        asker.loop.settle()
        assert asker.found == [], "another answer may come"
        sock.sendto(b"pong", peer)
        asker.loop.until(lambda: asker.found, "something was found")
    assert asker.found == [Finding(Report.SUCCESS, ip="127.0.0.1")]
    asker.is_over()


def test_a_datagram_is_not_answered(asker: Asker) -> None:
    with udp_server() as (node, _):
        asker.begin(node, UDP)
        asker.loop.settle()
        asker.loop.advance(2.0)
    assert [finding.report for finding in asker.found] == [Report.TIMEOUT]
    asker.is_over()


def test_nobody_takes_datagrams(asker: Asker) -> None:
    with udp_server() as (node, _):
        pass
    finding = asker.finding(node, UDP)
    assert finding.report is Report.TCP_FAILURE
    assert "refused" in finding.detail


def test_a_name_for_datagrams_that_nobody_knows(asker: Asker) -> None:
    assert asker.finding(Node("nowhere.example", 1), UDP).report is Report.TCP_FAILURE


def test_a_name_for_datagrams_that_came_when_nothing_could_be_sent(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker.names["slow.example"] = Deferred()
    asker.begin(Node("slow.example", 1), UDP)
    asker.names["slow.example"].callback(("256.256.256.256",))
    assert [finding.report for finding in asker.found] == [Report.TCP_FAILURE]
    asker.is_over()


def test_events_that_tell_nothing(asker: Asker) -> None:
    """Of another descriptor that had the number, or of what was read already."""
    with udp_server() as (node, sock):
        look: Any = asker.begin(node, UDP)
        look.doRead()
        asker.engine.hub.removeReader(look)
        look.connectionLost(None)
        look.doWrite()
        assert asker.found == []
        peer = sock.recvfrom(100)[1]
        sock.sendto(b"pong", peer)
        asker.loop.until(lambda: asker.found, "it is still watched")
    look.doRead()
    look.connectionLost(None)
    assert look.fileno() == -1
    assert len(asker.found) == 1
    asker.is_over()


def test_what_comes_after_the_end_is_not_heard(asker: Asker) -> None:
    with server(says(b"PONG")) as node:
        look: Any = asker.begin(node, evolve(TCP, send=b"PING", expect="PONG"))
        asker.loop.until(lambda: asker.found, "something was found")
        look.received(b"more")
        look.ended()
        look.drained()
        look.lost("gone", reset=True)
        asker.is_over()
    assert [finding.report for finding in asker.found] == [Report.SUCCESS]
