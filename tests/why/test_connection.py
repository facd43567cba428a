from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.errors import InvalidConfiguration
from streamproxy.model import Address, TlsFacts, Transport
from streamproxy.why import connection_of
from streamproxy.why.connection import MOST_BYTES


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"listener": "tcp 127.0.0.1:443"}, (Transport.TCP, "127.0.0.1", 443)),
        ({"listener": "UDP 127.0.0.1:53"}, (Transport.UDP, "127.0.0.1", 53)),
        ({"listener": "[::1]:443"}, (Transport.TCP, "::1", 443)),
        ({"listener": "localhost:443"}, (Transport.TCP, "127.0.0.1", 443)),
        ({"listener": "*:443"}, (Transport.TCP, None, 443)),
        ({"listener": ":443", "transport": "udp"}, (Transport.UDP, None, 443)),
        ({"listener": 443}, (Transport.TCP, None, 443)),
        ({"listener": "443"}, (Transport.TCP, None, 443)),
        ({"port": 443, "transport": "udp"}, (Transport.UDP, None, 443)),
    ],
)
def test_where_it_connects_to(given: dict[str, Any], place: tuple[Transport, str | None, int]) -> None:
    made = connection_of(given)
    assert (made.transport, made.host, made.port) == place


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("192.0.2.1", Address("192.0.2.1", 50_000)),
        ("192.0.2.1:7", Address("192.0.2.1", 7)),
        ("2001:db8::1", Address("2001:db8::1", 50_000)),
        ("[2001:db8::1]:7", Address("2001:db8::1", 7)),
        ("::ffff:192.0.2.1", Address("192.0.2.1", 50_000)),
        (None, Address("127.0.0.1", 50_000)),
    ],
)
def test_who_connects(text: str | None, peer: Address) -> None:
    assert connection_of({"port": 1, "peer": text}).peer == peer


def test_what_it_says() -> None:
    made = connection_of({"port": 1, "sni": "A.Example.COM.", "alpn": ["h2"], "http_host": "b.example.com"})
    assert (made.sni, made.alpn, made.http_host, made.tls) == ("a.example.com", ("h2",), "b.example.com", True)
    assert connection_of({"port": 1}).tls is False
    assert connection_of({"port": 1, "tls": True}).tls is True
    hello = base64.b64encode(b"hello").decode()
    assert connection_of({"port": 1, "client_hello": hello}).window == b"hello"
    assert connection_of({"port": 1, "first_bytes": hello, "local": "::1"}).local == Address("::1", 0)


def test_what_was_agreed_on() -> None:
    made = connection_of({"port": 1, "tls": {"version": "TLSv1.3", "client": {"subject": "CN=me", "sans": ["DNS:me"]}}})
    assert made.tls
    assert made.handshake is not None
    assert (made.handshake.version, made.handshake.cipher) == ("TLSv1.3", "")
    assert made.handshake.client is not None
    assert made.handshake.client.sans == ("DNS:me",)
    assert connection_of({"port": 1, "tls": {}}).handshake == TlsFacts("", "")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "listener"),
        ([], ""),
        ({"listener": "nowhere"}, "listener"),
        ({"listener": "sctp 1:2"}, "listener"),
        ({"listener": "x:443"}, "listener"),
        ({"listener": "1.2.3.4:99999"}, "listener"),
        ({"listener": True}, "listener"),
        ({"listener": []}, "listener"),
        ({"port": 0}, "port"),
        ({"port": 1, "peer": "nobody"}, "peer"),
        ({"port": 1, "peer": "1.2.3.4:99999"}, "peer"),
        ({"port": 1, "sni": "a b"}, "sni"),
        ({"port": 1, "alpn": ["\x1b"]}, "alpn[0]"),
        ({"port": 1, "transport": "sctp"}, "transport"),
        ({"port": 1, "client_hello": "?"}, "client_hello"),
        ({"port": 1, "first_bytes": base64.b64encode(bytes(MOST_BYTES + 1)).decode()}, "first_bytes"),
        ({"port": 1, "first_bytes": "YQ==", "client_hello": "YQ=="}, "first_bytes"),
        ({"port": 1, "tls": {"versoin": "x"}}, "tls.versoin"),
        ({"port": 1, "snii": "a"}, "snii"),
    ],
)
def test_what_describes_no_connection(given: Any, path: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        connection_of(given)
    assert [problem.path for problem in refused.value.problems] == [path]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda i: st.lists(i) | st.dictionaries(st.sampled_from(["listener", "peer", "tls", "sni", "port"]), i),
    )
)
def test_anything_else_is_a_problem(value: Any) -> None:
    with contextlib.suppress(InvalidConfiguration):
        connection_of(value)
