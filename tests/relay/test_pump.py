"""The pump between two legs whose peers are the test."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import Ending
from streamproxy.relay.pump import Pump
from streamproxy.testing import MemoryLeg


class Session:
    """A running pump, and how it ended."""

    def __init__(self, client: MemoryLeg | None = None, target: MemoryLeg | None = None) -> None:
        self.client = client or MemoryLeg()
        self.target = target or MemoryLeg()
        self.endings: list[tuple[Ending, str]] = []
        self.pump = Pump(self.client, self.target, lambda ending, detail: self.endings.append((ending, detail)))
        self.client.start()
        self.target.start()


def test_bytes_go_both_ways_and_are_counted() -> None:
    session = Session()
    session.client.peer_sends(b"question")
    session.target.peer_reads()
    assert session.target.got == b"question"
    session.target.peer_sends(b"an answer")
    session.client.peer_reads()
    assert session.client.got == b"an answer"
    assert session.pump.to_target.moved == 8
    assert session.pump.to_client.moved == 9
    assert session.pump.moved == 17
    assert session.endings == []


def test_a_half_close_of_the_client_leaves_the_answer_its_way() -> None:
    session = Session()
    session.client.peer_sends(b"everything I have to say")
    session.client.peer_ends()
    session.target.peer_reads()
    assert session.target.finished, "the target did not hear of the client's end"
    session.target.peer_sends(b"a long answer")
    session.client.peer_reads()
    assert session.client.got == b"a long answer"
    assert session.endings == []
    session.target.peer_ends()
    session.client.peer_reads()
    assert session.client.finished
    assert session.endings == [(Ending.CLIENT_CLOSED, "")]
    assert session.client.closed
    assert session.target.closed


def test_a_half_close_of_the_target_leaves_the_client_its_way() -> None:
    session = Session()
    session.target.peer_sends(b"bye")
    session.target.peer_ends()
    session.client.peer_sends(b"one more thing")
    session.target.peer_reads()
    assert session.target.got == b"one more thing"
    session.client.peer_ends()
    assert session.endings == [(Ending.TARGET_CLOSED, "")]


def test_a_slow_target_pauses_the_client_and_nothing_is_lost() -> None:
    session = Session(target=MemoryLeg(capacity=10))
    session.client.peer_sends(b"x" * 25)
    assert session.client.paused, "the client was not paused though its target is congested"
    session.client.peer_sends(b"y" * 5)
    session.target.peer_reads(10)
    assert session.client.paused
    session.target.peer_reads()
    assert not session.client.paused, "the client was not resumed when its target had drained"
    session.target.peer_reads()
    assert session.target.got == b"x" * 25 + b"y" * 5
    assert session.target.most_kept == 15


def test_the_end_waits_for_what_is_unsent() -> None:
    session = Session(target=MemoryLeg(capacity=4))
    session.client.peer_sends(b"0123456789")
    session.client.peer_ends()
    # The end is behind the pause: it is not even heard yet.
    session.target.peer_reads()
    session.target.peer_reads()
    session.target.peer_reads()
    assert session.target.got == b"0123456789"
    assert session.target.finished
    session.target.peer_ends()
    assert session.endings == [(Ending.CLIENT_CLOSED, "")]


def test_an_end_that_comes_while_the_sink_is_congested_is_told_when_it_has_drained() -> None:
    session = Session(target=MemoryLeg(capacity=4))
    session.pump.to_target.received(b"0123456789")
    session.pump.to_target.ended()
    assert not session.target.finished
    for _ in range(3):
        session.target.peer_reads()
    assert session.target.finished
    session.target.peer_ends()
    assert session.endings == [(Ending.CLIENT_CLOSED, "")]


def test_a_reset_is_passed_on_as_a_reset() -> None:
    session = Session()
    session.target.peer_resets()
    assert session.client.aborted
    assert session.endings == [(Ending.TARGET_RESET, "Connection reset by peer")]
    other = Session()
    other.client.peer_resets()
    assert other.target.aborted
    assert other.endings == [(Ending.CLIENT_RESET, "Connection reset by peer")]


def test_stop_ends_both_and_is_told_once() -> None:
    session = Session()
    session.pump.stop(Ending.KILLED, "by hand")
    session.pump.stop(Ending.SHUTDOWN)
    assert session.client.aborted
    assert session.target.aborted
    assert session.endings == [(Ending.KILLED, "by hand")]
    session.client.receiver.ended()
    session.client.receiver.lost("late", reset=True)
    session.target.receiver.received(b"late")
    session.target.receiver.drained()
    assert session.endings == [(Ending.KILLED, "by hand")]


def test_a_sink_without_half_close_takes_both_directions_with_it() -> None:
    session = Session(target=MemoryLeg(can_half_close=False))
    session.client.peer_sends(b"last words")
    session.client.peer_ends()
    session.target.peer_reads()
    assert session.target.got == b"last words"
    assert session.endings == [(Ending.CLIENT_CLOSED, "")]
    assert session.client.closed
    assert session.target.closed


def test_a_sink_without_half_close_waits_for_the_other_directions_bytes() -> None:
    session = Session(client=MemoryLeg(capacity=4), target=MemoryLeg(can_half_close=False))
    session.target.peer_sends(b"0123456789")
    session.client.peer_ends()
    assert session.endings == []
    session.client.peer_reads()
    session.client.peer_reads()
    session.client.peer_reads()
    assert session.client.got == b"0123456789"
    assert session.endings == [(Ending.CLIENT_CLOSED, "")]


def test_inject_pauses_a_source_whose_sink_cannot_keep_up() -> None:
    session = Session(target=MemoryLeg(capacity=4))
    session.pump.to_target.inject(b"012345")
    assert session.client.paused
    session.target.peer_reads()
    assert not session.client.paused
    session.target.peer_reads()
    session.pump.to_target.inject(b"6")
    assert not session.client.paused
    assert session.pump.to_target.moved == 7


_sides = st.sampled_from(["client", "target"])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), _sides, st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("read"), _sides, st.integers(1, 40)),
        st.tuples(st.just("end"), _sides, st.none()),
    ),
    max_size=60,
)


@given(_steps, st.integers(1, 30), st.integers(1, 30))
def test_whatever_happens_each_side_gets_what_the_other_sent_in_order(
    steps: list[tuple[str, str, bytes | int | None]], room_of_client: int, room_of_target: int
) -> None:
    session = Session(MemoryLeg(capacity=room_of_client), MemoryLeg(capacity=room_of_target))
    legs = {"client": session.client, "target": session.target}
    sent = {"client": bytearray(), "target": bytearray()}
    ended: set[str] = set()
    for what, side, value in steps:
        if what == "read":
            assert isinstance(value, int)
            legs[side].peer_reads(value)
        elif side not in ended:
            if what == "send":
                assert isinstance(value, bytes)
                sent[side] += value
                legs[side].peer_sends(value)
            else:
                ended.add(side)
                legs[side].peer_ends()
    for side in ("client", "target"):
        if side not in ended:
            legs[side].peer_ends()
    for _ in range(400):
        session.client.peer_reads(64)
        session.target.peer_reads(64)
    assert session.target.got == sent["client"]
    assert session.client.got == sent["target"]
    assert session.client.finished
    assert session.target.finished
    assert len(session.endings) == 1
    assert session.pump.moved == len(sent["client"]) + len(sent["target"])
    assert max(session.client.most_kept, session.target.most_kept) <= 40
