"""``checks`` of an upstream: how its nodes are asked whether they are well."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from streamproxy.errors import Problem
from streamproxy.model import ActiveCheck, Checks, PassiveCheck, Probe, Thresholds
from streamproxy.rules.regex import check_regex

from ..codec import shown
from ..hostname import canonical_host

MOST_SECONDS: Final = 1e9
"""Some thirty years: what is longer is not meant as a time."""

# Probes of one upstream that may be under way at a time.
_MOST_PROBES: Final = 1000
_DEFAULT: Final = ActiveCheck()
_PASSIVE: Final = PassiveCheck()

# RFC 9112 section 3.2 and RFC 9110 sections 5.1 and 5.5: nothing of these may end a line or begin another.
_TARGET = re.compile(r"/[!-~]*")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~\x80-\U0010ffff\t ]*)")


def seconds(value: float) -> float:
    """A time that somebody wrote, bounded."""
    return float(min(value, MOST_SECONDS))


def to_checks(body: Mapping[str, Any]) -> tuple[Checks | None, tuple[Problem, ...]]:
    """The checks that ``body``, which its schema has nothing against, describes; or what of them cannot work."""
    active = body.get("active") or {}
    problems = tuple(problem.under("active") for problem in _problems(active))
    if problems:
        return None, problems
    passive = body.get("passive")
    return (
        Checks(
            active=_active(active),
            passive=None if passive is None else PassiveCheck(_thresholds(passive or {}, _PASSIVE.thresholds)),
            close_sessions=body.get("close_sessions", False),
            slow_start=seconds(body.get("slow_start", 0)),
        ),
        (),
    )


def _problems(active: Mapping[str, Any]) -> Iterator[Problem]:
    if active.get("timeout", 1) <= 0:
        yield Problem("timeout", "bad_value", "expected more than 0 seconds")
    if "host" in active:
        try:
            canonical_host(active["host"])
        except ValueError as error:
            yield Problem("host", "bad_value", str(error))
    path = active.get("http_path", "/")
    if not _TARGET.fullmatch(path):
        message = f"expected a path that begins with / and has no spaces, got {shown(path)}"
        yield Problem("http_path", "bad_value", message)
    for index, header in enumerate(active.get("req_headers", ())):
        if not _HEADER.fullmatch(header):
            message = f"expected a name, a colon and a value on one line, got {shown(header)}"
            yield Problem(f"req_headers[{index}]", "bad_value", message)
    wrong = check_regex(active.get("expect", ""))
    if wrong is not None:
        yield Problem("expect", "bad_value", f"no expression that RE2 takes: {wrong}")
    probe = active.get("type", "http")
    for name in ("send", "expect"):
        if name in active and probe not in ("tcp", "udp"):
            yield Problem(name, "unsupported", f"is for type tcp and udp, not {probe}")


def _active(body: Mapping[str, Any]) -> ActiveCheck:
    healthy, unhealthy = body.get("healthy") or {}, body.get("unhealthy") or {}
    return ActiveCheck(
        probe=Probe(body.get("type", "http")),
        timeout=seconds(body.get("timeout", 1)),
        concurrency=min(max(body.get("concurrency", _DEFAULT.concurrency), 1), _MOST_PROBES),
        host=canonical_host(body["host"]) if "host" in body else None,
        port=body.get("port"),
        method=body.get("http_method", _DEFAULT.method),
        path=body.get("http_path", _DEFAULT.path),
        body=body.get("http_req_body", ""),
        headers=tuple(_header(written) for written in body.get("req_headers", ())),
        verify=body.get("https_verify_certificate", True),
        send=body.get("send", "").encode(),
        expect=body.get("expect", ""),
        healthy_interval=seconds(healthy.get("interval", 1)),
        unhealthy_interval=seconds(unhealthy.get("interval", 1)),
        healthy_statuses=frozenset(healthy.get("http_statuses", _DEFAULT.healthy_statuses)),
        unhealthy_statuses=frozenset(unhealthy.get("http_statuses", _DEFAULT.unhealthy_statuses)),
        thresholds=_thresholds(body, _DEFAULT.thresholds),
    )


def _thresholds(body: Mapping[str, Any], default: Thresholds) -> Thresholds:
    healthy, unhealthy = body.get("healthy") or {}, body.get("unhealthy") or {}
    return Thresholds(
        successes=healthy.get("successes", default.successes),
        http_failures=unhealthy.get("http_failures", default.http_failures),
        tcp_failures=unhealthy.get("tcp_failures", default.tcp_failures),
        timeouts=unhealthy.get("timeouts", default.timeouts),
    )


def _header(written: str) -> tuple[str, str]:
    name, _, value = written.partition(":")
    return name, value.strip(" \t")
