"""Ended sessions to write down."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from streamproxy.model import Address, Ended, Ending, Facts, ListenAddress, Transport

FACTS = Facts(
    listener=ListenAddress(Transport.TCP, "0.0.0.0", 443),
    peer=Address("192.0.2.10", 51234),
    local=Address("198.51.100.1", 443),
    tls=True,
    sni="pg-read.example.com",
    alpn=("h2", "http/1.1"),
)
RECORD = Ended(
    id="5f3a-17",
    facts=FACTS,
    owner="otoroshi:tcp-services/pg",
    revision=42,
    ending=Ending.CLIENT_CLOSED,
    started=1_700_000_000.123,
    duration=12.3456789,
    route="otoroshi:tcp-services/pg rules[0]",
    upstream="otoroshi:tcp-services/pg rules[0]",
    node="db/10.0.0.1:5432",
    detail="",
    sniff_time=0.001,
    connect_time=0.0025,
    bytes_in=10,
    bytes_out=20,
    attempts=2,
)
# Refused before anything was known of it.
BARE = Ended(
    id="5f3a-18",
    facts=Facts(ListenAddress(Transport.UDP, "::", 53), Address("2001:db8::1", 1), Address("2001:db8::2", 53)),
    owner="stream_proxy.udp[0]",
    revision=0,
    ending=Ending.OVER_LIMIT,
    started=1_700_000_000.0,
    duration=0.0,
)


def record(**changes: Any) -> Ended:
    """The first one, but for this; what belongs to its facts goes there."""
    facts = {name: changes.pop(name) for name in tuple(changes) if hasattr(FACTS, name)}
    return evolve(RECORD, facts=evolve(FACTS, **facts), **changes)
