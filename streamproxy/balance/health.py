"""Is a node well? A state machine over reports; it knows no time and no sockets. `docs/health.md` draws it."""

from __future__ import annotations

from attrs import evolve, frozen

from ..model import Counters, NodeHealth, Report, Thresholds

_LIMITS = {
    Report.SUCCESS: "successes",
    Report.TCP_FAILURE: "tcp_failures",
    Report.TIMEOUT: "timeouts",
    Report.HTTP_FAILURE: "http_failures",
}
_COUNTERS = {
    Report.SUCCESS: "success",
    Report.TCP_FAILURE: "tcp_failure",
    Report.TIMEOUT: "timeout_failure",
    Report.HTTP_FAILURE: "http_failure",
}
_WORDS = {
    Report.SUCCESS: "SUCCESS",
    Report.TCP_FAILURE: "TCP",
    Report.TIMEOUT: "TIMEOUT",
    Report.HTTP_FAILURE: "HTTP",
}


@frozen
class Health:
    """What a node was found to be, and what was reported since that speaks for a change."""

    state: NodeHealth = NodeHealth.HEALTHY
    counters: Counters = Counters()

    @property
    def usable(self) -> bool:
        return self.state.usable


def limit_of(report: Report, thresholds: Thresholds) -> int:
    """How many of these in a row make a change; 0: however many, none."""
    limit: int = getattr(thresholds, _LIMITS[report])
    return limit


def step(health: Health, report: Report, thresholds: Thresholds) -> Health:
    """
    What the node is after ``report``. It is the same object where the report says nothing new: a success of a healthy
    node, a failure of an unhealthy one, or a kind that does not count. Otherwise its kind counts one more, a success
    forgets the failures and a failure the successes. (lua-resty-healthcheck, which is APISIX's, does it like this.)
    """
    limit = limit_of(report, thresholds)
    good = report is Report.SUCCESS
    if not limit or health.state is (NodeHealth.HEALTHY if good else NodeHealth.UNHEALTHY):
        return health
    name = _COUNTERS[report]
    count = getattr(health.counters, name) + 1
    counters = Counters(success=count) if good else evolve(health.counters, success=0, **{name: count})
    state = health.state
    if count >= limit:
        state = NodeHealth.HEALTHY if good else NodeHealth.UNHEALTHY
    elif state is NodeHealth.HEALTHY:
        state = NodeHealth.MOSTLY_HEALTHY
    elif state is NodeHealth.UNHEALTHY:
        state = NodeHealth.MOSTLY_UNHEALTHY
    return Health(state, counters)


def account(health: Health, report: Report, thresholds: Thresholds, hostname: str, ip: str, port: int) -> str:
    """The line that tells of a report that led to ``health``, in APISIX's words."""
    kind = "healthy" if report is Report.SUCCESS else "unhealthy"
    count = getattr(health.counters, _COUNTERS[report])
    limit = limit_of(report, thresholds)
    return f"{kind} {_WORDS[report]} increment ({count}/{limit}) for '{hostname}({ip}:{port})'"
