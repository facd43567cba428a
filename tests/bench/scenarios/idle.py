"""Connections that do nothing: what each holds on to."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from tests.bench import origins
from tests.bench.processes import resident
from tests.bench.seams import HOST, Job, Running, Sample, ToolFailed

_PATIENCE = 20.0


@frozen
class Idle:
    count: int = 2000
    name = "idle"
    cost = "KiB resident per held pair"
    rate = "pairs opened/s"
    programs = ()
    fresh = True

    @property
    def title(self) -> str:
        return f"Idle: {self.count:,} more connection pairs, held after a byte each way (memory of the process)"

    @contextlib.contextmanager
    def jobs(self, directory: Path) -> Iterator[Mapping[str, Job]]:
        with origins.echo() as port:
            yield {"": Job(port)}

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        with contextlib.ExitStack() as stack:
            # The first connections go where starting up has left room, which says nothing about the next ones.
            for _ in range(self.count // 2):
                stack.enter_context(_open(running.port))
            before = 0 if running.pid is None else resident(running.pid)
            began = time.monotonic()
            for _ in range(self.count):
                stack.enter_context(_open(running.port))
            took = time.monotonic() - began
            if running.pid is None:
                return Sample(None, self.count / took)
            return Sample((resident(running.pid) - before) / 1024 / self.count, self.count / took)


def _open(port: int) -> socket.socket:
    sock = socket.create_connection((HOST, port), timeout=_PATIENCE)
    sock.sendall(b"x")
    if sock.recv(1) != b"x":
        raise ToolFailed("a connection was closed while it was opened")
    return sock
