"""APISIX's ``stream_routes``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from streamproxy.errors import Problem
from streamproxy.model import Key, Match, NamePattern, Network, PatternKind, Upstream

from ..codec import shown
from .upstream import to_upstream

# ipaddress also takes netmasks and scopes, which APISIX refuses.
_NETWORK = re.compile(r"[0-9A-Fa-f.:]+(/[0-9]{1,3})?")


@frozen
class StreamRoute:
    """
    A route and what it asks for. ``upstream`` is the id of an object or one of the route's own. ``bare`` is for a
    wildcard without a dot, like ``*example.com``: the name it matches with nothing in place of the ``*``.
    """

    key: Key
    match: Match
    upstream: str | Upstream
    bare: Match | None


def to_stream_route(key: Key, body: Mapping[str, Any]) -> tuple[StreamRoute | None, tuple[Problem, ...]]:
    """
    The route that ``body``, which its schema has nothing against, describes; or what of it cannot be done
    (``unsupported``) or cannot work.
    """
    problems = list(_unsupported(body))
    remote, server = _network(body.get("remote_addr")), _network(body.get("server_addr"))
    for name, network in (("remote_addr", remote), ("server_addr", server)):
        if name in body and network is None:
            problems.append(Problem(name, "bad_value", f"invalid {name}: {shown(body[name])[1:-1]}"))
    if "sni" in body and "snis" in body:
        problems.append(Problem("snis", "bad_value", "sni and snis cannot stand in one route"))
    upstream, upstream_problems = _upstream(key, body)
    problems += upstream_problems
    if upstream is None or problems:
        return None, tuple(problems)
    names = body.get("snis") or ([body["sni"]] if "sni" in body else [])
    match = Match(tuple(map(_pattern, names)), remote, server, body.get("server_port"))
    return StreamRoute(key, match, upstream, _bare(match)), ()


def _unsupported(body: Mapping[str, Any]) -> Iterator[Problem]:
    if "service_id" in body:
        yield Problem("service_id", "unsupported", "services are not supported: write upstream or upstream_id")
    if body.get("plugins"):
        yield Problem("plugins", "unsupported", "plugins are not supported")
    if "protocol" in body:
        yield Problem("protocol", "unsupported", "xRPC protocols are not supported")


def _upstream(key: Key, body: Mapping[str, Any]) -> tuple[str | Upstream | None, tuple[Problem, ...]]:
    if "upstream_id" in body:
        return str(body["upstream_id"]), ()
    if "upstream" in body:
        upstream, problems = to_upstream(body["upstream"], f"{key} upstream")
        return upstream, tuple(problem.under("upstream") for problem in problems)
    if "service_id" in body:
        return None, ()
    return None, (Problem("upstream", "missing", "missing upstream configuration: write upstream or upstream_id"),)


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
