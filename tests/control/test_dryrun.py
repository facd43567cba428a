from __future__ import annotations

from attrs import evolve

from streamproxy.control.dryrun import MOST_EXAMPLES, MOST_NAMED, listeners, moved, routes
from streamproxy.model import (
    Address,
    Ended,
    Ending,
    FactKind,
    Facts,
    ListenAddress,
    Listener,
    Match,
    NamePattern,
    Node,
    Order,
    PatternKind,
    PluginUse,
    Route,
    Routing,
    Snapshot,
    TlsMode,
    Transport,
    Upstream,
)

ADDRESS = ListenAddress(Transport.TCP, "127.0.0.1", 443)
LISTENER = Listener(ADDRESS, "r", "the owner", tls=TlsMode.PASSTHROUGH, sniff=frozenset(FactKind))


def named(*names: str) -> Match:
    return Match(names=tuple(NamePattern(PatternKind.EXACT, name, name) for name in names))


def snapshot(*entries: tuple[Match, str], listener: Listener | None = LISTENER) -> Snapshot:
    """Each route with the host of its one node."""
    made = tuple(Route(f"rules[{index}]", match, f"u{index}") for index, (match, _) in enumerate(entries))
    upstreams = {f"u{index}": Upstream(f"u{index}", (Node(host, 1),)) for index, (_, host) in enumerate(entries)}
    return Snapshot(1, () if listener is None else (listener,), {"r": Routing("r", Order.FIRST, made)}, upstreams)


def session(sni: str | None, address: ListenAddress = ADDRESS) -> Ended:
    facts = Facts(address, Address("192.0.2.1", 1), Address("127.0.0.1", 443), sni is not None, sni)
    return Ended("s", facts, "the owner", 1, Ending.CLIENT_CLOSED, 0.0, 1.0)


BEFORE = snapshot((named("a"), "h1"), (named("b"), "h2"), (Match(), "h3"))


def test_who_would_go_elsewhere() -> None:
    after = snapshot((named("a", "b"), "h1"), (named("b"), "h2"), (Match(), "h3"))
    found = moved(BEFORE, after, [session("a"), session("b"), session("b"), session("c"), session(None)])
    assert (found.sessions, found.elsewhere, found.unknown) == (5, 2, 0)
    assert [(each.before, each.after) for each in found.examples] == [("rules[1] (h2:1)", "rules[0] (h1:1)")] * 2


def test_a_rule_that_only_changes_its_place_moves_nobody() -> None:
    after = snapshot((named("b"), "h2"), (named("a"), "h1"), (Match(), "h3"))
    assert moved(BEFORE, after, [session("a"), session("b")]).elsewhere == 0


def test_a_listener_that_goes_sends_everybody_away() -> None:
    found = moved(BEFORE, snapshot(listener=None), [session("a")])
    assert found.elsewhere == 1
    assert found.examples[0].after == "nowhere: nothing would listen there"


def test_no_route_and_no_node_are_nowhere() -> None:
    found = moved(BEFORE, snapshot((named("a"), "h1")), [session("c")])
    assert found.examples[0].after == "nowhere: no route matches"
    nodeless = evolve(BEFORE, upstreams={name: evolve(each, nodes=()) for name, each in BEFORE.upstreams.items()})
    assert moved(BEFORE, nodeless, [session("c")]).examples[0].after == "rules[2] (no node)"


def test_what_is_not_known_of_a_session_is_said() -> None:
    """The old rules did not look at names, so nobody read them; the new ones do."""
    after = snapshot((named("a"), "h1"), (Match(), "h3"))
    assert moved(snapshot((Match(), "h3")), after, [session(None)]).unknown == 1
    datagrams = evolve(ADDRESS, transport=Transport.UDP)
    of_datagrams = evolve(LISTENER, address=datagrams)
    found = moved(
        snapshot((Match(), "h3"), listener=of_datagrams),
        snapshot((named("a"), "h1"), (Match(), "h3"), listener=of_datagrams),
        [session(None, datagrams)],
    )
    assert (found.unknown, found.elsewhere) == (0, 0)


def test_sessions_of_what_is_gone_already_do_not_count() -> None:
    elsewhere = ListenAddress(Transport.TCP, "127.0.0.1", 80)
    assert moved(BEFORE, BEFORE, [session("a", elsewhere)]).sessions == 0


def test_a_few_examples_are_enough() -> None:
    after = snapshot((named("b"), "h2"), (Match(), "h4"))
    found = moved(BEFORE, after, [session("c")] * 50)
    assert (found.elsewhere, len(found.examples)) == (50, MOST_EXAMPLES)


def test_listeners_and_routes_that_begin_change_and_end() -> None:
    other = evolve(LISTENER, address=evolve(ADDRESS, port=444))
    after = evolve(snapshot((named("x"), "h1"), (named("b"), "h9")), listeners=(other, evolve(LISTENER, owner="new")))
    assert listeners(BEFORE, after) == (("tcp 127.0.0.1:444", "begins"), ("tcp 127.0.0.1:443", "changes"))
    assert listeners(BEFORE, snapshot(listener=None)) == (("tcp 127.0.0.1:443", "ends"),)
    assert routes(BEFORE, after) == (("rules[0]", "changes"), ("rules[1]", "changes"), ("rules[2]", "ends"))
    assert listeners(BEFORE, BEFORE) == routes(BEFORE, BEFORE) == ()


def test_a_route_changes_with_an_upstream_that_a_plugin_leads_to() -> None:
    def world(host: str) -> Snapshot:
        use = PluginUse("split", 1, {}, upstreams={"rules[0]": "other"})
        route = Route("r", Match(), "", (use,))
        upstreams = {"other": Upstream("other", (Node(host, 1),))}
        return Snapshot(1, (LISTENER,), {"r": Routing("r", Order.FIRST, (route,))}, upstreams)

    assert routes(world("h1"), world("h2")) == (("r", "changes"),)


def test_one_route_in_two_routings_and_very_many_routes() -> None:
    route = Route("r", Match(), "u")
    two = Snapshot(1, routings={name: Routing(name, Order.FIRST, (route,)) for name in "ab"})
    assert routes(Snapshot(), two) == (("r", "begins"), ("r in b", "begins"))
    many = snapshot(*[(named(str(number)), "h") for number in range(MOST_NAMED + 5)])
    found = routes(Snapshot(), many)
    assert (len(found), found[-1][0]) == (MOST_NAMED + 1, "and 5 more")
