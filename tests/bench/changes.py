"""
``python -m tests.bench.changes``: what a change costs where there are many stream routes: until it is in force, for a
connection to find its route, and in memory.
"""

from __future__ import annotations

import argparse
import http.client
import json
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.task import Clock

from streamproxy.control.store.sqlite import SqliteStore
from streamproxy.dialects.assemble import assemble
from streamproxy.model import Address, Document, Facts, Key, ListenAddress, Put, StaticListener, Transport
from streamproxy.rules import Table
from tests.integration.harness import KEY, Proxy, free_port
from tests.integration.targets import Echo

SIZES = (10, 1_000, 10_000)
ADMIN = "/apisix/admin/stream_routes"


@frozen
class Result:
    """Times in seconds, ``memory`` in bytes, ``lookup`` for one."""

    routes: int
    live: tuple[float, ...]
    lookup: float
    memory: int
    start: float


def name(number: int) -> str:
    return f"host-{number}.example.com"


def body(number: int, port: int) -> dict[str, Any]:
    return {"sni": name(number), "upstream": {"type": "roundrobin", "nodes": {f"127.0.0.1:{port}": 1}}}


def hello(server_name: str) -> bytes:
    """The first bytes of a client that asks for this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sent = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=server_name).do_handshake()
    except ssl.SSLWantReadError:
        """It waits for an answer."""
    return sent.read()


class _Still(Clock):
    """A reactor that does not run: everything is done at once."""

    running = False


def fill(path: Path, count: int, port: int) -> None:
    """A store with so many routes."""
    store = SqliteStore(str(path), _Still())  # type: ignore[arg-type]
    changes = [Put(Key("apisix", "stream_routes", str(number)), body(number, port)) for number in range(count)]
    failures: list[object] = []
    store.commit(changes, author="benchmark").addErrback(failures.append)
    store.close()
    if failures:
        raise RuntimeError(failures)


def lookup(count: int, rounds: int = 50_000) -> float:
    """Seconds that one decision takes, of some thousand different names."""
    documents = [
        Document(Key("apisix", "stream_routes", str(number)), body(number, 80), number + 1) for number in range(count)
    ]
    address = ListenAddress(Transport.TCP, "127.0.0.1", 443)
    assembled = assemble(documents, static=(StaticListener(address, "tcp[0]", tls_passthrough=True),))
    table = Table.compile(assembled.snapshot.routings["apisix"])
    peer, local = Address("192.0.2.1", 5000), Address("127.0.0.1", 443)
    asked = [Facts(address, peer, local, tls=True, sni=name(number * 7919 % count)) for number in range(1000)]
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for turn in range(rounds):
            table.decide(asked[turn % 1000])
        best = min(best, (time.process_time() - began) / rounds)
    return best


def live(proxy: Proxy, port: int, count: int, targets: Sequence[Echo], rounds: int) -> list[float]:
    """From the first byte of a write to the first of the target that it leads to."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.admin_port, timeout=60)
    opening = hello(name(count // 2))
    times = []
    for turn in range(rounds):
        target = targets[turn % len(targets)]
        written = json.dumps(body(count // 2, target.port))
        began = time.perf_counter()
        connection.request("PUT", f"{ADMIN}/{count // 2}", written, {"X-API-KEY": KEY})
        answer = connection.getresponse()
        answer.read()
        with proxy.connect(port) as sock:
            sock.sendall(opening)
            greeting = sock.recv(100)
        times.append(time.perf_counter() - began)
        if answer.status != 200 or not greeting.startswith(target.greeting):
            raise RuntimeError(f"{answer.status}, {greeting!r} in place of {target.greeting!r}")
    connection.close()
    return times


def measure(count: int, rounds: int) -> Result:
    targets = (Echo("one"), Echo("other"))
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="streamproxy-bench-") as place:
        directory = Path(place)
        fill(directory / "streamproxy.db", count, targets[0].port)
        listener = {"addr": f"127.0.0.1:{port}", "tls_passthrough": True}
        store = {"type": "sqlite", "path": str(directory / "streamproxy.db")}
        proxy = Proxy(directory, {"stream_proxy": {"tcp": [listener]}, "store": store})
        began = time.perf_counter()
        proxy.start()
        start = time.perf_counter() - began
        try:
            times = live(proxy, port, count, targets, rounds)
            return Result(count, tuple(times), lookup(count), proxy.memory, start)
        finally:
            proxy.stop()
            for target in targets:
                target.close()


def table(results: Sequence[Result]) -> str:
    lines = [
        "| stream routes | a PUT is live after, ms: median | slowest | a lookup, us | resident, MB | start, s |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {each.routes:,} | {statistics.median(each.live) * 1e3:.0f} | {max(each.live) * 1e3:.0f}"
        f" | {each.lookup * 1e6:.2f} | {each.memory / 1e6:.0f} | {each.start:.1f} |"
        for each in results
    ]
    return "\n".join(lines)


def main(given: Sequence[str]) -> int:
    """0 where, with the most routes, every write was in force within a second and the process below 200 MB."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.changes")
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, metavar="ROUTES", help="how many there are")
    parser.add_argument("--rounds", type=int, default=60, help="writes of each (60)")
    chosen = parser.parse_args(given)
    results = [measure(size, chosen.rounds) for size in chosen.sizes or SIZES]
    print(table(results))
    last = results[-1]
    return 0 if max(last.live) < 1 and last.memory < 200e6 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
