"""The process's log of sessions that did not come to be."""

from __future__ import annotations

import pytest
from twisted.logger import capturedLogs, formatEvent

from streamproxy.control.sessionlog import SessionLog, words
from streamproxy.model import Address, Ended, Ending, Facts, ListenAddress, Transport
from streamproxy.observe.throttle import BURST
from streamproxy.tls import NO_CERTIFICATE, NO_NAME


def record(ending: Ending, detail: str = "", sni: str | None = None) -> Ended:
    facts = Facts(
        ListenAddress(Transport.TCP, "0.0.0.0", 443), Address("192.0.2.1", 5), Address("10.0.0.1", 443), sni=sni
    )
    return Ended("s-1", facts, "stream_proxy.tcp[0]", 3, ending, 0.0, 0.1, detail=detail)


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (record(Ending.NO_ROUTE, "no route matches"), "not hit any route"),
        (
            record(Ending.HANDSHAKE_FAILED, f"{NO_CERTIFICATE} xx.com", "xx.com"),
            "failed to match any SSL certificate by SNI: xx.com; no certificate for xx.com",
        ),
        (record(Ending.HANDSHAKE_FAILED, f"{NO_NAME}, and there is no fallback"), "failed to find SNI: please check"),
        (record(Ending.HANDSHAKE_FAILED, "the peer broke off"), "the peer broke off"),
        (record(Ending.RESOLVE_FAILED, "no such name"), "no valid upstream node: no such name"),
        (record(Ending.CONNECT_FAILED, "refused"), "refused"),
    ],
)
def test_the_words(ended: Ended, expected: str) -> None:
    assert words(ended).startswith(expected)


def test_a_flood_is_not_a_flood_of_lines() -> None:
    now = 0.0
    with capturedLogs() as events:
        log = SessionLog(lambda: now)
        log.ended(record(Ending.CLIENT_CLOSED))
        assert events == [], "what went well is the access log's"
        for _ in range(10 * BURST):
            log.ended(record(Ending.NO_ROUTE))
        now += 1.0
        log.ended(record(Ending.NO_ROUTE))
    lines = [str(formatEvent(event)) for event in events]
    assert len(lines) == BURST + 1
    assert lines[0] == "s-1 from 192.0.2.1:5 at tcp 0.0.0.0:443: no_route: not hit any route"
    assert lines[-1].endswith(f"(and {9 * BURST} more like it were not logged)")
