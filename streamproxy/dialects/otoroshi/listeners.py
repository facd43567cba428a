"""
From TCP services to listeners.

Several services may listen at one address when all choose their target by name and agree on TLS: their rules are
tried one service after the other, in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from streamproxy.errors import Problem
from streamproxy.model import (
    Access,
    ClientAuth,
    ClientPolicy,
    FactKind,
    Key,
    ListenAddress,
    Listener,
    ListenerLimits,
    Match,
    Node,
    Order,
    Route,
    Routing,
    TlsMode,
    Transport,
    Upstream,
    canonical_interface,
)

from ..claims import Claims
from ..hostname import canonical_host
from ..part import DocumentProblem, Part
from .service import Target, TcpService

_SHARING = "services share a port when all have sni.enabled and the same tls, clientAuth, access and limits"

# How many of the services behind one listener its owner names.
MOST_OWNERS = 8

_SNIFF = {
    TlsMode.DISABLED: frozenset[FactKind](),
    TlsMode.PASSTHROUGH: frozenset({FactKind.SNI, FactKind.HTTP_HOST}),
    TlsMode.TERMINATE: frozenset({FactKind.SNI}),
}


@frozen
class Exposure:
    """
    What one service asks for. ``fallback`` is where connections go that no rule matches. ``http_host``: behind TLS that
    ends here, who sent no name is asked for it in HTTP.
    """

    key: Key
    enabled: bool
    address: ListenAddress
    tls: TlsMode
    client_auth: ClientAuth
    starttls: str
    by_name: bool
    http_host: bool
    routes: tuple[Route, ...]
    fallback: Route | None
    upstreams: tuple[Upstream, ...]
    access: Access = Access()
    limits: ListenerLimits = ListenerLimits()

    @property
    def demands_certificates(self) -> bool:
        """Do clients have to prove themselves?"""
        return self.enabled and self.tls is TlsMode.TERMINATE and self.client_auth is not ClientAuth.NONE

    def merges_with(self, other: Exposure) -> bool:
        mine, theirs = (
            (each.address, each.tls, each.client_auth, each.starttls, each.access, each.limits)
            for each in (self, other)
        )
        return mine == theirs and self.by_name and other.by_name


def expose(key: Key, service: TcpService) -> Exposure:
    """What the service ``key`` asks for. Without names all targets of all rules are one pool."""
    checks = service.checks.checks
    if service.routes_by_name:
        upstreams = [
            Upstream(f"{key} rules[{index}]", _nodes(rule.targets), checks=checks)
            for index, rule in enumerate(service.rules)
        ]
        routes = [
            Route(upstream.id, Match(names=(rule.domain,)), upstream.id)
            for rule, upstream in zip(service.rules, upstreams, strict=True)
        ]
    else:
        pool = [target for rule in service.rules for target in rule.targets]
        upstreams = [Upstream(f"{key} rules", _nodes(pool), checks=checks)] if pool else []
        routes = [Route(upstream.id, Match(), upstream.id) for upstream in upstreams]
    fallback = None
    if service.routes_by_name and service.sni.forward_if_no_match:
        upstreams.append(Upstream(f"{key} sni.forwardsTo", _nodes([service.sni.forwards_to]), checks=checks))
        fallback = Route(upstreams[-1].id, Match(), upstreams[-1].id)
    return Exposure(
        key=key,
        enabled=service.enabled,
        address=ListenAddress(Transport.TCP, canonical_interface(service.interface), service.port),
        tls=service.tls,
        client_auth=service.client_auth,
        starttls=service.starttls,
        by_name=service.routes_by_name,
        http_host=service.sni.http_host,
        routes=tuple(routes),
        fallback=fallback,
        upstreams=tuple(upstreams),
        access=service.access.access,
        limits=service.limits.limits,
    )


def _nodes(targets: Sequence[Target]) -> tuple[Node, ...]:
    return tuple(map(_node, targets))


def _node(target: Target) -> Node:
    host = canonical_host(target.host)
    tls = None
    if target.tls:
        config = target.tls_config
        name = config.server_name or host.removesuffix(".")
        tls = ClientPolicy(name, config.verify, ca=config.ca.der, minimum=config.minimum)
    return Node(host, target.port, ip=None if target.ip is None else canonical_host(target.ip), tls=tls)


def compose(exposures: Iterable[Exposure], claims: Claims) -> Part:
    """
    The listeners of the enabled ones among ``exposures``, which come in the order of their writing: who finds its
    address taken, by an earlier one it does not merge with or in ``claims``, is refused. Takes its addresses there.
    """
    shared: dict[ListenAddress, list[Exposure]] = {}
    problems = []
    for exposure in exposures:
        if not exposure.enabled:
            continue
        holders = shared.get(exposure.address)
        if holders is not None and exposure.merges_with(holders[0]):
            holders.append(exposure)
            continue
        owner = claims.owner(exposure.address)
        if owner is None:
            claims.take(exposure.address, str(exposure.key))
            shared[exposure.address] = [exposure]
        else:
            problems.append(
                DocumentProblem(exposure.key, _conflict(exposure.address, owner, shared=holders is not None))
            )
    parts = [_listener(sorted(holders, key=lambda holder: holder.key)) for holders in shared.values()]
    return Part(
        listeners=tuple(listener for listener, _ in parts),
        routings=tuple(routing for _, routing in parts),
        upstreams=tuple(upstream for holders in shared.values() for holder in holders for upstream in holder.upstreams),
        problems=tuple(problems),
    )


def _conflict(address: ListenAddress, owner: str, *, shared: bool) -> Problem:
    hint = f" ({_SHARING})" if shared else ""
    return Problem("port", "conflict", f"port {address.port} on {address.interface} is already taken by {owner}{hint}")


def _listener(holders: Sequence[Exposure]) -> tuple[Listener, Routing]:
    first = holders[0]
    fallback = next((holder.fallback for holder in holders if holder.fallback is not None), None)
    routes = [route for holder in holders for route in holder.routes]
    routing = Routing(
        f"otoroshi {first.address}", Order.FIRST, tuple(routes if fallback is None else [*routes, fallback])
    )
    keys = tuple(holder.key for holder in holders)
    more = f"+{len(keys) - MOST_OWNERS} more" if len(keys) > MOST_OWNERS else ""
    listener = Listener(
        address=first.address,
        routing=routing.name,
        owner="+".join(map(str, keys[:MOST_OWNERS])) + more,
        documents=keys,
        tls=first.tls,
        client_auth=first.client_auth if first.tls is TlsMode.TERMINATE else ClientAuth.NONE,
        sniff=_sniff(holders),
        starttls=first.starttls,
        access=() if first.access == Access() else (first.access,),
        limits=first.limits,
    )
    return listener, routing


def _sniff(holders: Sequence[Exposure]) -> frozenset[FactKind]:
    first = holders[0]
    if not first.by_name:
        return frozenset()
    asked = {FactKind.HTTP_HOST} if any(holder.http_host for holder in holders) else set()
    return _SNIFF[first.tls] | asked
