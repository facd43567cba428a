"""``checks`` of an upstream."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix import violations
from streamproxy.dialects.apisix.checks import to_checks
from streamproxy.dialects.apisix.upstream_schema import UPSTREAM
from streamproxy.model import ActiveCheck, Checks, PassiveCheck, Probe, Thresholds

from ..test_codec import json_values

SCHEMA = UPSTREAM["properties"]["checks"]


def made(**body: Any) -> Checks:
    assert list(violations(body, SCHEMA)) == []
    checks, problems = to_checks(body)
    assert problems == ()
    assert checks is not None
    return checks


def test_the_defaults_are_apisixs() -> None:
    assert made(active={}) == Checks(ActiveCheck())
    assert made(active=[], passive={}) == Checks(ActiveCheck(), PassiveCheck())
    assert PassiveCheck().thresholds == Thresholds(successes=5, http_failures=5, tcp_failures=2, timeouts=7)


def test_everything_that_can_be_said() -> None:
    active = {
        "type": "https",
        "timeout": 0.5,
        "concurrency": 3,
        "host": "Health.example",
        "port": 8443,
        "http_method": "POST",
        "http_path": "/up?now",
        "http_req_body": "ping",
        "https_verify_certificate": False,
        "req_headers": ["User-Agent: probe", "X-Empty:"],
        "healthy": {"interval": 2, "http_statuses": [200, 204], "successes": 1},
        "unhealthy": {"interval": 3, "http_statuses": [500], "http_failures": 1, "tcp_failures": 4, "timeouts": 6},
    }
    assert made(active=active).active == ActiveCheck(
        probe=Probe.HTTPS,
        timeout=0.5,
        concurrency=3,
        host="health.example",
        port=8443,
        method="POST",
        path="/up?now",
        body="ping",
        headers=(("User-Agent", "probe"), ("X-Empty", "")),
        verify=False,
        healthy_interval=2.0,
        unhealthy_interval=3.0,
        healthy_statuses=frozenset({200, 204}),
        unhealthy_statuses=frozenset({500}),
        thresholds=Thresholds(successes=1, http_failures=1, tcp_failures=4, timeouts=6),
    )


def test_passive_ones() -> None:
    passive = {"healthy": {"successes": 0}, "unhealthy": {"tcp_failures": 1, "timeouts": 3, "http_failures": 0}}
    assert made(active={"type": "tcp"}, passive=passive).passive == PassiveCheck(Thresholds(0, 0, 1, 3))


def test_ours() -> None:
    checks = made(active={"type": "udp", "send": "PING\r\n", "expect": "^PONG"}, close_sessions=True, slow_start=30)
    assert checks.active == ActiveCheck(Probe.UDP, send=b"PING\r\n", expect="^PONG")
    assert (checks.close_sessions, checks.slow_start) == (True, 30.0)


def test_numbers_stay_within_bounds() -> None:
    active = made(active={"timeout": 10**400, "concurrency": -5, "healthy": {"interval": 10**400}}).active
    assert active is not None
    assert (active.timeout, active.concurrency, active.healthy_interval) == (1e9, 1, 1e9)
    greedy = made(active={"concurrency": 10**400}).active
    assert greedy is not None
    assert greedy.concurrency == 1000


@pytest.mark.parametrize(
    ("active", "path"),
    [
        ({"timeout": 0}, "active.timeout"),
        ({"host": "*"}, "active.host"),
        ({"http_path": "up"}, "active.http_path"),
        ({"http_path": "/ HTTP/1.1\r\nHost: evil"}, "active.http_path"),
        ({"req_headers": ["a: b", "no colon"]}, "active.req_headers[1]"),
        ({"req_headers": ["a: b\r\nc: d"]}, "active.req_headers[0]"),
        ({"type": "tcp", "expect": "("}, "active.expect"),
        ({"type": "http", "send": "x"}, "active.send"),
    ],
)
def test_what_cannot_work(active: dict[str, Any], path: str) -> None:
    assert list(violations({"active": active}, SCHEMA)) == []
    checks, problems = to_checks({"active": active})
    assert checks is None
    assert [problem.path for problem in problems] == [path]


def test_passive_alone_is_refused() -> None:
    (violation,) = violations({"passive": {}}, SCHEMA)
    assert violation.text == 'object matches none of the required: ["active"] or ["active","passive"]'


texts = st.text(st.sampled_from("/a: \r\n(\u00e9\0"), max_size=5)
actives = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["http", "https", "tcp", "udp"]),
        "timeout": st.integers() | st.floats(),
        "concurrency": st.integers(),
        "host": texts,
        "http_path": texts,
        "req_headers": st.lists(texts),
        "send": texts,
        "expect": texts,
        "healthy": st.fixed_dictionaries({}, optional={"interval": st.integers(), "http_statuses": json_values}),
    },
)


@given(actives)
def test_what_the_schema_takes_is_made_or_refused(active: dict[str, Any]) -> None:
    body = {"active": active}
    if not any(violations(body, SCHEMA)):
        checks, problems = to_checks(body)
        assert (checks is None) == bool(problems)
