"""Few streams as fast as they go."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from tests.bench import origins, tools
from tests.bench.seams import Job, Running, Sample


@frozen
class Bulk:
    name: str
    streams: int
    cost = "CPU-s per GB"
    rate = "GB/s"
    programs = ("iperf3",)
    fresh = False

    @property
    def title(self) -> str:
        return f"Bulk: iperf3, {self.streams} stream{'s' if self.streams > 1 else ''}"

    @contextlib.contextmanager
    def jobs(self, directory: Path) -> Iterator[Mapping[str, Job]]:
        with origins.iperf3(directory) as port:
            yield {"": Job(port, bulk=True)}

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        return tools.metered(running, lambda: tools.iperf3(running.port, self.streams, seconds, directory), 1)
