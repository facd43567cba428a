"""The access log, sent to a server."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest
from attrs import define, field
from twisted.internet import error
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from streamproxy.control import remotelog
from streamproxy.control.remotelog import HttpTransmitter, PostError, RemoteLog
from streamproxy.observe.jsonline import json_line
from streamproxy.observe.logtarget import HttpTarget, SyslogTarget
from tests.observe.records import RECORD


@define
class Response:
    code: int
    length: int = 0
    protocol: Any = None

    def deliverBody(self, protocol: Any) -> None:
        self.protocol = protocol


@define
class Agent:
    """A web server that says what it was told to, and remembers what it was sent."""

    answers: list[Any]
    posted: list[tuple[bytes, str, bytes]] = field(factory=list)

    def request(self, method: bytes, url: bytes, headers: Any, producer: Any) -> Deferred[Any]:
        transport = StringTransport()
        assert producer.startProducing(transport).called
        assert producer.length == len(transport.value())
        producer.stopProducing()
        self.posted.append((url, headers.getRawHeaders("Content-Type")[0], transport.value()))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            return fail(answer)
        return Deferred() if answer is None else succeed(answer)


def post(agent: Agent, lines: deque[bytes], are_json: bool = True, clock: Clock | None = None) -> list[Any]:
    results: list[Any] = []
    transmitter = HttpTransmitter(agent, clock or Clock(), "https://a/in", are_json)
    transmitter.send(lines).addBoth(results.append)
    transmitter.close()
    return results


def test_json_is_posted_as_an_array() -> None:
    agent, lines = Agent([Response(204)]), deque([b'{"a":1}', b'{"a":2}'])
    assert post(agent, lines) == [None]
    ((url, content_type, body),) = agent.posted
    assert (url, content_type, json.loads(body)) == (b"https://a/in", "application/json", [{"a": 1}, {"a": 2}])
    assert not lines


def test_text_is_posted_as_lines() -> None:
    agent = Agent([Response(200)])
    post(agent, deque([b"a", b"b"]), are_json=False)
    assert agent.posted == [(b"https://a/in", "text/plain; charset=utf-8", b"a\nb\n")]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Response(500), PostError),
        (Response(302), PostError),
        (error.ConnectionRefusedError(), error.ConnectionRefusedError),
    ],
)
def test_what_was_not_taken_is_kept(answer: Any, kind: type[Exception]) -> None:
    lines = deque([b"{}"])
    (failure,) = post(Agent([answer]), lines)
    assert isinstance(failure, Failure)
    assert failure.check(kind)
    assert list(lines) == [b"{}"]


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    clock = Clock()
    results = post(Agent([None]), deque([b"{}"]), clock=clock)
    assert results == []
    clock.advance(remotelog.PATIENCE)
    assert isinstance(results[0], Failure)


def test_not_much_of_an_answer_is_read() -> None:
    response = Response(200, length=10**9)
    post(Agent([response]), deque([b"{}"]))
    transport = StringTransport()
    response.protocol.makeConnection(transport)
    response.protocol.dataReceived(b"x" * 65_536)
    assert not transport.disconnecting
    response.protocol.dataReceived(b"x")
    assert transport.disconnecting
    response.protocol.connectionLost(Failure(ResponseDone()))


# The log


class TcpTransport(StringTransport):
    """One of a TCP connection."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """It stays here."""


def test_lines_are_sent_together() -> None:
    reactor: Any = MemoryReactorClock()
    log = RemoteLog(reactor, SyslogTarget("127.0.0.1", 514, "tcp"), json_line, "json", lambda: 0.0)
    log.start()
    log.write(RECORD)
    log.reopen()
    assert not reactor.tcpClients
    reactor.advance(1.0)
    host, port, factory = reactor.tcpClients[0][:3]
    assert (host, port) == ("127.0.0.1", 514)
    transport = TcpTransport()
    protocol = factory.buildProtocol(None)
    protocol.makeConnection(transport)
    head, _, line = transport.value().partition(b" - - ")
    assert head.startswith(b"<190>1 1970-01-01T00:00:00.000Z - streamproxy ")
    assert json.loads(line)["id"] == RECORD.id
    log.stop()


def test_a_server_that_takes_nothing_costs_no_more_than_a_megabyte() -> None:
    reactor: Any = MemoryReactorClock()
    log = RemoteLog(reactor, HttpTarget("http://127.0.0.1:1/"), lambda _: "x" * 100_000, "$id", lambda: 0.0)
    for _ in range(30):
        log.write(RECORD)
    assert log.lost == 20


class UdpReactor(MemoryReactorClock):
    """Remembers which datagrams were sent where."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[bytes, tuple[str, int]]] = []

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        protocol.makeConnection(self)
        return self

    def write(self, datagram: bytes, address: tuple[str, int]) -> None:
        self.sent.append((datagram, address))

    def stopListening(self) -> None:
        """Nothing is open."""


def test_what_waits_is_sent_at_the_end() -> None:
    reactor: Any = UdpReactor()
    log = RemoteLog(reactor, SyslogTarget("127.0.0.1", 514), json_line, "json", lambda: 0.0)
    log.write(RECORD)
    assert reactor.sent == []
    log.stop()
    ((datagram, address),) = reactor.sent
    assert (address, datagram[:5]) == (("127.0.0.1", 514), b"<190>")
    assert not datagram.endswith(b"\n")
