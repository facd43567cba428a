"""Documents to what they ask for, one at a time: whether what they refer to exists is not looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, TypeVar

from streamproxy.errors import Problem
from streamproxy.model import Json, Key
from streamproxy.plugins.seam import Plugin

from ..codec import bounded, kind_of
from .jsonschema import Schema, Violation, violations
from .metadata import Metadata, to_metadata
from .schema import CONFORMS, SERVICE, SSL, STREAM_ROUTE
from .secrets import Vault, sealed
from .service import Service, to_service
from .ssl import Ssl, refused, to_ssl
from .stream_route import StreamRoute, to_stream_route
from .upstream import UpstreamPlan, to_upstream
from .upstream_schema import UPSTREAM

T = TypeVar("T")
Plugins: TypeAlias = Mapping[str, Plugin]
Decoded: TypeAlias = tuple[T | None, tuple[Problem, ...]]


def decode_stream_route(key: Key, body: object, vault: Vault, plugins: Plugins) -> Decoded[StreamRoute]:
    """The route ``body`` describes, and what is wrong with it."""
    problems = against(body, STREAM_ROUTE)
    if problems or not isinstance(body, Mapping):
        return None, problems
    route, found = to_stream_route(key, body, plugins, vault)
    return route, _problems(found)


def decode_upstream(key: Key, body: object, vault: Vault) -> Decoded[UpstreamPlan]:
    """The upstream ``body`` describes, and what is wrong with it."""
    problems = against(body, UPSTREAM)
    if problems or not isinstance(body, Mapping):
        return None, problems
    upstream, found = to_upstream(body, str(key), vault, is_object=True)
    return upstream, _problems(found)


def decode_service(key: Key, body: object, vault: Vault, plugins: Plugins) -> Decoded[Service]:
    """The service ``body`` describes, and what is wrong with it."""
    problems = against(body, SERVICE)
    if problems or not isinstance(body, Mapping):
        return None, problems
    service, found = to_service(key, body, plugins, vault)
    return service, _problems(found)


def decode_metadata(key: Key, body: object, plugins: Plugins) -> Decoded[Metadata]:
    """What ``body`` configures for a plugin, or what is wrong with it."""
    problems = against(body, {})
    if problems or not isinstance(body, Mapping):
        return None, problems
    metadata, found = to_metadata(key, body, plugins)
    return metadata, _problems(found)


def decode_ssl(key: Key, body: object, vault: Vault) -> Decoded[Ssl]:
    """The certificates ``body`` describes, or what is wrong with it, whatever their dates."""
    problems = against(body, SSL)
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
    problems = problems or against(stored, SSL)
    return (None, problems) if problems else (stored, ())


def against(body: object, schema: Schema) -> tuple[Problem, ...]:
    """What ``schema`` has against ``body``, which has to be an object."""
    if not isinstance(body, Mapping):
        return (Problem("", "wrong_type", f"expected an object, got {kind_of(body)}"),)
    conforms = CONFORMS.get(id(schema))
    if conforms is not None and conforms(body):
        return ()
    return bounded(violation.problem for violation in violations(body, schema))


def _problems(found: Iterable[Violation]) -> tuple[Problem, ...]:
    return bounded(dict.fromkeys(each.problem for each in found))
