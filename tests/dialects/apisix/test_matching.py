"""The compiled table against APISIX's matching, written down plainly once more."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix import ROUTING
from streamproxy.dialects.assemble import assemble
from streamproxy.model import Address, Document, Facts, Key, ListenAddress, Transport
from streamproxy.rules import Table

NETWORKS = ["127.0.0.1", "127.0.0.0/8", "10.0.0.0/8", "0.0.0.0/0", "::1", "::/0"]
HOSTS = ["127.0.0.1", "127.1.2.3", "10.0.0.1", "::1", "2001:db8::1"]
SNIS = ["*", "*.test.com", "*test.com", "*.com", "a.test.com", "test.com", "A.Test.com", "*.a.test.com", "x.org"]
NAMES = [None, "test.com", "a.test.com", "b.a.test.com", "atest.com", "com", "x.org", "y.net"]

routes = st.fixed_dictionaries(
    {"upstream": st.just({"nodes": {"h:1": 1}})},
    optional={
        "remote_addr": st.sampled_from(NETWORKS),
        "server_addr": st.sampled_from(NETWORKS),
        "server_port": st.sampled_from([80, 443]),
    },
)
named = st.tuples(routes, st.none() | st.sampled_from(SNIS) | st.lists(st.sampled_from(SNIS), min_size=1, max_size=3))


def route(pair: tuple[dict[str, Any], str | list[str] | None]) -> dict[str, Any]:
    body, names = pair
    if isinstance(names, list):
        return {**body, "snis": names}
    return body if names is None else {**body, "sni": names}


def winner(bodies: list[dict[str, Any]], facts: Facts) -> int | None:
    def lies_in(host: str, network: str | None) -> bool:
        return network is None or ip_address(host) in ip_network(network)

    def fits(body: dict[str, Any]) -> bool:
        addresses = lies_in(facts.peer.host, body.get("remote_addr")) and lies_in(
            facts.local.host, body.get("server_addr")
        )
        return addresses and body.get("server_port", facts.local.port) == facts.local.port

    def rank(body: dict[str, Any]) -> tuple[int, int] | None:
        """The exact name, the longest wildcard, then those without a name; ``None``: the name is another."""
        names = [name.lower() for name in body.get("snis", [body["sni"]] if "sni" in body else [])]
        ranks = [
            (0 if name == facts.sni else 1, -len(name))
            for name in names
            if facts.sni is not None and (name == facts.sni or (name.startswith("*") and facts.sni.endswith(name[1:])))
        ]
        return min(ranks, default=None) if names else (2, 0)

    ranked = [(rank(body), index) for index, body in enumerate(bodies) if fits(body)]
    return min(((place, index) for place, index in ranked if place is not None), default=(None, None))[1]


@given(
    st.lists(named.map(route), max_size=8),
    st.sampled_from(HOSTS),
    st.sampled_from(HOSTS),
    st.sampled_from([80, 443, 8080]),
    st.sampled_from(NAMES),
)
def test_the_table_decides_as_apisix_does(
    bodies: list[dict[str, Any]], peer: str, local: str, port: int, sni: str | None
) -> None:
    documents = [Document(Key("apisix", "stream_routes", str(index)), body) for index, body in enumerate(bodies)]
    assembled = assemble(documents)
    assert assembled.problems == ()
    listener = ListenAddress(Transport.TCP, "0.0.0.0", port)
    facts = Facts(listener, Address(peer, 5000), Address(local, port), tls=sni is not None, sni=sni)
    routing = assembled.snapshot.routings.get(ROUTING)
    decided = None if routing is None else Table.compile(routing).decide(facts).route
    expected = winner(bodies, facts)
    assert (decided and decided.document and decided.document.id) == (None if expected is None else str(expected))
