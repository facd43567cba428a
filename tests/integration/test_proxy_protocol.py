"""The PROXY protocol with those who speak it: HAProxy in front, nginx behind, and senders nobody trusts."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streamproxy.model import Address
from streamproxy.sniff.proxyheader import V2_SIGNATURE
from streamproxy.sniff.proxytlv import Tlv, TlvType
from streamproxy.sniff.proxywrite import encode_proxy_v1, encode_proxy_v2

from . import servers
from .harness import Proxy, free_port, is_dropped, read_all, until
from .targets import Echo
from .test_apisix_cases import ADMIN, RR, client_context
from .test_apisix_cases import ROOT as PKI

Make = Callable[..., Proxy]
CLIENT, REACHED = Address("203.0.113.7", 40_000), Address("198.51.100.1", 443)


def start(make_proxy: Make, listener: dict[str, Any], trusted: list[str], **config: Any) -> tuple[Proxy, int]:
    port = free_port()
    proxy = make_proxy(
        {
            "stream_proxy": {"tcp": [{"addr": f"127.0.0.1:{port}", **listener}]},
            "proxy_protocol": {"trusted": trusted},
            "access_log": {"path": "access.log", "format": "json"},
            **config,
        }
    ).start()
    return proxy, port


def route(proxy: Proxy, port: int, **more: Any) -> None:
    answer = proxy.put(f"{ADMIN}/stream_routes/1", {"upstream": {"nodes": {f"127.0.0.1:{port}": 1}, **RR}, **more})
    assert answer.status in (200, 201), answer.text


def records(proxy: Proxy) -> list[dict[str, Any]]:
    path = proxy.directory / "access.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def last(proxy: Proxy) -> dict[str, Any]:
    found: list[dict[str, Any]] = until(lambda: records(proxy), "the session is in the access log")
    return found[-1]


def client_of(record: dict[str, Any]) -> tuple[str, int]:
    return record["client_address"], record["client_port"]


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_haproxy_in_front(make_proxy: Make, echoes: Callable[..., Echo], send: str) -> None:
    proxy, port = start(make_proxy, {"proxy_protocol": True}, ["127.0.0.1"])
    route(proxy, echoes("E").port, remote_addr="127.0.0.99", server_port=port)
    front = free_port()
    config = f"frontend f\n  bind 127.0.0.1:{front}\n  unique-id-format mine\n  default_backend b\n"
    config += f"backend b\n  server s 127.0.0.1:{port} {send}\n"
    with servers.haproxy(config, front), socket.socket() as client:
        # The client's own address, which it also has at the other end of HAProxy, is what the route is for.
        client.bind(("127.0.0.99", 0))
        client.connect(("127.0.0.1", front))
        client.settimeout(20)
        client.sendall(b"question")
        assert client.recv(1)
        own = client.getsockname()
        client.shutdown(socket.SHUT_WR)
        read_all(client)
    record = last(proxy)
    assert client_of(record) == own, record
    assert record["local_port"] == front, record


def test_haproxys_tls_facts_come_through(make_proxy: Make, echoes: Callable[..., Echo]) -> None:
    """HAProxy terminates TLS and tells of it in TLVs."""
    proxy, port = start(make_proxy, {"proxy_protocol": True}, ["127.0.0.1"])
    route(proxy, echoes("E").port)
    issued, front = PKI.issue("a.example.com"), free_port()
    with servers.scratch("pem") as directory:
        pem = directory / "a.pem"
        pem.write_bytes(issued.chain_pem + issued.key_pem)
        config = f"frontend f\n  bind 127.0.0.1:{front} ssl crt {pem}\n  default_backend b\nbackend b\n"
        config += f"  server s 127.0.0.1:{port} send-proxy-v2-ssl-cn proxy-v2-options authority,ssl,cert-cn\n"
        with (
            servers.haproxy(config, front),
            socket.create_connection(("127.0.0.1", front), timeout=20) as raw,
            client_context().wrap_socket(raw, server_hostname="a.example.com") as client,
        ):
            client.sendall(b"question")
            assert client.recv(1)
            own = raw.getsockname() if raw.fileno() >= 0 else client.getsockname()
    assert client_of(last(proxy)) == own


def test_nginx_behind_is_told(make_proxy: Make) -> None:
    proxy, port = start(make_proxy, {"proxy_protocol_to_upstream": True}, [])
    behind = free_port()
    block = (
        f'server {{ listen 127.0.0.1:{behind} proxy_protocol; return "$proxy_protocol_addr:$proxy_protocol_port"; }}'
    )
    plain = free_port()
    block += f'\nserver {{ listen 127.0.0.1:{plain}; return "alive"; }}'
    with servers.nginx(block, plain):
        route(proxy, behind)
        with proxy.connect(port) as client:
            own = client.getsockname()
            assert read_all(client).decode() == f"{own[0]}:{own[1]}"


def test_haproxy_in_front_and_nginx_behind(make_proxy: Make) -> None:
    both = {"proxy_protocol": True, "proxy_protocol_to_upstream": True}
    proxy, port = start(make_proxy, both, ["127.0.0.1"])
    behind, plain, front = free_port(), free_port(), free_port()
    block = (
        f'server {{ listen 127.0.0.1:{behind} proxy_protocol; return "$proxy_protocol_addr:$proxy_protocol_port"; }}'
    )
    block += f'\nserver {{ listen 127.0.0.1:{plain}; return "alive"; }}'
    config = f"listen l\n  bind 127.0.0.1:{front}\n  server s 127.0.0.1:{port} send-proxy-v2\n"
    with servers.nginx(block, plain), servers.haproxy(config, front):
        route(proxy, behind)
        with socket.create_connection(("127.0.0.1", front), timeout=20) as client:
            own = client.getsockname()
            assert read_all(client).decode() == f"{own[0]}:{own[1]}"


def test_claims_of_others_are_not_adopted(make_proxy: Make, echoes: Callable[..., Echo]) -> None:
    proxy, port = start(make_proxy, {"proxy_protocol": True}, ["192.0.2.0/24"])
    route(proxy, echoes("E").port, remote_addr="127.0.0.1")
    with proxy.connect(port) as client:
        client.sendall(encode_proxy_v1(CLIENT, REACHED) + b"question")
        assert client.recv(1), "it is routed by its own address"
        own = client.getsockname()
        client.shutdown(socket.SHUT_WR)
        read_all(client)
    assert client_of(last(proxy)) == own


def test_in_front_of_tls_that_is_terminated(make_proxy: Make, echoes: Callable[..., Echo]) -> None:
    proxy, port = start(make_proxy, {"proxy_protocol": True, "tls": True}, ["127.0.0.1"])
    issued = PKI.issue("a.example.com")
    body = {"sni": "a.example.com", "cert": issued.chain_pem.decode(), "key": issued.key_pem.decode()}
    assert proxy.put(f"{ADMIN}/ssls/1", body).status == 201
    route(proxy, echoes("E").port, sni="a.example.com", remote_addr="203.0.113.0/24")
    with proxy.connect(port) as raw:
        raw.sendall(encode_proxy_v2(CLIENT, REACHED))
        with client_context().wrap_socket(raw, server_hostname="a.example.com") as client:
            client.sendall(b"question")
            assert client.recv(1)


def v2(command: int = 0x21, family: int = 0x11, payload: bytes = b"", length: int | None = None) -> bytes:
    """A version 2 header of whatever bytes."""
    return V2_SIGNATURE + struct.pack("!BBH", command, family, len(payload) if length is None else length) + payload


INET = bytes([203, 0, 113, 7, 198, 51, 100, 1]) + struct.pack("!HH", 40_000, 443)


def tlv(kind: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("!BH", kind, len(value) if length is None else length) + value


def with_wrong_checksum() -> bytes:
    header = encode_proxy_v2(CLIENT, REACHED, checksum=True)
    return header[:-1] + bytes([header[-1] ^ 1])


# What HAProxy's and nginx's own tests hold against a proxy, and what their users met.
MALFORMED = {
    "no header": b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
    "v1: too long": b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
    "v1: no line end": b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 443" + b" " * 80,
    "v1: a family there is not": b"PROXY TCP5 203.0.113.7 198.51.100.1 40000 443\r\n",
    "v1: an address of the other family": b"PROXY TCP4 ::1 ::1 40000 443\r\n",
    "v1: an address that is none": b"PROXY TCP4 203.0.113.256 198.51.100.1 40000 443\r\n",
    "v1: a port too large": b"PROXY TCP4 203.0.113.7 198.51.100.1 65536 443\r\n",
    "v1: a port with a sign": b"PROXY TCP4 203.0.113.7 198.51.100.1 +1 443\r\n",
    "v1: a part missing": b"PROXY TCP4 203.0.113.7 198.51.100.1 40000\r\n",
    "v1: a part too many": b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 443 1\r\n",
    "v1: two spaces": b"PROXY TCP4  203.0.113.7 198.51.100.1 40000 443\r\n",
    "v1: a line end without a return": b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\n",
    "v2: another version": v2(0x31, payload=INET),
    "v2: a command there is not": v2(0x22, payload=INET),
    "v2: a family there is not": v2(family=0x41, payload=INET),
    "v2: a transport there is not": v2(family=0x13, payload=INET),
    "v2: too short for its family": v2(payload=INET[:-1]),
    "v2: 65,535 bytes": v2(payload=INET, length=0xFFFF) + bytes(0xFFFF - len(INET)),
    "v2: a TLV that goes beyond the header": v2(payload=INET + tlv(0xE0, b"x", 5)),
    "v2: a TLV cut off in its head": v2(payload=INET + b"\xe0\0"),
    "v2: a checksum that is wrong": with_wrong_checksum(),
    "v2: a checksum of three bytes": v2(payload=INET + tlv(TlvType.CRC32C, b"abc")),
    "v2: a unique id that is too long": v2(payload=INET + tlv(TlvType.UNIQUE_ID, bytes(129))),
    "v2: half a signature": V2_SIGNATURE[:8] + b"no more",
}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, int]]:
    """A process that wants a header of everybody."""
    port = free_port()
    with contextlib.closing(Echo("E")) as echo:
        proxy = Proxy(
            tmp_path_factory.mktemp("strict"),
            {
                "stream_proxy": {"tcp": [{"addr": f"127.0.0.1:{port}", "proxy_protocol": True}]},
                "proxy_protocol": {"trusted": ["127.0.0.1"]},
            },
        ).start()
        try:
            route(proxy, echo.port)
            yield proxy, port
        finally:
            proxy.stop()


@pytest.mark.parametrize("header", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_header_is_the_end(strict: tuple[Proxy, int], header: bytes) -> None:
    proxy, port = strict
    with proxy.connect(port) as client:
        with contextlib.suppress(OSError):
            client.sendall(header)
            client.shutdown(socket.SHUT_WR)
        assert is_dropped(client)


@pytest.mark.parametrize(
    ("header", "adopted"),
    [
        (encode_proxy_v2(None, None, local=True), False),
        (encode_proxy_v2(None, None), False),
        (b"PROXY UNKNOWN\r\n", False),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", False),
        (encode_proxy_v2(CLIENT, REACHED, tlvs=[Tlv(TlvType.NOOP, b""), Tlv(0xE7, bytes(3000))], checksum=True), True),
        (encode_proxy_v1(Address("2001:db8::7", 1), Address("2001:db8::1", 2)), True),
    ],
    ids=["local", "unspec", "unknown", "unknown with words", "many TLVs and a checksum", "IPv6"],
)
def test_unusual_headers_are_fine(strict: tuple[Proxy, int], header: bytes, adopted: bool) -> None:
    proxy, port = strict
    with proxy.connect(port) as client:
        own = client.getsockname()
        client.sendall(header + b"question")
        assert client.recv(1)
        client.shutdown(socket.SHUT_WR)
        read_all(client)
        latest = until(lambda: ended(proxy, own, adopted), "the session ended")
    assert latest


def ended(proxy: Proxy, own: tuple[str, int], adopted: bool) -> bool:
    newest = proxy.get("/streamproxy/v1/sessions/recent?limit=1").json["sessions"]
    return bool(newest) and (newest[0]["client"] == f"{own[0]}:{own[1]}") is not adopted
