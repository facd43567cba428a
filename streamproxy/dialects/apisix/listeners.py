"""The listeners of ``stream_proxy``, all of which ask one table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streamproxy.errors import Problem
from streamproxy.model import (
    Access,
    FactKind,
    Key,
    Listener,
    Network,
    Order,
    ProxyAccept,
    Routing,
    StaticListener,
    TlsMode,
    Transport,
)

from ..claims import Claims
from ..part import DocumentProblem, Part
from .routing import ROUTING


def static_listeners(static: Iterable[StaticListener], claims: Claims, trusted: tuple[Network, ...]) -> Part:
    """
    What ``static`` asks for, first come, first served; the addresses go into ``claims``. ``trusted`` are those whose
    PROXY protocol headers are believed.
    """
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
        listeners.append(to_listener(entry, trusted))
    # Without stream routes there is still a table to ask, which closes everything.
    routings = (Routing(ROUTING, Order.SPECIFIC, ()),) if listeners else ()
    return Part(listeners=tuple(listeners), routings=routings, problems=tuple(problems))


def to_listener(entry: StaticListener, trusted: tuple[Network, ...] = (), documents: tuple[Key, ...] = ()) -> Listener:
    """What ``entry`` asks for; ``documents`` are behind it."""
    mode = TlsMode.TERMINATE if entry.tls else TlsMode.PASSTHROUGH if entry.tls_passthrough else TlsMode.DISABLED
    return Listener(
        address=entry.address,
        routing=ROUTING,
        owner=entry.path,
        documents=documents,
        tls=mode,
        # A client of a plain port may wait for its server to speak first, so nothing is waited for.
        sniff=frozenset() if mode is TlsMode.DISABLED else frozenset({FactKind.SNI}),
        proxy_in=ProxyAccept(trusted, required=True) if entry.proxy_protocol else None,
        proxy_out=entry.proxy_protocol_to_upstream,
        fallback_names=mode is not TlsMode.DISABLED,
        passes=entry.tls and entry.tls_passthrough,
        access=() if entry.access == Access() else (entry.access,),
        limits=entry.limits,
    )


def _unsupported(entry: StaticListener) -> Iterator[Problem]:
    if entry.address.transport is Transport.UDP:
        for name in ("tls", "tls_passthrough"):
            if getattr(entry, name):
                yield Problem(f"{entry.path}.{name}", "unsupported", f"{name} over UDP is not supported")
