"""``twisted.protocols.portforward``, as it comes: what a proxy on Twisted costs whose author did nothing about it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from attrs import frozen

from tests.bench.processes import a_port, started
from tests.bench.seams import HOST, Job, Running, Tls


@frozen
class Portforward:
    name = "portforward"

    def version(self) -> str | None:
        return f"Twisted {version('Twisted')}"

    def refusal(self, job: Job) -> str | None:
        if job.udp:
            return "TCP only"
        if job.tls is not Tls.NONE:
            return "knows nothing of TLS"
        if job.access_log:
            return "has no access log"
        return "has one route" if job.routes > 1 else None

    @contextlib.contextmanager
    def start(self, job: Job, directory: Path) -> Iterator[Running]:
        port = a_port()
        with started([sys.executable, __file__, str(port), str(job.target)], directory, port) as pid:
            yield Running(port, pid)


def serve(port: int, target: int) -> None:
    """Run it until a signal comes."""
    from twisted.internet import reactor
    from twisted.protocols.portforward import ProxyFactory

    factory = ProxyFactory(HOST, target)
    factory.noisy = False
    loop: object = reactor
    loop.listenTCP(port, factory, backlog=4096, interface=HOST)  # type: ignore[attr-defined]
    loop.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
