"""All documents of all dialects, made into what should be true. The only place where dialects meet."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias, TypeVar, cast

from attrs import define, evolve, field, frozen

from streamproxy.errors import Problem
from streamproxy.model import (
    Access,
    Certificate,
    Document,
    Json,
    Key,
    Limits,
    ListenAddress,
    Listener,
    Network,
    Order,
    Routing,
    Snapshot,
    StaticListener,
)
from streamproxy.plugins.seam import Plugin

from . import apisix, otoroshi
from .apisix import Vault
from .claims import Claims
from .codec import kind_of
from .listeners import LISTENERS, ListenerDocument, canonical_listener, decode_listener
from .memo import Memo
from .part import DocumentProblem, Part

__all__ = ["KINDS", "Assembled", "DocumentProblem", "Kind", "Vault", "adopt", "assemble", "canonical", "sealed"]

DEFAULT_LIMITS: Final = Limits()
EVERYBODY: Final = Access()
DEFAULT_VAULT: Final = Vault()
NOTHING_RESERVED: Final[Mapping[ListenAddress, str]] = {}
NO_PLUGINS: Final[Mapping[str, Plugin]] = {}

NOBODY_VOUCHES: Final = Problem(
    "clientAuth", "dangling", "nobody vouches for clients: name their authority as tls.client_ca in the configuration"
)

T = TypeVar("T")
Decoded: TypeAlias = (
    otoroshi.Exposure
    | apisix.StreamRoute
    | apisix.UpstreamPlan
    | apisix.Service
    | apisix.Ssl
    | apisix.Metadata
    | ListenerDocument
)
Found: TypeAlias = tuple[Decoded | None, tuple[Problem, ...]]
Stored: TypeAlias = tuple[dict[str, Json] | None, tuple[Problem, ...]]


@frozen(eq=False)
class Means:
    """What bodies are read with: secrets, and the plugins that there are, by name."""

    vault: Vault = DEFAULT_VAULT
    plugins: Mapping[str, Plugin] = NO_PLUGINS


@frozen
class Kind:
    """
    A kind of document. ``canonical`` gives the body as it is to be stored now (``None``: at no time in particular),
    ``decode`` what it asks for. Where ``decode`` finds problems, so does ``canonical``, which then has no result;
    ``decode`` has what is left, so that whoever is led there is closed and not led elsewhere. What has become a problem
    only with time is one for ``canonical`` alone.
    """

    canonical: Callable[[Key, Any, Means, float | None], Stored]
    decode: Callable[[Key, Any, Means], Found]


@frozen
class Assembled:
    """``snapshot`` holds everything that is right, ``problems`` everything that is not."""

    snapshot: Snapshot
    problems: tuple[DocumentProblem, ...]


def _tcp_service(key: Key, body: Any, means: Means) -> Found:
    service, problems = otoroshi.decode(body, id=key.id)
    if service is None:
        return None, problems
    return otoroshi.expose(key, service), ()


def _as_it_is(decode: Callable[[Key, Any, Means], Found]) -> Kind:
    def canonical(key: Key, body: Any, means: Means, now: float | None) -> Stored:
        problems = decode(key, body, means)[1]
        return (None, problems) if problems else (_sealed(key, body, means), ())

    return Kind(canonical, decode)


def _noted(body: object) -> Stored:
    if isinstance(body, Mapping):
        return dict(body), ()
    return None, (Problem("", "wrong_type", f"expected an object, got {kind_of(body)}"),)


def _sealed(key: Key, body: Mapping[str, Json], means: Means) -> dict[str, Json]:
    encrypted = {name: plugin.encrypted for name, plugin in means.plugins.items()}
    return apisix.sealed(key.kind, body, means.vault.keyring, encrypted)


KINDS: Final[Mapping[tuple[str, str], Kind]] = {
    ("otoroshi", "tcp-services"): Kind(
        lambda key, body, means, now: otoroshi.canonical(body, id=key.id), _tcp_service
    ),
    ("apisix", "stream_routes"): _as_it_is(
        lambda key, body, means: apisix.decode_stream_route(key, body, means.vault, means.plugins)
    ),
    ("apisix", "upstreams"): _as_it_is(lambda key, body, means: apisix.decode_upstream(key, body, means.vault)),
    ("apisix", "services"): _as_it_is(
        lambda key, body, means: apisix.decode_service(key, body, means.vault, means.plugins)
    ),
    ("apisix", "plugin_metadata"): _as_it_is(
        lambda key, body, means: apisix.decode_metadata(key, body, means.plugins)
    ),
    ("apisix", "ssls"): Kind(
        lambda key, body, means, now: apisix.canonical_ssl(key, body, means.vault, now),
        lambda key, body, means: apisix.decode_ssl(key, body, means.vault),
    ),
    # What its Admin API notes of whole configurations (standalone mode); it asks for nothing.
    ("apisix", "configs"): Kind(lambda key, body, means, now: _noted(body), lambda key, body, means: (None, ())),
    LISTENERS: Kind(
        lambda key, body, means, now: canonical_listener(key, body), lambda key, body, means: decode_listener(key, body)
    ),
}
"""Every kind of document there is, by dialect and name."""


def canonical(
    key: Key,
    body: object,
    *,
    vault: Vault = DEFAULT_VAULT,
    plugins: Mapping[str, Plugin] = NO_PLUGINS,
    now: float | None = None,
) -> Stored:
    """
    ``body`` as it is to be stored: Otoroshi's with all defaults and in its order, APISIX's as it is but for private
    keys and what ``plugins`` keep secret, which is sealed. Or everything that is wrong with it, as far as that can be
    said without looking at other documents. ``now`` (seconds since the epoch) is for what may not be stored any more:
    an expired certificate.
    """
    kind = KINDS.get((key.dialect, key.kind))
    means = Means(vault, plugins)
    return (None, (_unknown_kind(key),)) if kind is None else kind.canonical(key, body, means, now)


def sealed(
    key: Key, body: Mapping[str, Json], vault: Vault, plugins: Mapping[str, Plugin] = NO_PLUGINS
) -> Mapping[str, Json]:
    """``body`` with the secrets sealed that stand in it in the clear, whatever else may be wrong with it."""
    return _sealed(key, body, Means(vault, plugins)) if key.dialect == "apisix" else body


def _unknown_kind(key: Key) -> Problem:
    return Problem("", "unsupported", f"{key.dialect} documents of the kind {key.kind} are not supported")


def _decode(document: Document, means: Means) -> Found:
    kind = KINDS.get((document.key.dialect, document.key.kind))
    if kind is None:
        return None, (_unknown_kind(document.key),)
    decoded, problems = kind.decode(document.key, document.body, means)
    return (decoded.at(document.revision) if isinstance(decoded, apisix.Ssl) else decoded), problems


@frozen(eq=False)
class _Same:
    """Equal to another one of the same object: what a cache can be asked by."""

    value: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def _decoded(means: Means) -> Memo[Document, Found]:
    """After one write the whole configuration is assembled again, but only what is new has to be decoded."""
    return _memo(_Same(means.vault), _Same(means.plugins))


@functools.lru_cache(maxsize=4)
def _memo(vault: _Same, plugins: _Same) -> Memo[Document, Found]:
    means = Means(cast(Vault, vault.value), cast("Mapping[str, Plugin]", plugins.value))
    return Memo(lambda document: _decode(document, means))


def adopt(documents: Iterable[tuple[Document, Document]], vault: Vault, plugins: Mapping[str, Plugin]) -> None:
    """Of each pair the first asks for what the second does: what the second was decoded to is true of the first."""
    decoded = _decoded(Means(vault, plugins))
    for document, like in documents:
        decoded.adopt(document, like)


@define
class _Sorted:
    """What documents ask for, by what it is, with the revisions that decide who comes first."""

    exposures: list[tuple[int, otoroshi.Exposure]] = field(factory=list)
    routes: list[tuple[int, apisix.StreamRoute]] = field(factory=list)
    opened: list[tuple[int, ListenerDocument]] = field(factory=list)
    upstreams: dict[str, apisix.UpstreamPlan] = field(factory=dict)
    services: dict[str, apisix.Service] = field(factory=dict)
    ssls: dict[str, apisix.Ssl] = field(factory=dict)
    metadata: dict[str, Mapping[str, Any]] = field(factory=dict)

    def take(self, document: Document, decoded: Decoded) -> None:
        name = document.key.id
        if isinstance(decoded, apisix.StreamRoute):
            self.routes.append((document.created_revision, decoded))
        elif isinstance(decoded, otoroshi.Exposure):
            self.exposures.append((document.revision, decoded))
        elif isinstance(decoded, ListenerDocument):
            self.opened.append((document.revision, decoded))
        elif isinstance(decoded, apisix.Ssl):
            self.ssls[name] = decoded
        elif isinstance(decoded, apisix.Service):
            self.services[name] = decoded
        elif isinstance(decoded, apisix.Metadata):
            self.metadata[name] = decoded.values
        else:
            self.upstreams[name] = decoded

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        return tuple(ssl.certificate for ssl in self.ssls.values() if ssl.certificate is not None)


def assemble(
    documents: Iterable[Document],
    *,
    static: Iterable[StaticListener] = (),
    limits: Limits = DEFAULT_LIMITS,
    access: Access = EVERYBODY,
    revision: int = 0,
    vault: Vault = DEFAULT_VAULT,
    plugins: Mapping[str, Plugin] = NO_PLUGINS,
    client_ca: bool = True,
    trusted_proxies: tuple[Network, ...] = (),
    reserved: Mapping[ListenAddress, str] = NOTHING_RESERVED,
) -> Assembled:
    """
    Everything ``documents`` and the ``static`` listeners ask for. Where two ask for one address, a static listener
    has it, else the document that was written first (the lower ``revision``, then the earlier of ``documents``; of one
    revision TCP services come before listeners). ``reserved`` are addresses that are not to be had, each with the name
    of its owner. ``access`` is for every listener, beside its own.
    ``vault`` has what keys in documents are read with, ``plugins`` are those there are, by name: keep both, for what
    was decoded is known by them. ``client_ca`` says whether somebody vouches for clients that have to prove themselves;
    the addresses in PROXY protocol headers are adopted from ``trusted_proxies`` only. Whatever the bodies hold, this
    raises nothing.
    """
    problems: list[DocumentProblem] = []
    asked = _Sorted()
    for document, decoded in _sound(documents, problems, _decoded(Means(vault, plugins))):
        if isinstance(decoded, otoroshi.Exposure) and decoded.demands_certificates and not client_ca:
            problems.append(DocumentProblem(document.key, NOBODY_VOUCHES))
        else:
            asked.take(document, decoded)
    claims = Claims()
    for address, owner in reserved.items():
        claims.take(address, owner)
    parts = (
        apisix.static_listeners(static, claims, trusted_proxies),
        _opened_listeners(asked.opened, asked.exposures, claims, trusted_proxies),
        otoroshi.compose(_in_order(asked.exposures), claims),
        apisix.compose(_in_order(asked.routes), apisix.Objects(asked.upstreams, asked.services, asked.ssls)),
    )
    listeners = [listener for part in parts for listener in part.listeners]
    if access != EVERYBODY:
        listeners = [evolve(listener, access=(access, *listener.access)) for listener in listeners]
    snapshot = Snapshot(
        revision=revision,
        listeners=tuple(sorted(listeners, key=_place)),
        routings={routing.name: routing for part in parts for routing in part.routings},
        upstreams={upstream.id: upstream for part in parts for upstream in part.upstreams},
        limits=limits,
        certificates=asked.certificates,
        plugin_metadata=asked.metadata,
    )
    return Assembled(snapshot, (*problems, *(problem for part in parts for problem in part.problems)))


def _sound(
    documents: Iterable[Document],
    problems: list[DocumentProblem],
    decode: Callable[[Document], Found],
) -> Iterator[tuple[Document, Decoded]]:
    """The documents that ask for something; what is wrong with them and the others is added to ``problems``."""
    seen: set[Key] = set()
    for document in documents:
        key = document.key
        if key in seen:
            problems.append(DocumentProblem(key, Problem("", "conflict", f"{key} is there twice")))
            continue
        seen.add(key)
        decoded, found = decode(document)
        if found:
            problems += [DocumentProblem(document.key, problem) for problem in found]
        if decoded is not None:
            yield document, decoded


def _in_order(ranked: Iterable[tuple[int, T]]) -> list[T]:
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])]


def _place(listener: Listener) -> tuple[str, int, str]:
    address = listener.address
    return address.transport.value, address.port, address.interface


def _opened_listeners(
    opened: Iterable[tuple[int, ListenerDocument]],
    exposures: Iterable[tuple[int, otoroshi.Exposure]],
    claims: Claims,
    trusted: tuple[Network, ...],
) -> Part:
    """Those of documents. A TCP service that was written before one of them has its address."""
    waiting = deque((revision, one) for revision, one in sorted(exposures, key=_revision) if one.enabled)
    services = Claims()
    made: list[Listener] = []
    problems = []
    for revision, document in sorted(opened, key=_revision):
        while waiting and waiting[0][0] <= revision:
            _, exposure = waiting.popleft()
            services.take(exposure.address, str(exposure.key))
        problem = next(_taken(document, claims, services), None)
        if problem is not None:
            problems.append(DocumentProblem(document.key, problem))
            continue
        for entry in document.listeners:
            claims.take(entry.address, entry.path)
            made.append(apisix.to_listener(entry, trusted, (document.key,)))
    routings = (Routing(apisix.ROUTING, Order.SPECIFIC, ()),) if made else ()
    return Part(listeners=tuple(made), routings=routings, problems=tuple(problems))


def _revision(ranked: tuple[int, object]) -> int:
    return ranked[0]


def _taken(document: ListenerDocument, *claims: Claims) -> Iterator[Problem]:
    for entry in document.listeners:
        address = entry.address
        owner = next((owner for each in claims if (owner := each.owner(address)) is not None), None)
        if owner is not None:
            message = f"port {address.port} on {address.interface} is already taken by {owner}"
            yield Problem("addr", "conflict", message)
