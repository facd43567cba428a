"""Legs that bring no more than they may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from streamproxy.model import Ending, Limits
from streamproxy.relay.bandwidth import CREDIT, SLACK, SLICE, Meter, Valve, meters
from streamproxy.relay.limits import Crowd
from streamproxy.relay.pace import Paces
from streamproxy.relay.pump import Pump
from streamproxy.testing import MemoryLeg


class Session:
    """A pump between two legs, the client's behind a valve."""

    def __init__(
        self,
        clock: Clock,
        own: int | None = 1000,
        each: int | None = None,
        shared: Paces | None = None,
        target: MemoryLeg | None = None,
    ) -> None:
        reactor: Any = clock
        self.client, self.target = MemoryLeg(), target or MemoryLeg()
        self.endings: list[tuple[Ending, str]] = []
        meter = Meter(own, each, Paces() if shared is None else shared, "client", clock.seconds())
        self.valve = Valve(reactor, self.client, meter)
        self.pump = Pump(self.valve, self.target, lambda ending, detail: self.endings.append((ending, detail)))
        self.valve.start()
        self.target.start()

    @property
    def got(self) -> int:
        return len(self.target.got)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_is_exact_over_time(clock: Clock) -> None:
    session = Session(clock)
    session.client.peer_sends(bytes(range(256)) * 40)
    for second in range(1, 6):
        clock.pump([0.01] * 100)
        session.target.peer_reads()
        assert session.got == pytest.approx(1000 * second, abs=1000 * (SLICE + SLACK))
    assert bytes(session.target.got) == (bytes(range(256)) * 40)[: session.got], "and in order"


def test_there_is_at_most_one_timer_and_it_is_not_busy(clock: Clock) -> None:
    session = Session(clock, own=1_000_000)
    session.client.peer_sends(bytes(1_000_000))
    wakes = 0
    while clock.getDelayedCalls():
        (call,) = clock.getDelayedCalls()
        clock.advance(call.getTime() - clock.seconds())
        wakes += 1
    session.target.peer_reads()
    assert session.got == 1_000_000
    assert clock.seconds() == pytest.approx(1.0, abs=SLICE + SLACK)
    assert wakes <= 1 / SLACK, f"{wakes} wake-ups in a second"


def test_a_pause_is_made_up_for_a_little(clock: Clock) -> None:
    session = Session(clock)
    clock.advance(100)
    session.client.peer_sends(bytes(2000))
    session.target.peer_reads()
    assert session.got <= 1000 * (CREDIT + SLICE + SLACK)
    clock.pump([0.05] * 40)
    session.target.peer_reads()
    assert session.got == 2000


def test_the_source_is_paused_meanwhile(clock: Clock) -> None:
    session = Session(clock)
    session.client.peer_sends(bytes(500))
    assert session.client.paused
    clock.pump([0.1] * 10)
    session.target.peer_reads()
    assert session.got == 500
    assert not session.client.paused


def test_a_sink_that_is_full_and_a_valve_that_is_shut(clock: Clock) -> None:
    session = Session(clock, target=MemoryLeg(capacity=10))
    session.client.peer_sends(bytes(300))
    for _ in range(200):
        clock.advance(0.05)
        session.target.peer_reads(7)
    assert session.got == 300
    assert session.target.most_kept <= 1000 * SLICE, "the sink was given no more than a slice"


def test_the_end_comes_after_everything_else(clock: Clock) -> None:
    session = Session(clock)
    session.client.peer_sends(bytes(300))
    session.client.peer_ends()
    assert not session.target.finished
    clock.pump([0.1] * 10)
    session.target.peer_reads()
    assert session.got == 300
    assert session.target.finished
    session.target.peer_ends()
    assert session.endings == [(Ending.CLIENT_CLOSED, "")]
    assert not clock.getDelayedCalls()


def test_an_end_that_is_told_while_something_is_held(clock: Clock) -> None:
    session = Session(clock)
    session.client.peer_sends(bytes(300))
    session.valve.ended()
    session.target.peer_reads()
    assert not session.target.finished
    clock.pump([0.1] * 10)
    session.target.peer_reads()
    assert session.target.finished
    assert session.got == 300


def test_a_reset_waits_for_nobody(clock: Clock) -> None:
    session = Session(clock)
    session.client.peer_sends(bytes(300))
    session.valve.lost("Connection reset by peer", reset=True)
    session.target.peer_reads()
    assert session.got == 300, "what it had said is passed on"
    assert session.target.aborted
    assert session.endings == [(Ending.CLIENT_RESET, "Connection reset by peer")]
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize("size", [0, 300])
def test_a_session_that_is_killed_leaves_no_timer(clock: Clock, size: int) -> None:
    session = Session(clock)
    session.client.peer_sends(bytes(size))
    session.pump.stop(Ending.KILLED)
    assert session.client.aborted
    assert not clock.getDelayedCalls()
    session.client.peer_sends(b"late")
    assert session.endings == [(Ending.KILLED, "")]


def test_the_other_direction_is_left_alone(clock: Clock) -> None:
    session = Session(clock)
    session.target.peer_sends(bytes(100_000))
    session.client.peer_reads()
    assert len(session.client.got) == 100_000
    session.target.peer_ends()
    session.client.peer_reads()
    assert session.client.finished
    session.client.peer_ends()
    assert session.endings == [(Ending.TARGET_CLOSED, "")]


def test_sessions_of_a_client_share_and_share_alike(clock: Clock) -> None:
    shared = Paces()
    sessions = [Session(clock, own=None, each=1000, shared=shared) for _ in range(5)]
    for session in sessions:
        session.client.peer_sends(bytes(10_000))
    clock.pump([0.01] * 1000)
    for session in sessions:
        session.target.peer_reads()
    assert sum(session.got for session in sessions) == pytest.approx(10_000, rel=0.1)
    for session in sessions:
        assert session.got == pytest.approx(2000, rel=0.1)


def test_the_narrower_bound_holds(clock: Clock) -> None:
    session = Session(clock, own=5000, each=1000)
    session.client.peer_sends(bytes(10_000))
    clock.pump([0.01] * 100)
    session.target.peer_reads()
    assert session.got == pytest.approx(1000, abs=150)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 1)), max_size=30), st.integers(1000, 100_000))
def test_whatever_comes_leaves_in_order_and_in_time(pieces: list[tuple[int, float]], rate: int) -> None:
    clock = Clock()
    session = Session(clock, own=rate)
    sent = bytearray()
    for size, pause in pieces:
        piece = bytes((len(sent) + index) % 251 for index in range(size))
        sent += piece
        session.client.peer_sends(piece)
        session.target.peer_reads()
        allowed = rate * (clock.seconds() + CREDIT + SLACK + SLICE) + 1
        assert session.got <= allowed
        clock.advance(pause)
    clock.pump([0.05] * (int(len(sent) / rate / 0.05) + 10))
    session.target.peer_reads()
    assert bytes(session.target.got) == bytes(sent)


def test_meters_only_where_there_is_a_bound() -> None:
    crowd = Crowd()

    assert meters(Limits(), crowd, "a", 0.0) is None
    assert meters(Limits(bandwidth=1000), crowd, "a", 0.0) is not None
    assert meters(Limits(bandwidth_per_client=1000), crowd, "a", 0.0) is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Meter(1000, None, Paces(), "a", 0.0),
        lambda: Meter(None, 1000, Paces(), "a", 0.0),
    ],
)
def test_datagrams_that_are_too_many_may_not(make: Callable[[], Meter]) -> None:
    meter = make()
    admitted = sum(meter.admits(100, now / 100) for now in range(1000))

    assert admitted == pytest.approx(100, abs=4)
    assert not meter.admits(100, 10.0)
    assert meter.admits(65_507, 60.0), "one that is larger than a second's worth passes when nothing is due"
    assert not meter.admits(1, 61.0)
