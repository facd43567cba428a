"""One question to one server, over real sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Sequence

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred

from streamproxy.model import Address
from streamproxy.relay.dns.exchange import MOST_STRAY, Exchanges, ServerError
from streamproxy.relay.dns.message import A, Question, Reply

from .dns_wire import Answer, NameServer, address, asked_in, reply
from .loop import Loop

WWW = Question("www.example.test", A)
GOOD = address(WWW.name, "192.0.2.1")

Serve = Callable[..., NameServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[NameServer] = []

    def start(over_udp: Answer, over_tcp: Answer | None = None) -> NameServer:
        servers.append(NameServer(over_udp, over_tcp))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@define
class Asked:
    """A question on its way, and what came of it."""

    loop: Loop
    answer: Deferred[Reply]
    results: list[object] = field(factory=list)

    def result(self) -> Reply:
        self.loop.until(lambda: self.results, "the answer came")
        found = self.results[0]
        assert isinstance(found, Reply), found
        return found

    def problem(self) -> str:
        self.loop.until(lambda: self.results, "the question failed")
        error = getattr(self.results[0], "value", None)
        assert isinstance(error, ServerError), self.results
        return str(error)


def ask(loop: Loop, port: int, host: str = "127.0.0.1", numbers: Sequence[int] = (7, 8, 9)) -> Asked:
    left = list(numbers)
    answer = Exchanges(loop, lambda: left.pop(0))(Address(host, port), WWW, 3)
    asked = Asked(loop, answer)
    answer.addBoth(asked.results.append)
    return asked


def over(loop: Loop) -> None:
    """Nothing is left of the exchange."""
    assert loop.descriptors == 0
    assert loop.getDelayedCalls() == []


def answering(*records: bytes, flags: int = 0x8180, code: int = 0) -> Answer:
    def answer(data: bytes) -> Sequence[bytes]:
        number, question = asked_in(data)
        return [reply(question, *records, number=number, flags=flags, code=code)]

    return answer


def framed(answer: Answer) -> Answer:
    return lambda data: [struct.pack("!H", len(each)) + each for each in answer(data)]


TRUNCATED = answering(flags=0x8380)


def test_an_answer(loop: Loop, serve: Serve) -> None:
    server = serve(answering(GOOD))
    found = ask(loop, server.port).result()
    assert (found.id, [each.data for each in found.answers]) == (7, ["192.0.2.1"])
    over(loop)


def test_a_denial_is_an_answer(loop: Loop, serve: Serve) -> None:
    assert ask(loop, serve(answering(code=3)).port).result().code == 3


def test_what_is_no_answer_to_the_question_is_passed_over(loop: Loop, serve: Serve) -> None:
    def confusing(data: bytes) -> Sequence[bytes]:
        number, question = asked_in(data)
        evil = address(question.name, "192.0.2.66")
        return [
            reply(question, evil, number=number + 1),
            reply(Question("other.test", A), evil, number=number),
            reply(None, evil, number=number),
            b"noise",
            reply(question, GOOD, number=number),
        ]

    found = ask(loop, serve(confusing).port).result()
    assert [each.data for each in found.answers] == ["192.0.2.1"]
    over(loop)


def test_but_not_for_ever(loop: Loop, serve: Serve) -> None:
    asked = ask(loop, serve(lambda data: [b"noise"] * MOST_STRAY).port)
    assert "no answer" in asked.problem()
    over(loop)


def test_nobody_listens(loop: Loop) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert ask(loop, port).problem() == f"127.0.0.1:{port}: Connection refused"
    over(loop)


def test_silence(loop: Loop, serve: Serve) -> None:
    server = serve(lambda data: [])
    asked = ask(loop, server.port)
    loop.until(lambda: server.asked, "the server was asked")
    loop.advance(3)
    assert asked.problem() == f"127.0.0.1:{server.port}: no answer in 3 s"
    over(loop)


def test_whoever_cancels_hears_no_more(loop: Loop, serve: Serve) -> None:
    asked = ask(loop, serve(lambda data: []).port)
    asked.answer.cancel()
    over(loop)
    assert len(asked.results) == 1


def test_a_server_that_cannot_be_reached(loop: Loop) -> None:
    assert "255.255.255.255:53" in ask(loop, 53, "255.255.255.255").problem()
    over(loop)


def test_what_is_no_name_is_not_asked(loop: Loop) -> None:
    answer = Exchanges(loop, lambda: 1)(Address("127.0.0.1", 53), Question("a..b", A), 3)
    failures: list[object] = []
    answer.addErrback(failures.append)
    assert len(failures) == 1
    over(loop)


@pytest.mark.parametrize("code", [1, 4])
@pytest.mark.parametrize("repeats", [True, False])
def test_an_old_server_is_asked_again_in_its_own_words(loop: Loop, serve: Serve, code: int, repeats: bool) -> None:
    def old(data: bytes) -> Sequence[bytes]:
        number, question = asked_in(data)
        if data[11]:
            return [reply(question if repeats else None, number=number, code=code)]
        return [reply(question, GOOD, number=number)]

    server = serve(old)
    assert ask(loop, server.port).result().id == 8
    assert [data[11] for data in server.asked] == [1, 0]
    over(loop)


def test_one_that_understands_nothing_at_all(loop: Loop, serve: Serve) -> None:
    assert ask(loop, serve(answering(code=1)).port).result().code_name == "FORMERR"


# Over TCP


def test_what_is_too_long_comes_over_tcp(loop: Loop, serve: Serve) -> None:
    many = [address(WWW.name, f"10.0.{n // 250}.{n % 250}") for n in range(500)]
    server = serve(TRUNCATED, framed(answering(*many)))
    found = ask(loop, server.port).result()
    assert (found.id, len(found.answers)) == (8, 500)
    (sent,) = server.asked_over_tcp
    assert struct.unpack("!H", sent[:2]) == (len(sent) - 2,)
    over(loop)


def test_a_byte_at_a_time(loop: Loop, serve: Serve) -> None:
    def slowly(data: bytes) -> Sequence[bytes]:
        (whole,) = framed(answering(GOOD))(data)
        return [bytes([byte]) for byte in whole]

    assert ask(loop, serve(TRUNCATED, slowly).port).result().answers
    over(loop)


@pytest.mark.parametrize(
    ("over_tcp", "why"),
    [
        (framed(TRUNCATED), "no answer"),
        (framed(lambda data: [b"noise"]), "no answer"),
        (lambda data: [b"\xff\xff\0"], "closed"),
        (lambda data: [], "closed|reset"),
    ],
)
def test_no_answer_over_tcp_either(loop: Loop, serve: Serve, over_tcp: Answer, why: str) -> None:
    problem = ask(loop, serve(TRUNCATED, over_tcp).port).problem()
    assert any(word in problem for word in why.split("|")), problem
    over(loop)


def test_nobody_listens_over_tcp(loop: Loop, serve: Serve) -> None:
    assert "refused" in ask(loop, serve(TRUNCATED).port).problem()
    over(loop)


def test_a_lost_exchange_says_why(loop: Loop, serve: Serve) -> None:
    """Which of its events a reactor tells of an error is the reactor's choice."""
    asked = ask(loop, serve(lambda data: []).port)
    (reader,) = [each for each in loop._epoll.getReaders() if each.logPrefix() == "streamproxy"]
    reader.connectionLost(None)
    assert "the connection broke" in asked.problem()
    reader.connectionLost(None)
    reader.doRead()
    reader.doWrite()
    assert reader.fileno() == -1
    over(loop)
