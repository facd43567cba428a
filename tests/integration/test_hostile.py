"""Clients and targets that are broken or mean it: each is closed in its time, counted, and leaves nothing behind."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable

import pytest

from streamproxy.testing import hello_bytes

from .harness import Proxy, free_port, is_dropped, read_exactly, rule, target, until
from .targets import Echo

Echoes = Callable[..., Echo]

RST = struct.pack("ii", 1, 0)
SNI = {"enabled": True, "forwardIfNoMatch": False}
MANY = 2000


@pytest.fixture
def quick(make_proxy: Callable[..., Proxy]) -> Proxy:
    """A process that has little patience."""
    limits = {"sniff_timeout": "1s", "connect_timeout": "1s", "idle_timeout": "2s", "shutdown_timeout": "1s"}
    return make_proxy({"limits": limits}).start()


def ended(proxy: Proxy, port: int) -> dict[str, int]:
    listener = proxy.listener(port)
    assert listener is not None
    return dict(listener["ended"])


def test_no_bytes_and_one_byte_a_second_are_closed_at_the_deadline(quick: Proxy, echoes: Echoes) -> None:
    echo = echoes("E1")
    service = quick.create(tls="PassThrough", sni=SNI, rules=[rule("*", target(echo.port))])
    silent, dripping = quick.connect(service["port"]), quick.connect(service["port"])
    for byte in hello_bytes("a.example.com")[:3]:
        try:
            dripping.sendall(bytes([byte]))
        except OSError:
            break
        time.sleep(0.5)
    assert is_dropped(silent)
    assert is_dropped(dripping)
    until(lambda: ended(quick, service["port"]).get("sniff_timeout") == 2, "both were counted")
    assert echo.connections == 0
    for sock in (silent, dripping):
        sock.close()


def test_thousands_of_broken_clients_leave_nothing_behind(quick: Proxy, echoes: Echoes) -> None:
    echo = echoes("E1")
    service = quick.create(tls="PassThrough", sni=SNI, rules=[rule("a.example.com", target(echo.port))])
    port = service["port"]
    hello = hello_bytes("a.example.com")

    def garbage(sock: socket.socket, number: int) -> None:
        sock.sendall(bytes([(number * 7 + i) % 256 for i in range(40)]))

    def big_hello(sock: socket.socket, number: int) -> None:
        sock.sendall(hello_bytes("z.example.com", padding=60_000))

    def cut_hello(sock: socket.socket, number: int) -> None:
        sock.sendall(hello[: number % len(hello)])

    def reset(sock: socket.socket, number: int) -> None:
        sock.sendall(hello[: number % len(hello)])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)

    def reset_when_relayed(sock: socket.socket, number: int) -> None:
        sock.sendall(hello)
        read_exactly(sock, 3)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)

    def nothing(sock: socket.socket, number: int) -> None: ...

    ways = [garbage, big_hello, cut_hello, reset, reset_when_relayed, nothing]

    def round_of(count: int) -> None:
        for number in range(count):
            with quick.connect(port) as sock:
                try:
                    ways[number % len(ways)](sock, number)
                except OSError:
                    # It may be dropped before it has said all.
                    continue

    def quiet() -> bool:
        listener = quick.listener(port)
        return listener is not None and listener["sessions"] == 0

    round_of(300)
    until(quiet, "the first round was over")
    files, memory = until(lambda: quick.open_files, "it answers"), quick.memory
    round_of(MANY)
    until(quiet, "every session ended")
    # The Admin API's own connection of this test may or may not be closed yet.
    until(lambda: quick.open_files <= files + 1, f"the descriptors came back to {files}")
    grown = quick.memory - memory
    assert grown < 4 << 20, f"the process grew by {grown} bytes over {MANY} broken clients"
    counts = ended(quick, port)
    assert sum(counts.values()) == 300 + MANY, counts
    assert counts["no_route"] > 0
    assert counts["sniff_failed"] > 0
    assert set(counts) <= {
        "no_route",
        "sniff_failed",
        "client_gone",
        "client_reset",
        "client_closed",
        "target_closed",
        "target_reset",
    }, counts


def test_a_dead_or_unresolvable_target_resets_the_client_at_once(quick: Proxy) -> None:
    dead = quick.create(rules=[rule("*", target(free_port()))])
    unresolvable = quick.create(rules=[rule("*", target(80, host="does-not-resolve.invalid"))])
    for service, ending in ((dead, "connect_failed"), (unresolvable, "resolve_failed")):
        with quick.connect(service["port"]) as client:
            assert is_dropped(client)
        until(lambda port=service["port"], e=ending: ended(quick, port).get(e) == 1, f"{ending} was counted")  # type: ignore[misc]
    details = [s["detail"] for s in quick.get("/streamproxy/v1/sessions/recent").json["sessions"]]
    assert any("Connection refused" in detail for detail in details), details
    assert any("does-not-resolve.invalid" in detail for detail in details), details


def test_a_target_that_hangs_in_connect_is_given_up(quick: Proxy) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        service = quick.create(rules=[rule("*", target(full.getsockname()[1]))])
        with quick.connect(service["port"]) as client:
            assert is_dropped(client)
        until(lambda: ended(quick, service["port"]).get("connect_timeout") == 1, "it was counted")
        for filler in fillers:
            filler.close()


def test_an_idle_session_is_closed(quick: Proxy, echoes: Echoes) -> None:
    echo = echoes("E1")
    service = quick.create(rules=[rule("*", target(echo.port))])
    with quick.connect(service["port"]) as client:
        assert read_exactly(client, 3) == b"E1\n"
        assert is_dropped(client)
    until(lambda: ended(quick, service["port"]) == {"idle_timeout": 1}, "it was counted")
    until(lambda: echo.open == 0, "the target's side was closed too")


def test_running_out_of_descriptors_is_survived(make_proxy: Callable[..., Proxy], echoes: Echoes) -> None:
    echo = echoes("E1")
    proxy = make_proxy({"limits": {"max_sessions": 10_000, "shutdown_timeout": "1s"}}, descriptors=128).start()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    clients = [proxy.connect(service["port"]) for _ in range(150)]
    # Each session takes two, so that 128 carry fewer than 64. The rest waits in the queue of the listener.
    until(lambda: len(select.select(clients, [], [], 0)[0]) > 20, "as many as could be were served")
    for client in clients:
        client.close()
    until(lambda: echo.open == 0, "all sessions ended")

    def served_again() -> bool:
        with proxy.connect(service["port"]) as client:
            return read_exactly(client, 3) == b"E1\n"

    until(served_again, "a client was served after the descriptors came back")
    assert ended(proxy, service["port"])["accept_paused"] > 0, "descriptors never ran out"


def test_the_session_caps_hold(make_proxy: Callable[..., Proxy], echoes: Echoes) -> None:
    echo = echoes("E1")
    proxy = make_proxy({"limits": {"max_sessions": 5, "shutdown_timeout": "1s"}}).start()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    held = [proxy.connect(service["port"]) for _ in range(5)]
    for client in held:
        assert read_exactly(client, 3) == b"E1\n"
    try:
        with proxy.connect(service["port"]) as sixth:
            assert is_dropped(sixth)
    except ConnectionResetError:
        # The reset may be here before connect() has looked.
        pass
    assert ended(proxy, service["port"]) == {"refused:max_sessions": 1}
    held.pop().close()

    def served() -> bool:
        with proxy.connect(service["port"]) as client:
            return read_exactly(client, 3) == b"E1\n"

    until(served, "there was room again")
    for client in held:
        client.close()
