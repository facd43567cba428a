"""Servers for proxies to lead to, faster than any proxy."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.integration.servers import certificate as make_certificate

from .processes import a_port, program, started
from .seams import HOST, NAME, Certificate

PAGE = "ok\n"
BIG = "/big"
# Sparse, so it is on no disk.
BIG_SIZE = 256 << 20


@frozen
class Web:
    """An nginx that answers ``/`` with :data:`PAGE` and :data:`BIG` with zeros, in the clear and in TLS."""

    plain: int
    tls: int


def certificate(directory: Path) -> Certificate:
    """ECDSA P-256, self-signed, for :data:`NAME`."""
    place = directory / "certificates"
    place.mkdir(exist_ok=True)
    both = directory / "both.pem"
    make_certificate(both, NAME)
    found = Certificate(place / f"{NAME}.crt", place / f"{NAME}.key", both)
    both.with_suffix(".crt").rename(found.chain)
    both.with_suffix(".key").rename(found.key)
    return found


def own_user() -> str:
    """nginx's worker has to read what we wrote."""
    return "user root;\n" if os.geteuid() == 0 else ""


@contextlib.contextmanager
def web(directory: Path, shown: Certificate | None = None) -> Iterator[Web]:
    """It answers thousands of requests a connection, and closes where it is asked to."""
    place = directory / "web"
    place.mkdir()
    (place / "pages").mkdir()
    with (place / "pages" / BIG[1:]).open("wb") as file:
        file.truncate(BIG_SIZE)
    plain, tls = a_port(), 0
    listen = f"listen {HOST}:{plain} reuseport backlog=8192;"
    if shown is not None:
        tls = a_port()
        listen += f" listen {HOST}:{tls} ssl reuseport backlog=8192;"
        listen += f" ssl_certificate {shown.chain}; ssl_certificate_key {shown.key};"
        listen += " ssl_session_tickets off; ssl_session_cache off;"
    config = place / "nginx.conf"
    config.write_text(
        f"{own_user()}daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {place}/pid;\n"
        f"error_log {place}/error.log error;\n"
        "events { worker_connections 16384; multi_accept on; }\n"
        "http {\n"
        f"  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;\n"
        + "".join(
            f"  {kind}_temp_path {place}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + f'  server {{ {listen} root {place}/pages; location = / {{ return 200 "ok\\n"; }} }}\n'
        "}\n"
    )
    with started([program("nginx"), "-p", place, "-e", place / "error.log", "-c", config], place, plain):
        yield Web(plain, tls)


@contextlib.contextmanager
def iperf3(directory: Path) -> Iterator[int]:
    """Its server, which takes one test at a time."""
    port = a_port()
    with started([program("iperf3"), "-s", "-B", HOST, "-p", str(port)], directory, port):
        yield port


@contextlib.contextmanager
def echo() -> Iterator[int]:
    """Gives back what it gets and holds every connection; for few bytes on many connections."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, a_port()), backlog=8192))
        listener.setblocking(False)
        stop, stopped = socket.socketpair()
        stack.enter_context(stop)
        stack.enter_context(stopped)
        thread = threading.Thread(target=_serve, args=(listener, stopped), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        stop.close()
        thread.join()


def _serve(listener: socket.socket, stopped: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        clients: set[socket.socket] = set()
        selector.register(listener, selectors.EVENT_READ)
        selector.register(stopped, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                sock = key.fileobj
                if sock is stopped:
                    for client in clients:
                        client.close()
                    return
                if sock is listener:
                    client = listener.accept()[0]
                    clients.add(client)
                    selector.register(client, selectors.EVENT_READ)
                elif isinstance(sock, socket.socket) and not _answer(sock):
                    selector.unregister(sock)
                    clients.discard(sock)
                    sock.close()


def _answer(sock: socket.socket) -> bool:
    try:
        data = sock.recv(4096)
        sock.sendall(data)
    except OSError:
        return False
    return bool(data)
