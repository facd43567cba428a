"""Is a node well?"""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest
from attrs import asdict
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streamproxy.balance.health import Health, account, limit_of, step
from streamproxy.model import Counters, NodeHealth, Report, Thresholds

SUCCESS, TCP, TIMEOUT, HTTP = Report.SUCCESS, Report.TCP_FAILURE, Report.TIMEOUT, Report.HTTP_FAILURE
HEALTHY, MOSTLY_HEALTHY = NodeHealth.HEALTHY, NodeHealth.MOSTLY_HEALTHY
MOSTLY_UNHEALTHY, UNHEALTHY = NodeHealth.MOSTLY_UNHEALTHY, NodeHealth.UNHEALTHY
THRESHOLDS = Thresholds(successes=2, http_failures=4, tcp_failures=2, timeouts=3)


def after(*reports: Report, thresholds: Thresholds = THRESHOLDS, health: Health = Health()) -> Health:
    for report in reports:
        health = step(health, report, thresholds)
    return health


def test_a_node_is_well_until_it_is_shown_not_to_be() -> None:
    assert Health().state is HEALTHY
    assert Health().usable


def test_down_and_up_again() -> None:
    health = Health()
    seen = []
    for report in (TCP, TCP, SUCCESS, SUCCESS):
        health = step(health, report, THRESHOLDS)
        seen.append(health.state)
    assert seen == [MOSTLY_HEALTHY, UNHEALTHY, MOSTLY_UNHEALTHY, HEALTHY]


def test_each_kind_has_its_own_count() -> None:
    health = after(TIMEOUT, TCP, TIMEOUT, HTTP, HTTP)
    assert health == Health(MOSTLY_HEALTHY, Counters(tcp_failure=1, timeout_failure=2, http_failure=2))
    assert after(TIMEOUT, health=health).state is UNHEALTHY


def test_a_success_forgets_the_failures() -> None:
    health = after(TCP, SUCCESS)
    assert health == Health(MOSTLY_HEALTHY, Counters(success=1))
    assert after(TCP, health=health) == Health(MOSTLY_HEALTHY, Counters(tcp_failure=1))
    assert after(SUCCESS, health=health).state is HEALTHY


def test_a_failure_forgets_the_successes() -> None:
    health = after(TCP, TCP, SUCCESS, TCP)
    assert health == Health(MOSTLY_UNHEALTHY, Counters(tcp_failure=1))
    assert after(SUCCESS, health=health).state is MOSTLY_UNHEALTHY
    assert after(TCP, health=health).state is UNHEALTHY


@pytest.mark.parametrize(
    ("health", "report"),
    [(Health(), SUCCESS), (after(TCP, TCP), TCP), (after(TCP, TCP), TIMEOUT), (after(TCP, TCP), HTTP)],
)
def test_what_is_known_already_counts_for_nothing(health: Health, report: Report) -> None:
    assert step(health, report, THRESHOLDS) is health


def test_a_threshold_of_nought_switches_a_kind_off() -> None:
    health = Health()
    assert step(health, TCP, Thresholds(tcp_failures=0)) is health
    down = after(TCP, TCP)
    assert step(down, SUCCESS, Thresholds(successes=0)) is down


def test_one_may_be_enough() -> None:
    assert after(TCP, thresholds=Thresholds(tcp_failures=1)).state is UNHEALTHY
    assert after(SUCCESS, thresholds=Thresholds(successes=1), health=after(TCP, TCP)).state is HEALTHY


@pytest.mark.parametrize(
    ("reports", "line"),
    [
        ((TCP,), "unhealthy TCP increment (1/2) for '127.0.0.1(127.0.0.1:9995)'"),
        ((TIMEOUT, TIMEOUT), "unhealthy TIMEOUT increment (2/3) for '127.0.0.1(127.0.0.1:9995)'"),
        ((HTTP,), "unhealthy HTTP increment (1/4) for '127.0.0.1(127.0.0.1:9995)'"),
        ((TCP, TCP, SUCCESS), "healthy SUCCESS increment (1/2) for '127.0.0.1(127.0.0.1:9995)'"),
    ],
)
def test_it_is_told_in_apisix_words(reports: tuple[Report, ...], line: str) -> None:
    assert account(after(*reports), reports[-1], THRESHOLDS, "127.0.0.1", "127.0.0.1", 9995) == line


class Told(RuleBasedStateMachine):
    """Against what its description says: runs of successes and of failures, each judged as a whole."""

    @initialize(limits=st.tuples(*[st.integers(0, 4)] * 4))
    def begin(self, limits: tuple[int, int, int, int]) -> None:
        self.thresholds = Thresholds(*limits)
        self.health = Health()
        self.history: list[Report] = []

    @rule(report=st.sampled_from(Report))
    def report(self, report: Report) -> None:
        self.health = step(self.health, report, self.thresholds)
        if limit_of(report, self.thresholds):
            self.history.append(report)

    @invariant()
    def it_is_as_the_runs_say(self) -> None:
        state = HEALTHY
        for good, run in groupby(self.history, key=lambda report: report is SUCCESS):
            reached = any(count >= limit_of(kind, self.thresholds) for kind, count in Counter(run).items())
            if reached:
                state = HEALTHY if good else UNHEALTHY
            elif good and state is UNHEALTHY:
                state = MOSTLY_UNHEALTHY
            elif not good and state is HEALTHY:
                state = MOSTLY_HEALTHY
        assert self.health.state is state, f"{self.history} with {self.thresholds}"

    @invariant()
    def counters_speak_for_one_side_only(self) -> None:
        counters = asdict(self.health.counters)
        success = counters.pop("success")
        assert not (success and any(counters.values())), self.health


TestTold = Told.TestCase
