"""APISIX's stream proxy: routes and upstreams."""

from __future__ import annotations

from collections.abc import Mapping

from streamproxy.errors import Problem
from streamproxy.model import Key, Upstream

from ..codec import bounded, kind_of
from .jsonschema import Schema, Violation, violations
from .routing import ROUTING, compose
from .schema import SCHEMAS, STREAM_ROUTE, UPSTREAM
from .stream_route import StreamRoute, to_stream_route
from .upstream import to_upstream

__all__ = [
    "ROUTING",
    "SCHEMAS",
    "Schema",
    "StreamRoute",
    "Violation",
    "compose",
    "decode_stream_route",
    "decode_upstream",
    "violations",
]


def decode_stream_route(key: Key, body: object) -> tuple[StreamRoute | None, tuple[Problem, ...]]:
    """The route ``body`` describes, or what is wrong with it. Whether its upstream exists is not looked at."""
    problems = _against(body, STREAM_ROUTE)
    return to_stream_route(key, body) if isinstance(body, Mapping) and not problems else (None, problems)


def decode_upstream(key: Key, body: object) -> tuple[Upstream | None, tuple[Problem, ...]]:
    """The upstream ``body`` describes, or what is wrong with it."""
    problems = _against(body, UPSTREAM)
    return to_upstream(body, str(key)) if isinstance(body, Mapping) and not problems else (None, problems)


def _against(body: object, schema: Schema) -> tuple[Problem, ...]:
    if not isinstance(body, Mapping):
        return (Problem("", "wrong_type", f"expected an object, got {kind_of(body)}"),)
    return bounded(violation.problem for violation in violations(body, schema))
