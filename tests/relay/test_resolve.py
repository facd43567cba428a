"""Names to addresses."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamproxy.relay import resolve
from streamproxy.relay.resolve import ResolutionError, Resolver, is_literal, system_lookup


class Directory:
    """A lookup that the test answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Deferred[tuple[str, ...]]]] = []

    def __call__(self, host: str) -> Deferred[tuple[str, ...]]:
        answer: Deferred[tuple[str, ...]] = Deferred()
        self.asked.append((host, answer))
        return answer


@pytest.mark.parametrize(
    ("host", "literal"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("fe80::1%eth0", True),
        ("localhost", False),
        ("1.2.3", False),
        ("a:b", False),
        ("", False),
    ],
)
def test_literals(host: str, literal: bool) -> None:
    assert is_literal(host) is literal


class ResolverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.directory = Directory()
        self.resolver = Resolver(self.directory, self.clock.seconds)

    def test_a_literal_asks_nobody(self) -> None:
        self.assertEqual(self.successResultOf(self.resolver.resolve("10.0.0.1")), ("10.0.0.1",))
        self.assertEqual(self.directory.asked, [])

    def test_everybody_waits_for_one_lookup_and_the_answer_is_kept(self) -> None:
        waiting = [self.resolver.resolve("db.internal"), self.resolver.resolve("DB.internal")]
        self.assertEqual(len(self.directory.asked), 1)
        self.directory.asked[0][1].callback(("::1", "10.0.0.2", "10.0.0.1"))
        for waiter in waiting:
            self.assertEqual(self.successResultOf(waiter), ("10.0.0.2", "10.0.0.1", "::1"))
        self.assertEqual(self.resolver.cached("db.internal"), ("10.0.0.2", "10.0.0.1", "::1"))
        self.clock.advance(resolve.FRESH + 1)
        self.assertIsNone(self.resolver.cached("db.internal"))

    def test_a_failure_is_told_to_all_and_believed_for_a_while(self) -> None:
        first = self.resolver.resolve("nowhere.invalid")
        self.directory.asked[0][1].errback(OSError("no such name"))
        self.assertIn("no such name", str(self.failureResultOf(first, ResolutionError).value))
        self.failureResultOf(self.resolver.resolve("nowhere.invalid"), ResolutionError)
        self.assertEqual(len(self.directory.asked), 1)
        self.clock.advance(resolve.NEGATIVE + 0.1)
        again = self.resolver.resolve("nowhere.invalid")
        self.assertEqual(len(self.directory.asked), 2)
        self.directory.asked[1][1].callback(())
        self.assertIn("no address", str(self.failureResultOf(again, ResolutionError).value))

    def test_the_last_good_answer_serves_when_a_refresh_fails(self) -> None:
        self.resolver.resolve("db")
        self.directory.asked[0][1].callback(("10.0.0.1",))
        self.clock.advance(resolve.FRESH + 1)
        later = self.resolver.resolve("db")
        self.directory.asked[1][1].errback(OSError("the server is away"))
        self.assertEqual(self.successResultOf(later), ("10.0.0.1",))
        self.assertEqual(self.resolver.cached("db"), ("10.0.0.1",))

    def test_names_are_bounded(self) -> None:
        resolver = Resolver(lambda host: succeed(("10.0.0.1",)), self.clock.seconds)
        for number in range(resolve.CAPACITY + 10):
            resolver.resolve(f"n{number}")
        self.assertIsNone(resolver.cached("n0"))
        self.assertIsNotNone(resolver.cached(f"n{resolve.CAPACITY}"))

    def test_an_immediate_failure(self) -> None:
        resolver = Resolver(lambda host: fail(OSError("at once")), self.clock.seconds)
        self.failureResultOf(resolver.resolve("x"), ResolutionError)


class _Threads:
    """A thread pool that has no threads, and its reactor."""

    def getThreadPool(self) -> _Threads:
        return self

    def callFromThread(self, f: object, *args: object) -> None:
        f(*args)  # type: ignore[operator]

    def callInThreadWithCallback(self, done: object, f: object, *args: object) -> None:
        try:
            done(True, f(*args))  # type: ignore[operator]
        except OSError:
            from twisted.python.failure import Failure

            done(False, Failure())  # type: ignore[operator]


class SystemTests(SynchronousTestCase):
    def test_the_operating_system_knows_localhost(self) -> None:
        self.assertIn("127.0.0.1", self.successResultOf(system_lookup(_Threads())("localhost")))

    def test_what_it_does_not_know_fails(self) -> None:
        self.failureResultOf(system_lookup(_Threads())("does-not-resolve.invalid"), OSError)
