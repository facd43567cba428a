"""APISIX's stream proxy: routes, upstreams and certificates."""

from __future__ import annotations

from collections.abc import Mapping

from streamproxy.errors import Problem
from streamproxy.model import Json, Key, Upstream

from ..codec import bounded, kind_of
from .jsonschema import Schema, Violation, violations
from .routing import ROUTING, compose
from .schema import SCHEMAS, SSL, STREAM_ROUTE, UPSTREAM
from .secrets import DEFAULT_KEYRING, KEY_LENGTHS, Vault, sealed
from .ssl import Ssl, refused, to_ssl, without_keys
from .stream_route import StreamRoute, to_stream_route
from .upstream import to_upstream

__all__ = [
    "DEFAULT_KEYRING",
    "KEY_LENGTHS",
    "ROUTING",
    "SCHEMAS",
    "Schema",
    "Ssl",
    "StreamRoute",
    "Vault",
    "Violation",
    "canonical_ssl",
    "compose",
    "decode_ssl",
    "decode_stream_route",
    "decode_upstream",
    "sealed",
    "violations",
    "without_keys",
]


def decode_stream_route(key: Key, body: object) -> tuple[StreamRoute | None, tuple[Problem, ...]]:
    """The route ``body`` describes, or what is wrong with it. Whether its upstream exists is not looked at."""
    problems = _against(body, STREAM_ROUTE)
    return to_stream_route(key, body) if isinstance(body, Mapping) and not problems else (None, problems)


def decode_upstream(key: Key, body: object) -> tuple[Upstream | None, tuple[Problem, ...]]:
    """The upstream ``body`` describes, or what is wrong with it."""
    problems = _against(body, UPSTREAM)
    return to_upstream(body, str(key)) if isinstance(body, Mapping) and not problems else (None, problems)


def decode_ssl(key: Key, body: object, vault: Vault) -> tuple[Ssl | None, tuple[Problem, ...]]:
    """The certificates ``body`` describes, or what is wrong with it, whatever their dates."""
    problems = _against(body, SSL)
    return to_ssl(key, body, vault) if isinstance(body, Mapping) and not problems else (None, problems)


def canonical_ssl(
    key: Key, body: object, vault: Vault, now: float | None
) -> tuple[dict[str, Json] | None, tuple[Problem, ...]]:
    """
    ``body`` as it is to be stored, its keys sealed; or what speaks against that at ``now`` (seconds since the epoch;
    ``None``: at no time in particular).
    """
    ssl, problems = decode_ssl(key, body, vault)
    if ssl is None or not isinstance(body, Mapping):
        return None, problems
    if now is not None:
        problems = tuple(refused(ssl, now))
    stored = sealed(key.kind, body, vault.keyring)
    # What is sealed is longer, and has to be a document all the same.
    problems = problems or _against(stored, SSL)
    return (None, problems) if problems else (stored, ())


def _against(body: object, schema: Schema) -> tuple[Problem, ...]:
    if not isinstance(body, Mapping):
        return (Problem("", "wrong_type", f"expected an object, got {kind_of(body)}"),)
    return bounded(violation.problem for violation in violations(body, schema))
