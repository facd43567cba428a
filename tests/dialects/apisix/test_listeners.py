"""The listeners of ``stream_proxy``."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from streamproxy.dialects.apisix import static_listeners
from streamproxy.dialects.claims import Claims
from streamproxy.dialects.part import Part
from streamproxy.model import FactKind, ListenAddress, Listener, ProxyAccept, StaticListener, TlsMode, Transport

TRUSTED = (ip_network("10.0.0.0/8"),)


def listened(transport: Transport = Transport.TCP, **options: Any) -> Part:
    entry = StaticListener(ListenAddress(transport, "0.0.0.0", 80), "stream_proxy.tcp[0]", **options)
    return static_listeners([entry], Claims(), TRUSTED)


def one(**options: Any) -> Listener:
    part = listened(**options)
    assert part.problems == ()
    (listener,) = part.listeners
    return listener


def test_a_plain_one_reads_nothing() -> None:
    listener = one()
    assert (listener.tls, listener.sniff, listener.proxy_in, listener.proxy_out) == (
        TlsMode.DISABLED,
        frozenset(),
        None,
        0,
    )


@pytest.mark.parametrize(("option", "mode"), [("tls", TlsMode.TERMINATE), ("tls_passthrough", TlsMode.PASSTHROUGH)])
def test_one_for_tls_reads_the_name(option: str, mode: TlsMode) -> None:
    listener = one(**{option: True})
    assert (listener.tls, listener.sniff) == (mode, frozenset({FactKind.SNI}))


@pytest.mark.parametrize(
    ("options", "mode", "passes", "fallback_names"),
    [
        ({}, TlsMode.DISABLED, False, False),
        ({"tls": True}, TlsMode.TERMINATE, False, True),
        ({"tls_passthrough": True}, TlsMode.PASSTHROUGH, False, True),
        ({"tls": True, "tls_passthrough": True}, TlsMode.TERMINATE, True, True),
    ],
)
def test_where_tls_ends(options: dict[str, Any], mode: TlsMode, passes: bool, fallback_names: bool) -> None:
    listener = one(**options)
    assert (listener.tls, listener.passes, listener.fallback_names) == (mode, passes, fallback_names)


def test_the_proxy_protocol() -> None:
    listener = one(proxy_protocol=True, proxy_protocol_to_upstream=1)
    assert listener.proxy_in == ProxyAccept(TRUSTED, required=True)
    assert listener.proxy_out == 1
    assert one(proxy_protocol_to_upstream=2).proxy_out == 2


@pytest.mark.parametrize(
    ("transport", "options", "message"),
    [
        (Transport.UDP, {"tls": True}, "tls: tls over UDP is not supported"),
        (Transport.UDP, {"tls_passthrough": True}, "tls_passthrough: tls_passthrough over UDP is not supported"),
    ],
)
def test_what_cannot_be(transport: Transport, options: dict[str, Any], message: str) -> None:
    part = listened(transport, **options)
    assert (part.listeners, part.routings) == ((), ())
    assert [str(each.problem) for each in part.problems] == [f"stream_proxy.tcp[0].{message}"]
