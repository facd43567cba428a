"""TLS that ends at the proxy: handshakes, requests, and bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from tests.bench import origins, tools
from tests.bench.seams import Job, Load, Running, Sample, Tls


class _Terminating:
    """The server behind is in the clear; the certificate is ECDSA P-256."""

    fresh = False
    bulk = False

    @contextlib.contextmanager
    def jobs(self, directory: Path) -> Iterator[Mapping[str, Job]]:
        with origins.web(directory) as web:
            shown = origins.certificate(directory)
            yield {"": Job(web.plain, tls=Tls.TERMINATE, certificate=shown, bulk=self.bulk)}


@frozen
class TlsHandshake(_Terminating):
    name = "tls_handshake"
    title = "TLS connections with a full handshake: openssl s_time, 4 at a time, one request each"
    cost = "us per connection"
    rate = "connections/s"
    programs = ("openssl", "nginx")

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        return tools.metered(running, lambda: tools.s_time(running.port, seconds, directory), tools.MICRO)


@frozen
class TlsRequest(_Terminating):
    name = "tls_request"
    title = "TLS requests: wrk, 50 connections that stay"
    cost = "us per request"
    rate = "requests/s"
    programs = ("wrk", "nginx", "openssl")

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        return tools.metered(running, lambda: tools.wrk(running.port, seconds, directory, tls=True), tools.MICRO)


@frozen
class TlsBulk(_Terminating):
    name = "tls_bulk"
    title = "TLS bulk: wrk, 4 downloads at a time of 256 MiB"
    cost = "CPU-s per GB"
    rate = "GB/s"
    programs = ("wrk", "nginx", "openssl")
    bulk = True

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        def load() -> Load:
            return tools.wrk(running.port, seconds, directory, tls=True, connections=4, path=origins.BIG, in_gb=True)

        return tools.metered(running, load, 1)
