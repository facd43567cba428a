"""A stub resolver: names to addresses and services, by asking recursive servers and looking into ``/etc/hosts``."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, cast

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from ...model import Address, ResolverSettings
from .answers import Found, NothingThere, ResolutionError
from .exchange import Ask, ServerError
from .message import AAAA, NO_ERROR, NO_SUCH_NAME, SRV, A, MessageError, Question, Reply, Service, follow
from .system import MOST_ADDRESSES, Hosts, ResolvConf, candidates

# Each server is asked so often, the others in between.
ROUNDS = 2

# A lookup, which may be several questions (searched domains, aliases), takes no longer than so many timeouts.
PATIENCE = 3

# Aliases that a server leaves to us to follow.
MOST_ALIASES = 8

# Questions under way; each has a socket.
MOST_AT_ONCE = 64

# Services of one name that are used.
MOST_SERVICES = 256

# IPv6 addresses are waited for that long (seconds) when the IPv4 ones are known: there are servers that never tell.
GRACE = 0.5

# The answers of /etc/hosts and of the system hold so long, since neither says how long they do.
HOSTS_TTL = 5.0
SYSTEM_TTL = 30.0

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")
_LOCALHOST = ("127.0.0.1", "::1")

T = TypeVar("T")


@frozen
class Surroundings:
    """What there is beside DNS. ``fallback`` asks the system where it has no DNS server to name."""

    hosts: Callable[[], Hosts]
    resolv_conf: Callable[[], ResolvConf]
    fallback: Callable[[str], Deferred[tuple[str, ...]]]


class Stub:
    """A :class:`~.answers.Directory`. ``clock`` has the timers."""

    def __init__(self, ask: Ask, settings: ResolverSettings, surroundings: Surroundings, clock: IReactorTime) -> None:
        self._ask = ask
        self._settings = settings
        self._surroundings = surroundings
        self._clock = clock
        self._room = DeferredSemaphore(MOST_AT_ONCE)
        self._answered: Address | None = None

    def addresses(self, host: str) -> Deferred[Found[tuple[str, ...]]]:
        return self._begin(self._addresses(host), host)

    def services(self, name: str) -> Deferred[Found[tuple[Service, ...]]]:
        return self._begin(self._services(name), name)

    # Whole lookups

    def _begin(self, lookup: Coroutine[Deferred[Any], Any, T], name: str) -> Deferred[T]:
        timeout = PATIENCE * self._settings.timeout

        def expired(value: object, _: float) -> Any:
            raise ResolutionError(f"{name}: no answer in {timeout:g} s")

        return Deferred.fromCoroutine(lookup).addTimeout(timeout, self._clock, expired)

    async def _addresses(self, host: str) -> Found[tuple[str, ...]]:
        known = self._without_asking(host.removesuffix("."))
        if known:
            return Found(known, HOSTS_TTL)
        conf = self._surroundings.resolv_conf()
        if not (self._settings.servers or conf.servers):
            found = self._of_wanted_families(await self._of_system(host))
            if not found:
                raise NothingThere(f"{host} has no address")
            return Found(found, SYSTEM_TTL)
        return await self._search(host, conf, self._both_families)

    async def _of_system(self, host: str) -> tuple[str, ...]:
        try:
            return await self._surroundings.fallback(host)
        except OSError as error:
            raise ResolutionError(f"{host} could not be resolved: {error}") from error

    def _without_asking(self, name: str) -> tuple[str, ...]:
        known = self._surroundings.hosts().get(name, ())
        if not known and (name == "localhost" or name.endswith(".localhost")):
            # RFC 6761, section 6.3.
            known = _LOCALHOST
        return self._of_wanted_families(known)

    def _of_wanted_families(self, addresses: Sequence[str]) -> tuple[str, ...]:
        return tuple(each for each in addresses if self._settings.ipv6 or ":" not in each)

    async def _services(self, name: str) -> Found[tuple[Service, ...]]:
        conf = self._surroundings.resolv_conf()
        if not (self._settings.servers or conf.servers):
            raise ResolutionError(f"{name}: there is no DNS server to ask for services")
        return await self._search(name, conf, self._offered)

    async def _search(
        self, host: str, conf: ResolvConf, ask: Callable[[str], Coroutine[Deferred[Any], Any, Found[T]]]
    ) -> Found[T]:
        """The first candidate that there is. Where nobody could say, the next one is not taken in its place."""
        denials: list[NothingThere] = []
        for name in candidates(host, conf):
            try:
                return await ask(name)
            except NothingThere as denial:
                denials.append(denial)
        ttls = [denial.ttl for denial in denials if denial.ttl is not None]
        why = str(denials[0]) if len(denials) == 1 else f"{host} does not exist, nor does it in the domains searched"
        raise NothingThere(why, min(ttls, default=None))

    # One name

    async def _both_families(self, name: str) -> Found[tuple[str, ...]]:
        asked = [Deferred.fromCoroutine(self._look_up(name, A))]
        if self._settings.ipv6:
            asked.append(Deferred.fromCoroutine(self._look_up(name, AAAA)))
        found: list[Found[tuple[str | Service, ...]]] = []
        problems: list[Exception] = []
        try:
            for answer in asked:
                if found:
                    answer.addTimeout(GRACE, self._clock)
                try:
                    found.append(await answer)
                except CancelledError:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever it is, the other family is there yet
                    problems.append(error)
        finally:
            for answer in asked:
                answer.addErrback(lambda _: None)
                answer.cancel()
        if found:
            addresses = tuple(cast("str", each) for one in found for each in one.value[:MOST_ADDRESSES])
            return Found(addresses, min(one.ttl for one in found))
        raise next((each for each in problems if not isinstance(each, NothingThere)), problems[0])

    async def _offered(self, name: str) -> Found[tuple[Service, ...]]:
        found = await self._look_up(name, SRV)
        places: dict[tuple[str, int], Service] = {}
        for each in sorted(cast("tuple[Service, ...]", found.value), key=_order):
            if each.port and _HOST_NAME.fullmatch(each.target) and len(places) < MOST_SERVICES:
                places.setdefault((each.target, each.port), each)
        if not places:
            raise NothingThere(f"{name} is not offered by anybody", found.ttl)
        return Found(tuple(places.values()), found.ttl)

    async def _look_up(self, name: str, kind: int) -> Found[tuple[str | Service, ...]]:
        """What there is of one kind, aliases followed."""
        ttl: float = float("inf")
        asked = name
        for _ in range(MOST_ALIASES):
            question = Question(asked, kind)
            reply = await self._room.run(self._ask_servers, question)
            try:
                chain = follow(reply.answers, question)
            except MessageError as error:
                raise ResolutionError(str(error)) from error
            ttl = min(ttl, float("inf") if chain.ttl is None else chain.ttl)
            if chain.data:
                return Found(chain.data, ttl if self._settings.valid is None else self._settings.valid)
            if reply.code == NO_SUCH_NAME:
                raise NothingThere(f"{chain.name} does not exist", _least(ttl, reply.negative_ttl))
            if chain.name == asked or reply.negative_ttl is not None:
                raise NothingThere(f"{question} has no records", _least(ttl, reply.negative_ttl))
            # The server leaves the rest to us.
            asked = chain.name
        raise ResolutionError(f"{name} has too many aliases")

    # Servers

    def _ask_servers(self, question: Question) -> Deferred[Reply]:
        return Deferred.fromCoroutine(self._ask_in_turn(question))

    async def _ask_in_turn(self, question: Question) -> Reply:
        """The first reply that says yes or no. The server that answered last is asked first."""
        servers = list(self._settings.servers or self._surroundings.resolv_conf().servers)
        if self._answered in servers:
            servers.remove(self._answered)
            servers.insert(0, self._answered)
        if not servers:
            raise ResolutionError(f"{question}: there is no DNS server to ask")
        wait = self._settings.timeout / (ROUNDS * len(servers))
        problems: dict[Address, str] = {}
        for server in servers * ROUNDS:
            try:
                reply = await self._ask(server, question, wait)
            except ServerError as error:
                problems[server] = str(error)
                continue
            if reply.code in (NO_ERROR, NO_SUCH_NAME):
                self._answered = server
                return reply
            problems[server] = f"{server}: {reply.code_name}"
        raise ResolutionError(f"{question}: {'; '.join(problems.values())}")


def _order(service: Service) -> tuple[int, int, str, int]:
    """An order of services that says nothing but that equal answers are equal."""
    return (service.priority, -service.weight, service.target, service.port)


def _least(ttl: float, negative: int | None) -> float | None:
    return None if negative is None else min(ttl, negative)
