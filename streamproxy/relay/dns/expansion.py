"""Nodes that are names of services: the hosts behind them, as nodes of their own (RFC 2782)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime

from ...model import ClientPolicy, Node, Upstream, is_service_name
from .answers import ResolutionError
from .message import Service


class Services(Protocol):
    """Who knows services, see :class:`~streamproxy.relay.resolve.Resolver`."""

    def known_services(self, name: str) -> tuple[Service, ...] | None: ...

    def services(self, name: str) -> Deferred[tuple[Service, ...]]: ...

    def follow_services(self, name: str, changed: Callable[[], None]) -> None: ...

    def unfollow_services(self, name: str, changed: Callable[[], None]) -> None: ...


class Expansion:
    """
    The nodes of upstreams in use. The names of services in them are followed, and ``changed`` is called with the id of
    each upstream whose nodes may have become others.
    """

    def __init__(self, services: Services, clock: Any, changed: Callable[[str], None]) -> None:
        self._services = services
        self._clock: IReactorTime = clock
        self._changed = changed
        self._followed: dict[str, dict[str, Callable[[], None]]] = {}

    def nodes(self, upstream: Upstream) -> tuple[Node, ...]:
        """Those there are now. Its names are followed until :meth:`forget`."""
        if not any(is_service_name(node.dial_host) for node in upstream.nodes):
            return upstream.nodes
        followed = self._followed.setdefault(upstream.id, {})
        for name in _names(upstream):
            if name not in followed:
                changed = followed[name] = partial(self._changed, upstream.id)
                self._services.follow_services(name, changed)
        return tuple(dict.fromkeys(self._expanded(upstream)))

    def forget(self, upstream_id: str) -> None:
        """Follow its names no more."""
        for name, changed in self._followed.pop(upstream_id, {}).items():
            self._services.unfollow_services(name, changed)

    def lookup(self, upstream: Upstream, timeout: float) -> Deferred[str] | None:
        """
        Wait for the services of an upstream to be known, ``timeout`` seconds at most: what went wrong, empty if
        nothing. ``None``: it has none.
        """
        names = list(_names(upstream))
        if not names:
            return None

        def told(results: list[tuple[bool, Any]]) -> str:
            return "; ".join(result.getErrorMessage() for good, result in results if not good)

        def expired(value: object, _: float) -> Any:
            raise ResolutionError(f"{', '.join(names)}: no answer in {timeout:g} s")

        asked: Deferred[Any] = DeferredList([self._services.services(name) for name in names], consumeErrors=True)
        asked.addTimeout(timeout, self._clock, expired)
        return asked.addCallbacks(told, lambda failure: str(failure.getErrorMessage()))

    def _expanded(self, upstream: Upstream) -> Iterator[Node]:
        for node in upstream.nodes:
            if not is_service_name(node.dial_host):
                yield node
                continue
            for service in self._services.known_services(node.dial_host) or ():
                yield node_of(node, service)


def node_of(node: Node, service: Service) -> Node:
    """
    One of the hosts behind ``node``. A lower SRV priority is a higher one of ours, below which it begins is the node's
    own; weights are multiplied. A weight of 0 in DNS is the least there is, where ours is none at all.
    """
    host = service.target if node.ip is None else node.host
    # With the dot at its end: it means itself, whatever domains are searched.
    return Node(
        host,
        service.port,
        ip=f"{service.target}.",
        weight=node.weight * max(1, service.weight),
        priority=node.priority - service.priority,
        tls=None if node.tls is None else _policy(node, node.tls, service.target),
    )


def _policy(node: Node, policy: ClientPolicy, target: str) -> ClientPolicy:
    """
    The name to verify is the target's only if it is of the service's own domain: what DNS says of others may be
    anybody's word, so then it is the domain's (RFC 6125, section 6.2.1).
    """
    name = node.host.removesuffix(".")
    if not is_service_name(name) or policy.server_name.removesuffix(".") != name:
        return policy
    _, _, domain = name.split(".", 2)
    return evolve(policy, server_name=target if target == domain or target.endswith(f".{domain}") else domain)


def _names(upstream: Upstream) -> Iterator[str]:
    yield from dict.fromkeys(node.dial_host for node in upstream.nodes if is_service_name(node.dial_host))
