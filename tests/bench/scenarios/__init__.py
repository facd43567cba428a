"""All scenarios, by name, in the order of the report."""

from __future__ import annotations

from tests.bench.seams import Scenario

from .bulk import Bulk
from .connect import Connect
from .idle import Idle
from .observe import Observe
from .passthrough import Passthrough
from .request import Pgbench, Request
from .routes import Routes
from .tls import TlsBulk, TlsHandshake, TlsRequest
from .udp import Udp

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Bulk("bulk1", 1),
        Bulk("bulk8", 8),
        Request(),
        Pgbench(),
        Connect(),
        Idle(),
        Udp(),
        Passthrough("passthrough", 1),
        TlsHandshake(),
        TlsRequest(),
        TlsBulk(),
        Routes(),
        Passthrough("names10k", 10_000),
        Observe(),
    )
}

__all__ = ["SCENARIOS"]
