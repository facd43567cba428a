"""The bounds, over real connections where bytes and closing matter, and in virtual time where seconds do."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock as VirtualClock
from twisted.internet.testing import StringTransport

from streamproxy.admin import site as site_module
from streamproxy.admin.site import CLOSE_TIMEOUT, MOST_DISCARDED, AdminSite

from .api import CLIENT, SETTINGS, Api

AUTH = b"Authorization: Basic " + base64.b64encode(":".join(CLIENT).encode()) + b"\r\n"
HOST = b"Host: 127.0.0.1\r\n"
MAX = SETTINGS.max_body
POST = b"POST /api/tcp/services HTTP/1.1\r\n" + HOST


class Wire(StringTransport):
    """A connection in memory that remembers how it ended."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass


class Caller:
    """One connection to a site, in virtual time."""

    def __init__(self, site: AdminSite) -> None:
        self.protocol = site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 40000))
        self.wire = Wire(peerAddress=IPv4Address("TCP", "127.0.0.1", 40000))
        self.protocol.makeConnection(self.wire)

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.protocol.dataReceived(piece)

    @property
    def closed(self) -> bool:
        return self.wire.disconnecting

    def codes(self) -> list[int]:
        return [int(code) for code in re.findall(rb"HTTP/1\.[01] ([0-9]+) ", self.wire.value())]

    def json(self) -> Any:
        return json.loads(self.wire.value().partition(b"\r\n\r\n")[2])


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def site(api: Api, clock: VirtualClock) -> AdminSite:
    return api.app.site(clock, timeout=60)


def body(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


def length(size: int) -> bytes:
    return b"Content-Length: %d\r\n" % size


def test_a_request_is_answered_and_the_connection_stays(site: AdminSite) -> None:
    caller = Caller(site)

    caller.send(b"GET /streamproxy/v1/live HTTP/1.1\r\n" + HOST + b"\r\n")
    caller.send(b"GET /streamproxy/v1/live HTTP/1.1\r\n" + HOST + b"\r\n")

    assert caller.codes() == [200, 200]
    assert not caller.closed


def test_an_old_client_names_no_host(site: AdminSite) -> None:
    caller = Caller(site)

    caller.send(b"GET /streamproxy/v1/live HTTP/1.0\r\n\r\n")

    assert caller.codes() == [200]
    assert caller.closed


def test_the_answer_to_head_has_the_length_of_the_one_to_get(site: AdminSite) -> None:
    get, head = Caller(site), Caller(site)

    get.send(b"GET /api/tcp/services HTTP/1.1\r\n" + HOST + AUTH + b"\r\n")
    head.send(b"HEAD /api/tcp/services HTTP/1.1\r\n" + HOST + AUTH + b"\r\n")

    assert get.wire.value().endswith(b"\r\n\r\n[]")
    assert head.wire.value().endswith(b"\r\n\r\n")
    for caller in (get, head):
        assert b"\r\nContent-Length: 2\r\n" in caller.wire.value()


def test_a_body_as_large_as_it_may_be(site: AdminSite) -> None:
    caller = Caller(site)

    caller.send(POST + AUTH + length(MAX) + b"\r\n", body(MAX))

    assert caller.codes() == [400], "it was not looked at"


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_body_that_is_a_byte_too_large(site: AdminSite, pieces: int) -> None:
    caller = Caller(site)
    data = body(MAX + 1)
    step = -(-len(data) // pieces)

    caller.send(POST + AUTH + length(len(data)) + b"\r\n")
    caller.send(*(data[start : start + step] for start in range(0, len(data), step)))

    assert caller.codes() == [413]
    assert caller.json()["error"] == "too_large"
    assert str(MAX) in caller.json()["error_description"]


def test_chunks_that_are_too_much(site: AdminSite) -> None:
    caller = Caller(site)
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"

    caller.send(POST + AUTH + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 4, b"0\r\n\r\n")

    assert caller.codes() == [413]


def test_what_is_too_much_is_not_kept(site: AdminSite) -> None:
    caller = Caller(site)
    caller.send(POST + AUTH + b"Transfer-Encoding: chunked\r\n\r\n")
    request = caller.protocol.requests[0]

    for _ in range(8):
        caller.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        assert len(request.content.getvalue()) <= MAX


def test_chunks_without_end(site: AdminSite) -> None:
    caller = Caller(site)
    caller.send(POST + AUTH + b"Transfer-Encoding: chunked\r\n\r\n")

    sent = 0
    while not caller.closed:
        caller.send(b"40000\r\n" + b"x" * 0x40000 + b"\r\n")
        sent += 0x40000

    assert caller.codes() == [413]
    assert sent <= MAX + MOST_DISCARDED + 0x40000
    caller.send(b"40000\r\n" + b"x" * 0x40000 + b"\r\n0\r\n\r\n")
    assert caller.codes() == [413], "it was answered twice"


def test_a_body_announced_far_too_large_is_not_waited_for(site: AdminSite) -> None:
    caller = Caller(site)

    caller.send(POST + AUTH + length(10**12) + b"\r\n")

    assert caller.codes() == [413]
    assert caller.closed


def test_who_asks_first_is_told_first(site: AdminSite) -> None:
    welcome, unwelcome = Caller(site), Caller(site)

    welcome.send(POST + AUTH + length(10) + b"Expect: 100-continue\r\n\r\n")
    unwelcome.send(POST + AUTH + length(MAX + 1) + b"Expect: 100-continue\r\n\r\n")

    assert welcome.codes() == [100]
    assert unwelcome.codes() == [413]
    assert unwelcome.closed


def test_the_body_of_a_stranger_is_not_kept(site: AdminSite) -> None:
    caller = Caller(site)
    caller.send(POST + length(1000) + b"\r\n", b"x" * 999)

    assert caller.protocol.requests[0].content.getvalue() == b""

    caller.send(b"x")

    assert caller.codes() == [401]


def test_a_stranger_who_asks_first_is_counted(api: Api, site: AdminSite) -> None:
    caller = Caller(site)

    caller.send(POST + length(1000) + b"Expect: 100-continue\r\n\r\n")

    assert caller.codes() == [401]
    assert caller.json()["error"] == "unauthorized"
    assert api.app.failed_logins == 1


def test_somebody_from_elsewhere_who_asks_first(clock: VirtualClock) -> None:
    api = Api(settings=evolve(SETTINGS, allow=(ip_network("10.0.0.0/8"),)))
    caller = Caller(api.app.site(clock))

    caller.send(POST + AUTH + length(1000) + b"Expect: 100-continue\r\n\r\n")

    assert caller.codes() == [403]
    assert api.app.failed_logins == 0


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        POST + AUTH + b"Content-Length: x\r\n\r\n",
        b"GET " + b"/" * 17000,
    ],
)
def test_what_is_no_http(site: AdminSite, data: bytes) -> None:
    caller = Caller(site)

    caller.send(data + b"\r\n")

    assert caller.closed
    assert caller.codes() in ([400], [])


def test_a_request_has_to_arrive_in_time_as_a_whole(site: AdminSite, clock: VirtualClock) -> None:
    caller = Caller(site)
    caller.send(POST + AUTH + length(1000) + b"\r\n")

    for _ in range(11):
        clock.advance(5)
        caller.send(b"x")
        assert not caller.closed
    clock.advance(5)

    assert caller.closed


def test_headers_have_to_arrive_in_time_too(site: AdminSite, clock: VirtualClock) -> None:
    caller = Caller(site)
    caller.send(b"GET / HTTP/1.1\r\n")

    for _ in range(12):
        clock.advance(5)
        caller.send(b"X-More: and more\r\n")

    assert caller.closed


def test_who_waits_before_asking_has_the_whole_time_to_ask(site: AdminSite, clock: VirtualClock) -> None:
    caller = Caller(site)

    clock.advance(50)
    caller.send(b"GET /streamproxy/v1/live HTTP/1.1\r\n")
    clock.advance(50)
    caller.send(HOST + b"\r\n")

    assert caller.codes() == [200]


def test_who_does_not_take_the_answer_is_cut_off(site: AdminSite, clock: VirtualClock) -> None:
    caller = Caller(site)
    caller.send(b"GET /streamproxy/v1/live HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")

    assert caller.closed
    clock.advance(CLOSE_TIMEOUT - 1)
    assert not caller.wire.aborted
    clock.advance(1)
    assert caller.wire.aborted


def test_who_is_refused_early_and_does_not_take_that_is_cut_off_once(site: AdminSite, clock: VirtualClock) -> None:
    caller = Caller(site)
    caller.send(POST + AUTH + length(10**12) + b"\r\n")

    clock.advance(CLOSE_TIMEOUT)
    assert caller.wire.aborted
    caller.wire.aborted = False
    clock.advance(60 - CLOSE_TIMEOUT)

    assert caller.codes() == [413]
    assert not caller.wire.aborted


def test_nothing_is_left_running_when_a_connection_is_gone(site: AdminSite, clock: VirtualClock) -> None:
    caller = Caller(site)
    caller.send(b"GET /streamproxy/v1/live HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")

    caller.protocol.connectionLost()

    assert clock.getDelayedCalls() == []


def test_connections_are_counted(site: AdminSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_module, "MOST_CONNECTIONS", 2)
    callers = [Caller(site), Caller(site)]

    assert site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)) is None
    callers[0].protocol.connectionLost()
    assert site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)) is not None


def test_the_site_starts_nothing_of_its_own(site: AdminSite, clock: VirtualClock) -> None:
    site.startFactory()

    assert clock.getDelayedCalls() == []
    site.stopFactory()
    assert site.acceptableProtocols() == [b"http/1.1"]


PIECES = st.lists(
    st.binary(max_size=40)
    | st.sampled_from(
        [
            b"GET / HTTP/1.1\r\n",
            POST,
            AUTH,
            HOST,
            b"Host: \xff\r\n",
            b"Content-Length: 3\r\n",
            b"Content-Length: 99999999999\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Expect: 100-continue\r\n",
            b"Origin: http://[\r\n",
            b"3\r\nabc\r\n",
            b"0\r\n\r\n",
            b"\r\n",
        ]
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(PIECES)
def test_no_bytes_upset_it(pieces: list[bytes]) -> None:
    caller = Caller(Api().app.site(VirtualClock()))

    for piece in pieces:
        if not caller.closed:
            caller.send(piece)

    assert all(code < 500 for code in caller.codes())


# Over real sockets: what a client sees that sends everything before it reads anything.


@pytest.fixture
def port() -> Iterator[int]:
    """A real site on a real port, its reactor in a thread of its own."""
    from twisted.internet.selectreactor import SelectReactor

    reactor = SelectReactor()
    ready = threading.Event()
    ports: list[int] = []

    def listen() -> None:
        listening: Any = reactor.listenTCP(0, Api().app.site(reactor), interface="127.0.0.1")
        ports.append(listening.getHost().port)
        ready.set()

    reactor.callWhenRunning(listen)
    thread = threading.Thread(target=reactor.run, kwargs={"installSignalHandlers": False})
    thread.start()
    assert ready.wait(30), "the reactor did not start"
    yield ports[0]
    stop: Callable[[], object] = reactor.stop
    reactor.callFromThread(stop)
    thread.join(30)


def exchange(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def test_a_client_that_sends_all_of_a_large_body_reads_its_answer(port: int) -> None:
    data = body(MOST_DISCARDED)

    answer = exchange(port, POST + AUTH + b"Connection: close\r\n" + length(len(data)) + b"\r\n" + data)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"too_large" in answer


def test_a_service_is_created_over_a_socket(port: int) -> None:
    data = json.dumps({"name": "a", "description": "b", "port": 1234}).encode()

    answer = exchange(port, POST + AUTH + b"Connection: close\r\n" + length(len(data)) + b"\r\n" + data)

    assert answer.startswith(b"HTTP/1.1 201 ")
