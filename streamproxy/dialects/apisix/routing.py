"""From routes, services and upstreams to the one table that every listener of ``stream_proxy`` shares."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from attrs import define, evolve, field, frozen

from streamproxy.errors import Problem
from streamproxy.model import Key, Order, PluginUse, Route, Routing, Upstream

from ..memo import Memo
from ..part import DocumentProblem, Part
from .plugin_conf import PluginPlan
from .service import Service
from .ssl import Ssl
from .stream_route import StreamRoute
from .upstream import UpstreamPlan

ROUTING: Final = "apisix"


@frozen
class Objects:
    """What routes lead to, by id."""

    upstreams: Mapping[str, UpstreamPlan] = field(factory=dict)
    services: Mapping[str, Service] = field(factory=dict)
    ssls: Mapping[str, Ssl] = field(factory=dict)


def compose(routes: Iterable[StreamRoute], objects: Objects) -> Part:
    """
    The table of ``routes``, which come in the order they were created in. A route that leads to what is not among
    ``objects`` is a problem, and closes what it matches: what was meant for it is not for any other route.
    """
    composer = _Composer(objects)
    made: list[Route] = []
    bare: list[Route] = []
    for route in routes:
        alone = _ALONE(route)
        if alone is None:
            one = composer.route(route)
        else:
            one, upstream = alone
            composer.upstreams[upstream.id] = upstream
        made.append(one)
        if route.bare is not None:
            bare.append(evolve(one, id=f"{one.id} sni", match=route.bare))
    # A route that is written for an exact name comes before one that matches it by an empty wildcard.
    routing = Routing(ROUTING, Order.SPECIFIC, (*made, *bare))
    routings = (routing,) if made else ()
    return Part(routings=routings, upstreams=tuple(composer.upstreams.values()), problems=tuple(composer.problems))


def _alone(route: StreamRoute) -> tuple[Route, Upstream] | None:
    """The route and where it leads, where both follow from its own document and nothing else."""
    plan = route.upstream
    if plan is None or plan.client_cert_id or route.upstream_id or route.service_id or route.plugins or route.broken:
        return None
    upstream = plan.upstream
    made = Route(
        str(route.key), route.match, upstream.id, document=route.key, name=route.name, passthrough=route.passthrough
    )
    return made, upstream


@define(eq=False)
class _Made:
    """What was made of a route the last time."""

    route: Route | None = None


# After one write everything is composed again. What did not change is the same object as before: that saves the time
# to make it, the time to compare it, and the memory, since earlier snapshots are kept for a while.
_ALONE: Final[Memo[StreamRoute, tuple[Route, Upstream] | None]] = Memo(_alone)
_MADE: Final[Memo[StreamRoute, _Made]] = Memo(lambda _: _Made())


class _Composer:
    """``upstreams`` by their ids in the snapshot, ``problems`` of documents that lead nowhere."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.upstreams: dict[str, Upstream] = {}
        self.problems: list[DocumentProblem] = []
        for id_, plan in objects.upstreams.items():
            self._finish(plan, Key("apisix", "upstreams", id_), "tls.client_cert_id")
        for service in objects.services.values():
            if service.upstream is not None:
                self._finish(service.upstream, service.key, "upstream.tls.client_cert_id")
            elif service.upstream_id:
                self._known(service.key, service.upstream_id)

    def route(self, route: StreamRoute) -> Route:
        """The route, led to where it leads."""
        service = None if route.upstream_id else self._objects.services.get(route.service_id)
        plans = route.plugins if service is None else {**service.plugins, **route.plugins}
        upstream = self._upstream(route, service, is_led=any(plan and plan.targets for plan in plans.values()))
        if route.broken or (service is not None and service.broken):
            upstream = None
        inherited = () if service is None else service.plugins.keys() - route.plugins.keys()
        uses = () if upstream is None else self._uses(plans, inherited)
        leads_to = self._nowhere(route.key) if upstream is None else upstream
        through = "" if service is None else service.key.id
        made = _MADE(route)
        last = made.route
        if last is not None and (last.upstream, last.service, last.plugins) == (leads_to, through, uses):
            return last
        made.route = Route(
            str(route.key),
            route.match,
            leads_to,
            uses,
            document=route.key,
            service=through,
            name=route.name,
            passthrough=route.passthrough,
        )
        return made.route

    def _upstream(self, route: StreamRoute, service: Service | None, *, is_led: bool) -> str | None:
        """The id of the upstream, empty where a plugin names one; ``None``: there is none, and it has been said."""
        if route.upstream_id:
            return self._known(route.key, route.upstream_id)
        if route.service_id and service is None:
            message = f"failed to fetch service info by service id [{route.service_id}], response code: 404"
            self._dangling(route.key, "service_id", message)
            return None
        if route.upstream is not None:
            return self._finish(route.upstream, route.key, "upstream.tls.client_cert_id")
        if service is not None and service.upstream is not None:
            return service.upstream.upstream.id
        if service is not None and service.upstream_id:
            # That it is not there is said of the service.
            plan = self._objects.upstreams.get(service.upstream_id)
            return None if plan is None else plan.upstream.id
        if is_led:
            return ""
        if service is not None:
            message = "missing upstream configuration in Route or Service"
            problem = Problem("service_id", "missing", message, tolerable=True)
            self.problems.append(DocumentProblem(route.key, problem))
        return None

    def _known(self, key: Key, id_: str) -> str | None:
        plan = self._objects.upstreams.get(id_)
        if plan is not None:
            return plan.upstream.id
        message = f"failed to fetch upstream info by upstream id [{id_}], response code: 404"
        self._dangling(key, "upstream_id", message)
        return None

    def _finish(self, plan: UpstreamPlan, key: Key | None, path: str) -> str:
        """
        Take an upstream of the document ``key`` into the snapshot, with the certificate its nodes are shown. Where that
        is not there, so are no nodes.
        """
        upstream = plan.upstream
        if plan.client_cert_id:
            ssl = self._objects.ssls.get(plan.client_cert_id)
            if ssl is not None and ssl.is_client:
                upstream = plan.with_certificate(ssl.pairs[0])
            else:
                why = "response code: 404" if ssl is None else "wrong ssl type"
                self._dangling(key, path, f"failed to fetch ssl info by ssl id [{plan.client_cert_id}], {why}")
                upstream = evolve(upstream, nodes=())
        self.upstreams[upstream.id] = upstream
        return upstream.id

    def _uses(self, plans: Mapping[str, PluginPlan | None], inherited: Collection[str]) -> tuple[PluginUse, ...]:
        uses = [self._use(plan) for plan in plans.values() if plan is not None]
        uses = [evolve(use, inherited=True) if use.name in inherited else use for use in uses]
        return tuple(sorted(uses, key=lambda use: (-use.priority, use.name)))

    def _use(self, plan: PluginPlan) -> PluginUse:
        """What its configuration leads to and is not there closes the sessions that are led there, and no others."""
        if not plan.targets:
            return plan.use
        upstreams = {}
        for path, target in plan.targets.items():
            if isinstance(target, UpstreamPlan):
                upstreams[path] = self._finish(target, None, "")
            elif target in self._objects.upstreams:
                upstreams[path] = self._objects.upstreams[target].upstream.id
        return evolve(plan.use, upstreams=upstreams)

    def _nowhere(self, key: Key) -> str:
        id_ = f"{key} nowhere"
        self.upstreams[id_] = Upstream(id_, ())
        return id_

    def _dangling(self, key: Key | None, path: str, message: str) -> None:
        if key is not None:
            # An upstream that stands in a route is looked at by its schema only.
            tolerable = key.kind == "stream_routes" and path.startswith("upstream.")
            self.problems.append(DocumentProblem(key, Problem(path, "dangling", message, tolerable)))
