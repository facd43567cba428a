"""A connection for every request: accept, choose, dial, carry a little, close."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from tests.bench import origins, tools
from tests.bench.seams import Job, Running, Sample


@frozen
class Connect:
    name = "connect"
    title = "Connections: wrk, 50 at a time, one request each"
    cost = "us per connection"
    rate = "connections/s"
    programs = ("wrk", "nginx")
    fresh = False

    @contextlib.contextmanager
    def jobs(self, directory: Path) -> Iterator[Mapping[str, Job]]:
        with origins.web(directory) as web:
            yield {"": Job(web.plain)}

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        return tools.metered(running, lambda: tools.wrk(running.port, seconds, directory, close=True), tools.MICRO)
