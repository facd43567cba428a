"""
Client certificates, in every combination that could be walked around: what the listener demands by default, what the
name demands, what the client shows, and by which way it comes back: a full handshake, or a session of another name.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamproxy.model import Certificate, ClientAuth, ClientVerification
from streamproxy.tls import CertificateIndex
from tests.tls.pki import Issued

from .loop import Loop
from .test_factory import Target
from .test_termination import PEOPLE, ROOT, STRANGERS, TlsProxy, context, meanwhile

NONE, WANT, NEED = ClientAuth.NONE, ClientAuth.WANT, ClientAuth.NEED

DEEP = PEOPLE.intermediate("one").intermediate("two").issue("too deep")
SHOWN: dict[str, Issued | None] = {
    "none": None,
    "good": PEOPLE.issue("good"),
    "expired": PEOPLE.issue("expired", valid=(-9, -3)),
    "unknown CA": STRANGERS.issue("unknown"),
    "too deep": DEEP,
}
WAYS = {
    "1.2 full": (ssl.TLSVersion.TLSv1_2, False, False),
    "1.2 ticket of another name": (ssl.TLSVersion.TLSv1_2, True, False),
    "1.2 session id of another name": (ssl.TLSVersion.TLSv1_2, True, True),
    "1.3 full": (ssl.TLSVersion.TLSv1_3, False, False),
    "1.3 ticket of another name": (ssl.TLSVersion.TLSv1_3, True, False),
}

PAIRS = {name: ROOT.issue(name).pair for name in ("open.example.com", "closed.example.com")}


class Answering(Target):
    """Says ``in`` to everybody who gets through."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)
        self.server.settimeout(None)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            try:
                sock.recv(1)
                sock.sendall(b"in")
            except OSError:
                pass
            finally:
                sock.close()

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        super().close()


@pytest.fixture
def proxy(loop: Loop) -> Iterator[TlsProxy]:
    proxy = TlsProxy(loop)
    proxy.terminator.client_ca = (PEOPLE.der,)
    yield proxy
    proxy.close()
    loop.pump([0.5] * 20)


def verification(auth: ClientAuth) -> ClientVerification:
    return ClientVerification(auth, () if auth is NONE else (PEOPLE.der,), 1)


def attempt(proxy: TlsProxy, made: ssl.SSLContext, name: str, session: ssl.SSLSession | None) -> ssl.SSLSocket | None:
    """Connect and ask; the socket of who got in, nothing for who did not."""
    raw = proxy.client()
    raw.settimeout(10)

    def go() -> ssl.SSLSocket | None:
        try:
            wrapped = made.wrap_socket(raw, server_hostname=name, session=session)
            wrapped.sendall(b"?")
            return wrapped if wrapped.recv(2) == b"in" else None
        except (ssl.SSLError, ConnectionError):
            return None

    return meanwhile(proxy.loop, go)


def lets_in(demands: ClientAuth, shows: str, *, depth_bounded: bool) -> bool:
    good = shows == "good" or (shows == "too deep" and not depth_bounded)
    return demands is NONE or good or (demands is WANT and shows == "none")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shows", SHOWN)
def test_no_cell_lets_in_whom_it_should_not(proxy: TlsProxy, tmp_path: Path, way: str, shows: str) -> None:
    version, resuming, without_tickets = WAYS[way]
    target = Answering(proxy.loop)
    proxy.targets.append(target)
    wrong = []
    for default in (NONE, WANT, NEED):
        for named in (None, NONE, WANT, NEED):
            proxy.terminator.index = CertificateIndex(
                [
                    Certificate("open", ("open.example.com",), (PAIRS["open.example.com"],), verification(NONE)),
                    Certificate(
                        "closed",
                        ("closed.example.com",),
                        (PAIRS["closed.example.com"],),
                        None if named is None else verification(named),
                    ),
                ],
                fallback="open.example.com",
            )
            proxy.terminate(target, default)
            made = context(tmp_path, SHOWN[shows], minimum_version=version, maximum_version=version)
            made.check_hostname = False
            if without_tickets:
                made.options |= ssl.OP_NO_TICKET
            session = None
            if resuming:
                first = attempt(proxy, made, "open.example.com", None)
                assert first is not None, "the open name let nobody in"
                session = first.session
                assert session is not None
                # It is a session that would be taken up where it belongs.
                again = attempt(proxy, made, "open.example.com", session)
                assert again is not None
                # Sessions are kept in tickets alone: an id is never known, not even where it is from.
                assert again.session_reused is not without_tickets
            demands = default if named is None else named
            got_in = attempt(proxy, made, "closed.example.com", session)
            # The listener's own demand, unlike that of a certificate, says nothing of depth.
            if (got_in is not None) is not lets_in(demands, shows, depth_bounded=named is not None):
                wrong.append(f"default {default.value}, name {named and named.value}: {'in' if got_in else 'out'}")
            if got_in is not None and resuming and demands is not NONE:
                assert not got_in.session_reused, "a session crossed from one policy to another"
    assert wrong == [], f"{shows} certificate, {way}"
