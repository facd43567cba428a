"""
Targets die, freeze, refuse, hang and reset under constant load, one after the other, and come back. ``CHAOS_SECONDS``
makes it longer than the minute it takes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from .harness import Proxy, free_port, until
from .load import Load

Make = Callable[..., Proxy]

SECONDS = float(os.environ.get("CHAOS_SECONDS", "60"))
CLIENTS = 200
# A client that gets no answer in this time (seconds) has seen an error.
PATIENCE = 3.0
# What may be going on at the moment a node is marked as down (seconds).
MEANWHILE = 0.5
# Memory may grow by so much (bytes): allocators keep what they had at the peak.
SLACK = 24 << 20

CHECKS: dict[str, Any] = {
    "active": {
        "type": "tcp",
        "timeout": 1,
        "send": "ping\n",
        "expect": "^ping",
        "healthy": {"interval": 1, "successes": 1},
        "unhealthy": {"interval": 1, "tcp_failures": 1, "timeouts": 1},
    }
}


class Target:
    """A process."""

    def __init__(self, port: int = 0) -> None:
        self._start(port)

    def _start(self, port: int) -> None:
        program = Path(__file__).with_name("victim.py")
        self.process = subprocess.Popen(
            [sys.executable, program, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def tell(self, mode: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{mode}\n")
        self.process.stdin.flush()

    def break_by(self, fault: str) -> None:
        if fault == "kill":
            self.close()
        elif fault == "freeze":
            self.process.send_signal(signal.SIGSTOP)
        else:
            self.tell(fault)

    def heal(self, fault: str) -> None:
        if fault == "kill":
            self._start(self.port)
        elif fault == "freeze":
            self.process.send_signal(signal.SIGCONT)
        else:
            self.tell("echo")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


@frozen
class Outage:
    """A fault, from ``begun`` until the node was marked as ``down``."""

    fault: str
    begun: float
    down: float


FAULTS = ("kill", "freeze", "refuse", "hang", "reset")
# With these, a session that was given to the node before it was marked as down is lost.
SILENT = frozenset({"freeze", "hang", "reset"})


def health_of(proxy: Proxy, port: int) -> str:
    (upstream,) = proxy.get("/streamproxy/v1/upstreams").json["upstreams"]
    return next(str(node["health"]) for node in upstream["nodes"] if node["port"] == port)


def becomes(proxy: Proxy, port: int, health: str, fault: str) -> None:
    until(lambda: health_of(proxy, port) == health, f"the node became {health} for {fault}")


def outages(proxy: Proxy, targets: list[Target], end: float) -> Iterator[Outage]:
    number = 0
    while time.monotonic() < end or number < len(FAULTS):
        fault, victim = FAULTS[number % len(FAULTS)], targets[number % len(targets)]
        begun = time.monotonic()
        victim.break_by(fault)
        becomes(proxy, victim.port, "unhealthy", fault)
        yield Outage(fault, begun, time.monotonic())
        # The others carry everything for a while.
        time.sleep(2)
        victim.heal(fault)
        becomes(proxy, victim.port, "healthy", fault)
        number += 1


def is_explained(begun: float, why: str, seen: list[Outage]) -> bool:
    """May a session that began then have failed?"""
    # The reset of a target may arrive before the client's program knows that it is connected.
    if why.startswith("connect") and "ConnectionResetError" not in why:
        return False
    for outage in seen:
        # Open sessions die with a process that is killed; a moment is all they last.
        early = outage.begun - PATIENCE - MEANWHILE
        late = outage.down + MEANWHILE if outage.fault in SILENT else outage.begun + MEANWHILE
        if early <= begun <= late:
            return True
    return False


def test_nobody_notices_what_targets_do(make_proxy: Make) -> None:
    targets = [Target() for _ in range(3)]
    port = free_port()
    upstream = {
        "id": "u",
        "type": "roundrobin",
        "nodes": [{"host": "127.0.0.1", "port": each.port, "weight": 1} for each in targets],
        "checks": CHECKS,
    }
    proxy = make_proxy(
        {
            "stream_proxy": {"tcp": [f"127.0.0.1:{port}"]},
            "resources": {"upstreams": [upstream], "stream_routes": [{"id": "1", "upstream_id": "u"}]},
            "limits": {"connect_timeout": "1s"},
        }
    ).start()
    seen: list[Outage] = []
    try:
        warm = Load(short=CLIENTS, long=0, rest=1.0, patience=PATIENCE)
        warm.begin(port)
        until(lambda: warm.connects > 2 * CLIENTS, f"the load is carried: {warm.reasons}")
        warm.end()
        assert warm.reasons == {}
        until(lambda: proxy.get("/streamproxy/v1/status").json["sessions"] == 0, "all sessions are over")
        files, memory = proxy.open_files, proxy.memory
        load = Load(short=CLIENTS, long=0, rest=1.0, patience=PATIENCE)
        load.begin(port)
        try:
            seen.extend(outages(proxy, targets, time.monotonic() + SECONDS))
        finally:
            load.end()
    finally:
        for target in targets:
            target.close()
    unexplained = [(begun, why) for begun, why in load.failures if not is_explained(begun, why, seen)]
    assert not unexplained, (unexplained, seen)
    assert load.connects > 10 * CLIENTS, load.reasons
    assert {outage.fault for outage in seen} == set(FAULTS)
    until(lambda: proxy.get("/streamproxy/v1/status").json["sessions"] == 0, "all sessions are over")
    until(lambda: proxy.open_files <= files, f"descriptors are back at {files}; there are {proxy.open_files}")
    assert proxy.memory < memory + SLACK, (memory, proxy.memory)
