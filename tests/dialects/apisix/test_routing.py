from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamproxy.dialects.apisix import (
    ROUTING,
    Objects,
    Service,
    Ssl,
    StreamRoute,
    UpstreamPlan,
    compose,
    decode_service,
    decode_stream_route,
    decode_upstream,
)
from streamproxy.dialects.part import Part
from streamproxy.model import Key, Node, Order, Route, Upstream

from .asking import LEAF, PLUGINS, RR, VAULT


def route(id: str = "1", **body: Any) -> StreamRoute:  # noqa: A002
    made, _ = decode_stream_route(Key("apisix", "stream_routes", id), body or {"upstream_id": "u"}, VAULT, PLUGINS)
    assert made is not None
    return made


def upstream(id: str, **body: Any) -> UpstreamPlan:  # noqa: A002
    made, problems = decode_upstream(Key("apisix", "upstreams", id), {**RR, **body}, VAULT)
    assert made is not None, problems
    return made


def service(id: str, **body: Any) -> Service:  # noqa: A002
    made, _ = decode_service(Key("apisix", "services", id), body, VAULT, PLUGINS)
    assert made is not None
    return made


U = upstream("u")
UPSTREAMS: Mapping[str, UpstreamPlan] = {"u": U, "v": upstream("v")}


def composed(
    *routes: StreamRoute,
    services: Mapping[str, Service] | None = None,
    ssls: Mapping[str, Ssl] | None = None,
    upstreams: Mapping[str, UpstreamPlan] = UPSTREAMS,
) -> Part:
    return compose(routes, Objects(upstreams, services or {}, ssls or {}))


def only(part: Part) -> Route:
    (routing,) = part.routings
    (made,) = routing.routes
    return made


def problems(part: Part) -> list[tuple[str, str, str]]:
    return [(str(each.key), each.problem.path, each.problem.message) for each in part.problems]


def nodes(part: Part, made: Route) -> tuple[Node, ...]:
    return {each.id: each for each in part.upstreams}[made.upstream].nodes


def names(made: Route) -> list[str]:
    return [use.name for use in made.plugins]


def test_all_routes_are_one_table_in_their_order() -> None:
    part = composed(route("2", sni="a.test.com", upstream_id="u"), route("1"))
    (routing,) = part.routings
    assert (routing.name, routing.order) == (ROUTING, Order.SPECIFIC)
    assert [(one.id, one.upstream, one.document) for one in routing.routes] == [
        ("apisix:stream_routes/2", "apisix:upstreams/u", Key("apisix", "stream_routes", "2")),
        ("apisix:stream_routes/1", "apisix:upstreams/u", Key("apisix", "stream_routes", "1")),
    ]
    assert part.upstreams == tuple(plan.upstream for plan in UPSTREAMS.values())
    assert part.problems == ()


def test_exact_names_come_before_empty_wildcards() -> None:
    (routing,) = composed(
        route("1", sni="*test.com", upstream_id="u"), route("2", sni="test.com", upstream_id="u")
    ).routings
    assert [one.id for one in routing.routes] == [
        "apisix:stream_routes/1",
        "apisix:stream_routes/2",
        "apisix:stream_routes/1 sni",
    ]


def test_no_routes_are_no_table() -> None:
    assert composed().routings == ()


class TestWhereARouteLeads:
    def test_to_an_upstream_of_its_own(self) -> None:
        part = composed(route(upstream=RR))
        assert only(part).upstream == "apisix:stream_routes/1 upstream"
        assert nodes(part, only(part)) == (Node("127.0.0.1", 8080),)

    def test_an_object_wins_over_everything_and_the_service_brings_no_plugins(self) -> None:
        services = {"s": service("s", upstream=RR, plugins={"prometheus": {}})}
        part = composed(route(upstream_id="u", upstream=RR, service_id="s", name="n"), services=services)
        made = only(part)
        assert (made.upstream, made.service, made.name, names(made)) == ("apisix:upstreams/u", "", "n", [])
        assert "apisix:stream_routes/1 upstream" not in {each.id for each in part.upstreams}

    def test_its_own_upstream_wins_over_the_services(self) -> None:
        services = {"s": service("s", upstream=RR, upstream_id="u", plugins={"prometheus": {}})}
        made = only(composed(route(upstream=RR, service_id="s"), services=services))
        assert made.upstream == "apisix:stream_routes/1 upstream"
        assert (made.service, names(made)) == ("s", ["prometheus"])

    def test_the_services_own_wins_over_the_object_it_names(self) -> None:
        services = {"s": service("s", upstream=RR, upstream_id="nope")}
        part = composed(route(service_id="s"), services=services)
        assert only(part).upstream == "apisix:services/s upstream"
        assert part.problems == ()

    def test_the_object_that_the_service_names(self) -> None:
        made = only(composed(route(service_id="s"), services={"s": service("s", upstream_id="v")}))
        assert made.upstream == "apisix:upstreams/v"

    def test_a_plugin_may_be_the_only_one_that_knows(self) -> None:
        split = {"rules": [{"weighted_upstreams": [{"upstream_id": "u"}]}]}
        part = composed(route(plugins={"traffic-split": split}))
        assert only(part).upstream == ""
        assert part.problems == ()


class TestWhatIsMissing:
    """It is a problem, and closes what it matches."""

    def test_an_upstream(self) -> None:
        part = composed(route("1", upstream_id="nope", sni="a.test.com"), route("2"))
        message = "failed to fetch upstream info by upstream id [nope], response code: 404"
        assert problems(part) == [("apisix:stream_routes/1", "upstream_id", message)]
        first, second = part.routings[0].routes
        assert (nodes(part, first), nodes(part, second)) == ((), U.upstream.nodes)

    def test_a_service(self) -> None:
        part = composed(route(service_id="nope", upstream=RR))
        message = "failed to fetch service info by service id [nope], response code: 404"
        assert problems(part) == [("apisix:stream_routes/1", "service_id", message)]
        assert nodes(part, only(part)) == ()

    def test_the_upstream_of_a_service(self) -> None:
        part = composed(route(service_id="s"), services={"s": service("s", upstream_id="nope")})
        message = "failed to fetch upstream info by upstream id [nope], response code: 404"
        assert problems(part) == [("apisix:services/s", "upstream_id", message)]
        assert nodes(part, only(part)) == ()

    def test_any_upstream_at_all(self) -> None:
        part = composed(route(service_id="s"), services={"s": service("s")})
        message = "missing upstream configuration in Route or Service"
        assert problems(part) == [("apisix:stream_routes/1", "service_id", message)]
        assert nodes(part, only(part)) == ()

    def test_a_plugin_of_the_service(self) -> None:
        part = composed(route(service_id="s"), services={"s": service("s", upstream=RR, plugins={"nobody": {}})})
        assert nodes(part, only(part)) == ()

    def test_a_plugin_of_its_own(self) -> None:
        part = composed(route(upstream_id="u", plugins={"nobody": {}, "prometheus": {}}))
        assert (nodes(part, only(part)), names(only(part))) == ((), [])


class TestPlugins:
    def test_the_greatest_priority_comes_first(self) -> None:
        plugins: dict[str, Any] = {
            "prometheus": {"_meta": {"priority": 9999}},
            "ip-restriction": {"whitelist": ["::/0"]},
            "probe": {},
        }
        part = composed(route(upstream_id="u", plugins=plugins))
        assert names(only(part)) == ["ip-restriction", "probe", "prometheus"]

    def test_the_routes_replace_the_services_whole(self) -> None:
        services = {"s": service("s", upstream=RR, plugins={"probe": {"level": 1, "x": 1}, "prometheus": {}})}
        made = only(composed(route(service_id="s", plugins={"probe": {"level": 2}}), services=services))
        assert [(use.name, use.conf) for use in made.plugins] == [("probe", {"level": 2}), ("prometheus", {})]
        assert [use.inherited for use in made.plugins] == [False, True]

    def test_one_that_the_route_switches_off_is_off(self) -> None:
        services = {"s": service("s", upstream=RR, plugins={"probe": {}, "prometheus": {}})}
        off = {"probe": {"_meta": {"disable": True}}}
        assert names(only(composed(route(service_id="s", plugins=off), services=services))) == ["prometheus"]

    def test_where_they_lead(self) -> None:
        entries = [{"upstream_id": "u"}, {"upstream": RR}, {"upstream_id": "nope"}, {}]
        split = {"traffic-split": {"rules": [{"weighted_upstreams": entries}]}}
        part = composed(route(upstream_id="v", plugins=split))
        place = "apisix:stream_routes/1 plugins.traffic-split.rules[0].weighted_upstreams[1]"
        (use,) = only(part).plugins
        assert use.upstreams == {
            "rules[0].weighted_upstreams[0]": "apisix:upstreams/u",
            "rules[0].weighted_upstreams[1]": place,
        }
        assert place in {each.id for each in part.upstreams}
        assert part.problems == ()


class TestClientCertificates:
    TLS: Any = {"scheme": "tls", "tls": {"client_cert_id": "c"}}  # noqa: RUF012
    SSLS: Mapping[str, Ssl] = {
        "c": Ssl(Key("apisix", "ssls", "c"), (LEAF.pair,), is_client=True),
        "s": Ssl(Key("apisix", "ssls", "s"), (LEAF.pair,)),
    }

    def pair(self, part: Part, id: str) -> object:  # noqa: A002
        found: Upstream = {each.id: each for each in part.upstreams}[id]
        return found.nodes[0].tls.pair if found.nodes and found.nodes[0].tls else None

    def test_of_an_object(self) -> None:
        part = composed(
            route(upstream={**RR, **self.TLS}),
            ssls=self.SSLS,
            upstreams={"u": upstream("u", **self.TLS)},
            services={"s": service("s", upstream={**RR, **self.TLS})},
        )
        assert part.problems == ()
        for name in ("apisix:upstreams/u", "apisix:services/s upstream", "apisix:stream_routes/1 upstream"):
            assert self.pair(part, name) == LEAF.pair

    def test_that_is_not_there_or_for_servers(self) -> None:
        for id_, why in (("nope", "response code: 404"), ("s", "wrong ssl type")):
            plan = upstream("u", scheme="tls", tls={"client_cert_id": id_})
            part = composed(upstreams={"u": plan}, ssls=self.SSLS)
            message = f"failed to fetch ssl info by ssl id [{id_}], {why}"
            assert problems(part) == [("apisix:upstreams/u", "tls.client_cert_id", message)]
            assert [each.nodes for each in part.upstreams] == [()]

    def test_of_a_plugins_upstream_it_closes_those_who_are_led_there(self) -> None:
        part = composed(route(upstream_id="u", plugins={"probe": {"to": {**RR, **self.TLS}}}))
        assert part.problems == ()
        (use,) = only(part).plugins
        assert [each.nodes for each in part.upstreams if each.id == use.upstreams["to"]] == [()]
