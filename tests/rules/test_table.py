"""Deciding, by a compiled table."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from attrs import evolve
from hypothesis import example, given

from streamproxy.model import (
    Address,
    Decision,
    FactKind,
    Facts,
    Match,
    NamePattern,
    Network,
    Order,
    PatternKind,
    Route,
    Routing,
)
from streamproxy.rules import Table, explain

from .worlds import connections, facts, match, patient, routing, routings

BOTH = pytest.mark.parametrize("order", list(Order))


# What follows is the documentation of streamproxy.model.route, word by word, and no faster than that.


def name_holds(wanted: NamePattern, name: str) -> bool:
    text = wanted.text.lower()
    return {
        PatternKind.EXACT: lambda: name == text,
        PatternKind.SUFFIX: lambda: re.fullmatch(f".+{re.escape(text)}", name) is not None,
        PatternKind.REGEX: lambda: re.fullmatch(wanted.text, name, re.IGNORECASE | re.DOTALL) is not None,
        PatternKind.ANY: lambda: True,
    }[wanted.kind]()


def lies_in(host: str, network: Network | None) -> bool:
    if network is None:
        return True
    try:
        address: IPv4Address | IPv6Address = ip_address(host.split("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if isinstance(network, IPv6Network) and network.subnet_of(IPv6Network("::ffff:0:0/96")):
        low, high = network[0].ipv4_mapped, network[-1].ipv4_mapped
        assert low is not None
        assert high is not None
        return isinstance(address, IPv4Address) and low <= address <= high
    return address in network


def addresses_hold(wanted: Match, seen: Facts) -> bool:
    ports = (None, seen.local.port)
    return (
        lies_in(seen.peer.host, wanted.remote)
        and lies_in(seen.local.host, wanted.server)
        and wanted.server_port in ports
    )


def first(routes: tuple[Route, ...], seen: Facts) -> Route | None:
    for route in routes:
        names = route.match.names
        named = not names or (seen.name is not None and any(name_holds(each, seen.name) for each in names))
        if named and addresses_hold(route.match, seen):
            return route
    return None


def specific(routes: tuple[Route, ...], seen: Facts) -> Route | None:
    lengths = sorted({len(each.text) for route in routes for each in route.match.names}, reverse=True)
    suffixes = [(PatternKind.SUFFIX, length) for length in lengths]
    for kind, length in [(PatternKind.EXACT, None), *suffixes, (PatternKind.ANY, None)]:
        for route in routes:
            group = [each for each in route.match.names if each.kind is kind and length in (None, len(each.text))]
            named = seen.name is not None and any(name_holds(each, seen.name) for each in group)
            if named and addresses_hold(route.match, seen):
                return route
    return first(tuple(route for route in routes if not route.match.names), seen)


@patient
@given(routings(Order.FIRST), connections)
def test_the_first_route_that_matches_wins(asked: Routing, seen: Facts) -> None:
    assert Table.compile(asked).decide(seen) == Decision(first(asked.routes, seen))


@patient
@given(routings(Order.SPECIFIC), connections)
@example(routing(Order.SPECIFIC, match("*b"), match("*.b"), match("*")), facts("a.b"))
@example(routing(Order.SPECIFIC, match("*.b", "a.b"), match("a.b")), facts("a.b"))
def test_the_most_specific_route_that_matches_wins(asked: Routing, seen: Facts) -> None:
    assert Table.compile(asked).decide(seen) == Decision(specific(asked.routes, seen))


def winner(asked: Routing, seen: Facts) -> str | None:
    route = Table.compile(asked).decide(seen).route
    return None if route is None else route.id


@BOTH
def test_what_a_proxy_in_front_says_was_reached_is_no_condition(order: Order) -> None:
    seen = evolve(facts(local="203.0.113.1", port=443), arrived=Address("192.0.2.1", 9100))
    asked = routing(
        order,
        match(server_port=443),
        match(server="203.0.113.0/24"),
        match(server="192.0.2.0/24", server_port=9100),
    )
    assert winner(asked, seen) == "r2"
    explained = explain(asked, seen).winner
    assert explained is not None
    assert explained.id == "r2"


class TestOneName:
    @BOTH
    @pytest.mark.parametrize(
        ("wanted", "name", "hit"),
        [
            ("a.example.com", "a.example.com", True),
            ("a.example.com", "b.a.example.com", False),
            ("a.example.com", "axexample.com", False),
            ("A.Example.com", "a.example.com", True),
            ("*.example.com", "a.example.com", True),
            ("*.example.com", "a.b.example.com", True),
            ("*.example.com", "example.com", False),
            ("*.example.com", ".example.com", False),
            ("*.Example.com", "a.example.com", True),
            ("*x.com", "foox.com", True),
            ("*x.com", "foo.x.com", True),
            ("*x.com", "x.com", False),
            ("*", "example.com", True),
            ("*", None, False),
            ("*.example.com", None, False),
            ("a.example.com", None, False),
        ],
    )
    def test_matches_as_documented(self, order: Order, wanted: str, name: str | None, hit: bool) -> None:
        assert winner(routing(order, match(wanted)), facts(name)) == ("r0" if hit else None)

    @pytest.mark.parametrize(
        ("wanted", "name", "hit"),
        [
            ("/.*read.*/", "pg-read.example.com", True),
            ("/.*READ.*/", "pg-read.example.com", True),
            ("/.*read.*/", "pg-write.example.com", False),
            ("/(a|b).example.com/", "b.example.com", True),
            ("/[a-z]+.example.com/", "abc.example.com", True),
            ("/[a-z]+.example.com/", "abc.example.com.evil.org", False),
            ("/example/", "a.example.com", False),
            ("/example/", None, False),
        ],
    )
    def test_expressions_match_the_whole_name(self, wanted: str, name: str | None, hit: bool) -> None:
        assert winner(routing(Order.FIRST, match(wanted)), facts(name)) == ("r0" if hit else None)

    @BOTH
    def test_may_come_from_http_where_there_is_no_sni(self, order: Order) -> None:
        asked = routing(order, match("a.example.com"))

        assert winner(asked, facts(host="a.example.com")) == "r0"
        assert winner(asked, facts("b.example.com", host="a.example.com")) is None

    @BOTH
    def test_a_suffix_of_nothing_takes_every_name(self, order: Order) -> None:
        asked = routing(order, Match((NamePattern(PatternKind.SUFFIX, "", "*"),)))

        assert winner(asked, facts("a")) == "r0"
        assert winner(asked, facts()) is None

    @BOTH
    def test_one_of_many_is_enough(self, order: Order) -> None:
        asked = routing(order, match("a.example.com", "*.example.org"))

        assert [winner(asked, facts(name)) for name in ("a.example.com", "x.example.org", "b.example.com")] == [
            "r0",
            "r0",
            None,
        ]


class TestPrecedence:
    def test_first_is_the_order_of_the_routes_whatever_they_ask(self) -> None:
        asked = routing(Order.FIRST, match("*.com"), match("/a.*/"), match("a.com"), match())

        assert winner(asked, facts("a.com")) == "r0"
        assert winner(asked, facts("a.org")) == "r1"
        assert winner(asked, facts("b.org")) == "r3"
        assert winner(asked, facts()) == "r3"

    def test_an_expression_may_come_before_an_exact_name(self) -> None:
        asked = routing(Order.FIRST, match("/a.*/"), match("a.com"), match("/.*com/"))

        assert winner(asked, facts("a.com")) == "r0"
        assert winner(asked, facts("b.com")) == "r2"

    def test_specific_is_exact_then_the_longest_suffix_then_any_then_no_name(self) -> None:
        asked = routing(
            Order.SPECIFIC, match(), match("*"), match("*.com"), match("*.a.com"), match("*b.a.com"), match("b.a.com")
        )

        named = ["b.a.com", "xb.a.com", "x.a.com", "x.com", "x.org", None]
        assert [winner(asked, facts(name)) for name in named] == ["r5", "r4", "r3", "r2", "r1", "r0"]

    def test_a_group_whose_addresses_all_fail_falls_through(self) -> None:
        asked = routing(
            Order.SPECIFIC,
            match("a.b.com", remote="10.0.0.0/8"),
            match("*.b.com", remote="10.0.0.0/16"),
            match("*.com", server_port=9100),
            match("*", server="192.0.2.9/32"),
            match(remote="172.16.0.0/12"),
        )

        def seen(peer: str, local: str = "192.0.2.1", port: int = 443) -> str | None:
            return winner(asked, facts("a.b.com", peer, local, port))

        assert seen("10.0.0.1") == "r0"
        assert seen("172.16.0.1", port=9100) == "r2"
        assert seen("172.16.0.1", local="192.0.2.9") == "r3"
        assert seen("172.16.0.1") == "r4"
        assert seen("203.0.113.1") is None
        assert winner(asked, facts("z.b.com", "10.0.0.1")) == "r1"

    @BOTH
    def test_within_one_name_the_first_whose_addresses_match(self, order: Order) -> None:
        asked = routing(
            order,
            match("a", remote="10.1.0.0/16"),
            match("a", remote="10.0.0.0/8"),
            match("a"),
            match("a", server_port=1),
        )

        assert winner(asked, facts("a", "10.1.2.3")) == "r0"
        assert winner(asked, facts("a", "10.2.2.3")) == "r1"
        assert winner(asked, facts("a", "11.2.2.3", port=1)) == "r2"

    @BOTH
    def test_every_condition_of_a_route_has_to_hold(self, order: Order) -> None:
        asked = routing(order, match(remote="10.0.0.0/8", server="192.0.2.1/32", server_port=9100))

        assert winner(asked, facts(None, "10.0.0.1", "192.0.2.1", 9100)) == "r0"
        assert winner(asked, facts(None, "11.0.0.1", "192.0.2.1", 9100)) is None
        assert winner(asked, facts(None, "10.0.0.1", "192.0.2.2", 9100)) is None
        assert winner(asked, facts(None, "10.0.0.1", "192.0.2.1", 9101)) is None


class TestNeeds:
    NAMES = frozenset({FactKind.SNI, FactKind.HTTP_HOST})

    @BOTH
    def test_names_have_to_be_learnt(self, order: Order) -> None:
        assert Table.compile(routing(order, match(server_port=1), match("a"))).needs == self.NAMES

    @BOTH
    def test_addresses_are_known_anyway(self, order: Order) -> None:
        assert Table.compile(routing(order, match(remote="10.0.0.0/8"), match())).needs == frozenset()

    def test_names_that_are_never_reached_need_not_be_learnt(self) -> None:
        asked = match(), match("a")

        assert Table.compile(routing(Order.FIRST, *asked)).needs == frozenset()
        assert Table.compile(routing(Order.SPECIFIC, *asked)).needs == self.NAMES


class TestConstant:
    @BOTH
    def test_a_route_without_conditions_takes_everything(self, order: Order) -> None:
        table = Table.compile(routing(order, match()))

        assert table.decide(facts("a")) is table.decide(facts(peer="no address"))
        assert winner(routing(order, match()), facts()) == "r0"

    @BOTH
    def test_no_routes_take_nothing(self, order: Order) -> None:
        assert Table.compile(routing(order)).decide(facts("a")) == Decision(None)


class TestRefusals:
    def test_specific_takes_no_expression(self) -> None:
        with pytest.raises(ValueError, match="r1: an expression has no place in order SPECIFIC"):
            Table.compile(routing(Order.SPECIFIC, match("a"), match("/a/")))

    def test_a_broken_expression_is_named(self) -> None:
        with pytest.raises(ValueError, match=re.escape("'a)(b': unexpected )")):
            Table.compile(routing(Order.FIRST, match("/a)(b/")))


class TestScale:
    COUNT = 100_000

    @BOTH
    def test_many_names(self, order: Order) -> None:
        wanted = [f"{'*.' * (index % 2)}h{index}.example.com" for index in range(self.COUNT)]
        asked = routing(order, *(match(name) for name in wanted), match("*.com"))
        table = Table.compile(asked)

        for index in (0, 2, 49_998, 99_998):
            assert table.decide(facts(f"h{index}.example.com")).route is asked.routes[index]
        for index in (1, 49_999, 99_999):
            assert table.decide(facts(f"deep.down.h{index}.example.com")).route is asked.routes[index]
        assert table.decide(facts("h1.example.com")).route is asked.routes[-1]
        assert table.decide(facts("h1.example.org")).route is None

    @BOTH
    def test_many_networks(self, order: Order) -> None:
        asked = routing(order, *(Match(remote=IPv4Network((index << 8, 24))) for index in range(self.COUNT)))
        table = Table.compile(asked)

        for index in (0, 1, 50_000, 99_999):
            seen = facts(peer=str(IPv4Address((index << 8) + 77)))
            assert table.decide(seen).route is asked.routes[index]
        assert table.decide(facts(peer="203.0.113.1")).route is None

    def test_many_expressions(self) -> None:
        asked = routing(Order.FIRST, *(match(f"/.*db{index}-[ab].*/") for index in range(1000)))
        table = Table.compile(asked)

        assert table.decide(facts("pg.db77-a.example.com")).route is asked.routes[77]
        assert table.decide(facts("pg.db77-a.db5-b.example.com")).route is asked.routes[5]
        assert table.decide(facts("pg.db1000-a.example.com")).route is None
