"""Short questions and answers on connections that stay."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from tests.bench import tools
from tests.bench.seams import Job, Running, Sample
from tests.integration import servers


@frozen
class Request:
    name = "request"
    title = "Requests: redis-benchmark, 50 connections, SET of 64 bytes"
    cost = "us per request"
    rate = "requests/s"
    programs = ("redis-server", "redis-benchmark")
    fresh = False

    @contextlib.contextmanager
    def jobs(self, directory: Path) -> Iterator[Mapping[str, Job]]:
        with servers.redis() as redis:
            yield {"": Job(redis.port)}

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        return tools.metered(running, lambda: tools.redis_benchmark(running.port, seconds, directory), tools.MICRO)


@frozen
class Pgbench:
    name = "pgbench"
    title = "Transactions: pgbench, select only, 8 connections"
    cost = "us per transaction"
    rate = "transactions/s"
    programs = ("initdb", "postgres", "psql", "pgbench")
    fresh = False

    @contextlib.contextmanager
    def jobs(self, directory: Path) -> Iterator[Mapping[str, Job]]:
        with servers.postgres() as postgres:
            servers.run("pgbench", *servers.postgres_at(postgres.port), "--initialize", "--quiet")
            yield {"": Job(postgres.port)}

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        return tools.metered(running, lambda: tools.pgbench(running.port, seconds, directory), tools.MICRO)
