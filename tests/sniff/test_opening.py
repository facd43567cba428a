"""The first bytes of a connection, whatever they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import FactKind
from streamproxy.sniff import Hit, Miss, Need
from streamproxy.sniff.opening import Opening, read_opening
from streamproxy.testing import hello_bytes

BOTH = frozenset(FactKind)
SNI = frozenset({FactKind.SNI})
HOST = frozenset({FactKind.HTTP_HOST})

REQUEST = b"GET / HTTP/1.1\r\nHost: www.foo.com\r\n\r\n"


def test_a_hello_is_tls_with_its_name_and_protocols() -> None:
    hello = hello_bytes("A.example.com", alpn=["h2"])
    assert read_opening(hello, BOTH) == Hit(Opening(tls=True, sni="a.example.com", alpn=("h2",)), len(hello))


def test_a_request_is_its_host() -> None:
    assert read_opening(REQUEST, BOTH) == Hit(Opening(http_host="www.foo.com"), len(REQUEST))


def test_only_what_is_asked_for_is_read() -> None:
    assert read_opening(REQUEST, SNI) == Hit(Opening(), 0)
    assert read_opening(hello_bytes(), HOST) == Hit(Opening(), 0)
    assert read_opening(b"", frozenset()) == Hit(Opening(), 0)


def test_other_protocols_name_nothing_at_once() -> None:
    assert read_opening(b"\x00", BOTH) == Hit(Opening(), 0)
    assert read_opening(b"SSH-2.0-OpenSSH_9.6p1\r\n", BOTH) == Hit(Opening(), 0)


@pytest.mark.parametrize("cut", [0, 1, 5, 6, 50])
def test_the_rest_is_waited_for_unless_there_is_none(cut: int) -> None:
    hello = hello_bytes()
    verdict = read_opening(hello[:cut], BOTH)
    assert isinstance(verdict, Need)
    assert verdict.at_least > cut
    cut_off = read_opening(hello[:cut], BOTH, complete=True)
    assert isinstance(cut_off, Miss if cut else Hit), cut_off


def test_broken_tls_and_broken_http_are_refused() -> None:
    assert isinstance(read_opening(b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", BOTH), Miss)
    two_hosts = b"GET / HTTP/1.1\r\nHost: a.example.com\r\nHost: b.example.com\r\n\r\n"
    assert isinstance(read_opening(two_hosts, BOTH), Miss)
    assert isinstance(read_opening(two_hosts, HOST, complete=True), Miss)


def test_a_request_that_is_cut_off_names_nothing() -> None:
    assert isinstance(read_opening(REQUEST[:20], BOTH), Need)
    assert read_opening(REQUEST[:20], BOTH, complete=True) == Hit(Opening(), 0)


@given(st.binary(max_size=200), st.sampled_from([BOTH, SNI, HOST]), st.booleans())
def test_nothing_raises_and_a_complete_opening_waits_for_nothing(
    data: bytes, kinds: frozenset[FactKind], complete: bool
) -> None:
    verdict = read_opening(data, kinds, complete=complete)
    assert isinstance(verdict, (Hit, Miss)) or not complete
