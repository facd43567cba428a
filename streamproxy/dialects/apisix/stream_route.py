"""APISIX's ``stream_routes``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve, field, frozen

from streamproxy.model import Key, Match, NamePattern, Network, PatternKind
from streamproxy.plugins.seam import Plugin

from ..codec import shown
from .jsonschema import Violation
from .parts import identifier
from .plugin_conf import PluginPlan, to_plugins
from .secrets import Vault
from .upstream import UpstreamPlan, to_upstream

# ipaddress also takes netmasks and scopes, which APISIX refuses.
_NETWORK = re.compile(r"[0-9A-Fa-f.:]+(/[0-9]{1,3})?")


@frozen
class StreamRoute:
    """
    A route and what it asks for. ``upstream`` is one of its own, ``upstream_id`` and ``service_id`` name objects
    (empty: none). Of ``plugins``, those that are switched off are ``None``. ``bare`` is for a wildcard without a dot,
    like ``*example.com``: the name it matches with nothing in place of the ``*``. One that is ``broken`` closes what
    it matches. With ``passthrough`` TLS does not end here, where the listener leaves that to the route.
    """

    key: Key
    match: Match
    upstream: UpstreamPlan | None = None
    upstream_id: str = ""
    service_id: str = ""
    plugins: Mapping[str, PluginPlan | None] = field(factory=dict)
    name: str = ""
    bare: Match | None = None
    broken: bool = False
    passthrough: bool = False


def to_stream_route(
    key: Key, body: Mapping[str, Any], plugins: Mapping[str, Plugin], vault: Vault
) -> tuple[StreamRoute | None, tuple[Violation, ...]]:
    """
    The route that ``body``, which its schema has nothing against, describes; and what of it cannot be done
    (``unsupported``) or cannot work: what APISIX says first, in its order and words. Of an upstream inside a route it
    says nothing but what its schema does. ``None``: it matches nothing, or nobody can say what.
    """
    plans, found = to_plugins(body.get("plugins") or {}, plugins, vault, str(key))
    remote, server = _network(body.get("remote_addr")), _network(body.get("server_addr"))
    nowhere = tuple(
        Violation.plain(name, "bad_value", f"invalid {name}: {shown(body[name])[1:-1]}")
        for name, network in (("remote_addr", remote), ("server_addr", server))
        if name in body and network is None
    )
    upstream: UpstreamPlan | None = None
    own: tuple[Violation, ...] = ()
    if "upstream" in body:
        upstream, inner = to_upstream(body["upstream"], f"{key} upstream", vault)
        problems = (each.problem.under("upstream").tolerated() for each in inner)
        own = tuple(Violation(problem, str(problem)) for problem in problems)
    violations = (*found, *nowhere, *_protocol(body), *own, *_leads_nowhere(body, plans, found))
    if nowhere or "superior_id" in body.get("protocol", {}):
        return None, violations
    names = body.get("snis") or ([body["sni"]] if "sni" in body else [])
    match = Match(tuple(map(_pattern, names)), remote, server, body.get("server_port"))
    route = StreamRoute(
        key,
        match,
        upstream,
        identifier(body.get("upstream_id", "")),
        identifier(body.get("service_id", "")),
        plans,
        body.get("name", ""),
        _bare(match),
        broken=bool(found) or "protocol" in body,
        passthrough=body.get("tls_passthrough", False),
    )
    return route, violations


def _protocol(body: Mapping[str, Any]) -> Iterator[Violation]:
    if "protocol" in body:
        message = f"unknown protocol [{shown(body['protocol']['name'])[1:-1]}]"
        yield Violation.plain("protocol.name", "unsupported", message)


def _leads_nowhere(
    body: Mapping[str, Any], plans: Mapping[str, PluginPlan | None], found: tuple[Violation, ...]
) -> Iterator[Violation]:
    if any(name in body for name in ("upstream", "upstream_id", "service_id")) or found:
        return
    if not any(plan is not None and plan.targets for plan in plans.values()):
        message = "missing upstream configuration: write upstream, upstream_id or service_id"
        yield Violation.plain("upstream", "missing", message).tolerated()


def _network(text: str | None) -> Network | None:
    if text is None or _NETWORK.fullmatch(text) is None:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _pattern(source: str) -> NamePattern:
    text = source.lower().removesuffix(".")
    if text == "*":
        return NamePattern(PatternKind.ANY, text, source)
    if text.startswith("*"):
        return NamePattern(PatternKind.SUFFIX, text[1:], source)
    return NamePattern(PatternKind.EXACT, text, source)


def _bare(match: Match) -> Match | None:
    names = tuple(
        NamePattern(PatternKind.EXACT, name.text, name.source)
        for name in match.names
        if name.kind is PatternKind.SUFFIX and not name.text.startswith(".")
    )
    return evolve(match, names=names) if names else None
