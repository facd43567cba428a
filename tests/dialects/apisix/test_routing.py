from __future__ import annotations

from typing import Any

from streamproxy.dialects.apisix import ROUTING, StreamRoute, compose, decode_stream_route
from streamproxy.model import Key, Order, Upstream


def route(id: str, **body: Any) -> StreamRoute:  # noqa: A002
    made, problems = decode_stream_route(Key("apisix", "stream_routes", id), {"upstream_id": "u", **body})
    assert made is not None, problems
    return made


U = Upstream("apisix:upstreams/u", ())


def test_all_routes_are_one_table_in_their_order() -> None:
    part = compose([route("2", sni="a.test.com"), route("1")], {"u": U})
    (routing,) = part.routings
    assert (routing.name, routing.order) == (ROUTING, Order.SPECIFIC)
    assert [(one.id, one.upstream) for one in routing.routes] == [
        ("apisix:stream_routes/2", U.id),
        ("apisix:stream_routes/1", U.id),
    ]
    assert part.upstreams == (U,)
    assert part.problems == ()


def test_exact_names_come_before_empty_wildcards() -> None:
    (routing,) = compose([route("1", sni="*test.com"), route("2", sni="test.com")], {"u": U}).routings
    assert [one.id for one in routing.routes] == [
        "apisix:stream_routes/1",
        "apisix:stream_routes/2",
        "apisix:stream_routes/1 sni",
    ]


def test_upstreams_of_their_own() -> None:
    made, _ = decode_stream_route(Key("apisix", "stream_routes", "1"), {"upstream": {"nodes": {"a:1": 1}}})
    assert made is not None
    part = compose([made], {})
    assert [upstream.id for upstream in part.upstreams] == ["apisix:stream_routes/1 upstream"]
    assert part.routings[0].routes[0].upstream == "apisix:stream_routes/1 upstream"


def test_a_dangling_route_is_a_problem_and_closes_what_it_matches() -> None:
    part = compose([route("1", upstream_id="nope", sni="a.test.com"), route("2")], {"u": U})
    (problem,) = part.problems
    assert problem.key == Key("apisix", "stream_routes", "1")
    assert (problem.problem.path, problem.problem.code) == ("upstream_id", "dangling")
    assert problem.problem.message == "failed to fetch upstream info by upstream id [nope], response code: 404"
    upstreams = {upstream.id: upstream for upstream in part.upstreams}
    assert upstreams[part.routings[0].routes[0].upstream].nodes == ()
    assert upstreams[part.routings[0].routes[1].upstream] is U


def test_no_routes_are_no_table() -> None:
    assert compose([], {"u": U}).routings == ()
