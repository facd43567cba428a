"""Lines on their way to a server, a batch at a time."""

from __future__ import annotations

from collections import deque

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from streamproxy.plugins.batch import Batches, BatchSettings

SETTINGS = BatchSettings(
    name="test", size=3, inactive=5.0, duration=60.0, retries=0, retry_delay=1.0, most_bytes=1_000_000
)


@define
class Server:
    """``up``: takes what it is sent. ``slow``: only when ``pending`` is fired."""

    up: bool = True
    slow: bool = False
    takes: int | None = None
    got: list[list[bytes]] = field(factory=list)
    tries: int = 0
    closed: int = 0
    pending: Deferred[None] | None = None

    def send(self, lines: deque[bytes]) -> Deferred[None]:
        self.tries += 1
        if not self.up:
            for _ in range(self.takes or 0):
                self.got.append([lines.popleft()])
            return fail(OSError("the server is away"))
        self.got.append(list(lines))
        lines.clear()
        if self.slow:
            self.pending = Deferred()
            return self.pending
        return succeed(None)

    def close(self) -> None:
        self.closed += 1

    def answer(self, error: Exception | None = None) -> None:
        pending, self.pending = self.pending, None
        assert pending is not None, "it was sent nothing"
        if error is None:
            pending.callback(None)
        else:
            pending.errback(error)


@define
class Desk:
    """Batches on their way to ``server``, with a clock."""

    settings: BatchSettings = SETTINGS
    server: Server = field(factory=Server)
    clock: Clock = field(factory=Clock)
    log: list[str] = field(factory=list)
    batches: Batches = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.batches = Batches(self.clock, self.server, self.settings, lambda level, line: self.log.append(line))

    def push(self, *lines: bytes, most: int | None = None) -> None:
        for line in lines:
            self.batches.push(line, most)

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)


def test_a_full_batch_goes_at_once() -> None:
    desk = Desk()
    desk.push(b"1", b"2")
    assert desk.server.got == []
    desk.push(b"3", b"4")
    assert desk.server.got == [[b"1", b"2", b"3"]]


def test_what_is_left_goes_when_no_more_comes() -> None:
    desk = Desk()
    desk.push(b"1")
    desk.wait(4)
    desk.push(b"2")
    desk.wait(4.9)
    assert desk.server.got == []
    desk.wait(0.2)
    assert desk.server.got == [[b"1", b"2"]]
    assert not desk.clock.getDelayedCalls()


def test_or_when_the_first_has_waited_long_enough() -> None:
    desk = Desk(evolve(SETTINGS, size=100))
    for second in range(60):
        desk.push(b"%d" % second)
        desk.wait(1)
    (batch,) = desk.server.got
    assert len(batch) == 60


def test_a_batch_of_one_is_a_line() -> None:
    desk = Desk(evolve(SETTINGS, size=1))
    desk.push(b"1", b"2")
    assert desk.server.got == [[b"1"], [b"2"]]


def test_the_next_batch_waits_for_the_last() -> None:
    desk = Desk(evolve(SETTINGS, size=1), Server(slow=True))
    desk.push(b"1", b"2")
    assert desk.server.got == [[b"1"]]
    desk.server.answer()
    assert desk.server.got == [[b"1"], [b"2"]]
    desk.server.answer()
    assert desk.batches.entries == desk.batches.waiting == 0


def test_a_batch_that_fails_is_dropped_and_said_so() -> None:
    desk = Desk(server=Server(up=False))
    desk.push(b"1", b"2", b"3")
    assert desk.log == [
        "Batch Processor[test] failed to process entries: the server is away",
        "Batch Processor[test] exceeded the max_retry_count[1] dropping the entries",
    ]
    desk.wait(10)
    assert desk.server.tries == 1
    desk.server.up = True
    desk.push(b"4", b"5", b"6")
    assert desk.server.got == [[b"4", b"5", b"6"]]


def test_or_tried_again_as_often_as_was_said() -> None:
    desk = Desk(evolve(SETTINGS, retries=2), Server(up=False))
    desk.push(b"1", b"2", b"3")
    desk.wait(0.9)
    assert desk.server.tries == 1
    desk.wait(0.2)
    assert desk.server.tries == 2
    desk.server.up = True
    desk.wait(1)
    assert desk.server.got == [[b"1", b"2", b"3"]]
    assert desk.batches.entries == 0
    assert len(desk.log) == 2


def test_and_no_oftener() -> None:
    desk = Desk(evolve(SETTINGS, retries=2), Server(up=False))
    desk.push(b"1", b"2", b"3")
    desk.clock.pump([1.0] * 10)
    assert desk.server.tries == 3
    assert desk.log[-1] == "Batch Processor[test] exceeded the max_retry_count[3] dropping the entries"


def test_what_arrived_of_it_is_not_sent_again() -> None:
    desk = Desk(evolve(SETTINGS, retries=1), Server(up=False, takes=2))
    desk.push(b"1", b"2", b"3")
    desk.server.up = True
    desk.wait(1)
    assert desk.server.got == [[b"1"], [b"2"], [b"3"]]


def test_the_order_stays_while_one_is_tried_again() -> None:
    desk = Desk(evolve(SETTINGS, size=1, retries=1), Server(up=False))
    desk.push(b"1", b"2")
    desk.server.up = True
    desk.wait(1)
    assert desk.server.got == [[b"1"], [b"2"]]


def test_a_long_queue_is_worked_off() -> None:
    desk = Desk(evolve(SETTINGS, size=1), Server(slow=True))
    desk.push(*[b"x"] * 5_000)
    desk.server.slow = False
    desk.server.answer()
    assert len(desk.server.got) == 5_000
    assert desk.batches.entries == 0


def test_what_waits_is_bounded_in_bytes() -> None:
    desk = Desk(evolve(SETTINGS, most_bytes=10), Server(slow=True))
    desk.push(b"1234", b"5678", b"9abc", b"de")
    assert desk.batches.waiting == 10
    assert desk.batches.dropped == 1
    assert desk.log == ["Batch Processor[test] max pending entries limit exceeded. discarding entry"]


def test_and_in_lines_where_that_is_said() -> None:
    desk = Desk(server=Server(slow=True))
    desk.push(*[b"x"] * 10, most=2)
    assert (desk.batches.entries, desk.batches.dropped) == (2, 8)
    assert len(desk.log) == 1, "one line says it, not one for each"


def test_there_is_room_again_when_they_have_gone() -> None:
    desk = Desk(evolve(SETTINGS, size=2), Server(slow=True))
    desk.push(b"1", b"2", b"3", most=2)
    desk.server.answer()
    desk.push(b"4", b"5", b"6", most=2)
    assert desk.server.got == [[b"1", b"2"], [b"4", b"5"]]
    assert len(desk.log) == 2, "and when there is none again, that is said again"


def test_closing_sends_what_waits_and_then_closes() -> None:
    desk = Desk(server=Server(slow=True))
    desk.push(b"1")
    desk.batches.close()
    assert desk.server.got == [[b"1"]]
    assert desk.server.closed == 0
    desk.server.answer()
    assert desk.server.closed == 1
    assert not desk.clock.getDelayedCalls()


def test_what_comes_after_that_is_sent_at_once() -> None:
    desk = Desk()
    desk.batches.close()
    desk.push(b"late")
    assert desk.server.got == [[b"late"]]
    assert desk.server.closed == 2
    assert not desk.clock.getDelayedCalls()


def test_one_that_is_closed_still_tries_again() -> None:
    desk = Desk(evolve(SETTINGS, retries=1), Server(up=False))
    desk.push(b"1")
    desk.batches.close()
    desk.server.up = True
    desk.wait(1)
    assert desk.server.got == [[b"1"]]
    assert desk.server.closed == 1


steps = st.lists(
    st.one_of(
        st.integers(1, 40).map(lambda size: ("push", size)),
        st.integers(1, 80).map(lambda tenths: ("wait", tenths)),
        st.just(("toggle", 0)),
        st.just(("answer", 0)),
    ),
    max_size=60,
)


@pytest.mark.parametrize("slow", [False, True])
@given(steps=steps, retries=st.integers(0, 2))
def test_nothing_is_sent_twice_or_out_of_order_and_the_books_are_right(
    slow: bool, steps: list[tuple[str, int]], retries: int
) -> None:
    desk = Desk(evolve(SETTINGS, retries=retries, most_bytes=200), Server(slow=slow))
    number = 0
    for what, amount in steps:
        if what == "push":
            desk.push(b"%d" % number + b"." * amount)
            number += 1
        elif what == "wait":
            desk.wait(amount / 10)
        elif what == "toggle":
            desk.server.up = not desk.server.up
        elif desk.server.pending is not None:
            desk.server.answer()
        assert 0 <= desk.batches.waiting <= 200
    desk.server.up, desk.server.slow = True, False
    if desk.server.pending is not None:
        desk.server.answer()
    desk.batches.close()
    desk.clock.pump([1.0] * 5)
    assert (desk.batches.entries, desk.batches.waiting) == (0, 0)
    numbers = [int(line.rstrip(b".")) for batch in desk.server.got for line in batch]
    assert numbers == sorted(set(numbers))
    assert desk.server.closed == 1
    assert not desk.clock.getDelayedCalls()
