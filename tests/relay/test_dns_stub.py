"""Whole lookups: which servers are asked what, and what is made of their answers."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from streamproxy.model import Address, ResolverSettings
from streamproxy.relay.dns.answers import Found, NothingThere, ResolutionError
from streamproxy.relay.dns.exchange import ServerError
from streamproxy.relay.dns.message import AAAA, CNAME, SRV, A, Question, Record, Reply, Service
from streamproxy.relay.dns.stub import (
    GRACE,
    HOSTS_TTL,
    MOST_ALIASES,
    MOST_AT_ONCE,
    MOST_SERVICES,
    PATIENCE,
    SYSTEM_TTL,
    Stub,
    Surroundings,
)
from streamproxy.relay.dns.system import MOST_ADDRESSES, ResolvConf

T = TypeVar("T")

S1, S2 = Address("10.0.0.53", 53), Address("10.0.1.53", 53)

# What a server does: a reply, an error, or None: nothing at all.
Said = Reply | Exception | None


def records(*found: Record, code: int = 0, negative: int | None = None) -> Reply:
    return Reply(1, code, False, None, found, negative)


def a(name: str, *literals: str, ttl: int = 60) -> Reply:
    return records(*(Record(name, AAAA if ":" in each else A, ttl, each) for each in literals))


GONE = records(code=3, negative=30)
EMPTY = records(negative=20)
BROKEN = records(code=2)
AWAY = ServerError("away")


@define
class World:
    """Servers, files and a clock. ``zone`` has what is said to a question, by all servers or by one."""

    zone: dict[Any, Said] = field(factory=dict)
    conf: ResolvConf = ResolvConf((S1,))
    hosts: dict[str, tuple[str, ...]] = field(factory=dict)
    settings: ResolverSettings = ResolverSettings()
    system: tuple[str, ...] | OSError = ()
    clock: Clock = field(factory=Clock)
    asked: list[tuple[Address, str, float]] = field(factory=list)
    silent: list[Deferred[Reply]] = field(factory=list)

    def ask(self, server: Address, question: Question, timeout: float) -> Deferred[Reply]:
        self.asked.append((server, str(question), timeout))
        missing = GONE if not any(name.startswith(question.name + " ") for name in map(str, self.zone)) else EMPTY
        said = self.zone.get((server, str(question)), self.zone.get(str(question), missing))
        if said is None:
            answer: Deferred[Reply] = Deferred()
            self.silent.append(answer)
            return answer
        return fail(said) if isinstance(said, Exception) else succeed(said)

    @property
    def stub(self) -> Stub:
        def system(host: str) -> Deferred[tuple[str, ...]]:
            return fail(self.system) if isinstance(self.system, OSError) else succeed(self.system)

        surroundings = Surroundings(lambda: self.hosts, lambda: self.conf, system)
        return Stub(self.ask, self.settings, surroundings, self.clock)

    def questions(self) -> list[str]:
        return [question for _, question, _ in self.asked]


def told(answer: Deferred[T]) -> list[T | BaseException]:
    results: list[T | BaseException] = []
    answer.addCallbacks(results.append, lambda failure: results.append(failure.value))
    return results


def addresses(world: World, host: str = "db.test") -> Found[tuple[str, ...]]:
    (result,) = told(world.stub.addresses(host))
    assert isinstance(result, Found), result
    return result


def problem(world: World, host: str = "db.test") -> BaseException:
    (result,) = told(world.stub.addresses(host))
    assert isinstance(result, BaseException), result
    return result


# Addresses


def test_both_families_are_asked_for() -> None:
    world = World({"db.test A": a("db.test", "10.0.0.1", ttl=30), "db.test AAAA": a("db.test", "fd00::1", ttl=20)})
    assert addresses(world) == Found(("10.0.0.1", "fd00::1"), 20)
    assert world.asked == [(S1, "db.test A", 2.5), (S1, "db.test AAAA", 2.5)]


def test_how_long_answers_hold_can_be_configured() -> None:
    world = World({"db.test A": a("db.test", "10.0.0.1", ttl=3)}, settings=ResolverSettings(valid=30.0))
    assert addresses(world).ttl == 30
    assert addresses(world, "localhost").ttl == HOSTS_TTL


def test_one_family_is_enough() -> None:
    assert addresses(World({"db.test A": a("db.test", "10.0.0.1")})) == Found(("10.0.0.1",), 60)
    assert addresses(World({"db.test AAAA": a("db.test", "fd00::1")})) == Found(("fd00::1",), 60)
    assert addresses(World({"db.test A": a("db.test", "10.0.0.1"), "db.test AAAA": BROKEN})).value == ("10.0.0.1",)


def test_ipv6_can_be_switched_off() -> None:
    world = World({"db.test A": a("db.test", "10.0.0.1")}, settings=ResolverSettings(ipv6=False))
    addresses(world)
    assert world.questions() == ["db.test A"]
    world.hosts["both"] = ("::1", "127.0.0.1")
    assert addresses(world, "both").value == ("127.0.0.1",)
    assert addresses(world, "localhost").value == ("127.0.0.1",)


def test_ipv6_addresses_that_are_long_in_coming_are_not_waited_for() -> None:
    world = World({"db.test A": a("db.test", "10.0.0.1"), "db.test AAAA": None})
    results = told(world.stub.addresses("db.test"))
    assert results == []
    world.clock.advance(GRACE)
    assert results == [Found(("10.0.0.1",), 60)]
    assert world.clock.getDelayedCalls() == []


def test_ipv4_addresses_are() -> None:
    world = World({"db.test A": None, "db.test AAAA": a("db.test", "fd00::1")})
    results = told(world.stub.addresses("db.test"))
    world.clock.advance(GRACE * 2)
    assert results == []
    world.silent[0].callback(a("db.test", "10.0.0.1"))
    assert results == [Found(("10.0.0.1", "fd00::1"), 60)]


def test_a_name_that_does_not_exist() -> None:
    error = problem(World())
    assert isinstance(error, NothingThere)
    assert (str(error), error.ttl) == ("db.test does not exist", 30)


def test_a_name_without_addresses() -> None:
    error = problem(World({"db.test TXT": None}))
    assert isinstance(error, NothingThere)
    assert (str(error), error.ttl) == ("db.test A has no records", 20)
    vague = problem(World({"db.test A": records(), "db.test AAAA": records()}))
    assert isinstance(vague, NothingThere)
    assert vague.ttl is None


def test_that_one_family_is_not_there_does_not_say_that_the_other_is_not() -> None:
    error = problem(World({"db.test AAAA": BROKEN}))
    assert not isinstance(error, NothingThere)
    assert str(error) == "db.test AAAA: 10.0.0.53:53: SERVFAIL"


def test_addresses_are_bounded() -> None:
    world = World({"db.test A": a("db.test", *(f"10.0.{n // 250}.{n % 250}" for n in range(999)))})
    assert len(addresses(world).value) == MOST_ADDRESSES


# Aliases


def test_aliases_in_one_reply() -> None:
    reply = records(Record("db.test", CNAME, 10, "real.test"), Record("real.test", A, 60, "10.0.0.1"))
    assert addresses(World({"db.test A": reply})) == Found(("10.0.0.1",), 10)


def test_aliases_that_are_left_to_us() -> None:
    world = World(
        {
            "db.test A": records(Record("db.test", CNAME, 10, "real.other")),
            "real.other A": a("real.other", "10.0.0.1"),
        },
        settings=ResolverSettings(ipv6=False),
    )
    assert addresses(world) == Found(("10.0.0.1",), 10)
    assert world.questions() == ["db.test A", "real.other A"]


def test_an_alias_of_nothing() -> None:
    dangling = Record("db.test", CNAME, 10, "real.test")
    gone = problem(World({"db.test A": records(dangling, code=3, negative=99), "db.test AAAA": EMPTY}))
    assert (str(gone), getattr(gone, "ttl", 0)) == ("real.test does not exist", 10)
    empty = problem(World({"db.test A": records(dangling, negative=5), "db.test AAAA": EMPTY}))
    assert (str(empty), getattr(empty, "ttl", 0)) == ("db.test A has no records", 5)


def test_aliases_without_end() -> None:
    endless = {f"n{n} A": records(Record(f"n{n}", CNAME, 1, f"n{n + 1}")) for n in range(MOST_ALIASES + 2)}
    world = World({**endless}, settings=ResolverSettings(ipv6=False))
    assert str(problem(world, "n0")) == "n0 has too many aliases"
    assert len(world.asked) == MOST_ALIASES
    circle = records(Record("db.test", CNAME, 1, "db.test"))
    assert "circles" in str(problem(World({"db.test A": circle, "db.test AAAA": circle})))


# Searching


def test_short_names_are_searched_for() -> None:
    world = World(
        {"db.x A": a("db.x", "10.0.0.1")}, ResolvConf((S1,), ("w", "x")), settings=ResolverSettings(ipv6=False)
    )
    assert addresses(world, "db").value == ("10.0.0.1",)
    assert world.questions() == ["db.w A", "db.x A"]
    world.asked.clear()
    assert "does not exist, nor does it in the domains searched" in str(problem(world, "other"))
    assert world.questions() == ["other.w A", "other.x A", "other A"]
    world.asked.clear()
    problem(world, "db.")
    assert world.questions() == ["db A"]


def test_where_nobody_could_say_another_name_does_not_take_its_place() -> None:
    world = World(
        {"db.w A": BROKEN, "db.x A": a("db.x", "10.0.0.66")},
        ResolvConf((S1,), ("w", "x")),
        settings=ResolverSettings(ipv6=False),
    )
    assert "SERVFAIL" in str(problem(world, "db"))


# Servers


def test_configured_servers_come_before_the_systems() -> None:
    world = World({"db.test A": a("db.test", "10.0.0.1")}, settings=ResolverSettings((S2,), ipv6=False))
    addresses(world)
    assert world.asked == [(S2, "db.test A", 2.5)]


@pytest.mark.parametrize("said", [AWAY, BROKEN, records(code=5)])
def test_the_next_server_is_asked_and_stays_the_first(said: Said) -> None:
    world = World(
        {(S1, "db.test A"): said, (S2, "db.test A"): a("db.test", "10.0.0.1")},
        settings=ResolverSettings((S1, S2), timeout=8, ipv6=False),
    )
    stub = world.stub
    told(stub.addresses("db.test"))
    assert world.asked == [(S1, "db.test A", 2), (S2, "db.test A", 2)]
    told(stub.addresses("db.test"))
    assert world.asked[2:] == [(S2, "db.test A", 2)]


def test_nobody_answers() -> None:
    world = World({"db.test A": AWAY}, settings=ResolverSettings((S1, S2), ipv6=False))
    assert str(problem(world)) == "db.test A: away; away"
    assert [server for server, *_ in world.asked] == [S1, S2, S1, S2]


def test_one_that_was_lost_is_asked_once_more() -> None:
    world = World({"db.test A": None}, settings=ResolverSettings(ipv6=False))
    results = told(world.stub.addresses("db.test"))
    world.zone["db.test A"] = a("db.test", "10.0.0.1")
    world.silent[0].errback(AWAY)
    assert results == [Found(("10.0.0.1",), 60)]


def test_a_lookup_takes_only_so_long() -> None:
    world = World({"db.test A": None, "db.test AAAA": None})
    results = told(world.stub.addresses("db.test"))
    world.clock.advance(PATIENCE * 5 - 0.1)
    assert results == []
    world.clock.advance(0.2)
    assert [str(each) for each in results] == ["db.test: no answer in 15 s"]
    assert all(each.called for each in world.silent), "no question is left behind"
    assert world.clock.getDelayedCalls() == []


def test_a_cancelled_lookup_leaves_no_question_behind() -> None:
    world = World({"db.test A": None, "db.test AAAA": None})
    answer = world.stub.addresses("db.test")
    results = told(answer)
    answer.cancel()
    assert len(results) == 1
    assert all(each.called for each in world.silent)
    assert world.clock.getDelayedCalls() == []


def test_only_so_many_questions_at_once() -> None:
    world = World({f"n{n} A": None for n in range(200)}, settings=ResolverSettings(ipv6=False))
    stub = world.stub
    results = [told(stub.addresses(f"n{n}")) for n in range(200)]
    assert len(world.asked) == MOST_AT_ONCE
    while world.silent:
        world.silent.pop(0).callback(GONE)
    assert all(results)


# Without DNS


def test_hosts_come_first() -> None:
    world = World({"db.test A": a("db.test", "10.0.0.1")}, hosts={"db.test": ("10.9.9.9", "fd00::9")})
    assert addresses(world) == Found(("10.9.9.9", "fd00::9"), HOSTS_TTL)
    assert addresses(world, "db.test.").value == ("10.9.9.9", "fd00::9")
    assert world.asked == []


@pytest.mark.parametrize("name", ["localhost", "a.localhost", "localhost."])
def test_localhost_is_known_to_everybody(name: str) -> None:
    world = World(conf=ResolvConf())
    assert addresses(world, name).value == ("127.0.0.1", "::1")
    world.hosts["localhost"] = ("127.0.0.2",)
    assert addresses(world, "localhost").value == ("127.0.0.2",)


def test_where_there_is_no_server_the_system_is_asked() -> None:
    world = World(conf=ResolvConf(), system=("10.0.0.1", "fd00::1"))
    assert addresses(world) == Found(("10.0.0.1", "fd00::1"), SYSTEM_TTL)
    world.settings = ResolverSettings(ipv6=False)
    assert addresses(world).value == ("10.0.0.1",)
    world.system = ()
    assert str(problem(world)) == "db.test has no address"
    world.system = OSError("no such name")
    assert str(problem(world)) == "db.test could not be resolved: no such name"
    (error,) = told(world.stub.services("_a._tcp.test"))
    assert str(error) == "_a._tcp.test: there is no DNS server to ask for services"


def test_servers_that_go_away_meanwhile() -> None:
    world = World({"n A": records(Record("n", CNAME, 1, "m"))}, settings=ResolverSettings(ipv6=False))
    confs = [ResolvConf((S1,)), ResolvConf((S1,)), ResolvConf()]
    surroundings = Surroundings(dict, lambda: confs.pop(0), lambda host: succeed(()))
    (error,) = told(Stub(world.ask, world.settings, surroundings, world.clock).addresses("n"))
    assert str(error) == "m A: there is no DNS server to ask"


# Services


def offers(*found: Service, ttl: int = 60) -> dict[Any, Said]:
    return {"_a._tcp.test SRV": records(*(Record("_a._tcp.test", SRV, ttl, each) for each in found))}


def services(world: World) -> Found[tuple[Service, ...]] | BaseException:
    (result,) = told(world.stub.services("_a._tcp.test"))
    return result


def test_services_come_in_an_order_that_does_not_change() -> None:
    first, second, third = Service(1, 5, 80, "b.test"), Service(1, 5, 81, "b.test"), Service(2, 9, 80, "a.test")
    assert services(World(offers(third, second, first))) == Found((first, second, third), 60)
    assert services(World(offers(first, second, third))) == Found((first, second, third), 60)


def test_places_that_nobody_could_connect_to_are_left_out() -> None:
    good = Service(1, 5, 80, "b_1.test")
    odd = [
        Service(1, 1, 0, "b.test"),
        Service(0, 1, 80, ""),
        Service(0, 1, 80, "a\\032b"),
        Service(3, 1, 80, "b_1.test"),
    ]
    assert services(World(offers(good, *odd))) == Found((good,), 60)


def test_a_service_that_is_decidedly_not_offered() -> None:
    error = services(World(offers(Service(0, 0, 0, ""), ttl=9)))
    assert isinstance(error, NothingThere)
    assert (str(error), error.ttl) == ("_a._tcp.test is not offered by anybody", 9)


def test_services_are_bounded() -> None:
    found = services(World(offers(*(Service(1, 1, 1 + n, "b.test") for n in range(999)))))
    assert isinstance(found, Found)
    assert len(found.value) == MOST_SERVICES


REPLIES = st.one_of(
    st.none(),
    st.just(AWAY),
    st.builds(
        lambda found, code, negative: records(*found, code=code, negative=negative),
        st.lists(
            st.one_of(
                st.builds(
                    Record,
                    st.sampled_from(["n", "m", "o"]),
                    st.just(CNAME),
                    st.integers(0, 99),
                    st.sampled_from(["n", "m", "o"]),
                ),
                st.builds(
                    Record, st.sampled_from(["n", "m", "o"]), st.just(A), st.integers(0, 99), st.just("10.0.0.1")
                ),
            ),
            max_size=4,
        ),
        st.integers(0, 5),
        st.none() | st.integers(0, 99),
    ),
)


@given(st.dictionaries(st.sampled_from([f"{n} {kind}" for n in "nmo" for kind in ("A", "AAAA")]), REPLIES))
def test_whatever_servers_say_a_lookup_ends(zone: dict[Any, Said]) -> None:
    world = World(zone, ResolvConf((S1, S2), ("x",)))
    results = told(world.stub.addresses("n"))
    world.clock.pump([1.0] * 16)
    (result,) = results
    assert isinstance(result, ResolutionError | Found), result
    assert world.clock.getDelayedCalls() == []
