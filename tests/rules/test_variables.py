"""What nginx would call it."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import (
    Address,
    Facts,
    Key,
    ListenAddress,
    Match,
    PeerIdentity,
    Route,
    TlsFacts,
    Transport,
)
from streamproxy.rules.variables import NAMES, expand, variable

BARE = Facts(
    ListenAddress(Transport.TCP, "0.0.0.0", 443), peer=Address("192.0.2.1", 51234), local=Address("198.51.100.1", 443)
)
CLIENT = PeerIdentity("CN=alice", ("DNS:alice",), "ab" * 32, 0xABC)
FULL = Facts(
    ListenAddress(Transport.TCP, "0.0.0.0", 443),
    peer=Address("192.0.2.1", 51234),
    local=Address("198.51.100.1", 443),
    tls=True,
    sni="a.example.com",
    alpn=("h2", "http/1.1"),
    handshake=TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "h2", resumed=True, client=CLIENT),
    claimed=Address("192.0.2.1", 51234),
    via=Address("10.0.0.1", 999),
    tlvs=((0x01, b"h2"), (0x02, b"a.example.com"), (0x05, b"\xff7"), (0xEA, b"\x01vpce-1"), (0xEA, b"second")),
    arrived=Address("10.0.0.9", 9443),
)
ROUTE = Route(
    "apisix:stream_routes/7", Match(), "", document=Key("apisix", "stream_routes", "7"), service="3", name="n"
)

OF_FULL = {
    "remote_addr": "192.0.2.1",
    "remote_port": "51234",
    "server_addr": "10.0.0.9",
    "server_port": "9443",
    "protocol": "TCP",
    "hostname": socket.gethostname(),
    "pid": str(os.getpid()),
    "host": "a.example.com",
    "ssl_server_name": "a.example.com",
    "ssl_preread_server_name": "a.example.com",
    "ssl_preread_alpn_protocols": "h2,http/1.1",
    "ssl_alpn_protocol": "h2",
    "ssl_protocol": "TLSv1.3",
    "ssl_cipher": "TLS_AES_256_GCM_SHA384",
    "ssl_session_reused": "r",
    "ssl_client_verify": "SUCCESS",
    "ssl_client_s_dn": "CN=alice",
    "ssl_client_fingerprint": "ab" * 32,
    "ssl_client_serial": "0ABC",
    "proxy_protocol_addr": "192.0.2.1",
    "proxy_protocol_port": "51234",
    "proxy_protocol_server_addr": "198.51.100.1",
    "proxy_protocol_server_port": "443",
    "proxy_protocol_tlv_alpn": "h2",
    "proxy_protocol_tlv_authority": "a.example.com",
    "proxy_protocol_tlv_unique_id": r"\xff7",
    "realip_remote_addr": "10.0.0.1",
    "realip_remote_port": "999",
    "route_id": "7",
    "route_name": "n",
    "service_id": "3",
}
OF_BARE = {
    "remote_addr": "192.0.2.1",
    "remote_port": "51234",
    "server_addr": "198.51.100.1",
    "server_port": "443",
    "protocol": "TCP",
    "hostname": socket.gethostname(),
    "pid": str(os.getpid()),
    "realip_remote_addr": "192.0.2.1",
    "realip_remote_port": "51234",
}


def found(facts: Facts, route: Route | None = None, **more: str) -> dict[str, str]:
    every = {name: variable(name, facts, route, more) for name in NAMES}
    return {name: value for name, value in every.items() if value is not None}


def test_a_session_with_everything() -> None:
    assert found(FULL, ROUTE) == OF_FULL


def test_a_session_with_nothing() -> None:
    assert found(BARE) == OF_BARE
    assert found(BARE, Route("the route", Match(), "u")) == {**OF_BARE, "route_id": "the route"}


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"listener": ListenAddress(Transport.UDP, "::", 53)}, "protocol", "UDP"),
        ({"http_host": "b.example.com"}, "http_host", "b.example.com"),
        ({"http_host": "b.example.com"}, "host", "b.example.com"),
        ({"handshake": TlsFacts("TLSv1.2", "X")}, "ssl_client_verify", "NONE"),
        ({"handshake": TlsFacts("TLSv1.2", "X")}, "ssl_client_s_dn", None),
        ({"handshake": TlsFacts("TLSv1.2", "X")}, "ssl_alpn_protocol", None),
        ({"handshake": TlsFacts("TLSv1.2", "X")}, "ssl_session_reused", "."),
        # An untrusted sender's header changes nothing but this.
        ({"claimed": Address("1.2.3.4", 5)}, "proxy_protocol_addr", "1.2.3.4"),
        ({"claimed": Address("1.2.3.4", 5)}, "remote_addr", "192.0.2.1"),
        ({"claimed": Address("1.2.3.4", 5)}, "proxy_protocol_server_addr", None),
    ],
)
def test_what_differs_differs(changes: dict[str, Any], name: str, expected: str | None) -> None:
    assert variable(name, evolve(BARE, **changes), None, {}) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("0xEA", "\x01vpce-1"), ("0xea", "\x01vpce-1"), ("0x2", "a.example.com"), ("0x99", None)]
)
def test_a_tlv_can_be_named_by_its_type(name: str, expected: str | None) -> None:
    assert variable(f"proxy_protocol_tlv_{name}", FULL, None, {}) == expected


@pytest.mark.parametrize("name", ["", "x", "remote_addr ", "proxy_protocol_tlv_", "proxy_protocol_tlv_0x", "$host"])
def test_others_there_are_not(name: str) -> None:
    assert variable(name, FULL, ROUTE, {}) is None


def test_what_plugins_found_out_is_looked_at_first() -> None:
    assert variable("mqtt_client_id", BARE, None, {"mqtt_client_id": "foo"}) == "foo"
    assert variable("remote_addr", BARE, None, {"remote_addr": "10.0.0.1"}) == "10.0.0.1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("", 0)),
        ("plain", ("plain", 0)),
        ("$remote_addr", ("192.0.2.1", 1)),
        ("$remote_addr:$remote_port", ("192.0.2.1:51234", 2)),
        ("${remote_port}th", ("51234th", 1)),
        ("[$proxy_protocol_addr]", ("[]", 0)),
        ("$ $$ ${} ${x", ("$ $$ ${} ${x", 0)),
        ("$$server_port", ("$443", 1)),
    ],
)
def test_text_with_variables_in_it(text: str, expected: tuple[str, int]) -> None:
    assert expand(text, lambda name: variable(name, BARE, None, {})) == expected


@given(st.text())
def test_any_name_has_a_value_or_none(name: str) -> None:
    for text in (name, f"proxy_protocol_tlv_{name}"):
        value = variable(text, FULL, ROUTE, {})
        assert value is None or isinstance(value, str)
    expand(name, lambda _: name)
