"""Datagrams: a question, an answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from tests.bench import tools
from tests.bench.seams import Job, Running, Sample
from tests.integration import servers


@frozen
class Udp:
    name = "udp"
    title = "UDP: dnsperf, 20 clients, 100 questions on their way"
    cost = "us per query"
    rate = "queries/s"
    programs = ("dnsperf", "knotd", "kdig")
    fresh = False

    @contextlib.contextmanager
    def jobs(self, directory: Path) -> Iterator[Mapping[str, Job]]:
        with servers.dns() as dns:
            yield {"": Job(dns.port, udp=True)}

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        name = f"www.{servers.DNS_ZONE}"
        return tools.metered(running, lambda: tools.dnsperf(running.port, name, seconds, directory), tools.MICRO)
