"""Names to addresses."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from streamproxy.model import Address, NameStatus, ResolverSettings
from streamproxy.relay.dns.answers import Found, NothingThere
from streamproxy.relay.dns.cache import NEGATIVE
from streamproxy.relay.dns.message import A, Service
from streamproxy.relay.dns.stub import HOSTS_TTL, SYSTEM_TTL
from streamproxy.relay.resolve import ResolutionError, Resolver, dns_resolver, is_literal, system_lookup

from .dns_wire import NameServer, address, asked_in, offer, reply
from .loop import Loop


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
        self.assertEqual(self.resolver.cached("::1"), ("::1",))
        self.assertEqual(self.directory.asked, [])

    def test_everybody_waits_for_one_lookup_and_the_answer_is_kept(self) -> None:
        waiting = [self.resolver.resolve("db.internal"), self.resolver.resolve("DB.internal")]
        self.assertEqual(len(self.directory.asked), 1)
        self.directory.asked[0][1].callback(("10.0.0.1",))
        for waiter in waiting:
            self.assertEqual(self.successResultOf(waiter), ("10.0.0.1",))
        self.assertEqual(self.resolver.cached("db.internal"), ("10.0.0.1",))
        self.clock.advance(SYSTEM_TTL + 1)
        self.assertIsNone(self.resolver.cached("db.internal"))

    def test_addresses_take_turns_and_families_alternate(self) -> None:
        first = self.resolver.resolve("db")
        self.directory.asked[0][1].callback(("::1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "::2"))
        self.assertEqual(self.successResultOf(first), ("10.0.0.1", "::1", "10.0.0.2", "::2", "10.0.0.3"))
        seen = [self.resolver.cached("db") for _ in range(3)]
        self.assertEqual(
            seen,
            [
                ("10.0.0.2", "::2", "10.0.0.3", "::1", "10.0.0.1"),
                ("10.0.0.3", "::1", "10.0.0.1", "::2", "10.0.0.2"),
                ("10.0.0.1", "::2", "10.0.0.2", "::1", "10.0.0.3"),
            ],
        )

    def test_the_turns_of_one_name_are_not_those_of_another(self) -> None:
        for number, name in enumerate(("a", "b")):
            self.resolver.resolve(name)
            self.directory.asked[number][1].callback(("10.0.0.1", "10.0.0.2"))
        first = [(self.resolver.cached("a") or ("",))[0] for _ in range(4) if self.resolver.cached("b")]
        self.assertEqual(sorted(first), ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2"])

    def test_a_failure_is_told_to_all_and_believed_for_a_while(self) -> None:
        first = self.resolver.resolve("nowhere.invalid")
        self.directory.asked[0][1].errback(OSError("no such name"))
        self.assertIn("no such name", str(self.failureResultOf(first, ResolutionError).value))
        self.failureResultOf(self.resolver.resolve("nowhere.invalid"), ResolutionError)
        self.assertEqual(len(self.directory.asked), 1)
        self.clock.advance(NEGATIVE + 0.1)
        again = self.resolver.resolve("nowhere.invalid")
        self.assertEqual(len(self.directory.asked), 2)
        self.directory.asked[1][1].callback(())
        self.assertIn("no address", str(self.failureResultOf(again, ResolutionError).value))

    def test_the_last_good_answer_serves_when_a_refresh_fails(self) -> None:
        self.resolver.resolve("db")
        self.directory.asked[0][1].callback(("10.0.0.1",))
        self.clock.advance(SYSTEM_TTL + 1)
        later = self.resolver.resolve("db")
        self.directory.asked[1][1].errback(OSError("the server is away"))
        self.assertEqual(self.successResultOf(later), ("10.0.0.1",))
        self.assertEqual(self.resolver.cached("db"), ("10.0.0.1",))
        (status,) = self.resolver.status()
        self.assertEqual((status.is_stale, status.error), (True, "db could not be resolved: the server is away"))

    def test_an_immediate_failure(self) -> None:
        resolver = Resolver(lambda host: fail(OSError("at once")), self.clock.seconds)
        self.failureResultOf(resolver.resolve("x"), ResolutionError)

    def test_a_function_knows_no_services(self) -> None:
        problem = self.failureResultOf(self.resolver.services("_a._tcp.b"), ResolutionError)
        self.assertEqual(str(problem.value), "_a._tcp.b: there is nobody to ask for services")


@define
class Town:
    """A directory whose answers stand."""

    hosts: dict[str, tuple[str, ...]] = field(factory=dict)
    offers: dict[str, tuple[Service, ...]] = field(factory=dict)

    def addresses(self, host: str) -> Deferred[Found[tuple[str, ...]]]:
        found = self.hosts.get(host)
        return fail(NothingThere(f"{host} does not exist", 9)) if found is None else succeed(Found(found, 60))

    def services(self, name: str) -> Deferred[Found[tuple[Service, ...]]]:
        return succeed(Found(self.offers[name], 10))


def test_services_are_followed() -> None:
    clock, town = Clock(), Town(offers={"_a._tcp.b": (Service(1, 2, 3, "c"),)})
    resolver = Resolver(town, clock.seconds, clock.callLater)
    seen: list[object] = []

    def changed() -> None:
        seen.append(resolver.known_services("_A._tcp.b"))

    resolver.follow_services("_a._tcp.B", changed)
    town.offers["_a._tcp.b"] = (Service(1, 2, 4, "c"),)
    clock.advance(9)
    found: list[object] = []
    resolver.services("_a._tcp.b").addCallback(found.append)
    resolver.unfollow_services("_a._tcp.b", changed)
    assert seen == [(Service(1, 2, 3, "c"),), (Service(1, 2, 4, "c"),)]
    assert found == [(Service(1, 2, 4, "c"),)]
    resolver.start()
    resolver.stop()
    assert clock.getDelayedCalls() == []


def test_what_is_known_can_be_seen() -> None:
    clock, town = Clock(), Town({"b.test": ("10.0.0.1", "::1")}, {"_a._tcp.b": (Service(1, 2, 3, "c"),)})
    resolver = Resolver(town, clock.seconds, clock.callLater)
    for name in ("b.test", "a.test"):
        resolver.resolve(name).addErrback(lambda _: None)
    resolver.services("_a._tcp.b")
    clock.advance(4)
    assert resolver.status() == (
        NameStatus("a.test", "addresses", (), None, error="a.test does not exist"),
        NameStatus("b.test", "addresses", ("10.0.0.1", "::1"), 56, next_lookup=55),
        NameStatus("_a._tcp.b", "services", ("c:3 priority 1 weight 2",), 6, next_lookup=5),
    )


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


# All of it, over real sockets


def test_a_server_is_asked(loop: Loop, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("10.9.9.9 known\n")

    def answer(data: bytes) -> list[bytes]:
        number, question = asked_in(data)
        if question.name.startswith("_"):
            return [reply(question, offer(question.name, 1, 2, 3, "c.test"), number=number)]
        records = [address(question.name, "10.0.0.1", ttl=60)] if question.kind == A else []
        return [reply(question, *records, number=number)]

    server = NameServer(answer)
    resolver = dns_resolver(
        loop, ResolverSettings((Address("127.0.0.1", server.port),), valid=7), str(hosts), str(tmp_path / "none")
    )
    try:
        found: list[object] = []
        resolver.resolve("known").addCallback(found.append)
        resolver.resolve("db.test").addCallback(found.append)
        resolver.services("_a._tcp.test").addCallback(found.append)
        loop.until(lambda: len(found) == 3, "all was answered")
        assert set(found) == {("10.9.9.9",), ("10.0.0.1",), (Service(1, 2, 3, "c.test"),)}
        assert [status.ttl for status in resolver.status()] == [7, HOSTS_TTL, 7]
        loop.advance(6.5)
        loop.until(lambda: len(server.asked) == 6, "all is asked again")
    finally:
        resolver.stop()
        server.close()
    assert loop.getDelayedCalls() == []
    assert loop.descriptors == 0


def test_without_servers_the_files_do(loop: Loop, tmp_path: Path) -> None:
    resolver = dns_resolver(loop, ResolverSettings(), "/nonexistent", str(tmp_path / "none"))
    found: list[object] = []
    resolver.resolve("localhost").addCallback(found.append)
    assert found == [("127.0.0.1", "::1")]
    (status,) = resolver.status()
    assert status.ttl == HOSTS_TTL
    resolver.stop()
