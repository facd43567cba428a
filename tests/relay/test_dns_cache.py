"""What is kept of lookups, for how long, and who asks anew."""

from __future__ import annotations

from attrs import define, field
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from streamproxy.relay.dns import cache as module
from streamproxy.relay.dns.answers import Found, NothingThere, ResolutionError
from streamproxy.relay.dns.cache import (
    CAPACITY,
    GONE,
    IDLE,
    LEAST_NEGATIVE,
    LEAST_TTL,
    MOST_BACK_OFF,
    MOST_NEGATIVE,
    MOST_TTL,
    NEGATIVE,
    Cache,
)


@define
class Desk:
    """A cache whose lookups the test answers."""

    clock: Clock = field(factory=Clock)
    asked: list[tuple[str, Deferred[Found[str]]]] = field(factory=list)
    cancelled: list[str] = field(factory=list)
    cache: Cache[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.cache = Cache(self.ask, self.clock.seconds, self.clock.callLater)

    def ask(self, name: str) -> Deferred[Found[str]]:
        answer: Deferred[Found[str]] = Deferred(lambda _: self.cancelled.append(name))
        self.asked.append((name, answer))
        return answer

    def get(self, name: str = "a") -> list[object]:
        """What the caller was told, in time."""
        told: list[object] = []
        self.cache.get(name).addCallbacks(told.append, lambda failure: told.append(failure.value))
        return told

    def answer(self, value: str, ttl: float = 60.0) -> None:
        self.asked[-1][1].callback(Found(value, ttl))

    def deny(self, ttl: float | None = None) -> None:
        self.asked[-1][1].errback(NothingThere("there is no a", ttl))

    def fail(self) -> None:
        self.asked[-1][1].errback(ResolutionError("nobody answers"))

    def follow(self, name: str = "a") -> list[str | None]:
        """What the name was known to be after each change."""
        seen: list[str | None] = []
        self.cache.follow(name, lambda: seen.append(self.cache.peek(name)))
        return seen

    def is_stale(self, name: str = "a") -> bool:
        (entry,) = [entry for each, entry in self.cache.entries() if each == name]
        return entry.value is not None and self.clock.seconds() >= entry.fresh_until


def known(value: str = "1", ttl: float = 60.0) -> Desk:
    """``a`` has been asked for and answered."""
    desk = Desk()
    desk.get()
    desk.answer(value, ttl)
    return desk


def test_one_lookup_serves_everybody_who_waits() -> None:
    desk = Desk()
    first, second = desk.get(), desk.get()
    assert (len(desk.asked), first, second) == (1, [], [])
    desk.answer("1")
    assert (first, second, desk.get()) == (["1"], ["1"], ["1"])
    assert desk.cache.peek("a") == "1"
    assert len(desk.asked) == 1
    assert len(desk.cache) == 1


def test_who_waits_no_more_disturbs_nobody() -> None:
    desk = Desk()
    leaving = desk.cache.get("a")
    staying = desk.get()
    leaving.addErrback(lambda _: None)
    leaving.cancel()
    desk.answer("1")
    assert staying == ["1"]


def test_an_answer_in_use_is_renewed_before_its_end() -> None:
    desk = known(ttl=60)
    desk.clock.advance(58.9)
    assert len(desk.asked) == 1
    desk.clock.advance(0.2)
    assert len(desk.asked) == 2
    assert desk.get() == ["1"], "nobody waits for it"
    desk.answer("2", 10)
    assert desk.get() == ["2"]
    desk.clock.advance(9)
    assert len(desk.asked) == 3


def test_while_it_is_renewed_the_old_one_serves_however_long_that_takes() -> None:
    desk = known(ttl=5)
    desk.clock.advance(100)
    assert len(desk.asked) == 2
    assert desk.cache.peek("a") == "1"
    assert desk.is_stale()


def test_a_change_is_followed_within_the_ttl() -> None:
    desk = known(ttl=10)
    desk.clock.advance(9)
    desk.answer("2", 10)
    assert desk.clock.seconds() <= 10
    assert desk.cache.peek("a") == "2"


def test_ttls_have_bounds() -> None:
    for ttl, least, most in ((0.0, 0.8, LEAST_TTL), (1e9, MOST_TTL - 1.1, MOST_TTL)):
        desk = known(ttl=ttl)
        desk.clock.advance(least)
        assert len(desk.asked) == 1
        desk.clock.advance(most - least)
        assert len(desk.asked) == 2


def test_what_nobody_asks_for_is_not_renewed() -> None:
    desk = known(ttl=10)
    while desk.clock.seconds() < IDLE:
        desk.clock.advance(1)
        if not desk.asked[-1][1].called:
            desk.answer("1", 10)
    desk.clock.advance(20)
    before = len(desk.asked)
    desk.clock.advance(1000)
    assert len(desk.asked) == before
    assert desk.clock.getDelayedCalls() == []
    assert desk.cache.peek("a") is None, "it is too old to serve unasked"
    late = desk.get()
    assert late == []
    desk.fail()
    assert late == ["1"], "but better than nothing"


def test_the_last_good_answer_serves_when_nobody_answers() -> None:
    desk = known(ttl=10)
    desk.clock.advance(9)
    desk.fail()
    assert not desk.is_stale()
    times = []
    for _ in range(12):
        before, start = len(desk.asked), desk.clock.seconds()
        while len(desk.asked) == before:
            desk.clock.advance(0.5)
            assert desk.get() == ["1"]
        times.append(desk.clock.seconds() - start)
        desk.fail()
    assert times == [1, 2, 4, 8, 16] + [MOST_BACK_OFF] * 7
    assert desk.is_stale()
    desk.clock.advance(MOST_BACK_OFF)
    desk.answer("2", 10)
    assert not desk.is_stale()
    assert desk.get() == ["2"]
    desk.clock.advance(9)
    desk.fail()
    desk.clock.advance(1)
    assert len(desk.asked) == before + 4, "the pauses begin anew"


def test_a_name_that_is_gone_is_believed_to_be_so_after_a_while() -> None:
    desk = known(ttl=10)
    seen = desk.follow()
    desk.clock.advance(9)
    desk.deny(600)
    gone_since = desk.clock.seconds()
    while seen == []:
        assert desk.cache.peek("a") == "1"
        desk.clock.advance(1)
        if not desk.asked[-1][1].called:
            desk.deny(600)
    assert seen == [None]
    assert GONE <= desk.clock.seconds() - gone_since < GONE + MOST_BACK_OFF
    assert str(desk.get()[0]) == "there is no a"


def test_one_that_comes_back_in_time_was_never_gone() -> None:
    desk = known(ttl=10)
    seen = desk.follow()
    for _ in range(5):
        desk.clock.advance(9)
        desk.deny()
        desk.clock.advance(1)
        desk.answer("1", 10)
    assert seen == []


def test_a_failure_is_believed_for_a_moment() -> None:
    desk = Desk()
    first = desk.get()
    desk.fail()
    assert [str(each) for each in first] == ["nobody answers"]
    assert str(desk.get()[0]) == "nobody answers"
    assert len(desk.asked) == 1
    desk.clock.advance(NEGATIVE)
    assert desk.get() == []
    assert len(desk.asked) == 2
    assert desk.clock.getDelayedCalls() == []


def test_a_denial_is_believed_as_long_as_it_says_within_bounds() -> None:
    for ttl, believed in ((0, LEAST_NEGATIVE), (20, 20), (1e9, MOST_NEGATIVE), (None, NEGATIVE)):
        desk = Desk()
        desk.get()
        desk.deny(ttl)
        desk.clock.advance(believed - 0.1)
        assert isinstance(desk.get()[0], ResolutionError)
        desk.clock.advance(0.1)
        assert desk.get() == []


def test_a_lookup_that_breaks_is_a_failure() -> None:
    def broken(name: str) -> Deferred[Found[str]]:
        raise RuntimeError

    cache = Cache(broken, Clock().seconds)
    told: list[object] = []
    cache.get("a").addErrback(lambda failure: told.append(failure.value))
    assert [(type(each), str(each)) for each in told] == [(ResolutionError, "RuntimeError")]


def test_without_timers_whoever_asks_after_the_end_waits() -> None:
    clock, asked = Clock(), list[Deferred[Found[str]]]()

    def ask(name: str) -> Deferred[Found[str]]:
        asked.append(Deferred())
        return asked[-1]

    cache = Cache(ask, clock.seconds)
    cache.get("a")
    asked[-1].callback(Found("1", 10))
    clock.advance(9.9)
    assert cache.peek("a") == "1"
    clock.advance(0.1)
    assert cache.peek("a") is None
    told: list[str] = []
    cache.get("a").addCallback(told.append)
    asked[-1].errback(ResolutionError("away"))
    assert told == ["1"]
    assert cache.peek("a") == "1"


# Those who follow


def test_followers_are_told_of_changes_and_nothing_else() -> None:
    desk = Desk()
    seen = desk.follow()
    assert len(desk.asked) == 1, "it is looked up at once"
    desk.answer("1", 10)
    desk.clock.advance(9)
    desk.answer("1", 10)
    desk.clock.advance(9)
    desk.answer("2", 10)
    desk.clock.advance(9)
    desk.fail()
    assert seen == ["1", "2"]


def test_what_is_followed_is_renewed_for_ever() -> None:
    desk = Desk()
    desk.follow()
    desk.answer("1", 3600)
    desk.clock.advance(3600)
    desk.answer("1", 3600)
    desk.clock.advance(3600)
    assert len(desk.asked) == 3


def test_what_is_followed_and_not_there_is_asked_for_again() -> None:
    desk = Desk()
    seen = desk.follow()
    desk.fail()
    desk.clock.advance(NEGATIVE)
    desk.deny(5)
    desk.clock.advance(5)
    desk.answer("1")
    assert seen == ["1"]


def test_whoever_follows_no_more_is_told_no_more() -> None:
    desk = Desk()
    seen: list[None] = []

    def changed() -> None:
        seen.append(None)

    desk.cache.follow("a", changed)
    desk.cache.unfollow("a", changed)
    desk.answer("1", 10)
    assert seen == []
    desk.clock.advance(IDLE * 2)
    if not desk.asked[-1][1].called:
        desk.answer("1", 10)
    desk.clock.advance(IDLE * 2)
    assert desk.clock.getDelayedCalls() == []


def test_following_what_is_known_and_idle_looks_it_up() -> None:
    desk = Desk()
    desk.get()
    desk.fail()
    desk.follow()
    assert len(desk.asked) == 2
    known_already = known()
    known_already.follow()
    assert len(known_already.asked) == 1


# Bounds


def test_names_are_bounded_and_those_in_use_stay() -> None:
    desk = Desk()
    desk.follow("followed")
    desk.answer("1")
    waiting = desk.get("waited for")
    for number in range(CAPACITY + 10):
        desk.get(f"n{number}")
        desk.answer(str(number))
    assert len(desk.cache) == CAPACITY
    assert desk.cache.peek("n0") is None
    assert desk.cache.peek(f"n{CAPACITY + 9}") is not None
    assert desk.cache.peek("followed") == "1"
    desk.asked[1][1].callback(Found("2", 1))
    assert waiting == ["2"]
    assert len(desk.clock.getDelayedCalls()) == CAPACITY, "nothing is left of those that went"


def test_where_all_are_in_use_there_are_more() -> None:
    desk = Desk()
    for number in range(CAPACITY + 1):
        desk.follow(f"n{number}")
    assert len(desk.cache) == CAPACITY + 1


def test_stopping_leaves_nothing() -> None:
    desk = known()
    waiting = desk.get("b")
    desk.get("c")
    desk.asked[-1][1].errback(ResolutionError("away"))
    desk.cache.stop()
    assert desk.clock.getDelayedCalls() == []
    assert desk.cancelled == ["b"]
    assert [type(each) for each in waiting] == [ResolutionError]
    renewing = known(ttl=10)
    renewing.clock.advance(9)
    renewing.cache.stop()
    assert renewing.clock.getDelayedCalls() == []


def test_an_answer_at_once() -> None:
    cache: Cache[str] = Cache(lambda name: fail(ResolutionError("at once")), Clock().seconds)
    told: list[object] = []
    cache.get("a").addErrback(lambda failure: told.append(str(failure.value)))
    assert told == ["at once"]


class Life(RuleBasedStateMachine):
    """Whatever happens: who has had an answer never fails before it is long gone, and nobody waits without a lookup."""

    @initialize(follows=st.booleans())
    def begin(self, follows: bool) -> None:
        self.desk = Desk()
        self.waiting: list[list[object]] = []
        self.last: str | None = None
        self.denied_since: float | None = None
        if follows:
            self.desk.follow()

    @property
    def pending(self) -> list[Deferred[Found[str]]]:
        return [answer for _, answer in self.desk.asked if not answer.called]

    @rule()
    def ask(self) -> None:
        told = self.desk.get()
        if not told:
            self.waiting.append(told)
        elif isinstance(told[0], ResolutionError):
            gone = self.denied_since is not None and self.desk.clock.seconds() - self.denied_since >= GONE
            assert self.last is None or gone, "there was an answer"
        else:
            assert told == [self.last]

    @rule(seconds=st.floats(0.01, 100))
    def wait(self, seconds: float) -> None:
        self.desk.clock.advance(seconds)

    @rule(value=st.sampled_from("123"), ttl=st.floats(0, 1e6))
    def answer(self, value: str, ttl: float) -> None:
        for answer in self.pending:
            self.last, self.denied_since = value, None
            answer.callback(Found(value, ttl))

    @rule(ttl=st.none() | st.floats(0, 1e6))
    def deny(self, ttl: float | None) -> None:
        for answer in self.pending:
            now = self.desk.clock.seconds()
            self.denied_since = now if self.denied_since is None else self.denied_since
            if now - self.denied_since >= GONE:
                self.last = None
            answer.errback(NothingThere("no", ttl))

    @rule()
    def fail(self) -> None:
        for answer in self.pending:
            answer.errback(ResolutionError("away"))

    @invariant()
    def one_lookup_at_a_time(self) -> None:
        assert len(self.pending) <= 1

    @invariant()
    def whoever_waits_is_told(self) -> None:
        assert self.pending or all(self.waiting), "somebody waits, and nobody asks"

    @invariant()
    def what_is_known_is_the_last_answer(self) -> None:
        assert self.desk.cache.peek("a") in (None, self.last)

    @invariant()
    def timers_are_few(self) -> None:
        assert len(self.desk.clock.getDelayedCalls()) <= 1


TestLife = Life.TestCase


def test_the_bounds_make_sense() -> None:
    assert 0 < module.LEAST_TTL < module.MOST_TTL
    assert 0 < module.LEAST_NEGATIVE < module.MOST_NEGATIVE
