"""Programs that people really use, through the proxy."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from OpenSSL import SSL

from streamproxy.testing import hello_bytes

from . import servers
from .harness import Proxy, free_port, is_dropped, read_exactly, rule, target, until
from .servers import Running, postgres_at, run
from .targets import Server

T = TypeVar("T")

BY_NAME = {"enabled": True, "forwardIfNoMatch": False}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """One process for all of them. It waits for a hello however slow the machine is."""
    limits = {"sniff_timeout": "60s", "shutdown_timeout": "1s"}
    with running(Proxy(tmp_path_factory.mktemp("proxy"), {"limits": limits})) as proxy:
        yield proxy


@contextlib.contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    try:
        yield proxy.start()
    finally:
        proxy.stop()


def through(proxy: Proxy, server: Running) -> int:
    """The port of a service that relays to a server as is."""
    return int(proxy.create(rules=[rule("*", target(server.port))])["port"])


def by_name(proxy: Proxy, named: dict[str, Running]) -> int:
    """The port of a service that relays to whom the client names."""
    rules = [rule(name, target(server.port)) for name, server in named.items()]
    return int(proxy.create(tls="PassThrough", sni=BY_NAME, rules=rules)["port"])


# PostgreSQL


def test_psql_asks_and_gets_a_long_answer(proxy: Proxy, postgres: Running) -> None:
    client = postgres_at(through(proxy, postgres))
    assert run("psql", *client, "-Atc", "select 6 * 7") == "42\n"
    assert run("psql", *client, "-Atc", "select repeat('streamproxy', 1000000)") == "streamproxy" * 1_000_000 + "\n"


def test_psql_sends_a_long_table(proxy: Proxy, postgres: Running) -> None:
    client = postgres_at(through(proxy, postgres))
    rows = b"".join(b"%d\tstreamproxy\n" % number for number in range(200_000))
    count = "create temporary table sent (number int, text text); copy sent from stdin; select count(*) from sent"
    assert run("psql", *client, "-Atqc", count, stdin=rows) == "200000\n"


def test_pgbench_has_no_failed_transaction(proxy: Proxy, postgres: Running) -> None:
    client = postgres_at(through(proxy, postgres))
    run("pgbench", *client, "--initialize", "--quiet")
    kept = run("pgbench", *client, "--client=8", "--jobs=2", "--transactions=100", "--no-vacuum")
    assert "number of transactions actually processed: 800/800\n" in kept
    assert "number of failed transactions: 0 (0.000%)\n" in kept
    # The same with a connection for each transaction.
    fresh = run("pgbench", *client, "--client=8", "--jobs=2", "--transactions=25", "--no-vacuum", "--connect", "-S")
    assert "number of transactions actually processed: 200/200\n" in fresh
    assert "number of failed transactions: 0 (0.000%)\n" in fresh


# SSH, where the server speaks first


def test_the_banner_of_ssh_comes_to_a_silent_client(proxy: Proxy, ssh: Running) -> None:
    with proxy.connect(through(proxy, ssh)) as client:
        assert read_exactly(client, 8) == b"SSH-2.0-"


def test_ssh_keyscan_gets_the_key_of_the_host(proxy: Proxy, ssh: Running) -> None:
    port = through(proxy, ssh)
    found = run("ssh-keyscan", "-t", "ed25519", "-p", str(port), "127.0.0.1")
    ((_, *key),) = (line.split() for line in found.splitlines() if not line.startswith("#"))
    assert key == (ssh.directory / "host.pub").read_text().split()[:2]


def test_ssh_logs_in_and_carries_bytes_both_ways(proxy: Proxy, ssh: Running, tmp_path: Path) -> None:
    port = through(proxy, ssh)
    known, data = tmp_path / "known_hosts", os.urandom(500_000).hex().encode()
    known.write_text(f"[127.0.0.1]:{port} {(ssh.directory / 'host.pub').read_text()}")
    options = ["-F", "none", "-i", str(ssh.directory / "client"), "-o", f"UserKnownHostsFile={known}"]
    options += ["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"]
    assert run("ssh", *options, "-p", str(port), "127.0.0.1", "exec cat", stdin=data).encode() == data


# Redis


def test_redis_answers(proxy: Proxy, redis: Running) -> None:
    port = str(through(proxy, redis))
    assert run("redis-cli", "-p", port, "PING") == "PONG\n"
    value = os.urandom(8_000_000).hex()
    assert run("redis-cli", "-p", port, "-x", "SET", "long", stdin=value.encode()) == "OK\n"
    assert run("redis-cli", "-p", port, "GET", "long") == f"{value}\n"


def test_every_request_of_redis_benchmark_arrives(proxy: Proxy, redis: Running) -> None:
    run("redis-cli", "-p", str(redis.port), "CONFIG", "RESETSTAT")
    port = str(through(proxy, redis))
    measured = run("redis-benchmark", "-p", port, "-n", "20000", "-c", "50", "-t", "set,get", "--csv")
    assert [line.split(",")[0] for line in measured.splitlines()][-2:] == ['"SET"', '"GET"']
    counted = run("redis-cli", "-p", str(redis.port), "INFO", "commandstats")
    assert "cmdstat_set:calls=20000," in counted
    assert "cmdstat_get:calls=20000," in counted


# DNS


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory, dns: Running) -> Iterator[int]:
    """The port, of UDP and of TCP, of a proxy before the name server, as its file says."""
    port = free_port()
    address, node = f"127.0.0.1:{port}", f"127.0.0.1:{dns.port}"
    route = {"id": "dns", "server_port": port, "upstream": {"type": "roundrobin", "nodes": {node: 1}}}
    config = {"stream_proxy": {"udp": [address], "tcp": [address]}, "resources": {"stream_routes": [route]}}
    with running(Proxy(tmp_path_factory.mktemp("resolver"), config)) as proxy:
        for transport in ("udp", "tcp"):
            listens = partial(is_listening, proxy, port, transport)
            until(listens, f"port {port} listens for {transport}; the process said:\n{proxy.output}")
        yield port


def is_listening(proxy: Proxy, port: int, transport: str) -> bool:
    return (proxy.listener(port, transport) or {}).get("state") == "listening"


def kdig(port: int, *question: str) -> str:
    return run("kdig", "@127.0.0.1", "-p", str(port), "+timeout=5", "+retry=0", *question)


@pytest.mark.parametrize(("transport", "shown"), [("+notcp", "(UDP)"), ("+tcp", "(TCP)")])
def test_a_name_is_looked_up(resolver: int, transport: str, shown: str) -> None:
    answer = kdig(resolver, transport, f"www.{servers.DNS_ZONE}")
    assert "status: NOERROR" in answer
    assert servers.DNS_ADDRESS in answer
    assert f"127.0.0.1@{resolver}{shown}" in answer


def test_an_answer_of_several_packets_comes_over_udp(resolver: int) -> None:
    answer = kdig(resolver, "+bufsize=4096", f"long.{servers.DNS_ZONE}", "TXT")
    assert f"127.0.0.1@{resolver}(UDP)" in answer
    assert all(text in answer for text in servers.DNS_LONG_TEXT)


def test_a_truncated_answer_is_asked_for_again_over_tcp(resolver: int) -> None:
    answer = kdig(resolver, "+bufsize=1232", f"long.{servers.DNS_ZONE}", "TXT")
    assert f"127.0.0.1@{resolver}(TCP)" in answer
    assert all(text in answer for text in servers.DNS_LONG_TEXT)


# TLS, passed through to whom the client names


class TlsClient:
    """A client whose hello is in the test's hands. Its library is newer than the system's: it is post-quantum."""

    def __init__(self, name: str) -> None:
        self._tls = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
        self._tls.set_tlsext_host_name(name.encode())
        self._tls.set_connect_state()
        with pytest.raises(SSL.WantReadError):
            self._tls.do_handshake()
        self.hello = self._tls.bio_read(65536)

    def finish_handshake(self, sock: socket.socket) -> None:
        """What follows the hello."""
        self._hearing(sock, self._tls.do_handshake)

    def ask(self, sock: socket.socket, question: bytes) -> bytes:
        """Send something; the answer, which is as long."""
        self._tls.sendall(question)
        answer = b""
        while len(answer) < len(question):
            answer += self._hearing(sock, lambda: self._tls.recv(65536))
        return answer

    def _hearing(self, sock: socket.socket, step: Callable[[], T]) -> T:
        """Do ``step``, and hear as much from the server before as it needs."""
        while True:
            with contextlib.suppress(SSL.WantReadError):
                return step()
            with contextlib.suppress(SSL.WantReadError):
                sock.sendall(self._tls.bio_read(65536))
            data = sock.recv(65536)
            assert data, "the server closed the connection"
            self._tls.bio_write(data)

    @property
    def subject(self) -> str:
        """Whose certificate was shown."""
        certificate = self._tls.get_peer_certificate(as_cryptography=True)
        assert certificate is not None, "no certificate was shown"
        return certificate.subject.rfc4514_string()

    @property
    def group(self) -> str | None:
        """How the keys were agreed on."""
        return self._tls.get_group_name()


def in_records(hello: bytes, size: int) -> bytes:
    """The same hello in records of at most ``size`` bytes."""
    header, message = hello[:3], hello[5:]
    assert len(message) == int.from_bytes(hello[3:5], "big"), "the hello is of one record"
    pieces = (message[start : start + size] for start in range(0, len(message), size))
    return b"".join(header + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def send_in_pieces(sock: socket.socket, data: bytes, size: int) -> None:
    """In packets of their own, with so much time between them that each can be read alone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(data), size):
        sock.sendall(data[start : start + size])
        time.sleep(0.001)


def s_client(port: int, name: str) -> str:
    """What OpenSSL's own client shows of the server that it names, to which it says "abc"."""
    arguments = ["-connect", f"127.0.0.1:{port}", "-servername", name, "-ign_eof"]
    return run("openssl", "s_client", *arguments, stdin=b"abc\nCLOSE\n")


def test_tls_servers_are_told_apart_by_name(proxy: Proxy, tls_servers: dict[str, Running]) -> None:
    port = by_name(proxy, tls_servers)
    for name in tls_servers:
        shown = s_client(port, name)
        assert f"subject=CN = {name}\n" in shown.replace("subject=CN=", "subject=CN = ")
        assert "\ncba\n" in shown


def test_an_unknown_name_is_dropped(proxy: Proxy, tls_servers: dict[str, Running]) -> None:
    port = by_name(proxy, tls_servers)
    with proxy.connect(port) as sock:
        sock.sendall(TlsClient("unknown.example.com").hello)
        assert is_dropped(sock)
    assert "\ncba\n" in s_client(port, "a.example.com")


@pytest.mark.parametrize("name", ["a.example.com", "b.example.com"])
@pytest.mark.parametrize(
    ("record", "piece"),
    [(None, 1), (100, 1 << 20), (100, 1), (1, 1 << 20)],
    ids=["byte by byte", "in short records", "in short records byte by byte", "in records of one byte"],
)
def test_a_hello_arrives(
    proxy: Proxy, tls_servers: dict[str, Running], name: str, record: int | None, piece: int
) -> None:
    client = TlsClient(name)
    with proxy.connect(by_name(proxy, tls_servers)) as sock:
        send_in_pieces(sock, in_records(client.hello, record or 1 << 14), piece)
        client.finish_handshake(sock)
        assert client.subject == f"CN={name}"
        assert client.ask(sock, b"abc\n") == b"cba\n"


@pytest.mark.parametrize("fragment", [None, 300])
def test_a_post_quantum_hello_arrives_as_it_was_sent(proxy: Proxy, fragment: int | None) -> None:
    hello = hello_bytes("a.example.com", post_quantum=True, fragment=fragment)
    assert len(hello) > 1600
    heard: list[bytes] = []
    server = Server(lambda sock: heard.append(read_exactly(sock, len(hello))))
    port = by_name(proxy, {"a.example.com": Running(server.port, Path())})
    with proxy.connect(port) as sock:
        sock.sendall(hello)
        until(lambda: heard, "the server heard the hello")
    server.close()
    assert heard == [hello]


@pytest.fixture
def post_quantum_server(tmp_path: Path) -> Iterator[Server]:
    """It agrees on a key as new browsers want it, and sends back what it is told."""
    path = tmp_path / "server.pem"
    servers.certificate(path, "a.example.com")
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate_file(str(path))
    context.use_privatekey_file(str(path))

    def serve(sock: socket.socket) -> None:
        tls = SSL.Connection(context, sock)
        tls.set_accept_state()
        try:
            while True:
                tls.sendall(tls.recv(65536))
        except SSL.Error:
            return  # the client has gone

    server = Server(serve)
    yield server
    server.close()


def test_a_post_quantum_handshake_is_done(proxy: Proxy, post_quantum_server: Server) -> None:
    client = TlsClient("a.example.com")
    port = by_name(proxy, {"a.example.com": Running(post_quantum_server.port, Path())})
    with proxy.connect(port) as sock:
        send_in_pieces(sock, client.hello, 1)
        client.finish_handshake(sock)
        assert client.subject == "CN=a.example.com"
        assert client.group == "X25519MLKEM768"
        assert client.ask(sock, b"as before") == b"as before"


# HTTP, passed through to whom the client names


def curl(*arguments: str) -> str:
    return run("curl", "--silent", "--show-error", "--fail", "--noproxy", "*", *arguments)


def test_web_servers_are_told_apart_by_host(proxy: Proxy, http_servers: dict[str, Running]) -> None:
    port = by_name(proxy, http_servers)
    for name in http_servers:
        assert curl("--header", f"Host: {name}", f"http://127.0.0.1:{port}/") == name
        assert curl("--resolve", f"{name}:{port}:127.0.0.1", f"http://{name}:{port}/") == name
