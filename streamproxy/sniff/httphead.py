"""The host an HTTP/1 client asks for, read from its request head."""

from __future__ import annotations

import re

from attrs import frozen

from .names import normalize_name
from .verdict import Hit, Miss, Need, Verdict, Window

MAX_HEAD = 65536
"""Bytes of one request head, its blank line included. Servers in use take 8 to 64 KiB."""

MAX_METHOD = 20
"""The longest method in IANA's registry, UPDATEREDIRECTREF, has 17 characters."""

_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]*")
_TARGET = re.compile(rb"[^\x00-\x20\x7f]*")
_VERSION = re.compile(rb"HTTP/([0-9])\.[0-9]\r?\n")
_VERSION_LENGTH = len(b"HTTP/1.1\r\n")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_HOST_LINE = re.compile(rb"\nhost:([^\n]*)", re.IGNORECASE)
_ABSOLUTE_FORM = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
_AUTHORITY = re.compile(rb"(\[[^\]]*\]|[^:]*)(?::[0-9]{0,5})?")

_FAULTS = (
    (re.compile(rb"\0"), "the request head holds a NUL"),
    (re.compile(rb"\r(?!\n)"), "the request head holds a CR without its LF"),
    (re.compile(rb"\n[ \t]"), "a header line is folded"),
    (re.compile(rb"\n[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]+:"), "a header name is followed by a space"),
    (re.compile(rb"\n(?![!#$%&'*+.^_`|~0-9A-Za-z-]+:|\Z)"), "a header line has no name"),
)
"""What makes recipients disagree about the header lines (RFC 9112 sections 2.2, 5.1, 5.2), each line after its LF."""


@frozen
class HttpHead:
    """``host`` is normalised and without its port; ``None`` when the request names none."""

    method: str
    host: str | None


@frozen
class _RequestLine:
    method: bytes
    target: bytes


def sniff_http_host(window: Window) -> Verdict[HttpHead]:
    """
    Read the head of an HTTP/1.0 or HTTP/1.1 request (RFC 9112); a bare LF ends a line as well as CRLF does.

    The whole head has to be there, because a second ``Host`` line makes the request one to refuse (section 3.2). An
    authority in the request target wins over ``Host`` (section 3.2.2). ``consumed`` is the head with its blank line.
    """
    data = bytes(window[:MAX_HEAD])
    line = _read_request_line(data)
    if isinstance(line, Miss):
        return line
    if isinstance(line, Hit):
        blank = _BLANK_LINE.search(data, line.consumed - 1)
        if blank:
            head = _read_head(line.value, data[line.consumed - 1 : blank.start() + 1])
            return head if isinstance(head, Miss) else Hit(head, blank.end())
    if len(data) == MAX_HEAD:
        return Miss(f"the request head is longer than {MAX_HEAD} bytes")
    return Need(len(data) + 1)


def _read_request_line(data: bytes) -> Verdict[_RequestLine]:
    """Method, target and version, each judged as soon as it can be."""
    method_end = _span(_METHOD, data, 0)
    if method_end > MAX_METHOD:
        return Miss("the first word is too long for an HTTP method")
    if method_end == len(data):
        return Need(len(data) + 1)
    if method_end == 0 or data[method_end] != ord(" "):
        return Miss("the first bytes are no HTTP method")
    target_end = _span(_TARGET, data, method_end + 1)
    if target_end == len(data):
        return Need(len(data) + 1)
    if target_end == method_end + 1 or data[target_end] != ord(" "):
        return Miss("the request line does not go on with a target and a version")
    line = _RequestLine(data[:method_end], data[method_end + 1 : target_end])
    ending = data[target_end + 1 : target_end + 1 + _VERSION_LENGTH]
    version = _VERSION.match(ending)
    if version is None:
        if len(ending) < _VERSION_LENGTH and b"\n" not in ending and b"HTTP/".startswith(ending[:5]):
            return Need(len(data) + 1)
        return Miss("the request line does not end with an HTTP version")
    if version[1] == b"2" and line == _RequestLine(b"PRI", b"*"):
        return Miss("HTTP/2 without TLS names its host too late")
    if version[1] != b"1":
        return Miss("the HTTP version is neither 1.0 nor 1.1")
    return Hit(line, target_end + 1 + version.end())


def _span(pattern: re.Pattern[bytes], data: bytes, start: int) -> int:
    """Where the run of ``pattern`` that starts at ``start`` ends."""
    match = pattern.match(data, start)
    return match.end() if match else start


def _read_head(line: _RequestLine, headers: bytes) -> Miss | HttpHead:
    """``headers`` starts with the LF of the request line and ends with that of the last header line."""
    for fault, why in _FAULTS:
        if fault.search(headers):
            return Miss(why)
    hosts = [value.strip(b" \t\r") for value in _HOST_LINE.findall(headers)]
    if len(hosts) > 1:
        return Miss("the request has more than one Host header")
    absolute = _ABSOLUTE_FORM.match(line.target)
    if line.method == b"CONNECT":
        authority, where = line.target, "request target"
    elif absolute:
        authority, where = absolute[1], "request target"
    elif line.target.startswith(b"/") or line.target == b"*":
        authority, where = b"".join(hosts), "Host header"
    else:
        return Miss("the request target is none of RFC 9112's forms")
    if not authority and not absolute:
        return HttpHead(line.method.decode(), None)
    match = _AUTHORITY.fullmatch(authority)
    host = normalize_name(match[1]) if match else None
    return HttpHead(line.method.decode(), host) if host else Miss(f"the {where} names no host")
