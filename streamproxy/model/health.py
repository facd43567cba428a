"""How it is found out whether nodes are well, and what they were found to be."""

from __future__ import annotations

import enum

from attrs import field, frozen


class Probe(enum.Enum):
    """How a node is asked. ``TCP`` and ``UDP`` may ``send`` something and ``expect`` an answer."""

    TCP = "tcp"
    HTTP = "http"
    HTTPS = "https"
    UDP = "udp"


class NodeHealth(enum.Enum):
    """``MOSTLY_``: the last reports say otherwise, but not yet often enough. The words are APISIX's."""

    HEALTHY = "healthy"
    MOSTLY_HEALTHY = "mostly_healthy"
    MOSTLY_UNHEALTHY = "mostly_unhealthy"
    UNHEALTHY = "unhealthy"

    @property
    def usable(self) -> bool:
        return self in (NodeHealth.HEALTHY, NodeHealth.MOSTLY_HEALTHY)


@frozen
class Thresholds:
    """How many reports in a row change a node's health; 0: that kind of report never does."""

    successes: int = 2
    http_failures: int = 5
    tcp_failures: int = 2
    timeouts: int = 3


@frozen
class ActiveCheck:
    """
    Nodes are asked every ``healthy_interval`` or ``unhealthy_interval`` seconds, by what they are, ``concurrency`` of
    them at a time; an answer may take ``timeout`` seconds. ``port`` is asked in place of the node's; ``host`` is the
    name that HTTP and TLS use in place of the node's, which is connected to all the same. ``healthy_statuses`` and
    ``unhealthy_statuses`` are HTTP's; one in neither says nothing. ``expect`` is an RE2 expression that what is
    answered has to match somewhere (empty: any answer, or for TCP none at all if nothing is sent).
    """

    probe: Probe = Probe.HTTP
    timeout: float = 1.0
    concurrency: int = 10
    host: str | None = None
    port: int | None = None
    method: str = "GET"
    path: str = "/"
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    verify: bool = True
    send: bytes = b""
    expect: str = ""
    healthy_interval: float = 1.0
    unhealthy_interval: float = 1.0
    healthy_statuses: frozenset[int] = frozenset({200, 302})
    unhealthy_statuses: frozenset[int] = frozenset({429, 404, 500, 501, 502, 503, 504, 505})
    thresholds: Thresholds = Thresholds()


@frozen
class PassiveCheck:
    """What sessions experience counts as well."""

    thresholds: Thresholds = Thresholds(successes=5, http_failures=5, tcp_failures=2, timeouts=7)


@frozen
class Checks:
    """``close_sessions``: those open to a node that becomes unhealthy are ended. ``slow_start`` in seconds, 0: none."""

    active: ActiveCheck | None = None
    passive: PassiveCheck | None = None
    close_sessions: bool = False
    slow_start: float = 0.0


class Report(enum.Enum):
    """What somebody found out about a node."""

    SUCCESS = "success"
    TCP_FAILURE = "tcp_failure"
    TIMEOUT = "timeout_failure"
    HTTP_FAILURE = "http_failure"


@frozen
class Counters:
    """Reports in a row that speak for a change."""

    success: int = 0
    tcp_failure: int = 0
    timeout_failure: int = 0
    http_failure: int = 0


@frozen
class NodeStatus:
    """One node as it is now. ``sessions`` are open to it; ``latency`` is the smoothed connect time in seconds."""

    label: str
    host: str
    port: int
    weight: int
    priority: int
    health: NodeHealth = NodeHealth.HEALTHY
    counters: Counters = Counters()
    sessions: int = 0
    latency: float | None = None
    ip: str = ""
    detail: str = ""


@frozen
class UpstreamStatus:
    """
    One upstream as it is now. ``checked``: somebody asks its nodes; ``probe`` how. ``users`` are the documents that
    lead here.
    """

    id: str
    policy: str
    nodes: tuple[NodeStatus, ...]
    checked: bool = False
    probe: str = ""
    users: tuple[str, ...] = field(default=())
