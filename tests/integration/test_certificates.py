"""Certificates that change while a thousand sessions are open, and ten thousand of them at once."""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tls.pki import Authority, Issued, ec_key

from .harness import Proxy, rule, target, until
from .targets import Echo
from .test_tls import ROOT, client_context, install, serial_of

Make = Callable[..., Proxy]

SESSIONS = 1000
CERTIFICATES = 10_000
# A session has two descriptors in the proxy and two in here.
DESCRIPTORS = 3 * SESSIONS


class ManyEcho:
    """Echoes what it is told to any number of clients, in one thread."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._server.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._over, self._told = socket.socketpair()
        self._selector.register(self._told, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._told:
                    return
                if sock is self._server:
                    self._selector.register(sock.accept()[0], selectors.EVENT_READ)
                elif data := self._hear(sock):
                    sock.sendall(data)
                else:
                    self._selector.unregister(sock)
                    sock.close()

    @staticmethod
    def _hear(sock: socket.socket) -> bytes:
        with contextlib.suppress(ConnectionResetError):
            return sock.recv(4096)
        return b""

    def close(self) -> None:
        self._over.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many descriptors as this takes, where the system allows them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (-1, resource.RLIM_INFINITY) and hard < DESCRIPTORS:
        pytest.skip(f"a process may have {hard} descriptors here, and this takes {DESCRIPTORS}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("by", ["disk", "API"])
def test_a_thousand_sessions_live_on_through_a_change(
    make_proxy: Make, tmp_path: Path, many_files: None, by: str
) -> None:
    certificates = tmp_path / "certs"
    certificates.mkdir()
    old, new = ROOT.issue("a.example.com"), ROOT.issue("a.example.com")
    proxy = make_proxy({"tls": {"certificates": str(certificates)}}, descriptors=DESCRIPTORS)

    def show(issued: Issued) -> None:
        if by == "disk":
            install(certificates, "a", issued)
        else:
            body = {"sni": "a.example.com", "cert": issued.chain_pem.decode(), "key": issued.key_pem.decode()}
            answer = proxy.put("/apisix/admin/ssls/a", body)
            assert answer.status in (200, 201), answer.text

    if by == "disk":
        show(old)
    proxy.start()
    if by == "API":
        show(old)
    with contextlib.closing(ManyEcho()) as echo, contextlib.ExitStack() as stack:
        port = proxy.create(tls="Enabled", rules=[rule("*", target(echo.port))])["port"]
        context = client_context()
        clients: list[ssl.SSLSocket] = []
        for _ in range(SESSIONS):
            wrapped = context.wrap_socket(proxy.connect(port), server_hostname="a.example.com")
            clients.append(stack.enter_context(wrapped))
        assert serial_of(port, "a.example.com") == old.certificate.serial_number
        show(new)
        started = time.monotonic()
        until(lambda: serial_of(port, "a.example.com") == new.certificate.serial_number, "the new one was served")
        print(f"the new certificate was served after {time.monotonic() - started:.2f} s")
        for client in clients:
            client.sendall(b"x")
        for client in clients:
            assert client.recv(1) == b"x", "a session did not live through the change"
        listener = proxy.listener(port)
        assert listener is not None
        assert listener["sessions"] >= SESSIONS


def test_ten_thousand_certificates_are_served_and_followed(make_proxy: Make, echoes: Callable[..., Echo]) -> None:
    proxy = make_proxy()
    directory = proxy.directory / "certs"
    authority, key = Authority(ROOT.issued), ec_key()
    last = f"n{CERTIFICATES - 1}.example.com"
    issued = {name: authority.issue(name, key) for name in (f"n{number}.example.com" for number in range(CERTIFICATES))}
    directory.mkdir()
    for name, each in issued.items():
        (directory / f"{name}.pem").write_bytes(each.pem + each.key_pem)
    proxy.config["tls"] = {"certificates": str(directory)}
    started = time.monotonic()
    proxy.start()
    print(f"{CERTIFICATES} certificates were read, and the process ready, after {time.monotonic() - started:.2f} s")
    port = proxy.create(tls="Enabled", rules=[rule("*", target(echoes().port))])["port"]
    for name in ("n0.example.com", "n5000.example.com", last):
        assert serial_of(port, name) == issued[name].certificate.serial_number
    renewed = authority.issue(last, key)
    beside = directory / ".new"
    beside.write_bytes(renewed.pem + renewed.key_pem)
    beside.rename(directory / f"{last}.pem")
    started = time.monotonic()
    until(
        lambda: serial_of(port, last) == renewed.certificate.serial_number,
        "one of ten thousand was replaced",
        patience=60,
    )
    print(f"one of them was replaced after {time.monotonic() - started:.2f} s")
