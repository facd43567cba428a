"""The PROXY protocol, in front of clients and towards targets, over real sockets."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from streamproxy.model import Address, ClientAuth, Ending, Limits, ProxyAccept
from streamproxy.relay.announce import common_name
from streamproxy.relay.proxied import claim_of, trusts
from streamproxy.relay.serving import Serving
from streamproxy.sniff import Hit
from streamproxy.sniff.proxyheader import ProxyHeader, sniff_proxy_header
from streamproxy.sniff.proxytlv import SslClient, SslTlvType, Tlv, TlvType
from streamproxy.sniff.proxywrite import encode_proxy_v1, encode_proxy_v2
from streamproxy.testing import hello_bytes

from ..tls.pki import CLIENT_ONLY
from .loop import Loop
from .open_files import none_left_open
from .test_factory import Proxy, exchange, part, read
from .test_termination import ROOT, TlsProxy, context, meanwhile, wrap

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
ELSEWHERE = ipaddress.ip_network("192.0.2.0/24")
CLIENT, REACHED = Address("203.0.113.7", 40_000), Address("198.51.100.1", 443)
V1 = encode_proxy_v1(CLIENT, REACHED)
V2 = encode_proxy_v2(CLIENT, REACHED, tlvs=[Tlv(0xE0, b"mine")])


@pytest.fixture
def proxy(loop: Loop) -> Iterator[TlsProxy]:
    with none_left_open():
        proxy = TlsProxy(loop)
        yield proxy
        proxy.close()
        loop.pump([0.5] * 20)
        assert loop.descriptors == 0, "descriptors are left with the reactor"


def behind(proxy: Proxy, accept: ProxyAccept | None = ProxyAccept((LOOPBACK,)), out: int = 0) -> None:
    """The proxy is behind another one."""
    serving = proxy.factory.serving
    listener = evolve(serving.listener, proxy_in=accept, proxy_out=out)
    proxy.factory.serving = Serving(listener, serving.table, serving.upstreams, serving.limits, 3)


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_the_client_is_who_the_header_says(proxy: TlsProxy, header: bytes, pieces: int) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    behind(proxy)
    client = proxy.client()
    size = max(1, len(header) // pieces)
    for start in range(0, len(header), size):
        client.sendall(header[start : start + size])
        proxy.loop.turn(0.001)
    exchange(proxy, client, target.take(), b"question", b"answer")
    sender, here = client.getsockname(), client.getpeername()
    facts = part(proxy, client).facts
    assert (facts.peer, facts.local) == (CLIENT, REACHED)
    assert facts.accepted == Address(*here), "and where it came in here is known too"
    assert facts.claimed == CLIENT
    assert facts.via == Address(*sender)
    assert facts.tlvs == (() if header is V1 else ((0xE0, b"mine"),))


def test_what_comes_with_the_header_is_relayed(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    behind(proxy)
    client = proxy.client()
    client.sendall(V1 + b"at once")
    proxy.loop.until(lambda: proxy.engine.table, "the session is there")
    proxy.loop.settle()
    read(proxy, target.take(), b"at once")


def test_a_sender_that_is_not_trusted_is_the_client(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    behind(proxy, ProxyAccept((ELSEWHERE,)))
    client = proxy.client()
    client.sendall(V1)
    exchange(proxy, client, target.take(), b"question", b"answer")
    sender, here = client.getsockname(), client.getpeername()
    facts = part(proxy, client).facts
    assert facts.peer == Address(*sender), "what it claims is not adopted"
    assert facts.accepted == facts.local == Address(*here)
    assert facts.claimed == CLIENT, "but noted"


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY UNKNOWN\r", V2[:-1]])
def test_what_is_no_header_is_refused(proxy: TlsProxy, first: bytes) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    behind(proxy)
    client = proxy.client()
    client.sendall(first)
    client.shutdown(socket.SHUT_WR)
    record = proxy.ended()
    assert record.ending is Ending.SNIFF_FAILED
    assert record.detail.startswith("no PROXY protocol header: ")
    assert target.nobody_came()


def test_a_silent_sender_is_not_waited_for_for_ever(proxy: TlsProxy) -> None:
    proxy.serve(proxy.target().node, limits=Limits(sniff_timeout=2.0))
    behind(proxy)
    proxy.client()
    proxy.loop.settle()
    proxy.loop.advance(2.1)
    assert proxy.ended().ending is Ending.SNIFF_TIMEOUT


def test_where_it_is_not_required_a_trusted_sender_may_do_without(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    behind(proxy, ProxyAccept((LOOPBACK,), required=False))
    client = proxy.client()
    client.sendall(b"PROXIMA")
    taken = target.take()
    read(proxy, taken, b"PROXIMA")
    exchange(proxy, client, taken, b"question", b"answer")
    assert part(proxy, client).facts.claimed is None


def test_where_it_is_not_required_others_have_none(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    behind(proxy, ProxyAccept((ELSEWHERE,), required=False))
    client = proxy.client()
    exchange(proxy, client, target.take(), V1, b"answer")


def test_a_proxy_that_speaks_for_itself(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    behind(proxy)
    client = proxy.client()
    client.sendall(encode_proxy_v2(None, None, local=True))
    exchange(proxy, client, target.take(), b"question", b"answer")
    sender = client.getsockname()
    assert part(proxy, client).facts.peer == Address(*sender)


def test_limits_are_those_of_the_client_that_is_named(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.serve(target.node, limits=Limits(max_sessions_per_client=2))
    behind(proxy)
    clients = [proxy.client() for _ in range(2)]
    for client in clients:
        client.sendall(V1)
        exchange(proxy, client, target.take(), b"question", b"answer")
    assert proxy.table.of_client(CLIENT.host) == 2
    assert proxy.table.of_client("127.0.0.1") == 0
    proxy.client().sendall(V1)
    proxy.loop.until(lambda: proxy.table.recent, "the third one was refused")
    assert proxy.table.recent.pop().ending is Ending.OVER_LIMIT
    proxy.client().sendall(encode_proxy_v1(Address("203.0.113.8", 1), REACHED))
    proxy.loop.until(lambda: len(proxy.table) == 3, "somebody else is let in")


@pytest.mark.parametrize("pieces", [1, 50])
def test_in_front_of_tls_that_is_terminated(proxy: TlsProxy, pieces: int) -> None:
    target = proxy.target()
    proxy.terminate(target)
    behind(proxy)
    client = proxy.client()
    size = max(1, len(V2) // pieces)
    for start in range(0, len(V2), size):
        client.sendall(V2[start : start + size])
        proxy.loop.turn(0.001)
    secure = meanwhile(proxy.loop, lambda: context().wrap_socket(client, server_hostname="a.example.com"))
    secure.sendall(b"question")
    read(proxy, target.take(), b"question")
    assert part(proxy, secure).facts.peer == CLIENT


def test_in_front_of_tls_that_is_passed_through(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.serve_names({"a.example.com": target})
    behind(proxy)
    client = proxy.client()
    hello = hello_bytes("a.example.com")
    client.sendall(V2 + hello)
    proxy.loop.until(lambda: proxy.engine.table, "the session is there")
    proxy.loop.settle()
    read(proxy, target.take(), hello)


def header_of(proxy: Proxy, taken: socket.socket) -> ProxyHeader:
    """What a target is told before anything else."""
    got = bytearray()
    taken.setblocking(False)

    def complete() -> bool:
        try:
            got.extend(taken.recv(1))
        except BlockingIOError:
            pass
        return isinstance(sniff_proxy_header(bytes(got)), Hit)

    proxy.loop.until(complete, "a header arrived")
    taken.settimeout(5)
    verdict = sniff_proxy_header(bytes(got))
    assert isinstance(verdict, Hit)
    return verdict.value


@pytest.mark.parametrize("version", [1, 2])
def test_the_target_is_told_who_the_client_is(proxy: TlsProxy, version: int) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    behind(proxy, None, version)
    client = proxy.client()
    taken = target.take()
    header = header_of(proxy, taken)
    assert header.version == version
    assert header.source == Address(*client.getsockname())
    exchange(proxy, client, taken, b"question", b"answer")
    record = part(proxy, client)
    if version == 2:
        assert header.value(TlvType.UNIQUE_ID) == record.id.encode()


def test_one_header_in_another_header_out(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.serve(target.node)
    behind(proxy, out=2)
    client = proxy.client()
    client.sendall(V1)
    proxy.loop.until(lambda: proxy.engine.table, "the session is there")
    proxy.loop.settle()
    header = header_of(proxy, target.take())
    assert (header.source, header.destination) == (CLIENT, REACHED)


def test_what_is_known_of_a_tls_client_goes_with_it(proxy: TlsProxy, tmp_path: Path) -> None:
    target = proxy.target()
    proxy.terminator.client_ca = (ROOT.der,)
    proxy.terminate(target, ClientAuth.NEED)
    behind(proxy, None, 2)
    wrap(proxy, made=context(tmp_path, ROOT.issue("anna", purpose=CLIENT_ONLY)))
    header = header_of(proxy, target.take())
    assert header.value(TlvType.AUTHORITY) == b"a.example.com"
    assert header.ssl is not None
    assert header.ssl.verify == 0
    assert header.ssl.text(SslTlvType.COMMON_NAME) == "anna"
    assert header.ssl.text(SslTlvType.VERSION) == "TLSv1.3"
    everything = SslClient.TLS | SslClient.CERTIFICATE_ON_CONNECTION | SslClient.CERTIFICATE_IN_SESSION
    assert header.ssl.client == everything


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("CN=anna", "anna"),
        ("OU=x,CN=anna,O=y", "anna"),
        ("CN=anna\\, the first+OU=x", "anna, the first"),
        ("O=y", ""),
    ],
)
def test_the_name_in_a_subject(subject: str, name: str) -> None:
    assert common_name(subject) == name


def test_who_is_trusted() -> None:
    assert trusts((LOOPBACK,), "127.0.0.1")
    assert not trusts((), "127.0.0.1")
    assert not trusts((ELSEWHERE,), "127.0.0.1")
    assert not trusts((LOOPBACK,), "::1")
    assert not trusts((LOOPBACK,), "not an address")


@pytest.mark.parametrize("version", [1, 2])
def test_an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client(version: int) -> None:
    # A proxy in front that listens for both families on one socket says it like this.
    line = b"PROXY TCP6 ::ffff:203.0.113.7 ::ffff:c633:6401 40000 443\r\n"
    verdict = sniff_proxy_header(line if version == 1 else encode_proxy_v2(*_ends(line)))
    assert isinstance(verdict, Hit)
    assert claim_of(verdict.value, True).source == CLIENT
    assert claim_of(verdict.value, True).destination == REACHED
    other = sniff_proxy_header(b"PROXY TCP6 ::ffff:0:0:1 ::1 1 2\r\n")
    assert isinstance(other, Hit)
    assert claim_of(other.value, True).source == Address("::ffff:0:0:1", 1)


def _ends(line: bytes) -> tuple[Address, Address]:
    verdict = sniff_proxy_header(line)
    assert isinstance(verdict, Hit)
    source, destination = verdict.value.source, verdict.value.destination
    assert isinstance(source, Address)
    assert isinstance(destination, Address)
    return source, destination
