"""All documents of all dialects, made into what should be true. The only place where dialects meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from attrs import frozen

from streamproxy.errors import Problem
from streamproxy.model import (
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
from .claims import Claims
from .memo import Memo
from .part import DocumentProblem, Part

__all__ = ["KINDS", "Assembled", "DocumentProblem", "Kind", "assemble", "canonical"]

DEFAULT_LIMITS: Final = Limits()

T = TypeVar("T")
Decoded: TypeAlias = otoroshi.Exposure | apisix.StreamRoute | Upstream


@frozen
class Kind:
    """
    A kind of document. ``canonical`` gives the body as it is to be stored, ``decode`` what it asks for; where one
    finds problems, so does the other, and there is no result.
    """

    canonical: Callable[[Key, Any], tuple[dict[str, Json] | None, tuple[Problem, ...]]]
    decode: Callable[[Key, Any], tuple[Decoded | None, tuple[Problem, ...]]]


@frozen
class Assembled:
    """``snapshot`` holds everything that is right, ``problems`` everything that is not."""

    snapshot: Snapshot
    problems: tuple[DocumentProblem, ...]


def _tcp_service(key: Key, body: Any) -> tuple[Decoded | None, tuple[Problem, ...]]:
    service, problems = otoroshi.decode(body, id=key.id)
    if service is None:
        return None, problems
    unserved = tuple(otoroshi.unserved(service))
    return (None if unserved else otoroshi.expose(key, service)), unserved


def _verbatim(
    decode: Callable[[Key, Any], tuple[Decoded | None, tuple[Problem, ...]]],
) -> Callable[[Key, Any], tuple[dict[str, Json] | None, tuple[Problem, ...]]]:
    def canonical(key: Key, body: Any) -> tuple[dict[str, Json] | None, tuple[Problem, ...]]:
        decoded, problems = decode(key, body)
        return (None if decoded is None else dict(body)), problems

    return canonical


KINDS: Final[Mapping[tuple[str, str], Kind]] = {
    ("otoroshi", "tcp-services"): Kind(lambda key, body: otoroshi.canonical(body, id=key.id), _tcp_service),
    ("apisix", "stream_routes"): Kind(_verbatim(apisix.decode_stream_route), apisix.decode_stream_route),
    ("apisix", "upstreams"): Kind(_verbatim(apisix.decode_upstream), apisix.decode_upstream),
}
"""Every kind of document there is, by dialect and name."""


def canonical(key: Key, body: object) -> tuple[dict[str, Json] | None, tuple[Problem, ...]]:
    """
    ``body`` as it is to be stored: Otoroshi's with all defaults and in its order, APISIX's as it is. Or everything
    that is wrong with it, as far as that can be said without looking at other documents.
    """
    kind = KINDS.get((key.dialect, key.kind))
    return (None, (_unknown_kind(key),)) if kind is None else kind.canonical(key, body)


def _unknown_kind(key: Key) -> Problem:
    return Problem("", "unsupported", f"{key.dialect} documents of the kind {key.kind} are not supported")


def _decode(document: Document) -> tuple[Decoded | None, tuple[Problem, ...]]:
    kind = KINDS.get((document.key.dialect, document.key.kind))
    return (None, (_unknown_kind(document.key),)) if kind is None else kind.decode(document.key, document.body)


# After one write the whole configuration is assembled again, but only the document that is new has to be decoded.
_decoded = Memo(_decode)


def assemble(
    documents: Iterable[Document],
    *,
    static: Iterable[StaticListener] = (),
    limits: Limits = DEFAULT_LIMITS,
    revision: int = 0,
) -> Assembled:
    """
    Everything ``documents`` and the ``static`` listeners ask for. Where two ask for one address, a static listener
    has it, else the document that was written first (the lower ``revision``, then the earlier of ``documents``).
    Whatever the bodies hold, this raises nothing.
    """
    problems: list[DocumentProblem] = []
    exposures: list[tuple[int, otoroshi.Exposure]] = []
    routes: list[tuple[int, apisix.StreamRoute]] = []
    upstreams: dict[str, Upstream] = {}
    for document, decoded in _sound(documents, problems):
        if isinstance(decoded, otoroshi.Exposure):
            exposures.append((document.revision, decoded))
        elif isinstance(decoded, apisix.StreamRoute):
            routes.append((document.created_revision, decoded))
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
    )
    return Assembled(snapshot, (*problems, *(problem for part in parts for problem in part.problems)))


def _sound(documents: Iterable[Document], problems: list[DocumentProblem]) -> Iterator[tuple[Document, Decoded]]:
    """The documents that can be decoded; what is wrong with the others is added to ``problems``."""
    seen: set[Key] = set()
    for document in documents:
        if document.key in seen:
            problems.append(DocumentProblem(document.key, Problem("", "conflict", f"{document.key} is there twice")))
            continue
        seen.add(document.key)
        decoded, found = _decoded(document)
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
    elif entry.tls:
        yield Problem(f"{entry.path}.tls", "unsupported", "terminating TLS is not served yet")
    if entry.proxy_protocol:
        yield Problem(f"{entry.path}.proxy_protocol", "unsupported", "the PROXY protocol is not supported")
    if entry.proxy_protocol_to_upstream:
        path = f"{entry.path}.proxy_protocol_to_upstream"
        yield Problem(path, "unsupported", "the PROXY protocol is not supported")
