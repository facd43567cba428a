"""Connections whose TLS goes through, led by the name in their ClientHello."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from tests.bench import origins, tools
from tests.bench.seams import Job, Running, Sample, Tls


@frozen
class Passthrough:
    name: str
    routes: int
    cost = "us per connection"
    rate = "connections/s"
    programs = ("wrk", "nginx", "openssl")
    fresh = False

    @property
    def title(self) -> str:
        names = "1 name" if self.routes == 1 else f"{self.routes:,} names"
        return f"Connections by SNI, TLS passed through, {names}: wrk, 50 at a time"

    @contextlib.contextmanager
    def jobs(self, directory: Path) -> Iterator[Mapping[str, Job]]:
        with origins.web(directory, origins.certificate(directory)) as web:
            yield {"": Job(web.tls, tls=Tls.PASS_THROUGH, routes=self.routes)}

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        return tools.metered(
            running, lambda: tools.wrk(running.port, seconds, directory, tls=True, close=True), tools.MICRO
        )
