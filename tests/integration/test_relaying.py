"""Bytes in bulk, readers that stop, and ends in both directions, through a real process."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable

from .harness import Proxy, read_all, read_exactly, rule, target, until
from .targets import Echo, Server

MEGABYTE = 1 << 20


def feed(sock: socket.socket, megabytes: int, digest: hashlib._Hash) -> None:
    """Send random bytes, then end."""
    for _ in range(megabytes):
        data = os.urandom(MEGABYTE)
        digest.update(data)
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def drain(sock: socket.socket, digest: hashlib._Hash) -> int:
    size = 0
    while data := sock.recv(MEGABYTE):
        digest.update(data)
        size += len(data)
    return size


def test_a_hundred_megabytes_each_way_at_once_arrive_identical(proxy: Proxy) -> None:
    sent_by_target, heard_by_target = hashlib.sha256(), hashlib.sha256()
    sizes: list[int] = []

    def serve(sock: socket.socket) -> None:
        feeder = threading.Thread(target=feed, args=(sock, 100, sent_by_target))
        feeder.start()
        sizes.append(drain(sock, heard_by_target))
        feeder.join()

    server = Server(serve)
    service = proxy.create(rules=[rule("*", target(server.port))])
    sent, heard = hashlib.sha256(), hashlib.sha256()
    with proxy.connect(service["port"]) as client:
        client.settimeout(120)
        feeder = threading.Thread(target=feed, args=(client, 100, sent))
        feeder.start()
        assert drain(client, heard) == 100 * MEGABYTE
        feeder.join()
    until(lambda: server.open == 0, "the target was done")
    assert sizes == [100 * MEGABYTE]
    assert heard_by_target.digest() == sent.digest()
    assert heard.digest() == sent_by_target.digest()
    listener = until(
        lambda: (found := proxy.listener(service["port"])) and found["sessions"] == 0 and found, "the session ended"
    )
    assert listener["bytes_in"] == listener["bytes_out"] == 100 * MEGABYTE
    server.close()


def test_readers_that_stop_hold_the_memory_to_the_bound(proxy: Proxy) -> None:
    """50 clients that never read what a target sends as fast as it can: 208 KiB a session is what is documented."""
    blob = bytes(MEGABYTE)

    def flood(sock: socket.socket) -> None:
        while True:
            sock.sendall(blob)

    server = Server(flood)
    service = proxy.create(rules=[rule("*", target(server.port))])
    with proxy.connect(service["port"]) as warm_up:
        read_exactly(warm_up, 10 * MEGABYTE)
    before = proxy.memory
    clients = [proxy.connect(service["port"]) for _ in range(50)]

    def stuck() -> bool:
        moved = (proxy.listener(service["port"]) or {})["bytes_out"], proxy.memory
        return moved == history.setdefault("last", moved) or history.update(last=moved) is not None

    history: dict[str, tuple[int, int]] = {}
    until(lambda: stuck() and server.open >= 50, "everything stood still")
    grown = proxy.memory - before
    assert grown < 50 * 208 * 1024, f"50 sessions that stand still hold {grown / 1024 / 50:.0f} KiB each"
    for client in clients:
        read_exactly(client, MEGABYTE)
        client.close()
    server.close()


def test_half_close_by_the_client_delivers_everything(proxy: Proxy) -> None:
    """The client ends first; the target answers only then, and slowly enough that an early close would cut it."""

    def serve(sock: socket.socket) -> None:
        size = len(read_all(sock))
        sock.sendall(f"{size}\n".encode() + bytes(4 * MEGABYTE))

    server = Server(serve)
    service = proxy.create(rules=[rule("*", target(server.port))])
    with proxy.connect(service["port"]) as client:
        client.sendall(bytes(3 * MEGABYTE))
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)
    assert answer == f"{3 * MEGABYTE}\n".encode() + bytes(4 * MEGABYTE)
    server.close()


def test_half_close_by_the_target_delivers_everything(proxy: Proxy) -> None:
    heard: list[int] = []

    def serve(sock: socket.socket) -> None:
        sock.sendall(b"that was all from me")
        sock.shutdown(socket.SHUT_WR)
        heard.append(len(read_all(sock)))

    server = Server(serve)
    service = proxy.create(rules=[rule("*", target(server.port))])
    with proxy.connect(service["port"]) as client:
        assert read_all(client) == b"that was all from me"
        client.sendall(bytes(3 * MEGABYTE))
        client.shutdown(socket.SHUT_WR)
        until(lambda: heard, "the target heard the client's end")
    assert heard == [3 * MEGABYTE]
    server.close()


def test_a_live_session_outlives_the_change_and_the_deletion_of_its_service(
    proxy: Proxy, echoes: Callable[..., Echo]
) -> None:
    old, new = echoes("old"), echoes("new")
    service = proxy.create(rules=[rule("*", target(old.port))])
    with proxy.connect(service["port"]) as live:
        assert read_exactly(live, 4) == b"old\n"
        changed = proxy.put(f"/api/tcp/services/{service['id']}", {**service, "rules": [rule("*", target(new.port))]})
        assert changed.status == 200
        with proxy.connect(service["port"]) as second:
            assert read_exactly(second, 4) == b"new\n", "the change was not in force when it was answered"
        live.sendall(b"still here")
        assert read_exactly(live, 10) == b"still here"
        assert proxy.delete(f"/api/tcp/services/{service['id']}").status == 200
        assert proxy.listener(service["port"]) is None
        try:
            proxy.connect(service["port"]).close()
            raise AssertionError("a deleted service still listens")
        except ConnectionRefusedError:
            pass
        live.sendall(b"and still")
        assert read_exactly(live, 9) == b"and still"
