"""Connections where 10,000 routes ask for the client's network, and one of them is right."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from tests.bench import origins, tools
from tests.bench.seams import Job, Running, Sample


@frozen
class Routes:
    name = "routes10k"
    title = "Connections through 10,000 routes by client network: wrk, 50 at a time"
    cost = "us per connection"
    rate = "connections/s"
    programs = ("wrk", "nginx")
    fresh = False

    @contextlib.contextmanager
    def jobs(self, directory: Path) -> Iterator[Mapping[str, Job]]:
        with origins.web(directory) as web:
            yield {"": Job(web.plain, routes=10_000)}

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        return tools.metered(running, lambda: tools.wrk(running.port, seconds, directory, close=True), tools.MICRO)
