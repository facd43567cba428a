"""No proxy at all: how much the load tool and the server can do. A rate near this one is their limit, not a proxy's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.bench.seams import Job, Running, Tls


@frozen
class Direct:
    name = "(no proxy)"

    def version(self) -> str | None:
        return "none"

    def refusal(self, job: Job) -> str | None:
        if job.tls is Tls.TERMINATE:
            return "the server behind speaks no TLS"
        return "the same without a proxy" if job.access_log else None

    @contextlib.contextmanager
    def start(self, job: Job, directory: Path) -> Iterator[Running]:
        yield Running(job.target, None)
