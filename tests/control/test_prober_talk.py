"""What is said to nodes, and what their answers mean."""

from __future__ import annotations

from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.control.prober_talk import (
    MAX_ANSWER,
    WELL,
    Expectation,
    Finding,
    HttpQuestion,
    Talk,
    http_request,
    talk_of,
)
from streamproxy.model import ActiveCheck, Node, Probe, Report

NODE = Node("web.example", 8080)
HTTP = ActiveCheck(Probe.HTTP)


def question(healthy: tuple[int, ...] = (200,), unhealthy: tuple[int, ...] = (500,)) -> HttpQuestion:
    return HttpQuestion(b"", frozenset(healthy), frozenset(unhealthy))


def first(talk: Talk, *pieces: bytes) -> Finding | None:
    for piece in pieces:
        finding = talk.heard(piece)
        if finding is not None:
            return finding
    return None


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


# HTTP: the request


def test_a_request_says_who_asks_whom() -> None:
    head, _, body = http_request(HTTP, NODE).decode().partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    assert line == "GET / HTTP/1.1"
    assert "Host: web.example:8080" in fields
    assert "Connection: close" in fields
    assert [field for field in fields if field.startswith("User-Agent: streamproxy/")]
    assert body == ""


@pytest.mark.parametrize(
    ("check", "node", "host"),
    [
        (HTTP, Node("a.example", 80), "a.example"),
        (evolve(HTTP, probe=Probe.HTTPS), Node("a.example", 443), "a.example"),
        (evolve(HTTP, probe=Probe.HTTPS), Node("a.example", 80), "a.example:80"),
        (evolve(HTTP, host="b.example", port=80), Node("a.example", 8080), "b.example"),
        (HTTP, Node("::1", 8080), "[::1]:8080"),
        (evolve(HTTP, headers=(("host", "c.example"),)), Node("a.example", 80), "c.example"),
    ],
)
def test_the_host_that_is_asked_for(check: ActiveCheck, node: Node, host: str) -> None:
    fields = http_request(check, node).decode().split("\r\n")
    assert [field.partition(":")[2].strip() for field in fields if field.lower().startswith("host:")] == [host]


def test_a_request_with_everything() -> None:
    check = evolve(
        HTTP, method="POST", path="health?deep=1&x=%20", body="häh?", headers=(("User-Agent", "me"), ("X-A", " b "))
    )
    head, _, body = http_request(check, NODE).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /health?deep=1&x=%20 HTTP/1.1"
    assert "Content-Length: 5" in lines
    assert lines[-2:] == ["User-Agent: me", "X-A: b"]
    assert len([line for line in lines if line.lower().startswith("user-agent")]) == 1
    assert body == "häh?".encode()


@given(
    method=st.text(max_size=8),
    path=st.text(max_size=20),
    headers=st.lists(st.tuples(st.text(max_size=8), st.text(max_size=20)), max_size=3),
)
def test_nothing_gets_a_line_of_its_own(method: str, path: str, headers: list[tuple[str, str]]) -> None:
    said = http_request(evolve(HTTP, method=method, path=path, headers=tuple(headers)), NODE)
    head, blank, rest = said.partition(b"\r\n\r\n")
    assert (blank, rest) == (b"\r\n\r\n", b"")
    line, *fields = head.split(b"\r\n")
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert len(line.split(b" ")) == 3, "method, target and version"
    assert len(fields) <= 5 + len(headers)
    assert all(b":" in field for field in fields)


# HTTP: the answer


@pytest.mark.parametrize(
    ("answer", "report"),
    [
        (b"HTTP/1.1 200 OK\r\n", Report.SUCCESS),
        (b"HTTP/1.0 200\r\n", Report.SUCCESS),
        (b"HTTP/1.1 200 \n", Report.SUCCESS),
        (b"HTTP/1.1 500 Oh\r\n", Report.HTTP_FAILURE),
        (b"HTTP/1.1 418 I'm a teapot\r\n", None),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", Report.SUCCESS),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 500 Oh\r\n", Report.HTTP_FAILURE),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Report.HTTP_FAILURE),
        (b"HTTP/2.0 200 OK\r\n", Report.HTTP_FAILURE),
        (b"HTTP/1.1 20 OK\r\n", Report.HTTP_FAILURE),
        (b"\n", Report.HTTP_FAILURE),
    ],
)
def test_what_an_answer_means(answer: bytes, report: Report | None) -> None:
    finding = question().heard(answer)
    assert finding is not None
    assert finding.report is report, finding.detail
    assert (finding.detail == "") is (report is Report.SUCCESS)


def test_switching_protocols_is_an_answer() -> None:
    assert question(healthy=(101,)).heard(b"HTTP/1.1 101 Switching Protocols\r\n") == WELL


def test_half_an_answer_is_none_yet() -> None:
    asked = question()
    assert asked.heard(b"HTTP/1.1 20") is None
    assert asked.ended().report is Report.TCP_FAILURE
    assert asked.expired().report is Report.TIMEOUT


@pytest.mark.parametrize("piece", [b"x" * 1000, b"HTTP/1.1 100 Continue\r\nX: y\r\n"])
def test_who_says_much_and_answers_nothing(piece: bytes) -> None:
    finding = first(question(), *[piece] * (2 * MAX_ANSWER // len(piece)))
    assert finding is not None
    assert finding.report is Report.HTTP_FAILURE
    assert len(finding.detail) < 200


@given(st.lists(st.integers(0, 60)))
def test_an_answer_may_come_in_pieces(cuts: list[int]) -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\nbody"
    assert first(question(), *pieces(answer, cuts)) == WELL


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_nothing_that_is_said_is_too_strange(answer: bytes, cuts: list[int]) -> None:
    finding = first(question(), *pieces(b"HTTP/1.1 1" + answer, cuts))
    assert finding is None or finding.report is not Report.SUCCESS or b" 200" in answer


# Send and expect


def test_an_answer_that_is_expected() -> None:
    talk = Expectation(b"PING\r\n", r"^\+PONG", stream=True)
    assert talk.opening == b"PING\r\n"
    assert first(talk, b"+PO", b"NG\r\n") == WELL


def test_an_answer_that_is_not() -> None:
    talk = Expectation(b"PING\r\n", r"^\+PONG", stream=True)
    assert first(talk, b"-LOADING\r\n") is None
    for finding in (talk.ended(), talk.expired()):
        assert finding.report is Report.TCP_FAILURE
        assert "LOADING" in finding.detail


def test_no_answer() -> None:
    talk = Expectation(b"PING\r\n", "", stream=True)
    assert talk.ended() == Finding(Report.TCP_FAILURE, "closed without an answer")
    assert talk.expired() == Finding(Report.TIMEOUT, "no answer in time")


def test_any_answer_will_do_where_none_is_described() -> None:
    assert Expectation(b"x", "", stream=True).heard(b"\xff\x00") == WELL
    assert Expectation(b"x", "", stream=False).heard(b"") == WELL


def test_bytes_are_bytes() -> None:
    assert Expectation(b"", r"\xff\x00\xfe", stream=True).heard(b"..\xff\x00\xfe..") == WELL
    assert Expectation(b"", "grün", stream=True).heard("alles grün".encode()) == WELL


def test_datagrams_are_looked_at_one_by_one() -> None:
    talk = Expectation(b"", "ab", stream=False)
    assert first(talk, b"a", b"b") is None
    assert first(talk, b"ab") == WELL


def test_a_stream_is_searched_up_to_a_bound() -> None:
    talk = Expectation(b"", "needle", stream=True)
    finding = first(talk, *[b"hay" * 100] * (MAX_ANSWER // 100))
    assert finding is not None
    assert finding.report is Report.TCP_FAILURE


@pytest.mark.parametrize("expression", ["(", "a{1000}{1000}", "x" * 5000])
def test_an_expression_that_is_none(expression: str) -> None:
    with pytest.raises(ValueError, match="expression"):
        Expectation(b"", expression, stream=True)


def test_who_is_asked_how() -> None:
    assert talk_of(ActiveCheck(Probe.TCP), NODE) is None, "a connection is enough"
    assert isinstance(talk_of(ActiveCheck(Probe.TCP, send=b"x"), NODE), Expectation)
    assert isinstance(talk_of(ActiveCheck(Probe.TCP, expect="x"), NODE), Expectation)
    assert isinstance(talk_of(ActiveCheck(Probe.UDP), NODE), Expectation)
    assert isinstance(talk_of(ActiveCheck(Probe.HTTPS), NODE), HttpQuestion)
