"""What it costs to write every connection down."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from tests.bench import origins, tools
from tests.bench.seams import Job, Running, Sample


@frozen
class Observe:
    name = "observe"
    title = "Connections with and without an access log: wrk, 50 at a time"
    cost = "us per connection"
    rate = "connections/s"
    programs = ("wrk", "nginx")
    fresh = False

    @contextlib.contextmanager
    def jobs(self, directory: Path) -> Iterator[Mapping[str, Job]]:
        with origins.web(directory) as web:
            yield {"": Job(web.plain), "access log": Job(web.plain, access_log=True)}

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        return tools.metered(running, lambda: tools.wrk(running.port, seconds, directory, close=True), tools.MICRO)
