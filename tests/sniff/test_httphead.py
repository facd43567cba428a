"""Reading the host out of a request head."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.sniff import MAX_HEAD, Hit, HttpHead, Need, sniff_http_host

from .feeding import feed, is_final, patient, value, why


def request(*lines: str, end: str = "\r\n") -> bytes:
    return "".join(line + end for line in (*lines, "")).encode("latin-1")


def host_of(*lines: str) -> str | None:
    return value(sniff_http_host(request(*lines))).host


heads = st.builds(
    lambda first, host, others, end: request(first, *others[:2], host, *others[2:], end=end),
    st.sampled_from(
        ["GET / HTTP/1.1", "POST /a?b=c HTTP/1.0", "OPTIONS * HTTP/1.1", "GET http://example.com/ HTTP/1.1"]
    ),
    st.sampled_from(["Host: example.com", "host:example.com:80", "HOST: \t Example.com \t", "HoSt: example.com."]),
    st.lists(st.sampled_from(["User-Agent: curl/7.88.1", "X-Forwarded-Host: other.example", "Accept:", "X: \xff"])),
    st.sampled_from(["\r\n", "\n"]),
)


class TestHost:
    @pytest.mark.parametrize(
        ("sent", "host"),
        [
            ("www.foo.com", "www.foo.com"),
            ("www.foo.com:8080", "www.foo.com"),
            ("www.foo.com:", "www.foo.com"),
            ("WWW.Foo.com", "www.foo.com"),
            ("www.foo.com.", "www.foo.com"),
            ("localhost:8080", "localhost"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("10.1.22.33", "10.1.22.33"),
            ("[2001:DB8::1]:8443", "2001:db8::1"),
            ("[::1]", "::1"),
            ("b\xc3\xbccher.example", "xn--bcher-kva.example"),
        ],
    )
    def test_it_is_normalized_and_without_port(self, sent: str, host: str) -> None:
        assert host_of("GET /index.html HTTP/1.1", f"Host: {sent}", "User-Agent: curl/7.88.1") == host

    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_a_request_may_name_none(self, version: str) -> None:
        assert host_of(f"GET / HTTP/{version}") is None
        assert host_of(f"GET / HTTP/{version}", "Host:") is None

    def test_other_headers_are_no_host(self) -> None:
        assert host_of("GET / HTTP/1.1", "X-Host: a.example", "Hosts: b.example", "X: Host: c.example") is None

    def test_the_method_is_told_and_the_body_left_alone(self) -> None:
        head = request("DELETE /x HTTP/1.1", "Host: a.example")
        verdict = sniff_http_host(head + b"Host: b.example\r\n\r\n")
        assert verdict == Hit(HttpHead("DELETE", "a.example"), len(head))

    def test_a_bare_lf_ends_a_line_too(self) -> None:
        head = request("GET / HTTP/1.1", "Host: a.example", end="\n")
        assert sniff_http_host(head + b"body") == Hit(HttpHead("GET", "a.example"), len(head))

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_any_view_of_the_bytes_will_do(self, kind: type[bytes | bytearray | memoryview]) -> None:
        assert value(sniff_http_host(kind(request("GET / HTTP/1.1", "Host: a.example")))).host == "a.example"


class TestTargets:
    def test_absolute_form_wins_over_host(self) -> None:
        assert host_of("GET http://a.example:81/b HTTP/1.1", "Host: c.example") == "a.example"
        assert host_of("GET HTTPS://A.example?q HTTP/1.1", "Host: no host") == "a.example"
        assert host_of("GET ws://[::1]:80 HTTP/1.1") == "::1"

    def test_authority_form(self) -> None:
        assert host_of("CONNECT a.example:443 HTTP/1.1", "Host: c.example") == "a.example"

    def test_asterisk_form(self) -> None:
        assert host_of("OPTIONS * HTTP/1.1", "Host: a.example") == "a.example"

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("GET index.html HTTP/1.1", "the request target is none of RFC 9112's forms"),
            ("GET http:///path HTTP/1.1", "the request target names no host"),
            ("GET http://user@a.example/ HTTP/1.1", "the request target names no host"),
            ("GET http://user:pw@a.example/ HTTP/1.1", "the request target names no host"),
            ("CONNECT /path HTTP/1.1", "the request target names no host"),
            ("CONNECT :443 HTTP/1.1", "the request target names no host"),
        ],
    )
    def test_targets_that_are_none(self, line: str, reason: str) -> None:
        assert why(sniff_http_host(request(line, "Host: a.example"))) == reason


class TestOtherProtocols:
    @pytest.mark.parametrize("first", [b"\x16", b"\0", b" ", b"\r", b"\n", b"\x80", b"(", b":", b"/"])
    def test_one_byte_may_be_enough(self, first: bytes) -> None:
        assert why(sniff_http_host(first)) == "the first bytes are no HTTP method"

    @pytest.mark.parametrize(
        ("opening", "reason"),
        [
            (b"SSH-2.0-OpenSSH_9.6p1", "the first word is too long for an HTTP method"),
            (b"SSH-2.0-x\r", "the first bytes are no HTTP method"),
            (b"GET\0", "the first bytes are no HTTP method"),
            (b"EHLO mail.example\r", "the request line does not go on with a target and a version"),
            (b"GET  ", "the request line does not go on with a target and a version"),
            (b"GET /\r\n", "the request line does not go on with a target and a version"),
            (b"SET key value\r\n", "the request line does not end with an HTTP version"),
            (b"USER a b", "the request line does not end with an HTTP version"),
            (b"GET / HTTP/1\n", "the request line does not end with an HTTP version"),
            (b"GET / HTTP/1.1 \r\n", "the request line does not end with an HTTP version"),
            (b"GET / HTTP/1.10\r\n", "the request line does not end with an HTTP version"),
            (b"GET / HTTP/1.1\rX", "the request line does not end with an HTTP version"),
            (b"GET / HTTP/2.0\r\n", "the HTTP version is neither 1.0 nor 1.1"),
            (b"GET / HTTP/0.9\r\n", "the HTTP version is neither 1.0 nor 1.1"),
            (b"PRI /x HTTP/2.0\r\n", "the HTTP version is neither 1.0 nor 1.1"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 without TLS names its host too late"),
        ],
    )
    def test_no_more_bytes_are_waited_for_than_it_takes(self, opening: bytes, reason: str) -> None:
        assert why(sniff_http_host(opening)) == reason


class TestRefusals:
    @pytest.mark.parametrize(
        ("lines", "reason"),
        [
            (["Host: a.example", "Host: b.example"], "the request has more than one Host header"),
            (["Host: a.example", "X: y", "host: a.example"], "the request has more than one Host header"),
            (["Host: a.example", "Host:"], "the request has more than one Host header"),
            (["Host: a.example", " b.example"], "a header line is folded"),
            (["Host:", "\ta.example"], "a header line is folded"),
            ([" Host: a.example"], "a header line is folded"),
            (["Host : a.example"], "a header name is followed by a space"),
            (["Host\t: a.example"], "a header name is followed by a space"),
            (["Host: a.example\rX: y"], "the request head holds a CR without its LF"),
            (["Host: a.example\r"], "the request head holds a CR without its LF"),
            (["Host: a.example\0"], "the request head holds a NUL"),
            (["X: \0", "Host: a.example"], "the request head holds a NUL"),
            (["Host"], "a header line has no name"),
            ([": a.example"], "a header line has no name"),
            (["Ho st: a.example"], "a header line has no name"),
            (["Host: a b"], "the Host header names no host"),
            (["Host: a,b"], "the Host header names no host"),
            (["Host: user@a.example"], "the Host header names no host"),
            (["Host: a.example:http"], "the Host header names no host"),
            (["Host: a.example:123456"], "the Host header names no host"),
            (["Host: ::1"], "the Host header names no host"),
            (["Host: [::1"], "the Host header names no host"),
            (["Host: [a.example]"], "the Host header names no host"),
            (["Host: \xff"], "the Host header names no host"),
            (["Host: :80"], "the Host header names no host"),
        ],
    )
    def test_each_has_its_own_words(self, lines: list[str], reason: str) -> None:
        assert why(feed(sniff_http_host, request("GET / HTTP/1.1", *lines)).verdict) == reason

    @pytest.mark.parametrize("opening", [b"GET /", b"GET / HTTP/1.1\r\nX: "])
    def test_the_head_is_bounded(self, opening: bytes) -> None:
        endless = opening.ljust(MAX_HEAD * 2, b"a")
        assert sniff_http_host(endless[: MAX_HEAD - 1]) == Need(MAX_HEAD)
        for seen in (MAX_HEAD, MAX_HEAD + 1, len(endless)):
            assert why(sniff_http_host(endless[:seen])) == "the request head is longer than 65536 bytes"

    def test_the_bound_is_exact(self) -> None:
        opening = b"GET / HTTP/1.1\r\nHost: a.example\r\nX: "
        fits = opening.ljust(MAX_HEAD - 4, b"x") + b"\r\n\r\n"
        assert value(sniff_http_host(fits + b"body")).host == "a.example"
        assert "longer" in why(sniff_http_host(opening.ljust(MAX_HEAD - 3, b"x") + b"\r\n\r\n"))


class TestPieces:
    @patient
    @given(heads, st.data())
    def test_every_prefix_asks_for_more_but_not_for_too_much(self, head: bytes, data: st.DataObject) -> None:
        cut = data.draw(st.integers(0, len(head) - 1))
        verdict = sniff_http_host(head[:cut])
        assert isinstance(verdict, Need), f"decided on {head[:cut]!r}: {verdict}"
        assert cut < verdict.at_least <= len(head)

    @patient
    @given(heads, st.binary(max_size=20))
    def test_feeding_what_is_asked_for_finds_the_host(self, head: bytes, rest: bytes) -> None:
        fed = feed(sniff_http_host, head + rest)
        assert fed.seen == len(head)
        assert fed.verdict == Hit(HttpHead(head.split()[0].decode(), "example.com"), len(head))


class TestHostileBytes:
    @patient
    @given(st.binary(max_size=100), st.data())
    def test_garbage_gets_a_verdict_that_lasts(self, garbage: bytes, data: st.DataObject) -> None:
        for opening in (b"", b"GET ", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost:"):
            whole = opening + garbage + b"\r\n\r\n"
            assert is_final(sniff_http_host, whole, data.draw(st.integers(0, len(whole))))
            feed(sniff_http_host, whole)

    @patient
    @given(heads, st.data())
    def test_a_head_with_some_bytes_changed(self, head: bytes, data: st.DataObject) -> None:
        changed = bytearray(head)
        for at in data.draw(st.lists(st.integers(0, len(head) - 1), min_size=1, max_size=4)):
            changed[at] = data.draw(st.integers(0, 255))
        assert is_final(sniff_http_host, bytes(changed), data.draw(st.integers(0, len(head))))
