"""What is said to a node to find out how it is, and what its answer means. No sockets here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol
from urllib.parse import quote

import re2
from attrs import frozen

from .. import __version__
from ..model import ActiveCheck, Node, Probe, Report
from ..rules.regex import MAX_LENGTH, MAX_MEMORY

# Bytes of an answer that are looked at.
MAX_ANSWER = 16384

# What may stand in a request target as it is (RFC 3986, 3.3 and 3.4); ``%`` because it may be escaped already.
_TARGET = "/%:@!$&'()*+,;=~-._?[]"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])(?: [^\r\n]*)?\r?")
_BLANK_LINE = re.compile(rb"\n\r?\n")


@frozen
class Finding:
    """
    How a node was found. ``report`` is ``None`` where nothing was found out: it counts for nothing. ``ip`` is where the
    node was asked, where that is known; ``detail`` says what was wrong.
    """

    report: Report | None
    detail: str = ""
    ip: str = ""


WELL = Finding(Report.SUCCESS)


class Talk(Protocol):
    """One conversation. The first finding ends it."""

    opening: bytes

    def heard(self, data: bytes) -> Finding | None:
        """The node said this. ``None``: it may say more."""
        ...

    def ended(self) -> Finding:
        """It will say no more."""
        ...

    def expired(self) -> Finding:
        """The time is over."""
        ...


class Expectation:
    """
    Says ``send`` and waits for an answer in which ``expect``, an RE2 expression over bytes, is found. What the
    expression says in other than ASCII stands for its bytes in UTF-8. A ``stream`` is searched as a whole, datagrams
    one by one. Raises ``ValueError`` for an expression that RE2 does not take.
    """

    def __init__(self, send: bytes, expect: str, *, stream: bool) -> None:
        self.opening = send
        self._expect = expect
        self._pattern = compile_expression(expect)
        self._stream = stream
        self._window = b""

    def heard(self, data: bytes) -> Finding | None:
        self._window = self._window + data if self._stream else data
        if self._pattern.search(self._window[:MAX_ANSWER]):
            return WELL
        if self._stream and len(self._window) >= MAX_ANSWER:
            return Finding(Report.TCP_FAILURE, f"{self._expect!r} is not in the first {MAX_ANSWER} bytes")
        return None

    def ended(self) -> Finding:
        if self._window:
            return Finding(Report.TCP_FAILURE, self._unexpected())
        return Finding(Report.TCP_FAILURE, "closed without an answer")

    def expired(self) -> Finding:
        if self._window:
            return Finding(Report.TCP_FAILURE, self._unexpected())
        return Finding(Report.TIMEOUT, "no answer in time")

    def _unexpected(self) -> str:
        return f"answered {self._window[:40]!r}, in which {self._expect!r} is not found"


class HttpQuestion:
    """An HTTP/1.1 request; the status of the answer is all that counts."""

    def __init__(self, opening: bytes, healthy: frozenset[int], unhealthy: frozenset[int]) -> None:
        self.opening = opening
        self._healthy = healthy
        self._unhealthy = unhealthy
        self._window = b""

    def heard(self, data: bytes) -> Finding | None:
        self._window += data
        while b"\n" in self._window:
            line = self._window.partition(b"\n")[0]
            status = _STATUS_LINE.fullmatch(line)
            if status is None:
                return Finding(Report.HTTP_FAILURE, f"answered {line[:40]!r}, which is not HTTP/1.1")
            code = int(status[1])
            # Interim answers (RFC 9110, 15.2), but for the one that ends HTTP.
            if code >= 200 or code == 101:
                return self._judge(code)
            blank = _BLANK_LINE.search(self._window)
            if blank is None:
                break
            self._window = self._window[blank.end() :]
        if len(self._window) >= MAX_ANSWER:
            return Finding(Report.HTTP_FAILURE, f"no answer in the first {MAX_ANSWER} bytes")
        return None

    def _judge(self, code: int) -> Finding:
        if code in self._healthy:
            return WELL
        if code in self._unhealthy:
            return Finding(Report.HTTP_FAILURE, f"answered with status {code}")
        return Finding(None, f"answered with status {code}, which says nothing")

    def ended(self) -> Finding:
        return Finding(Report.TCP_FAILURE, "closed without an answer")

    def expired(self) -> Finding:
        return Finding(Report.TIMEOUT, "no answer in time")


def talk_of(check: ActiveCheck, node: Node) -> Talk | None:
    """What ``node`` is asked; ``None`` where a connection is all that is asked for."""
    if check.probe in (Probe.HTTP, Probe.HTTPS):
        return HttpQuestion(http_request(check, node), check.healthy_statuses, check.unhealthy_statuses)
    if check.probe is Probe.TCP and not check.send and not check.expect:
        return None
    return Expectation(check.send, check.expect, stream=check.probe is Probe.TCP)


def http_request(check: ActiveCheck, node: Node) -> bytes:
    """The request. Header fields that could not be sent as one line are left out."""
    port = check.port or node.port
    host = check.host or node.host
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    if port != (443 if check.probe is Probe.HTTPS else 80):
        host = f"{host}:{port}"
    body = check.body.encode("utf-8", "replace")
    ours = {
        "Host": host,
        "User-Agent": f"streamproxy/{__version__} (health check)",
        "Accept": "*/*",
        "Connection": "close",
    }
    if body or check.method in ("POST", "PUT", "PATCH"):
        ours["Content-Length"] = str(len(body))
    said = list(_sendable(check.headers))
    names = {name.lower() for name, _ in said}
    fields = [field for field in ours.items() if field[0].lower() not in names] + said
    method = check.method if _TOKEN.fullmatch(check.method) else "GET"
    path = quote(check.path, safe=_TARGET, errors="replace")
    if not path.startswith("/"):
        path = f"/{path}"
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(head).encode("utf-8", "replace") + body


def _sendable(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for name, value in headers:
        if _TOKEN.fullmatch(name) and _FIELD.fullmatch(value):
            yield name, value.strip()


def compile_expression(text: str) -> re2._Regexp:
    """Raises ``ValueError`` when RE2 does not take it."""
    options = re2.Options()
    # Bytes, whatever they are; UTF-8 would pass over those that are not text.
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the expression has {len(text)} characters, more than {MAX_LENGTH}")
    try:
        return re2.compile(text.encode("utf-8", "replace"), options)
    except re2.error as error:
        why = error.args[0]
        why = why.decode("utf-8", "replace") if isinstance(why, bytes) else why
        raise ValueError(f"{text!a:.200} is no expression: {why}") from error
