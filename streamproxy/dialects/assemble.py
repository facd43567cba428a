"""All documents of all dialects, made into what should be true. The only place where dialects meet."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from attrs import frozen

from streamproxy.errors import Problem
from streamproxy.model import (
    Certificate,
    Document,
    FactKind,
    Json,
    Key,
    Limits,
    Listener,
    Order,
    Routing,
    Snapshot,
    StaticListener,
    TlsMode,
    Transport,
    Upstream,
)

from . import apisix, otoroshi
from .apisix import Vault
from .claims import Claims
from .memo import Memo
from .part import DocumentProblem, Part

__all__ = ["KINDS", "Assembled", "DocumentProblem", "Kind", "Vault", "assemble", "canonical", "sealed"]

DEFAULT_LIMITS: Final = Limits()
DEFAULT_VAULT: Final = Vault()

NOBODY_VOUCHES: Final = Problem(
    "clientAuth", "dangling", "nobody vouches for clients: name their authority as tls.client_ca in the configuration"
)

T = TypeVar("T")
Decoded: TypeAlias = otoroshi.Exposure | apisix.StreamRoute | Upstream | apisix.Ssl
Stored: TypeAlias = tuple[dict[str, Json] | None, tuple[Problem, ...]]


@frozen
class Kind:
    """
    A kind of document. ``canonical`` gives the body as it is to be stored now (``None``: at no time in particular),
    ``decode`` what it asks for. Where ``decode`` finds problems, so does ``canonical``, and there is no result; what
    has become a problem only with time is one for ``canonical`` alone.
    """

    canonical: Callable[[Key, Any, Vault, float | None], Stored]
    decode: Callable[[Key, Any, Vault], tuple[Decoded | None, tuple[Problem, ...]]]


@frozen
class Assembled:
    """``snapshot`` holds everything that is right, ``problems`` everything that is not."""

    snapshot: Snapshot
    problems: tuple[DocumentProblem, ...]


def _tcp_service(key: Key, body: Any, vault: Vault) -> tuple[Decoded | None, tuple[Problem, ...]]:
    service, problems = otoroshi.decode(body, id=key.id)
    if service is None:
        return None, problems
    return otoroshi.expose(key, service), ()


def _as_it_is(decode: Callable[[Key, Any], tuple[Decoded | None, tuple[Problem, ...]]]) -> Kind:
    def canonical(key: Key, body: Any, vault: Vault, now: float | None) -> Stored:
        decoded, problems = decode(key, body)
        return (None if decoded is None else apisix.sealed(key.kind, body, vault.keyring)), problems

    return Kind(canonical, lambda key, body, vault: decode(key, body))


KINDS: Final[Mapping[tuple[str, str], Kind]] = {
    ("otoroshi", "tcp-services"): Kind(
        lambda key, body, vault, now: otoroshi.canonical(body, id=key.id), _tcp_service
    ),
    ("apisix", "stream_routes"): _as_it_is(apisix.decode_stream_route),
    ("apisix", "upstreams"): _as_it_is(apisix.decode_upstream),
    ("apisix", "ssls"): Kind(apisix.canonical_ssl, apisix.decode_ssl),
}
"""Every kind of document there is, by dialect and name."""


def canonical(key: Key, body: object, *, vault: Vault = DEFAULT_VAULT, now: float | None = None) -> Stored:
    """
    ``body`` as it is to be stored: Otoroshi's with all defaults and in its order, APISIX's as it is but for private
    keys, which are sealed. Or everything that is wrong with it, as far as that can be said without looking at other
    documents. ``now`` (seconds since the epoch) is for what may not be stored any more: an expired certificate.
    """
    kind = KINDS.get((key.dialect, key.kind))
    return (None, (_unknown_kind(key),)) if kind is None else kind.canonical(key, body, vault, now)


def sealed(key: Key, body: Mapping[str, Json], vault: Vault) -> Mapping[str, Json]:
    """``body`` with the private keys sealed that stand in it in the clear, whatever else may be wrong with it."""
    return apisix.sealed(key.kind, body, vault.keyring) if key.dialect == "apisix" else body


def _unknown_kind(key: Key) -> Problem:
    return Problem("", "unsupported", f"{key.dialect} documents of the kind {key.kind} are not supported")


def _decode(document: Document, vault: Vault) -> tuple[Decoded | None, tuple[Problem, ...]]:
    kind = KINDS.get((document.key.dialect, document.key.kind))
    if kind is None:
        return None, (_unknown_kind(document.key),)
    decoded, problems = kind.decode(document.key, document.body, vault)
    return (decoded.at(document.revision) if isinstance(decoded, apisix.Ssl) else decoded), problems


@functools.lru_cache(maxsize=4)
def _decoded(vault: Vault) -> Memo[Document, tuple[Decoded | None, tuple[Problem, ...]]]:
    """After one write the whole configuration is assembled again, but only what is new has to be decoded."""
    return Memo(lambda document: _decode(document, vault))


def assemble(
    documents: Iterable[Document],
    *,
    static: Iterable[StaticListener] = (),
    limits: Limits = DEFAULT_LIMITS,
    revision: int = 0,
    vault: Vault = DEFAULT_VAULT,
    client_ca: bool = True,
) -> Assembled:
    """
    Everything ``documents`` and the ``static`` listeners ask for. Where two ask for one address, a static listener
    has it, else the document that was written first (the lower ``revision``, then the earlier of ``documents``).
    ``vault`` has what keys in documents are read with, ``client_ca`` says whether somebody vouches for clients that
    have to prove themselves. Whatever the bodies hold, this raises nothing.
    """
    problems: list[DocumentProblem] = []
    exposures: list[tuple[int, otoroshi.Exposure]] = []
    routes: list[tuple[int, apisix.StreamRoute]] = []
    upstreams: dict[str, Upstream] = {}
    certificates: list[Certificate] = []
    for document, decoded in _sound(documents, problems, _decoded(vault)):
        if isinstance(decoded, otoroshi.Exposure):
            if decoded.demands_certificates and not client_ca:
                problems.append(DocumentProblem(document.key, NOBODY_VOUCHES))
            else:
                exposures.append((document.revision, decoded))
        elif isinstance(decoded, apisix.StreamRoute):
            routes.append((document.created_revision, decoded))
        elif isinstance(decoded, apisix.Ssl):
            if decoded.certificate is not None:
                certificates.append(decoded.certificate)
        else:
            upstreams[document.key.id] = decoded
    claims = Claims()
    statics = _static_listeners(static, claims)
    exposed = otoroshi.compose(_in_order(exposures), claims)
    routed = apisix.compose(_in_order(routes), upstreams)
    parts = (statics, exposed, routed)
    listeners = [listener for part in parts for listener in part.listeners]
    snapshot = Snapshot(
        revision=revision,
        listeners=tuple(sorted(listeners, key=_place)),
        routings={routing.name: routing for part in parts for routing in part.routings},
        upstreams={upstream.id: upstream for part in parts for upstream in part.upstreams},
        limits=limits,
        certificates=tuple(certificates),
    )
    return Assembled(snapshot, (*problems, *(problem for part in parts for problem in part.problems)))


def _sound(
    documents: Iterable[Document],
    problems: list[DocumentProblem],
    decode: Callable[[Document], tuple[Decoded | None, tuple[Problem, ...]]],
) -> Iterator[tuple[Document, Decoded]]:
    """The documents that can be decoded; what is wrong with the others is added to ``problems``."""
    seen: set[Key] = set()
    for document in documents:
        if document.key in seen:
            problems.append(DocumentProblem(document.key, Problem("", "conflict", f"{document.key} is there twice")))
            continue
        seen.add(document.key)
        decoded, found = decode(document)
        problems += [DocumentProblem(document.key, problem) for problem in found]
        if decoded is not None:
            yield document, decoded


def _in_order(ranked: Iterable[tuple[int, T]]) -> list[T]:
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])]


def _place(listener: Listener) -> tuple[str, int, str]:
    address = listener.address
    return address.transport.value, address.port, address.interface


def _static_listeners(static: Iterable[StaticListener], claims: Claims) -> Part:
    listeners, problems = [], []
    for entry in static:
        unsupported = list(_unsupported(entry))
        problems += [DocumentProblem(None, problem) for problem in unsupported]
        if unsupported:
            continue
        owner = claims.owner(entry.address)
        if owner is not None:
            message = f"port {entry.address.port} on {entry.address.interface} is already taken by {owner}"
            problems.append(DocumentProblem(None, Problem(entry.path, "conflict", message)))
            continue
        claims.take(entry.address, entry.path)
        listeners.append(
            Listener(
                address=entry.address,
                routing=apisix.ROUTING,
                owner=entry.path,
                tls=TlsMode.TERMINATE if entry.tls else TlsMode.DISABLED,
                sniff=frozenset({FactKind.SNI}) if entry.tls else frozenset(),
            )
        )
    # Without stream routes there is still a table to ask, which closes everything.
    routings = (Routing(apisix.ROUTING, Order.SPECIFIC, ()),) if listeners else ()
    return Part(listeners=tuple(listeners), routings=routings, problems=tuple(problems))


def _unsupported(entry: StaticListener) -> Iterator[Problem]:
    if entry.tls and entry.address.transport is Transport.UDP:
        yield Problem(f"{entry.path}.tls", "unsupported", "TLS over UDP is not supported")
    if entry.proxy_protocol:
        yield Problem(f"{entry.path}.proxy_protocol", "unsupported", "the PROXY protocol is not supported")
    if entry.proxy_protocol_to_upstream:
        path = f"{entry.path}.proxy_protocol_to_upstream"
        yield Problem(path, "unsupported", "the PROXY protocol is not supported")
