"""From stream routes to the one table that every listener of ``stream_proxy`` shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from streamproxy.errors import Problem
from streamproxy.model import Order, Route, Routing, Upstream

from ..part import DocumentProblem, Part
from .stream_route import StreamRoute

ROUTING: Final = "apisix"


def compose(routes: Iterable[StreamRoute], upstreams: Mapping[str, Upstream]) -> Part:
    """
    The table of ``routes``, which come in the order they were created in. ``upstreams`` are the objects that can be
    served, by their ids. A route whose upstream is not among them is a problem, and closes what it matches: what was
    meant for it is not for any other route.
    """
    made: list[Route] = []
    bare: list[Route] = []
    own: list[Upstream] = []
    problems = []
    for route in routes:
        if isinstance(route.upstream, Upstream):
            upstream = route.upstream
            own.append(upstream)
        elif route.upstream in upstreams:
            upstream = upstreams[route.upstream]
        else:
            upstream = Upstream(f"{route.key} upstream_id", ())
            own.append(upstream)
            problems.append(DocumentProblem(route.key, _dangling(route.upstream)))
        made.append(Route(str(route.key), route.match, upstream.id))
        if route.bare is not None:
            bare.append(Route(f"{route.key} sni", route.bare, upstream.id))
    # A route that is written for an exact name comes before one that matches it by an empty wildcard.
    routing = Routing(ROUTING, Order.SPECIFIC, (*made, *bare))
    routings = (routing,) if made else ()
    return Part(routings=routings, upstreams=(*upstreams.values(), *own), problems=tuple(problems))


def _dangling(id: str) -> Problem:  # noqa: A002
    message = f"failed to fetch upstream info by upstream id [{id}], response code: 404"
    return Problem("upstream_id", "dangling", message)
