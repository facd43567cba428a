"""The PROXY protocol over UDP: a header in front of each datagram, in both directions of the chain."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import pytest

from streamproxy.model import Address, ListenAddress, ProxyAccept, Transport
from streamproxy.relay.proxied import read_datagram
from streamproxy.relay.udp import DatagramProxy
from streamproxy.sniff import Hit
from streamproxy.sniff.proxyheader import sniff_proxy_header
from streamproxy.sniff.proxywrite import encode_proxy_v1, encode_proxy_v2

from .loop import Loop
from .udp_kit import Router, Town, only, where

LOOPBACK = ProxyAccept((ipaddress.ip_network("127.0.0.0/8"),))
STRANGERS = ProxyAccept((ipaddress.ip_network("192.0.2.0/24"),))
ANNA, BERT = Address("203.0.113.7", 40_000), Address("203.0.113.8", 40_000)
REACHED = Address("198.51.100.1", 53)


@pytest.fixture
def town(loop: Loop) -> Iterator[Town]:
    town = Town(loop)
    yield town
    town.close()


def header(client: Address) -> bytes:
    return encode_proxy_v2(client, REACHED, transport=Transport.UDP)


def test_clients_behind_one_sender_are_told_apart(town: Town) -> None:
    node, front = town.peer(), town.peer()
    router = Router([town.routed(node)])
    proxy = town.proxy(router, proxy_in=LOOPBACK)
    for client in (ANNA, BERT, ANNA):
        front.send(header(client) + b"question of " + client.host.encode(), where(proxy))
    town.loop.until(lambda: proxy.counters.datagrams_in == 3, "all three have come")
    assert proxy.sessions == 2
    assert [facts.peer for facts in router.asked] == [ANNA, BERT], "they are routed by their own addresses"
    assert [(facts.local, facts.claimed) for facts in router.asked] == [(REACHED, ANNA), (REACHED, BERT)]
    assert {facts.accepted for facts in router.asked} == {Address(*where(proxy))}
    got = [node.receive() for _ in range(3)]
    assert [data for data, _ in got] == [b"question of " + c.host.encode() for c in (ANNA, BERT, ANNA)]
    node.send(b"answer", got[0][1])
    assert front.receive()[0] == b"answer", "an answer has no header: the sender knows whose it is"


def test_a_header_with_nothing_behind_it_is_an_empty_datagram(town: Town) -> None:
    node, front = town.peer(), town.peer()
    proxy = town.proxy(town.routed(node), proxy_in=LOOPBACK)
    front.send(header(ANNA), where(proxy))
    assert node.receive()[0] == b""


@pytest.mark.parametrize(
    "datagram", [b"", b"question", encode_proxy_v1(ANNA, REACHED) + b"question", header(ANNA)[:-1]]
)
def test_what_has_no_header_is_dropped(town: Town, datagram: bytes) -> None:
    node, front = town.peer(), town.peer()
    proxy = town.proxy(town.routed(node), proxy_in=LOOPBACK)
    front.send(datagram, where(proxy))
    town.loop.until(lambda: proxy.counters.dropped_proxy_header, "it was dropped")
    assert proxy.sessions == 0
    assert node.waiting() == []


def test_a_sender_that_is_not_trusted_is_the_client(town: Town) -> None:
    node, front = town.peer(), town.peer()
    proxy = town.proxy(town.routed(node), proxy_in=STRANGERS)
    for client in (ANNA, BERT):
        front.send(header(client) + b"question", where(proxy))
        assert node.receive()[0] == b"question"
    facts = only(proxy).facts
    assert (facts.peer.host, facts.claimed, facts.via) == ("127.0.0.1", ANNA, None)


def test_where_it_is_not_required_datagrams_may_come_without() -> None:
    optional = ProxyAccept(LOOPBACK.trusted, required=False)
    assert read_datagram(optional, "127.0.0.1", b"question") == (None, b"question")
    assert read_datagram(optional, "192.0.2.1", header(ANNA) + b"x") == (None, header(ANNA) + b"x")
    read = read_datagram(optional, "127.0.0.1", header(ANNA) + b"x")
    assert read is not None
    assert read[0] is not None
    assert (read[0].source, read[1]) == (ANNA, b"x")


def test_the_node_is_told_with_each_datagram(town: Town) -> None:
    node, client = town.peer(), town.peer()
    proxy: DatagramProxy = town.proxy(town.routed(node, prefix=header(ANNA)))
    assert proxy.listen == ListenAddress(Transport.UDP, "127.0.0.1", 0)
    for question in (b"1", b"2"):
        client.send(question, where(proxy))
        data, asker = node.receive()
        verdict = sniff_proxy_header(data)
        assert isinstance(verdict, Hit)
        assert verdict.value.source == ANNA
        assert data[verdict.consumed :] == question
    node.send(b"answer", asker)
    assert client.receive()[0] == b"answer"
    assert only(proxy).bytes_in == 2, "headers are nobody's bytes"
