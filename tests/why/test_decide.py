"""Made-up connections, and sessions whose configuration is not what it was."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from attrs import evolve

from streamproxy.model import (
    Address,
    CertificateCandidate,
    CertificateChoice,
    CertificateStatus,
    ClientAuth,
    Ended,
    Ending,
    FactKind,
    Facts,
    HashKey,
    ListenAddress,
    Listener,
    ListenerState,
    ListenerStatus,
    Match,
    NamePattern,
    Node,
    NodeHealth,
    NodeStatus,
    Ongoing,
    Order,
    PatternKind,
    Phase,
    PluginUse,
    Policy,
    ProxyAccept,
    Route,
    Routing,
    Snapshot,
    TlsMode,
    Transport,
    Upstream,
    UpstreamStatus,
)
from streamproxy.plugins.discovery import catalogue
from streamproxy.testing import hello_bytes
from streamproxy.why import Connection, Source, Why, World, explain_connection, explain_session, shaped, text_of
from streamproxy.why.text import MOST_ROUTES

TCP = ListenAddress(Transport.TCP, "0.0.0.0", 443)
UDP = ListenAddress(Transport.UDP, "0.0.0.0", 443)
BOTH = frozenset(FactKind)


def named(*names: str) -> Match:
    return Match(names=tuple(NamePattern(PatternKind.EXACT, name, name) for name in names))


def world(
    *routes: tuple[Match, tuple[Node, ...]],
    plugins: tuple[PluginUse, ...] = (),
    listener: dict[str, Any] | None = None,
    source: Source = Source.CURRENT,
    upstream: dict[str, Any] | None = None,
    statuses: tuple[NodeStatus, ...] = (),
    **more: Any,
) -> World:
    made = tuple(Route(f"rules[{index}]", match, f"u{index}", plugins) for index, (match, _) in enumerate(routes))
    upstreams = {
        f"u{index}": Upstream(f"u{index}", nodes, **(upstream or {})) for index, (_, nodes) in enumerate(routes)
    }
    fields: dict[str, Any] = {"tls": TlsMode.PASSTHROUGH, "sniff": BOTH, **(listener or {})}
    listeners = (
        Listener(TCP, "r", "the owner", **fields),
        Listener(UDP, "r", "the datagrams' owner"),
        Listener(evolve(TCP, port=80), "r", "another owner"),
        Listener(evolve(TCP, interface="127.0.0.2", port=80), "r", "a third owner"),
    )
    snapshot = Snapshot(7, listeners, {"r": Routing("r", Order.FIRST, made)}, upstreams)
    status = UpstreamStatus("u0", "roundrobin", statuses) if statuses else None
    return World(snapshot, source, lambda _: status, plugins=catalogue(), **more)


A, B = Node("10.0.0.1", 1), Node("10.0.0.2", 1)
TWO = world((named("a"), (A,)), (named("b"), (B,)))


def ask(asked: World = TWO, **connection: Any) -> Why:
    why = explain_connection(asked, Connection(443, **connection))
    assert shaped(why)["text"] == text_of(why)
    return why


def test_the_winner_and_the_node() -> None:
    why = ask(sni="b", tls=True)
    assert why.ending.value == "relayed"
    assert why.ending.words == "It would be relayed to 10.0.0.2:1."
    assert why.rules is not None
    assert [each.verdict for each in why.rules.considered] == ["lost: names: wants a, saw b", "won"]
    assert " =>   2  rules[1]" in text_of(why)


@pytest.mark.parametrize("host", ["a", "b"])
def test_by_http(host: str) -> None:
    why = ask(http_host=host)
    assert why.facts.http_host == host
    assert why.rules is not None
    assert why.rules.winner is not None


def test_by_a_hello() -> None:
    why = ask(window=hello_bytes("b", alpn=("h2",), post_quantum=True))
    assert (why.facts.sni, why.facts.alpn, why.ending.value) == ("b", ("h2",), "relayed")


@pytest.mark.parametrize(
    ("window", "ending"),
    [
        (hello_bytes("b")[:40], "sniff_timeout"),
        (b"\x16\x03\x01\x00\x04\x01\x00\x00\xff\x00", "sniff_failed"),
        (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "sniff_timeout"),
        (b"SSH-2.0-x\r\n", "no_route"),
    ],
)
def test_bytes_that_name_nothing(window: bytes, ending: str) -> None:
    assert ask(window=window).ending.value == ending


def test_names_that_are_not_looked_at() -> None:
    only_tls = world((named("a"), (A,)), listener={"sniff": frozenset({FactKind.SNI})})
    why = ask(only_tls, http_host="a")
    assert why.ending.value == "no_route"
    assert "the HTTP host is not looked at" in why.notes
    only_http = world((named("a"), (A,)), listener={"sniff": frozenset({FactKind.HTTP_HOST})})
    assert "the name in the TLS handshake is not looked at" in ask(only_http, sni="a", tls=True).notes
    nobody_asks = world((Match(), (A,)))
    why = ask(nobody_asks, sni="a")
    assert (why.facts.sni, why.ending.value) == (None, "relayed")
    assert "no rule here looks at names" in why.notes[0]
    assert ask(world((Match(), (A,)), (named("a"), (B,))), sni="a").facts.sni is None, "nothing comes behind the first"


def test_datagrams_name_nothing() -> None:
    why = ask(transport=Transport.UDP, sni="a")
    assert (why.ending.value, why.facts.sni) == ("no_route", None)
    assert "datagrams name no target" in why.notes[0]


def test_where_nothing_listens() -> None:
    why = explain_connection(TWO, Connection(1, "127.0.0.1"))
    assert (why.ending.value, why.listener) == ("refused", None)
    assert "none at tcp 127.0.0.1:1" in text_of(why)
    assert explain_connection(TWO, Connection(443, "::1")).ending.value == "refused"


def test_which_of_several_listeners() -> None:
    def owner(**connection: Any) -> str:
        why = explain_connection(TWO, Connection(80, **connection))
        assert why.listener is not None
        return why.listener.owner

    assert owner(host="127.0.0.2") == "a third owner"
    assert owner(host="127.0.0.3") == "another owner"
    assert owner(local=Address("127.0.0.2", 0)) == "a third owner"
    assert "2 listeners have this port" in explain_connection(TWO, Connection(80)).notes[0]


def test_a_listener_that_does_not_listen_at_the_moment() -> None:
    def listening(address: ListenAddress) -> ListenerStatus:
        return ListenerStatus(TWO.snapshot.listeners[0], ListenerState.FAILED, 0, "Address already in use")

    why = ask(evolve(TWO, listening=listening), sni="a")
    assert "it does not listen at the moment: Address already in use" in why.notes


def test_what_else_a_listener_expects() -> None:
    why = ask(
        world((Match(), (A,)), listener={"proxy_in": ProxyAccept(), "starttls": "smtp"}), local=Address("10.0.0.9", 1)
    )
    assert "PROXY protocol header" in why.notes[0]
    assert "greeted first" in why.notes[1]
    assert why.facts.local == Address("10.0.0.9", 1)


# Where TLS ends here

CERTIFICATE = CertificateStatus("apisix:ssls/1", ("a",), (), 0.0, 1.0)
LOST = CertificateCandidate("apisix:ssls/2", "*", False, "exact name is more specific")
CHOICES = {
    "a": CertificateChoice(CERTIFICATE, "exact name", (LOST,)),
    "b": CertificateChoice(None, "no certificate for b"),
}


def terminating(**listener: Any) -> World:
    return world(
        (named("a"), (A,)),
        (Match(), (B,)),
        listener={"tls": TlsMode.TERMINATE, **listener},
        certificate_for=lambda name: CHOICES.get(name or "", CHOICES["a"]),
    )


def test_the_certificate() -> None:
    why = ask(terminating(), sni="a")
    assert why.certificate is not None
    assert (why.certificate.id, why.certificate.why, why.ending.value) == ("apisix:ssls/1", "exact name", "relayed")
    assert "not apisix:ssls/2 for *: exact name is more specific" in text_of(why)
    why = ask(terminating(), sni="b")
    assert (why.ending.value, why.ending.detail) == ("handshake_failed", "no certificate for b")
    assert why.rules is None


def test_a_client_that_has_to_prove_itself() -> None:
    from streamproxy.why import connection_of

    asked = terminating(client_auth=ClientAuth.NEED)
    assert ask(asked, sni="a").ending.value == "handshake_failed"
    shown = connection_of({"port": 443, "sni": "a", "tls": {"version": "TLSv1.3", "cipher": "x", "client": {}}})
    why = explain_connection(asked, shown)
    assert why.ending.value == "relayed"
    assert "clientAuth Need" in text_of(why)
    assert "handshake    TLSv1.3, x, client CN=client" in text_of(why)


def test_what_shakes_hands_has_to_say_hello() -> None:
    assert ask(terminating(), window=b"GET / HTTP/1.1\r\n\r\n").ending.value == "sniff_failed"
    assert ask(terminating(), window=hello_bytes("a")[:50]).ending.detail == "the ClientHello is cut off"
    assert ask(terminating(), window=hello_bytes("a")).facts.sni == "a"


def test_the_name_in_the_first_request_behind_a_handshake_without_one() -> None:
    why = ask(terminating(), http_host="a")
    assert why.rules is not None
    assert why.rules.winner is not None
    assert why.rules.winner.id == "rules[0]"
    assert "the HTTP host is not looked at" in ask(terminating(sniff=frozenset()), http_host="a").notes


# Plugins

WHITELIST = PluginUse("ip-restriction", 3000, {"whitelist": ["10.0.0.0/8"]})
MQTT = PluginUse("mqtt-proxy", 1000, {"protocol_level": 4})
LIMIT = PluginUse("limit-conn", 1003, {"conn": 1, "burst": 0, "default_conn_delay": 1, "key": "remote_addr"})


def verdicts(why: Why) -> list[tuple[str, str]]:
    return [(each.name, each.verdict.value) for each in why.plugins]


def test_plugins_that_need_nothing_but_the_connection_are_asked() -> None:
    guarded = world((Match(), (A,)), plugins=(WHITELIST, LIMIT))
    why = ask(guarded)
    assert (why.ending.value, why.ending.detail) == ("rejected", "ip-restriction: Your IP address is not allowed")
    assert verdicts(why) == [("ip-restriction", "rejected"), ("limit-conn", "not asked")]
    why = ask(guarded, peer=Address("10.1.1.1", 1))
    assert verdicts(why) == [("ip-restriction", "passed"), ("limit-conn", "unknown")]
    assert why.ending.value == "relayed"


def test_a_plugin_that_wants_to_read() -> None:
    guarded = world((Match(), (A,)), plugins=(MQTT,))
    assert verdicts(ask(guarded)) == [("mqtt-proxy", "unknown")]
    assert ask(guarded, window=b"GET / HTTP/1.1\r\n\r\n").ending.value == "rejected"
    hashed = world(
        (Match(), tuple(Node(f"10.0.0.{last}", 1) for last in range(1, 9))),
        plugins=(MQTT,),
        upstream={"policy": Policy.CHASH, "hash_key": HashKey("mqtt_client_id")},
    )
    connect = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03foo"
    why = ask(hashed, window=connect)
    assert why.upstream is not None
    assert why.upstream.hashed == "foo"


def test_a_plugin_whose_filter_does_not_hold_is_left_out() -> None:
    use = evolve(WHITELIST, filter=(("remote_port", ">", 1000),))
    assert verdicts(ask(world((Match(), (A,)), plugins=(use,)), peer=Address("192.0.2.1", 7))) == [
        ("ip-restriction", "skipped")
    ]
    broken = evolve(WHITELIST, filter=("no expression",))
    assert ask(world((Match(), (A,)), plugins=(broken,))).ending.value == "rejected"


def test_a_plugin_there_is_not_and_one_that_fails() -> None:
    missing = world((Match(), (A,)), plugins=(PluginUse("nobody", 1, {}),))
    assert ask(missing).ending.detail == "nobody: there is no plugin nobody"
    failing = world((Match(), (A,)), plugins=(PluginUse("ip-restriction", 1, {"whitelist": [7]}),))
    assert ask(failing).ending.detail.startswith("ip-restriction: it fails: ")


# Nodes

MANY = tuple(Node(f"10.0.0.{last}", 1, weight=last) for last in range(1, 5))


def test_a_route_without_anywhere_to_go() -> None:
    assert ask(world((Match(), ()))).ending.value == "no_node"
    nowhere = world((Match(), (A,)))
    gone = evolve(nowhere, snapshot=evolve(nowhere.snapshot, upstreams={}))
    assert ask(gone).ending.detail == "there is no upstream u0"


@pytest.mark.parametrize("policy", Policy)
def test_who_gets_it_is_told_where_that_is_no_matter_of_chance(policy: Policy) -> None:
    why = ask(world((Match(), MANY), upstream={"policy": policy, "hash_key": HashKey("remote_addr")}))
    assert why.upstream is not None
    picked = [node.label for node in why.upstream.nodes if node.picked]
    assert bool(picked) is (policy in (Policy.CHASH, Policy.LEAST_CONN))
    if policy is Policy.LEAST_CONN:
        assert picked == ["10.0.0.4:1"], "the one with the greatest weight"


def test_it_is_the_node_that_the_pool_would_pick() -> None:
    from streamproxy.balance import Pool

    upstream = Upstream("u0", MANY, Policy.CHASH, hash_key=HashKey("remote_addr"))
    pool = Pool(upstream)
    for last in range(1, 50):
        peer = Address(f"192.0.2.{last}", 1)
        why = ask(world((Match(), MANY), upstream={"policy": Policy.CHASH, "hash_key": upstream.hash_key}), peer=peer)
        assert why.upstream is not None
        (picked,) = (node.label for node in why.upstream.nodes if node.picked)
        expected = pool.pick((), peer.host)
        assert expected is not None
        assert picked == expected.label


def test_why_the_others_are_not_to_be_had() -> None:
    nodes = (A, B, Node("10.0.0.3", 1, weight=0), Node("10.0.0.4", 1, priority=-1), Node("10.0.0.5", 1))
    statuses = (
        NodeStatus("10.0.0.1:1", "", 1, 1, 0, NodeHealth.UNHEALTHY, detail="refused"),
        NodeStatus("10.0.0.5:1", "", 1, 1, 0, sessions=3),
    )
    why = ask(world((Match(), nodes), statuses=statuses, upstream={"max_sessions": 3}))
    assert why.upstream is not None
    assert [(node.picked, node.why) for node in why.upstream.nodes] == [
        (False, "it is unhealthy: refused"),
        (True, "it is the only one that is to be had"),
        (False, "its weight is 0: it takes no new sessions"),
        (False, "nodes of priority 0 are used first"),
        (False, "it has 3 sessions, which is all it may have"),
    ]


def test_when_all_are_ill_all_are_used() -> None:
    statuses = tuple(NodeStatus(node.label, "", 1, 1, 0, NodeHealth.UNHEALTHY) for node in (A, B))
    why = ask(world((Match(), (A, B)), statuses=statuses, upstream={"policy": Policy.LEAST_CONN}))
    assert why.ending.value == "relayed"
    assert why.upstream is not None
    assert sum(node.picked for node in why.upstream.nodes) == 1


# Sessions

FACTS = Facts(TCP, Address("192.0.2.1", 1), Address("10.0.0.9", 443), True, "b")


def session(**fields: Any) -> Ended:
    known: dict[str, Any] = {"facts": FACTS, "route": "rules[1]", "upstream": "u1", "node": "10.0.0.2:1", "attempts": 1}
    known |= {"ending": Ending.CLIENT_CLOSED, **fields}
    return Ended("s-1", owner="the owner", revision=7, started=0.0, duration=1.0, **known)


def test_a_session_whose_listener_is_gone() -> None:
    elsewhere = session(facts=evolve(FACTS, listener=evolve(TCP, port=1)))
    for source in (Source.CURRENT, Source.PINNED):
        why = explain_session(evolve(TWO, source=source), elsewhere)
        assert (why.listener, why.rules) == (None, None)
        assert "nothing listens there" in why.notes[0]


def test_a_session_that_the_configuration_of_now_would_send_elsewhere() -> None:
    why = explain_session(TWO, session(route="rules[0]", upstream="u0", node="10.0.0.1:1"))
    assert "it went by rules[0], though the configuration that was asked says otherwise" in why.notes
    assert why.upstream is not None
    assert why.upstream.id == "u0"
    assert "that of now: the one it was decided by is forgotten" in text_of(why)
    unknown = explain_session(TWO, session(route="rules[9]", upstream="u9"))
    assert unknown.upstream is None
    assert explain_session(TWO, session(upstream="u9")).upstream is None


def test_a_node_that_was_not_the_first_to_be_tried() -> None:
    balanced = world((named("a"), (A,)), (named("b"), (A, B)))
    why = explain_session(balanced, session(attempts=2))
    assert why.upstream is not None
    assert [node.why for node in why.upstream.nodes if node.picked] == ["it was tried after 1 other could not be had"]


def test_what_is_to_be_known_of_a_session() -> None:
    notes = explain_session(TWO, session(facts=evolve(FACTS, via=Address("10.0.0.7", 1)))).notes
    assert notes == ("a PROXY protocol header from 10.0.0.7:1 named the client",)
    notes = explain_session(TWO, session(facts=evolve(FACTS, claimed=Address("10.0.0.7", 1)))).notes
    assert "its sender is not trusted" in notes[0]
    nameless = session(facts=evolve(FACTS, sni=None), route=None, ending=Ending.NO_ROUTE)
    assert "no name was read" in explain_session(TWO, nameless).notes[0]
    assert "sent no name in its handshake" in explain_session(terminating(), nameless).notes[0]


def test_a_session_at_a_plugin() -> None:
    guarded = world((Match(), (A,)), plugins=(MQTT,))
    waiting = Ongoing("s", FACTS, "", 7, Phase.PLUGINS, 0.0, 1.0, route="rules[0]")
    assert verdicts(explain_session(guarded, waiting)) == [("mqtt-proxy", "unknown")]
    connecting = evolve(waiting, phase=Phase.CONNECTING, upstream="u0")
    assert verdicts(explain_session(guarded, connecting)) == [("mqtt-proxy", "passed")]


def test_a_plugin_that_chose_the_upstream() -> None:
    use = PluginUse("traffic-split", 966, {}, upstreams={"rules[0]": "u1"})
    split = world((Match(), (A,)), (Match(), (B,)), plugins=(use,))
    why = explain_session(split, session(route="rules[0]", upstream="u1"))
    assert [each.why for each in why.plugins] == ["it let it pass, and chose the upstream u1"]
    assert why.upstream is not None
    assert (why.upstream.id, why.upstream.by) == ("u1", "traffic-split")


def test_of_very_many_rules_those_that_matter_are_shown() -> None:
    many = world(*((named(str(number)), (A,)) for number in range(1000)))
    text = text_of(ask(many, sni="900", tls=True))
    assert "=> 901  rules[900]" in text
    assert text.count("rules[") < MOST_ROUTES + 10
    assert "more" in text
    assert "none of them matches" in text_of(ask(many, sni="x", tls=True))
    assert "there are none" in text_of(ask(world(), sni="x", tls=True))


def test_nothing_in_a_text_steers_a_terminal() -> None:
    why = ask(sni="b", tls=True)
    evil = evolve(why, notes=("\x1b[2J",))
    assert "\x1b" not in text_of(evil)


def test_networks_and_ports() -> None:
    match = Match(remote=ipaddress.ip_network("10.0.0.0/8"), server_port=443)
    assert "remote: wants 10.0.0.0/8, saw 127.0.0.1" in text_of(ask(world((match, (A,)))))
    assert "won: remote is 10.1.1.1; server_port is 443" in text_of(
        ask(world((match, (A,))), peer=Address("10.1.1.1", 1))
    )
