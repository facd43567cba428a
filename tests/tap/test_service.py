"""What is done with the reactor before anything else is."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from twisted.internet import base
from twisted.internet.epollreactor import EPollReactor

from streamproxy.tap.service import steady

HOUR = 3600.0


@pytest.fixture
def reactor() -> Iterator[EPollReactor]:
    reactor = EPollReactor()
    yield reactor
    reactor._poller.close()


def test_the_time_of_day_may_be_set_back(reactor: EPollReactor, monkeypatch: pytest.MonkeyPatch) -> None:
    steady(reactor)
    reactor.callLater(0.05, reactor.stop)
    monkeypatch.setattr(base, "runtimeSeconds", lambda: time.time() - HOUR)
    assert (reactor.timeout() or 0) < 1
    reactor.run(installSignalHandlers=False)


def test_who_has_timers_keeps_the_clock_they_were_set_by(reactor: EPollReactor) -> None:
    reactor.callLater(1, reactor.stop)
    steady(reactor)
    assert (reactor.timeout() or 0) <= 1
    assert abs(reactor.seconds() - time.time()) < HOUR
