"""``tls_passthrough``: TLS that goes through by the name in its hello, and listeners that leave that to the route."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tls.pki import Authority

from .conftest import Make
from .harness import PATIENCE, Proxy, free_port, read_all, until
from .targets import Echo, Server

ADMIN = "/apisix/admin"
ROOT = Authority.root("of this proxy")
THEIRS = Authority.root("of the targets")


def context_of(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.pem.decode())
    return context


class Behind:
    """A process with a listener of which the routes say whether TLS ends there; it has a certificate for test.com."""

    def __init__(self, make_proxy: Make, listener: dict[str, Any], **config: Any) -> None:
        self.port = free_port()
        self.proxy: Proxy = make_proxy(
            {"stream_proxy": {"tcp": [{"addr": f"127.0.0.1:{self.port}", **listener}]}, **config}
        ).start()
        issued = ROOT.issue("test.com", sans=["test.com", "*.test.com"])
        self.put("/ssls/1", {"cert": issued.chain_pem.decode(), "key": issued.key_pem.decode(), "snis": ["test.com"]})

    def put(self, path: str, body: dict[str, Any]) -> None:
        answer = self.proxy.put(ADMIN + path, body)
        assert answer.status in (200, 201), answer.text

    def route(self, number: int, server: Server, **body: Any) -> None:
        upstream = {"nodes": {f"127.0.0.1:{server.port}": 1}, "type": "roundrobin"}
        self.put(f"/stream_routes/{number}", {"upstream": upstream, **body})

    def ask(self, name: str | None, authority: Authority, data: bytes = b"mmm") -> bytes:
        """What a client hears that believes ``authority`` alone."""
        context = context_of(authority)
        context.check_hostname = name is not None
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as raw,
            context.wrap_socket(raw, server_hostname=name) as secure,
        ):
            secure.sendall(data)
            greeting, _, rest = secure.recv(100).partition(b"\n")
            while len(rest) < len(data):
                rest += secure.recv(1 << 16)
            assert rest == data
            return greeting

    def sessions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.proxy.get("/streamproxy/v1/sessions?state=ended").json["sessions"]
        return found


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Callable[[str, str], Echo]]:
    """Start a target that does TLS itself, for one name."""
    started: list[Echo] = []

    def start(name: str, says: str) -> Echo:
        issued = THEIRS.issue(name, sans=[name])
        file = tmp_path / f"{says}.pem"
        file.write_bytes(issued.chain_pem + issued.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        started.append(Echo(says, context=context))
        return started[-1]

    yield start
    for each in started:
        each.close()


MIXED = {"tls": True, "tls_passthrough": True}


def test_the_route_decides(
    make_proxy: Make, secured: Callable[[str, str], Echo], echoes: Callable[..., Echo]
) -> None:
    behind = Behind(make_proxy, MIXED)
    behind.route(1, secured("admin.example.dev", "theirs"), sni="admin.example.dev", tls_passthrough=True)
    behind.route(
        2,
        echoes("ours"),
        sni="test.com",
        server_port=behind.port,
        plugins={"ip-restriction": {"whitelist": ["127.0.0.1"]}},
    )
    big = b"x" * 300_000
    assert behind.ask("admin.example.dev", THEIRS, big) == b"theirs"
    assert behind.ask("test.com", ROOT, big) == b"ours"

    # Where it ends is changed like anything else, and the next session does as it says.
    behind.route(2, secured("test.com", "moved"), sni="test.com", tls_passthrough=True)
    assert behind.ask("test.com", THEIRS) == b"moved"
    ended = until(lambda: len(behind.sessions()) == 3 and behind.sessions(), "three sessions are over")
    assert sorted((each["route"][-1], each["sni"], each["handshake"] is None) for each in ended) == [
        ("1", "admin.example.dev", True),
        ("2", "test.com", False),
        ("2", "test.com", True),
    ]


def test_a_name_with_a_route_and_no_certificate_is_refused_unless_it_passes(
    make_proxy: Make, secured: Callable[[str, str], Echo]
) -> None:
    behind = Behind(make_proxy, MIXED)
    target = secured("other.example.dev", "theirs")
    behind.route(1, target, sni="other.example.dev")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        behind.ask("other.example.dev", THEIRS)
    behind.route(1, target, sni="other.example.dev", tls_passthrough=True)
    assert behind.ask("other.example.dev", THEIRS) == b"theirs"


def test_a_hello_that_comes_in_pieces(make_proxy: Make, secured: Callable[[str, str], Echo]) -> None:
    behind = Behind(make_proxy, MIXED)
    behind.route(1, secured("slow.example.dev", "theirs"), sni="slow.example.dev", tls_passthrough=True)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context_of(THEIRS).wrap_bio(incoming, outgoing, server_hostname="slow.example.dev")
    with behind.proxy.connect(behind.port) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        for byte in outgoing.read():
            sock.sendall(bytes([byte]))
        for _ in range(20):
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(1 << 16))
        sock.sendall(outgoing.read())
        assert tls.getpeercert()
        while True:
            try:
                assert tls.read(100) == b"theirs\n"
                break
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(1 << 16))


@pytest.mark.parametrize("opening", [b"", b"\x16\x03\x01\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"])
def test_what_is_no_hello(make_proxy: Make, echoes: Callable[..., Echo], opening: bytes) -> None:
    behind = Behind(make_proxy, MIXED)
    behind.route(1, echoes(), tls_passthrough=True)
    with behind.proxy.connect(behind.port) as sock:
        sock.sendall(opening)
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            # An alert at most.
            assert len(read_all(sock)) <= 7
    assert behind.proxy.get("/streamproxy/v1/ready").status == 200
    assert "Traceback" not in behind.proxy.output


@pytest.mark.parametrize("listener", [{"tls_passthrough": True}, MIXED], ids=["passing", "mixed"])
def test_who_says_no_name_is_taken_to_mean_the_fallback(
    make_proxy: Make, secured: Callable[[str, str], Echo], listener: dict[str, Any]
) -> None:
    behind = Behind(make_proxy, listener, apisix={"ssl": {"fallback_sni": "b.example.dev"}})
    behind.route(1, secured("a.example.dev", "a"), sni="a.example.dev", tls_passthrough=True)
    behind.route(2, secured("b.example.dev", "b"), sni="b.example.dev", tls_passthrough=True)
    assert behind.ask(None, THEIRS) == b"b"


def test_it_can_be_explained(make_proxy: Make, secured: Callable[[str, str], Echo]) -> None:
    behind = Behind(make_proxy, MIXED)
    behind.route(1, secured("admin.example.dev", "theirs"), sni="admin.example.dev", tls_passthrough=True)
    asked = {"port": behind.port, "sni": "admin.example.dev", "tls": True}
    explained = behind.proxy.post("/streamproxy/v1/explain", asked).json
    assert "the route leaves TLS to its target" in str(explained)
    assert "apisix:stream_routes/1" in str(explained)


def test_a_listener_that_is_opened_at_run_time(
    make_proxy: Make, secured: Callable[[str, str], Echo], echoes: Callable[..., Echo]
) -> None:
    behind = Behind(make_proxy, {})
    behind.port = free_port()
    put = behind.proxy.put("/streamproxy/v1/listeners/mixed", {"addr": f"127.0.0.1:{behind.port}", **MIXED})
    assert put.status in (200, 201), put.text
    behind.route(1, secured("admin.example.dev", "theirs"), sni="admin.example.dev", tls_passthrough=True)
    behind.route(2, echoes("ours"))
    assert behind.ask("admin.example.dev", THEIRS) == b"theirs"
    assert behind.ask("test.com", ROOT) == b"ours"
