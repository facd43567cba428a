"""Sessions whose TLS ends at the proxy, and sessions whose target speaks TLS, over real sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import evolve
from OpenSSL import SSL

from streamproxy.model import (
    Certificate,
    ClientAuth,
    ClientPolicy,
    ClientVerification,
    Ended,
    Ending,
    FactKind,
    Limits,
    Match,
    NamePattern,
    Node,
    PatternKind,
    TlsMode,
)
from streamproxy.relay.serving import Serving
from streamproxy.relay.termination import Terminator
from streamproxy.testing import hello_bytes
from streamproxy.tls import CertificateIndex, Contexts
from tests.tls.pki import NOW, Authority, Issued

from .loop import Loop
from .test_factory import Proxy, Target, read

T = TypeVar("T")

ROOT = Authority.root("the root")
PEOPLE = Authority.root("who vouches for clients")
STRANGERS = Authority.root("nobody knows them")


class TlsProxy(Proxy):
    """A proxy that terminates TLS for a.example.com and b.example.com."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)
        self.terminator = Terminator(Contexts(), lambda: NOW)
        self.engine.terminator = self.terminator
        self.certify("a.example.com", "b.example.com")

    def certify(self, *names: str, client: ClientVerification | None = None, fallback: str | None = None) -> None:
        self.terminator.index = CertificateIndex(
            [
                Certificate(f"test:{name}", (name,), (ROOT.issue(name).pair,), client=client, serial=number)
                for number, name in enumerate(names)
            ],
            fallback=fallback,
        )

    def terminate(
        self, names: dict[str, Target] | Target, auth: ClientAuth = ClientAuth.NONE, limits: Limits = Limits()
    ) -> None:
        if isinstance(names, Target):
            self.serve(names.node, limits=limits)
        else:
            routes: dict[str, tuple[Match, tuple[Node, ...]]] = {
                name: (Match(names=(NamePattern(PatternKind.EXACT, name, name),)), (target.node,))
                for name, target in names.items()
            }
            self.serve_routes(routes, sniff=frozenset({FactKind.SNI}), limits=limits)
        serving = self.factory.serving
        listener = evolve(serving.listener, tls=TlsMode.TERMINATE, client_auth=auth)
        self.factory.serving = Serving(listener, serving.table, serving.upstreams, limits, 3)


@pytest.fixture
def proxy(loop: Loop) -> Iterator[TlsProxy]:
    proxy = TlsProxy(loop)
    yield proxy
    proxy.close()
    loop.pump([0.5] * 20)
    assert loop.descriptors == 0, "descriptors are left with the reactor"


def meanwhile(loop: Loop, what: Callable[[], T]) -> T:
    """Do this in a thread, while the loop turns; its answer, or what it raised."""
    result: list[T] = []
    trouble: list[BaseException] = []

    def do() -> None:
        try:
            result.append(what())
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            trouble.append(error)

    thread = threading.Thread(target=do)
    thread.start()
    loop.until(lambda: not thread.is_alive(), "the peer was done")
    if trouble:
        raise trouble[0]
    return result[0]


def context(tmp_path: Path | None = None, shows: Issued | None = None, **options: Any) -> ssl.SSLContext:
    """A client that trusts the root, and perhaps shows a certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(cadata=ROOT.pem.decode())
    for name, value in options.items():
        setattr(made, name, value)
    if shows is not None:
        assert tmp_path is not None
        path = tmp_path / f"{id(shows)}.pem"
        path.write_bytes(shows.chain_pem + shows.key_pem)
        made.load_cert_chain(path)
    return made


def wrap(proxy: TlsProxy, name: str | None = "a.example.com", made: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    """A client that has shaken hands."""
    raw = proxy.client()
    raw.settimeout(5)
    made = made or context(check_hostname=name is not None)
    return meanwhile(proxy.loop, lambda: made.wrap_socket(raw, server_hostname=name))


def swallow(client: ssl.SSLSocket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (chunk := client.recv(size - len(data))):
        data += chunk
    return bytes(data)


def one(proxy: TlsProxy) -> Ended:
    return proxy.ended()


def test_the_certificate_and_the_target_follow_the_name(proxy: TlsProxy) -> None:
    a, b = proxy.target(), proxy.target()
    proxy.terminate({"a.example.com": a, "b.example.com": b})
    for name, target in (("b.example.com", b), ("a.example.com", a)):
        client = wrap(proxy, name)
        client.sendall(b"secret question")
        taken = target.take()
        read(proxy, taken, b"secret question")
        taken.sendall(b"secret answer")
        assert meanwhile(proxy.loop, lambda c=client: swallow(c, 13)) == b"secret answer"  # type: ignore[misc]
        client.close()
        taken.close()
        record = one(proxy)
        assert record.facts.sni == name
        assert record.facts.handshake is not None
        assert record.facts.handshake.version == "TLSv1.3"
        assert (record.bytes_in, record.bytes_out) == (15, 13)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_bulk_both_ways_at_once(proxy: TlsProxy, version: ssl.TLSVersion) -> None:
    target = proxy.target()
    proxy.terminate(target)
    client = wrap(proxy, made=context(maximum_version=version))
    proxy.loop.settle()
    taken = target.take()
    data = bytes(range(256)) * 8000
    got: list[bytes] = []

    def target_side() -> None:
        sender = threading.Thread(target=taken.sendall, args=(data,))
        sender.start()
        heard = bytearray()
        while len(heard) < len(data):
            heard += taken.recv(1 << 20)
        sender.join()
        got.append(bytes(heard))

    def client_side() -> bytes:
        # One thread only: an SSLSocket is not for two.
        heard, sent = bytearray(), 0
        client.setblocking(False)
        while sent < len(data) or len(heard) < len(data):
            try:
                sent += client.send(data[sent : sent + 50_000])
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ValueError):
                pass
            try:
                heard += client.recv(50_000)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
        return bytes(heard)

    peer = threading.Thread(target=target_side)
    peer.start()
    assert meanwhile(proxy.loop, client_side) == data
    proxy.loop.until(lambda: got, "the target heard everything")
    peer.join()
    assert got == [data]


def test_the_clients_end_reaches_the_target_and_the_answer_the_client(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.terminate(target)
    client = wrap(proxy)
    taken = target.take()
    client.sendall(b"all I have to say")
    with pytest.raises((ssl.SSLWantReadError, TimeoutError, OSError)):
        client.settimeout(0.01)
        client.unwrap()
    read(proxy, taken, b"all I have to say")
    proxy.loop.settle()
    assert taken.recv(1) == b"", "the target did not hear of the client's close_notify"
    taken.close()
    assert one(proxy).ending is Ending.CLIENT_CLOSED


def test_the_targets_end_is_a_close_notify(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.terminate(target)
    client = wrap(proxy)
    taken = target.take()
    taken.sendall(b"bye")
    taken.close()
    # suppress_ragged_eofs is off: an end without close_notify would raise.
    client.suppress_ragged_eofs = False  # type: ignore[attr-defined]
    assert meanwhile(proxy.loop, lambda: swallow(client, 100)) == b"bye"
    assert one(proxy).ending is Ending.TARGET_CLOSED


def test_a_reset_target_is_no_orderly_end_for_the_client(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.terminate(target)
    client = wrap(proxy)
    taken = target.take()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    taken.close()
    client.suppress_ragged_eofs = False  # type: ignore[attr-defined]
    proxy.loop.settle()
    # The reset waits for what was sent to be acknowledged.
    proxy.loop.pump([0.1] * 20)
    with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
        client.recv(1)
    assert one(proxy).ending is Ending.TARGET_RESET


@pytest.mark.parametrize("name", ["z.example.com", None])
def test_a_name_without_certificate_gets_an_alert_and_the_target_hears_nothing(
    proxy: TlsProxy, name: str | None
) -> None:
    target = proxy.target()
    proxy.terminate(target)
    with pytest.raises(ssl.SSLError) as caught:
        wrap(proxy, name)
    assert "UNRECOGNIZED_NAME" in str(caught.value).upper().replace(" ", "_"), caught.value
    record = one(proxy)
    assert record.ending is Ending.HANDSHAKE_FAILED
    assert target.nobody_came()


def test_a_client_without_a_name_gets_the_fallback(proxy: TlsProxy) -> None:
    proxy.certify("a.example.com", fallback="a.example.com")
    target = proxy.target()
    proxy.terminate(target)
    client = wrap(proxy, None)
    client.sendall(b"x")
    read(proxy, target.take(), b"x")


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (b"", Ending.CLIENT_GONE),
        (b"GET / HTTP/1.0\r\n\r\n", Ending.SNIFF_FAILED),
        (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", Ending.SNIFF_FAILED),
        (hello_bytes("a.example.com")[:100], Ending.SNIFF_FAILED),
        (hello_bytes("a.example.com", versions=[0x0302]), Ending.HANDSHAKE_FAILED),
        (hello_bytes("a.example.com") + b"garbage that is no TLS record", Ending.HANDSHAKE_FAILED),
    ],
)
def test_broken_handshakes_end_and_leave_nothing(proxy: TlsProxy, data: bytes, ending: Ending) -> None:
    target = proxy.target()
    proxy.terminate(target)
    client = proxy.client()
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)
    assert one(proxy).ending is ending
    assert target.nobody_came()


def test_a_hello_that_comes_in_pieces_takes_no_spinning(proxy: TlsProxy) -> None:
    proxy.terminate(proxy.target())
    client = proxy.client()
    hello = hello_bytes("a.example.com", post_quantum=True)
    for byte in hello[:300]:
        client.sendall(bytes([byte]))
        proxy.loop.turn()
    assert len(proxy.table) == 1
    (session,) = proxy.table
    peeks = 0
    leg = session._client  # type: ignore[attr-defined]
    doing = type(leg)._peek

    def count(self: Any) -> None:
        nonlocal peeks
        peeks += 1
        doing(self)

    type(leg)._peek = count
    try:
        for _ in range(50):
            proxy.loop.turn(0.001)
    finally:
        type(leg)._peek = doing
    assert peeks <= 1, f"the reader was woken {peeks} times with nothing new to read"


def test_a_client_that_sends_what_holds_no_data_waits_for_its_turn(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.terminate(target)
    client = wrap(proxy)
    client.sendall(b"question")
    taken = target.take()
    read(proxy, taken, b"question")
    (session,) = proxy.table
    leg = session._client  # type: ignore[attr-defined]
    auto_retry = 0x4
    assert not SSL._lib.SSL_set_mode(leg.connection._ssl, 0) & auto_retry  # type: ignore[attr-defined]
    client.close()
    taken.close()


def test_a_client_that_does_not_shake_hands_is_closed_in_time(proxy: TlsProxy) -> None:
    proxy.terminate(proxy.target(), limits=Limits(handshake_timeout=4))
    silent, half = proxy.client(), proxy.client()
    half.sendall(hello_bytes("a.example.com"))
    proxy.loop.settle()
    proxy.loop.advance(4)
    assert [record.ending for record in proxy.table.recent] == [Ending.HANDSHAKE_TIMEOUT] * 2
    silent.close()
    proxy.table.recent.clear()


def test_clients_prove_themselves(proxy: TlsProxy, tmp_path: Path) -> None:
    proxy.certify("a.example.com", client=ClientVerification(ClientAuth.NEED, (PEOPLE.der,), 1))
    target = proxy.target()
    proxy.terminate(target)
    good = PEOPLE.issue("somebody")
    client = wrap(proxy, made=context(tmp_path, good))
    client.sendall(b"let me in")
    read(proxy, target.take(), b"let me in")
    (session,) = proxy.table
    handshake = session.facts.handshake  # type: ignore[attr-defined]
    assert handshake.client is not None
    assert "somebody" in handshake.client.subject
    session.kill(Ending.KILLED)
    proxy.table.recent.clear()
    for bad in (None, STRANGERS.issue("somebody"), PEOPLE.issue("late", valid=(-9, -3))):
        made = context(tmp_path, bad) if bad else context()

        def shake_and_read(made: ssl.SSLContext = made) -> bytes:
            with made.wrap_socket(proxy.client(), server_hostname="a.example.com") as wrapped:
                # In TLS 1.3 the client learns of its refusal only when it reads.
                return wrapped.recv(1)

        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            meanwhile(proxy.loop, shake_and_read)
        assert one(proxy).ending is Ending.HANDSHAKE_FAILED
    assert target.nobody_came()


def test_need_without_anybody_who_vouches_lets_nobody_in(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.terminate(target, ClientAuth.NEED)
    with pytest.raises(ssl.SSLError):
        wrap(proxy)
    assert one(proxy).ending is Ending.HANDSHAKE_FAILED
    assert target.nobody_came()


def test_a_new_index_serves_the_next_handshake_and_leaves_sessions_alone(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.terminate(target)
    client = wrap(proxy)
    taken = target.take()
    before = client.getpeercert(binary_form=True)
    proxy.certify("a.example.com")
    second = wrap(proxy)
    assert second.getpeercert(binary_form=True) != before
    client.sendall(b"still here")
    read(proxy, taken, b"still here")


class TlsTarget(Target):
    """A target that speaks TLS, in a thread."""

    def __init__(self, loop: Loop, tmp_path: Path, issued: Issued, policy: ClientPolicy) -> None:
        super().__init__(loop)
        self.node = evolve(self.node, tls=policy)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = tmp_path / f"{self.port}.pem"
        path.write_bytes(issued.chain_pem + issued.key_pem)
        self.context.load_cert_chain(path)
        self.names: list[str | None] = []
        self.context.sni_callback = lambda sock, name, context: self.names.append(name)
        self.ragged = False
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            self.taken.append(sock)
            try:
                wrapped = self.context.wrap_socket(sock, server_side=True)
                data = wrapped.recv(100)
                wrapped.sendall(b"you said " + data)
                if not self.ragged:
                    wrapped.unwrap()
                wrapped.close()
            except (OSError, ValueError):
                sock.close()


def secure(proxy: TlsProxy, tmp_path: Path, issued: Issued, policy: ClientPolicy) -> TlsTarget:
    target = TlsTarget(proxy.loop, tmp_path, issued, policy)
    target.server.settimeout(None)
    proxy.targets.append(target)
    return target


def policy(name: str = "t.example.com", **more: Any) -> ClientPolicy:
    return ClientPolicy(name, ca=(ROOT.der,), **more)


def test_a_plain_client_of_a_tls_target(proxy: TlsProxy, tmp_path: Path) -> None:
    target = secure(proxy, tmp_path, ROOT.issue("t.example.com"), policy())
    proxy.serve(target.node)
    client = proxy.client()
    client.sendall(b"hello")
    read(proxy, client, b"you said hello")
    assert target.names == ["t.example.com"]
    client.close()
    assert one(proxy).ending in (Ending.TARGET_CLOSED, Ending.CLIENT_CLOSED)


@pytest.mark.parametrize(
    ("issued", "wanted", "words"),
    [
        (ROOT.issue("other.example.com"), policy(), "not for t.example.com"),
        (STRANGERS.issue("t.example.com"), policy(), ""),
        (ROOT.issue("t.example.com", valid=(-9, -3)), policy(), ""),
    ],
)
def test_a_target_that_is_not_who_it_should_be_gets_not_a_byte(
    proxy: TlsProxy, tmp_path: Path, issued: Issued, wanted: ClientPolicy, words: str
) -> None:
    target = secure(proxy, tmp_path, issued, wanted)
    proxy.serve(target.node)
    client = proxy.client()
    with contextlib.suppress(ConnectionResetError):
        client.sendall(b"a secret")
    record = one(proxy)
    assert record.ending is Ending.TARGET_TLS_FAILED
    assert words in record.detail, record.detail
    assert record.bytes_in == 0


def test_verification_can_be_switched_off(proxy: TlsProxy, tmp_path: Path) -> None:
    target = secure(proxy, tmp_path, STRANGERS.issue("other"), policy(verify=False))
    proxy.serve(target.node)
    client = proxy.client()
    client.sendall(b"hello")
    read(proxy, client, b"you said hello")


def test_another_node_is_tried_when_one_fails_its_handshake(proxy: TlsProxy, tmp_path: Path) -> None:
    bad = secure(proxy, tmp_path, ROOT.issue("other.example.com"), policy())
    good = secure(proxy, tmp_path, ROOT.issue("t.example.com"), policy())
    proxy.serve(bad.node, good.node)
    client = proxy.client()
    client.sendall(b"hello")
    read(proxy, client, b"you said hello")


def test_a_target_that_accepts_and_hangs_is_given_up(proxy: TlsProxy) -> None:
    target = proxy.target()
    target.node = evolve(target.node, tls=policy())
    proxy.serve(target.node, limits=Limits(handshake_timeout=4))
    proxy.client()
    proxy.loop.settle()
    proxy.loop.advance(4)
    record = one(proxy)
    assert (record.ending, record.detail) == (Ending.TARGET_TLS_FAILED, "no TLS handshake in time")


def test_a_client_that_goes_while_the_target_shakes_hands(proxy: TlsProxy) -> None:
    target = proxy.target()
    target.node = evolve(target.node, tls=policy())
    proxy.serve(target.node)
    client = proxy.client()
    proxy.loop.settle()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert one(proxy).ending is Ending.CLIENT_RESET


def test_a_target_whose_stream_is_cut_off_is_no_orderly_end(proxy: TlsProxy, tmp_path: Path) -> None:
    target = secure(proxy, tmp_path, ROOT.issue("t.example.com"), policy())
    target.ragged = True
    proxy.serve(target.node)
    client = proxy.client()
    client.sendall(b"hello")
    read(proxy, client, b"you said hello")
    assert one(proxy).ending is Ending.TARGET_RESET


def test_tls_on_both_sides(proxy: TlsProxy, tmp_path: Path) -> None:
    target = secure(proxy, tmp_path, ROOT.issue("t.example.com"), policy())
    proxy.terminate(target)
    client = wrap(proxy)
    client.sendall(b"hello")
    assert meanwhile(proxy.loop, lambda: swallow(client, 14)) == b"you said hello"


SSL_REQUEST = struct.pack(">II", 8, 80877103)


def starttls(proxy: TlsProxy, protocol: str) -> None:
    """Have the listener speak a protocol that begins in plain text."""
    serving = proxy.factory.serving
    listener = evolve(serving.listener, starttls=protocol)
    proxy.factory.serving = Serving(listener, serving.table, serving.upstreams, serving.limits, 3)


def converse(proxy: TlsProxy, raw: socket.socket, says: bytes, hears: bytes) -> None:
    """The client says this, and hears what ends in that."""
    raw.sendall(says)
    heard = bytearray()

    def hear() -> bytes:
        while not heard.endswith(hears):
            chunk = raw.recv(1)
            assert chunk, f"the end came after {bytes(heard)!r}"
            heard.extend(chunk)
        return bytes(heard)

    meanwhile(proxy.loop, hear)


def test_a_postgres_client_is_answered_then_decrypted_and_routed_by_its_name(proxy: TlsProxy) -> None:
    a, b = proxy.target(), proxy.target()
    proxy.terminate({"a.example.com": a, "b.example.com": b})
    raw = proxy.client()
    raw.settimeout(5)
    converse(proxy, raw, SSL_REQUEST, b"S")
    client = meanwhile(proxy.loop, lambda: context().wrap_socket(raw, server_hostname="b.example.com"))
    client.sendall(b"startup")
    read(proxy, b.take(), b"startup")
    assert a.nobody_came()


def test_a_postgres_client_that_is_passed_through_meets_a_target_that_was_asked_for_it(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.serve_names({"a.example.com": target})
    raw = proxy.client()
    raw.settimeout(5)
    converse(proxy, raw, SSL_REQUEST, b"S")
    hello = hello_bytes("a.example.com")
    raw.sendall(hello)
    proxy.loop.settle()
    taken = target.take()
    read(proxy, taken, SSL_REQUEST)
    taken.sendall(b"S")
    read(proxy, taken, hello)
    taken.sendall(b"server hello")
    read(proxy, raw, b"server hello")


@pytest.mark.parametrize(("answer", "words"), [(b"N", "TLS"), (b"Sextra", "more behind"), (b"", "closed before")])
def test_a_target_that_does_not_agree_is_given_up(proxy: TlsProxy, answer: bytes, words: str) -> None:
    target = proxy.target()
    proxy.serve_names({"a.example.com": target})
    raw = proxy.client()
    raw.settimeout(5)
    converse(proxy, raw, SSL_REQUEST, b"S")
    raw.sendall(hello_bytes("a.example.com"))
    proxy.loop.settle()
    taken = target.take()
    taken.sendall(answer)
    taken.shutdown(socket.SHUT_WR)
    record = one(proxy)
    assert record.ending is Ending.TARGET_TLS_FAILED
    assert words in record.detail


def test_a_target_that_does_not_answer_is_given_up(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.serve_names({"a.example.com": target}, limits=Limits(handshake_timeout=4))
    raw = proxy.client()
    raw.settimeout(5)
    converse(proxy, raw, SSL_REQUEST, b"S")
    raw.sendall(hello_bytes("a.example.com"))
    proxy.loop.settle()
    proxy.loop.advance(4)
    assert one(proxy).ending is Ending.TARGET_TLS_FAILED


def test_a_postgres_client_without_tls_is_told_so(proxy: TlsProxy) -> None:
    proxy.terminate(proxy.target())
    raw = proxy.client()
    raw.settimeout(5)
    converse(proxy, raw, struct.pack(">II", 8, 80877104), b"N")
    raw.sendall(struct.pack(">II", 20, 3 << 16) + b"user\0me\0\0")
    assert one(proxy).ending is Ending.SNIFF_FAILED
    proxy.loop.pump([0.1] * 20)
    assert b"sslmode=require" in raw.recv(1000)


def test_mail_is_greeted_upgraded_and_greeted_for(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.terminate(target)
    starttls(proxy, "smtp")
    raw = proxy.client()
    raw.settimeout(5)
    converse(proxy, raw, b"", b"\r\n")
    converse(proxy, raw, b"EHLO client.example.com\r\n", b"STARTTLS\r\n")
    converse(proxy, raw, b"STARTTLS\r\n", b"\r\n")
    client = meanwhile(proxy.loop, lambda: context().wrap_socket(raw, server_hostname="a.example.com"))
    taken = target.take()
    # The target greets nobody but us: the client was greeted long ago.
    taken.sendall(b"220 mail.example.com at your service\r\n")
    client.sendall(b"EHLO client.example.com\r\n")
    read(proxy, taken, b"EHLO client.example.com\r\n")
    taken.sendall(b"250 hello\r\n")
    assert meanwhile(proxy.loop, lambda: swallow(client, 11)) == b"250 hello\r\n"


def test_a_long_command_in_pieces_and_then_a_short_one(proxy: TlsProxy) -> None:
    """How much was waited for in one is nothing to the next."""
    target = proxy.target()
    proxy.terminate(target)
    starttls(proxy, "smtp")
    raw = proxy.client()
    raw.settimeout(5)
    converse(proxy, raw, b"EHLO a.client.with.a.long.name", b" ESMTP\r\n")
    proxy.loop.settle()
    converse(proxy, raw, b".example.com\r\n", b"STARTTLS\r\n")
    converse(proxy, raw, b"STARTTLS\r\n", b"\r\n")
    client = meanwhile(proxy.loop, lambda: context().wrap_socket(raw, server_hostname="a.example.com"))
    taken = target.take()
    taken.sendall(b"220 mail.example.com at your service\r\n")
    client.sendall(b"x")
    read(proxy, taken, b"x")


def test_what_is_smuggled_behind_starttls_ends_it(proxy: TlsProxy) -> None:
    target = proxy.target()
    proxy.terminate(target)
    starttls(proxy, "smtp")
    raw = proxy.client()
    raw.settimeout(5)
    converse(proxy, raw, b"EHLO me\r\n", b"STARTTLS\r\n")
    raw.sendall(b"STARTTLS\r\nMAIL FROM:<smuggler@example.com>\r\n")
    assert one(proxy).ending is Ending.SNIFF_FAILED
    assert target.nobody_came()
