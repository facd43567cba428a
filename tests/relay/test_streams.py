"""What the pump promises, over every kind of leg there is, on real sockets with little room."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamproxy.interfaces import Leg
from streamproxy.model import Ending
from streamproxy.relay import departure, splice
from streamproxy.relay.hub import Hub
from streamproxy.relay.pump import Half, Pump
from streamproxy.relay.socket_leg import READ_SIZE
from streamproxy.relay.splice import Pipes

from .legs import SPEECH, Peer, TlsPeer, socket_leg, tls_leg, transport_leg
from .loop import PATIENCE, Loop

Make = Callable[[Loop, Hub, bytes], tuple[Leg, Peer]]

KINDS: dict[str, tuple[Make, Make]] = {
    "copied": (socket_leg, socket_leg),
    "spliced": (socket_leg, socket_leg),
    "TLS client": (tls_leg, socket_leg),
    "TLS target": (socket_leg, tls_leg),
    "TLS twice": (tls_leg, tls_leg),
    "Twisted's transport": (transport_leg, socket_leg),
}

# In user space, or in a pipe, a direction may hold as much (bytes); what the kernel's own buffers hold comes on top.
HELD = 1 << 20
KERNEL = 1 << 20


class Relay:
    """A pump between two legs of a kind, and their peers."""

    def __init__(self, loop: Loop, kind: str, pipes: Pipes | None = None) -> None:
        self.loop = loop
        self.hub = Hub(loop)
        self.pipes = Pipes() if pipes is None else pipes
        self.endings: list[tuple[Ending, str]] = []
        make_client, make_target = KINDS[kind]
        client, self.client = make_client(loop, self.hub, SPEECH["client"])
        target, self.target = make_target(loop, self.hub, SPEECH["target"])
        self.peers = {"client": self.client, "target": self.target}
        # Where the other leg has no half-close, one side's end is the end of both directions.
        self.may_end_first = {"client": target.can_half_close, "target": client.can_half_close}
        self.pump = Pump(client, target, lambda ending, detail: self.endings.append((ending, detail)))
        self.halves: dict[str, Half] = {"client": self.pump.to_target, "target": self.pump.to_client}
        client.start()
        target.start()
        if kind == "spliced":
            self.splice("client")
            self.splice("target")

    def splice(self, side: str) -> None:
        """What this side says goes through a pipe from now on."""
        if not self.endings:
            half = self.halves[side]
            self.pipes.join(half.source, half.sink, half)

    def quiet(self) -> bool:
        """Read all there is and turn, until nothing comes any more."""
        for _ in range(4):
            self.loop.turn()
        for peer in self.peers.values():
            peer.pushes()
        return not sum(peer.reads(1 << 20) for peer in self.peers.values())

    def until_over(self) -> None:
        def over() -> bool:
            self.quiet()
            return bool(self.endings)

        self.until(over, "the session ended")

    def until(self, what: Callable[[], object], saying: str) -> None:
        """Turn until it is so, and do not wait long for a turn: the peers are played here, and wake nobody."""
        end = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < end, f"in {PATIENCE:g} s it did not happen that {saying}"
            self.loop.turn(0.001)

    def close(self) -> None:
        if not self.endings:
            self.pump.stop(Ending.KILLED)
        for peer in self.peers.values():
            peer.close()
        self.loop.pump([departure.ABORT_POLL] * int(departure.ABORT_GRACE / departure.ABORT_POLL + 2))
        self.loop.pump([10.0] * 3)


@contextmanager
def relaying(kind: str) -> Iterator[Relay]:
    loop = Loop()
    relay = Relay(loop, kind)
    try:
        yield relay
        relay.close()
        loop.settle()
        assert relay.pipes.used == 0, "a pipe was not given back"
        assert len(relay.hub) == 0, "a descriptor is still watched"
        assert loop.descriptors == 0, "descriptors are left with the reactor"
    finally:
        loop.close()


@pytest.fixture(params=KINDS)
def relay(request: pytest.FixtureRequest) -> Iterator[Relay]:
    with relaying(request.param) as relay:
        yield relay


_sides = st.sampled_from(["client", "target"])
_sizes = st.one_of(st.integers(1, 64), st.integers(1, 100_000))
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), _sides, _sizes),
        st.tuples(st.just("send"), _sides, _sizes),
        st.tuples(st.just("read"), _sides, _sizes),
        st.tuples(st.just("turn"), _sides, st.integers(1, 5)),
        st.tuples(st.just("splice"), _sides, st.just(0)),
        st.tuples(st.just("end"), _sides, st.just(0)),
    ),
    max_size=40,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(steps=_steps, pipe_size=st.sampled_from([4096, 16384, 1 << 20]))
def test_whatever_the_pauses_each_side_gets_what_the_other_sent(
    kind: str, steps: list[tuple[str, str, int]], pipe_size: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, relaying(kind) as relay:
        patch.setattr(splice, "PIPE_SIZES", (pipe_size,))
        for what, side, number in steps:
            peer = relay.peers[side]
            if what == "send":
                peer.sends(number)
            elif what == "read":
                peer.reads(number)
            elif what == "turn":
                for _ in range(number):
                    relay.loop.turn()
            elif what == "splice" and kind == "spliced":
                relay.splice(side)
            elif what == "end" and relay.may_end_first[side]:
                peer.ends()
        client, target = relay.client, relay.target

        def all_through() -> bool:
            relay.quiet()
            return len(target.got) == client.sent and len(client.got) == target.sent

        relay.until(all_through, "each side got what the other had sent")
        if relay.may_end_first["client"]:
            client.ends()
            target.sends(1)
            relay.until(all_through, "the client got the target's last word")

        def all_over() -> bool:
            relay.quiet()
            client.ends()
            target.ends()
            return bool(relay.endings) and client.at_end and target.at_end

        relay.until(all_over, "both were told the end")
        assert bytes(target.got) == client.speech[: client.sent]
        assert bytes(client.got) == target.speech[: target.sent]
        assert [ending in (Ending.CLIENT_CLOSED, Ending.TARGET_CLOSED) for ending, _ in relay.endings] == [True]
        assert relay.halves["client"].moved == client.sent
        assert relay.halves["target"].moved == target.sent


def test_a_half_close_of_the_client_leaves_the_answer_its_way(relay: Relay) -> None:
    relay.client.sends(3000)
    relay.client.ends()

    def heard_all() -> bool:
        relay.quiet()
        return len(relay.target.got) == 3000

    relay.until(heard_all, "the question arrived")
    if not relay.may_end_first["client"]:
        relay.until_over()
        return
    relay.until(lambda: (relay.quiet(), relay.target.at_end)[1], "the client's end arrived")
    assert not relay.endings, "the session ended with the question"
    asked = relay.target.sends(2000)
    relay.until(lambda: (relay.quiet(), len(relay.client.got) == asked)[1], "the answer arrived")
    relay.target.ends()
    relay.until_over()
    assert bytes(relay.client.got) == SPEECH["target"][:asked]
    assert relay.endings == [(Ending.CLIENT_CLOSED, "")]


def test_a_slow_reader_holds_the_sender_back_and_gets_everything(relay: Relay) -> None:
    for sender, reader in ((relay.client, relay.target), (relay.target, relay.client)):
        still = 0
        while still < 20:
            relay.loop.turn()
            still = 0 if sender.sends(READ_SIZE) else still + 1
            assert sender.sent < HELD + KERNEL, "a reader that does not read is no reason for its sender to stop"
        relay.until(
            lambda s=sender, r=reader: (relay.quiet(), len(r.got) == s.sent)[1],  # type: ignore[misc]
            "all of it arrived",
        )
        assert bytes(reader.got) == sender.speech[: sender.sent]
    # And it goes on.
    before = relay.client.sent
    relay.until(lambda: relay.client.sends(10), "there was room again")
    relay.until(lambda: (relay.quiet(), len(relay.target.got) == relay.client.sent)[1], "more arrived")
    assert relay.client.sent > before


def test_what_is_written_behind_what_did_not_fit_comes_behind_it(relay: Relay) -> None:
    said = SPEECH["target"][: 8 * READ_SIZE]
    fitted = [
        relay.pump.to_client.sink.write(said[begin : begin + READ_SIZE]) for begin in range(0, len(said), READ_SIZE)
    ]
    assert not fitted[-1], "there was room for all of it, which shows nothing"
    relay.until(lambda: (relay.quiet(), len(relay.client.got) >= len(said))[1], "all of it arrived")
    assert bytes(relay.client.got) == said


@pytest.mark.parametrize("side", ["client", "target"])
@pytest.mark.parametrize("congested", [False, True])
def test_a_reset_is_passed_on(relay: Relay, side: str, congested: bool) -> None:
    one, other = relay.peers[side], relay.peers["target" if side == "client" else "client"]
    one.sends(1000)
    relay.until(lambda: other.reads(1 << 16) or other.got, "the bytes arrived")
    if congested:
        # What it cannot take any more is on its way when it resets.
        for _ in range(40):
            other.sends(READ_SIZE)
            relay.loop.turn()
    one.resets()

    def over() -> bool:
        relay.loop.turn()
        return bool(relay.endings)

    relay.until(over, "the reset was heard")
    wanted = Ending.CLIENT_RESET if side == "client" else Ending.TARGET_RESET
    assert [ending for ending, _ in relay.endings] == [wanted]
    assert bytes(other.got) == one.speech[: len(other.got)]

    def other_knows() -> bool:
        relay.loop.advance(departure.ABORT_POLL)
        relay.loop.turn()
        other.reads(1 << 16)
        return other.was_reset or other.at_end

    relay.until(other_knows, "the other side was told")
    # A TLS connection that is cut off has no close_notify, which our peers take for an end.
    assert other.was_reset or isinstance(other, TlsPeer)


def test_stop_resets_both_whatever_is_under_way(relay: Relay) -> None:
    for _ in range(30):
        relay.client.sends(READ_SIZE)
        relay.target.sends(READ_SIZE)
        relay.loop.turn()
    relay.pump.stop(Ending.KILLED, "by hand")
    assert relay.endings == [(Ending.KILLED, "by hand")]
    for _ in range(5):
        relay.loop.turn()
        relay.quiet()
    assert bytes(relay.target.got) == SPEECH["client"][: len(relay.target.got)]
    assert bytes(relay.client.got) == SPEECH["target"][: len(relay.client.got)]
