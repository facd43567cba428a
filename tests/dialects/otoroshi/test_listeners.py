from __future__ import annotations

from typing import Any

from streamproxy.dialects.claims import Claims
from streamproxy.dialects.otoroshi import Exposure, compose, decode, expose
from streamproxy.dialects.part import Part
from streamproxy.model import (
    ClientAuth,
    ClientPolicy,
    FactKind,
    Key,
    ListenAddress,
    Match,
    NamePattern,
    Node,
    PatternKind,
    Route,
    TlsMode,
    Transport,
)

E1 = {"host": "127.0.0.1", "port": 1}
E2 = {"host": "127.0.0.1", "port": 2}
E3 = {"host": "127.0.0.1", "port": 3}
N1, N2, N3 = (Node("127.0.0.1", port) for port in (1, 2, 3))


def exposure(id: str = "a", **fields: Any) -> Exposure:  # noqa: A002
    body = {"name": id, "description": "", "port": 443, "enabled": True, **fields}
    service, problems = decode(body, id=id)
    assert service is not None, problems
    return expose(Key("otoroshi", "tcp-services", id), service)


def by_name(id: str = "a", domain: str = "*", **fields: Any) -> Exposure:  # noqa: A002
    rules = [{"domain": domain, "targets": [E1]}]
    return exposure(id, **{"tls": "PassThrough", "sni": {"enabled": True}, "rules": rules, **fields})


def composed(*exposures: Exposure) -> Part:
    return compose(exposures, Claims())


def way(part: Part) -> list[tuple[str, tuple[str, ...], tuple[Node, ...]]]:
    """The routes of the only listener: which one, for which names, to where."""
    (routing,) = part.routings
    (listener,) = part.listeners
    assert listener.routing == routing.name
    upstreams = {upstream.id: upstream.nodes for upstream in part.upstreams}
    return [
        (route.id, tuple(name.source for name in route.match.names), upstreams[route.upstream])
        for route in routing.routes
    ]


def conflicts(part: Part) -> list[tuple[str, str]]:
    """Who was refused for whose sake, without the hint."""
    assert all(problem.problem.path == "port" and problem.problem.code == "conflict" for problem in part.problems)
    return [(problem.key.id, problem.problem.message.split(" (")[0]) for problem in part.problems if problem.key]


class TestOneService:
    def test_without_tls_all_targets_of_all_rules_are_one_pool(self) -> None:
        rules = [{"domain": "a.example.com", "targets": [E1]}, {"domain": "b.example.com", "targets": [E2, E3]}]
        for sni in ({"enabled": False}, {"enabled": True, "forwardIfNoMatch": True}):
            part = composed(exposure("pg", rules=rules, sni=sni))
            assert way(part) == [("otoroshi:tcp-services/pg rules", (), (N1, N2, N3))]
            (listener,) = part.listeners
            assert listener.sniff == frozenset()
            assert listener.tls is TlsMode.DISABLED

    def test_without_names_tls_changes_nothing_of_that(self) -> None:
        for tls in ("PassThrough", "Enabled"):
            part = composed(exposure(tls=tls, rules=[{"targets": [E1]}]))
            assert way(part) == [("otoroshi:tcp-services/a rules", (), (N1,))]
            assert part.listeners[0].sniff == frozenset()

    def test_without_targets_everything_is_closed(self) -> None:
        assert way(composed(exposure(rules=[{"targets": []}]))) == []

    def test_by_name_each_rule_is_a_route(self) -> None:
        rules = [{"domain": "*.example.com", "targets": [E1]}, {"domain": "b", "targets": [E2]}, {"domain": "c"}]
        part = composed(by_name(rules=rules))
        assert way(part) == [
            ("otoroshi:tcp-services/a rules[0]", ("*.example.com",), (N1,)),
            ("otoroshi:tcp-services/a rules[1]", ("b",), (N2,)),
            ("otoroshi:tcp-services/a rules[2]", ("c",), ()),
        ]
        assert part.routings[0].routes[0].match.names == (
            NamePattern(PatternKind.SUFFIX, ".example.com", "*.example.com"),
        )

    def test_what_no_rule_matches_is_forwarded_if_asked(self) -> None:
        sni = {"enabled": True, "forwardIfNoMatch": True, "forwardsTo": E3}
        assert way(composed(by_name(sni=sni))) == [
            ("otoroshi:tcp-services/a rules[0]", ("*",), (N1,)),
            ("otoroshi:tcp-services/a sni.forwardsTo", (), (N3,)),
        ]
        part = composed(by_name(sni=sni, rules=[]))
        route = "otoroshi:tcp-services/a sni.forwardsTo"
        assert part.routings[0].routes == (Route(route, Match(), route),)

    def test_the_listener(self) -> None:
        (listener,) = composed(by_name("pg", tls="Enabled", clientAuth="Need", interface="localhost")).listeners
        assert listener.address == ListenAddress(Transport.TCP, "127.0.0.1", 443)
        assert listener.owner == "otoroshi:tcp-services/pg"
        assert listener.documents == (Key("otoroshi", "tcp-services", "pg"),)
        assert (listener.tls, listener.client_auth) == (TlsMode.TERMINATE, ClientAuth.NEED)
        assert listener.sniff == {FactKind.SNI}

    def test_a_name_may_come_from_tls_or_http_where_it_is_passed_through(self) -> None:
        assert composed(by_name()).listeners[0].sniff == {FactKind.SNI, FactKind.HTTP_HOST}

    def test_client_auth_without_termination_asks_for_nothing(self) -> None:
        for fields in ({"tls": "Disabled"}, {"tls": "PassThrough"}):
            (listener,) = composed(by_name(clientAuth="Need", **fields)).listeners
            assert listener.client_auth is ClientAuth.NONE

    def test_targets(self) -> None:
        targets = [
            {"host": "does-not-resolve.invalid", "ip": "127.0.0.1", "port": 1},
            {"host": "DB.Example.", "tls": True},
            {"host": "[::1]", "ip": "[::2]"},
        ]
        part = composed(exposure(rules=[{"targets": targets}]))
        assert part.upstreams[0].nodes == (
            Node("does-not-resolve.invalid", 1, ip="127.0.0.1"),
            Node("db.example.", 8080, tls=ClientPolicy("db.example")),
            Node("::1", 8080, ip="::2"),
        )
        assert part.upstreams[0].nodes[0].label == "does-not-resolve.invalid/127.0.0.1:1"

    def test_a_disabled_one_listens_nowhere_and_is_in_nobodys_way(self) -> None:
        part = composed(exposure("a", enabled=False), exposure("b"))
        assert [listener.owner for listener in part.listeners] == ["otoroshi:tcp-services/b"]
        assert part.problems == ()


class TestSeveralServices:
    def test_those_by_name_share_an_address_in_the_order_of_their_ids(self) -> None:
        def fallback(port: int) -> dict[str, Any]:
            return {"enabled": True, "forwardIfNoMatch": True, "forwardsTo": {"host": "127.0.0.1", "port": port}}

        part = composed(
            by_name("c", "c.example.com", sni=fallback(3)),
            by_name("a", "a.example.com"),
            by_name("b", "b.example.com", sni=fallback(2)),
        )
        assert [route for route, _, _ in way(part)] == [
            "otoroshi:tcp-services/a rules[0]",
            "otoroshi:tcp-services/b rules[0]",
            "otoroshi:tcp-services/c rules[0]",
            "otoroshi:tcp-services/b sni.forwardsTo",
        ]
        assert way(part)[-1][2] == (N2,)
        (listener,) = part.listeners
        assert listener.owner == "otoroshi:tcp-services/a+otoroshi:tcp-services/b+otoroshi:tcp-services/c"
        assert [key.id for key in listener.documents] == ["a", "b", "c"]
        assert part.problems == ()

    def test_many_are_not_all_named(self) -> None:
        (listener,) = composed(*(by_name(f"s{number:03}") for number in range(100))).listeners
        assert listener.owner.endswith("otoroshi:tcp-services/s007+92 more")
        assert len(listener.documents) == 100

    def test_those_that_differ_in_what_matters_do_not_share(self) -> None:
        taken = "port 443 on 0.0.0.0 is already taken by otoroshi:tcp-services/a"
        others = (
            by_name("b", tls="Enabled"),
            by_name("b", clientAuth="Want"),
            by_name("b", sni={"enabled": False}),
            exposure("b"),
        )
        for other in others:
            part = composed(by_name("a"), other)
            assert [listener.owner for listener in part.listeners] == ["otoroshi:tcp-services/a"]
            assert conflicts(part) == [("b", taken)]
            assert "services share a port when" in part.problems[0].problem.message

    def test_two_without_names_do_not_share(self) -> None:
        sni = {"enabled": True}
        part = composed(exposure("b", sni=sni), exposure("a", sni=sni))
        assert conflicts(part) == [("a", "port 443 on 0.0.0.0 is already taken by otoroshi:tcp-services/b")]

    def test_overlapping_interfaces_are_one_address_too_many(self) -> None:
        part = composed(by_name("a", interface="127.0.0.1"), by_name("b"), by_name("c", interface="::"))
        assert [listener.owner for listener in part.listeners] == [
            "otoroshi:tcp-services/a",
            "otoroshi:tcp-services/c",
        ]
        assert conflicts(part) == [("b", "port 443 on 0.0.0.0 is already taken by otoroshi:tcp-services/a")]
        assert "share" not in part.problems[0].problem.message

    def test_an_address_claimed_by_somebody_else_is_taken(self) -> None:
        claims = Claims()
        claims.take(ListenAddress(Transport.TCP, "0.0.0.0", 443), "stream_proxy.tcp[0]")
        part = compose([by_name("a")], claims)
        assert part.listeners == ()
        assert conflicts(part) == [("a", "port 443 on 0.0.0.0 is already taken by stream_proxy.tcp[0]")]
