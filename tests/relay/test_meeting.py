"""MySQL: a target is reached first, its greeting is the client's, and both then shake hands with us."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from streamproxy.model import ClientPolicy, Ended, Ending, Limits
from tests.sniff.starttls.test_mysql import CLIENT_PROTOCOL_41, TOO_MANY, error, greeting, login, ssl_request
from tests.tls.pki import Issued

from .loop import Loop
from .test_factory import Target
from .test_termination import ROOT, TlsProxy, context, converse, meanwhile, policy, starttls, swallow

REFUSAL = error(2, 3159, "#HY000Connections using insecure transport are prohibited")


class Database(Target):
    """Greets, takes a request for TLS, shakes hands and answers once; it remembers what it was told in plain text."""

    def __init__(
        self, loop: Loop, tmp_path: Path, issued: Issued, policy: ClientPolicy, says: bytes = greeting()
    ) -> None:
        super().__init__(loop)
        self.server.settimeout(None)
        self.node = evolve(self.node, tls=policy)
        self.says = says
        self.heard: list[bytes] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = tmp_path / f"{self.port}.pem"
        path.write_bytes(issued.chain_pem + issued.key_pem)
        self.context.load_cert_chain(path)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            self.taken.append(sock)
            with contextlib.suppress(OSError, ValueError):
                self._serve(sock)

    def _serve(self, sock: socket.socket) -> None:
        sock.sendall(self.says)
        try:
            self.heard.append(sock.recv(len(ssl_request()), socket.MSG_WAITALL))
        except ConnectionResetError:
            self.heard.append(b"")
            raise
        with self.context.wrap_socket(sock, server_side=True) as wrapped:
            wrapped.sendall(b"you said " + wrapped.recv(100))


@pytest.fixture
def proxy(loop: Loop) -> Iterator[TlsProxy]:
    proxy = TlsProxy(loop)
    yield proxy
    proxy.close()
    loop.pump([0.5] * 20)
    assert loop.descriptors == 0, "descriptors are left with the reactor"


def database(proxy: TlsProxy, tmp_path: Path, name: str = "t.example.com", says: bytes = greeting()) -> Database:
    made = Database(proxy.loop, tmp_path, ROOT.issue(name), policy(), says)
    proxy.targets.append(made)
    return made


def serve(proxy: TlsProxy, *targets: Target, limits: Limits = Limits()) -> None:
    """MySQL before these."""
    proxy.terminate(targets[0], limits=limits)
    if len(targets) > 1:
        upstreams = {"all": evolve(proxy.factory.serving.upstreams["all"], nodes=tuple(each.node for each in targets))}
        proxy.factory.serving = evolve(proxy.factory.serving, upstreams=upstreams)
    starttls(proxy, "mysql")


def greeted(proxy: TlsProxy) -> socket.socket:
    """A client that has heard the greeting."""
    raw = proxy.client()
    raw.settimeout(5)
    converse(proxy, raw, b"", greeting())
    return raw


def secured(proxy: TlsProxy, raw: socket.socket) -> ssl.SSLSocket:
    raw.sendall(ssl_request())
    return meanwhile(proxy.loop, lambda: context().wrap_socket(raw, server_hostname="a.example.com"))


def ended(proxy: TlsProxy, ending: Ending) -> Ended:
    record = proxy.ended()
    assert record.ending is ending, record
    return record


def test_the_greeting_is_the_targets_and_the_request_the_clients(proxy: TlsProxy, tmp_path: Path) -> None:
    target = database(proxy, tmp_path)
    serve(proxy, target)
    client = secured(proxy, greeted(proxy))
    client.sendall(b"login")
    assert meanwhile(proxy.loop, lambda: swallow(client, 14)) == b"you said login"
    assert target.heard == [ssl_request()]
    record = proxy.ended()
    assert record.facts.sni == "a.example.com"
    assert record.facts.handshake is not None
    assert record.node == f"127.0.0.1:{target.port}"


def test_a_client_without_tls_is_told_so(proxy: TlsProxy, tmp_path: Path) -> None:
    target = database(proxy, tmp_path)
    serve(proxy, target)
    raw = greeted(proxy)
    raw.sendall(login())
    assert "without TLS" in ended(proxy, Ending.SNIFF_FAILED).detail
    proxy.loop.pump([0.1] * 20)
    assert raw.recv(1000) == REFUSAL
    proxy.loop.until(lambda: target.heard, "the target saw the end")
    assert target.heard == [b""], "the target heard something of the client's"


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (TOO_MANY, "Too many connections"),
        (greeting(CLIENT_PROTOCOL_41), "the target offers no TLS"),
        (greeting() + b"more", "more behind its greeting"),
        (b"SSH-2.0-OpenSSH\r\n", "wrong number"),
    ],
)
def test_a_target_that_cannot_be_greeted_for_is_passed_over(
    proxy: TlsProxy, tmp_path: Path, says: bytes, why: str
) -> None:
    serve(proxy, database(proxy, tmp_path, says=says))
    proxy.client()
    record = ended(proxy, Ending.TARGET_TLS_FAILED)
    assert why in record.detail
    good = database(proxy, tmp_path)
    serve(proxy, database(proxy, tmp_path, says=says), good)
    for _ in range(2):
        client = secured(proxy, greeted(proxy))
        client.sendall(b"login")
        assert meanwhile(proxy.loop, lambda: swallow(client, 14)) == b"you said login"  # noqa: B023
    assert len(good.heard) == 2


def test_a_target_that_is_not_who_it_should_be_gets_no_login(proxy: TlsProxy, tmp_path: Path) -> None:
    serve(proxy, database(proxy, tmp_path, "somebody.else.com"))
    raw = greeted(proxy)
    with contextlib.suppress(OSError):
        secured(proxy, raw).sendall(b"login")
    ended(proxy, Ending.TARGET_TLS_FAILED)


def test_a_target_without_tls_stands_behind_no_tls(proxy: TlsProxy, tmp_path: Path) -> None:
    target = database(proxy, tmp_path)
    target.node = evolve(target.node, tls=None)
    serve(proxy, target)
    proxy.client()
    assert "cannot stand behind" in ended(proxy, Ending.TARGET_TLS_FAILED).detail


def test_a_client_that_goes_frees_the_target(proxy: TlsProxy, tmp_path: Path) -> None:
    target = database(proxy, tmp_path)
    serve(proxy, target)
    greeted(proxy).close()
    ended(proxy, Ending.CLIENT_GONE)
    proxy.loop.until(lambda: target.heard, "the target saw the end")
    assert target.heard == [b""]


def test_a_target_that_goes_is_found_out_with_the_handshake(proxy: TlsProxy, tmp_path: Path) -> None:
    target = database(proxy, tmp_path)
    serve(proxy, target)
    raw = greeted(proxy)
    target.taken[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    target.taken[0].close()
    with contextlib.suppress(OSError):
        secured(proxy, raw)
    ended(proxy, Ending.TARGET_TLS_FAILED)


def test_a_client_that_says_nothing_is_closed_in_time(proxy: TlsProxy, tmp_path: Path) -> None:
    serve(proxy, database(proxy, tmp_path), limits=Limits(handshake_timeout=4))
    greeted(proxy)
    proxy.loop.advance(4)
    ended(proxy, Ending.HANDSHAKE_TIMEOUT)


def test_killed_while_the_target_shakes_hands(proxy: TlsProxy) -> None:
    target = proxy.target()
    target.node = evolve(target.node, tls=policy())
    serve(proxy, target)
    raw = proxy.client()
    raw.settimeout(5)
    taken = target.take()
    taken.sendall(greeting())
    converse(proxy, raw, b"", greeting())
    secured(proxy, raw)
    assert meanwhile(proxy.loop, lambda: taken.recv(36, socket.MSG_WAITALL)) == ssl_request()
    (session,) = proxy.table
    session.kill(Ending.KILLED)
    ended(proxy, Ending.KILLED)
