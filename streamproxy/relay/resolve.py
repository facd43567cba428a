"""Names to addresses: cached, one lookup for everybody who waits, the last good answer kept when a refresh fails."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, count, zip_longest
from typing import Any, NoReturn

from attrs import field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from ..model import NameStatus, ResolverSettings
from .dns.answers import Directory, Found, NothingThere, ResolutionError
from .dns.cache import Cache, CallLater, Entry, no_timers
from .dns.exchange import Exchanges
from .dns.message import Service
from .dns.stub import SYSTEM_TTL, Stub, Surroundings
from .dns.system import HOSTS, RESOLV_CONF, Followed, parse_hosts, parse_resolv_conf

__all__ = ["Lookup", "ResolutionError", "Resolver", "dns_resolver", "is_literal", "system_lookup"]


@lru_cache(maxsize=4096)
def is_literal(host: str) -> bool:
    """Is it an IP address already?"""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    except OSError:
        return False
    return True


# What really asks: (host) -> Deferred of the addresses, in any order.
Lookup = Callable[[str], "Deferred[tuple[str, ...]]"]


@frozen
class _Untimed:
    """A directory of someone who knows addresses only, and not how long they hold."""

    lookup: Lookup

    def addresses(self, host: str) -> Deferred[Found[tuple[str, ...]]]:
        def found(addresses: tuple[str, ...]) -> Found[tuple[str, ...]]:
            if not addresses:
                raise NothingThere(f"{host} has no address")
            return Found(addresses, SYSTEM_TTL)

        def failed(failure: Failure) -> NoReturn:
            raise ResolutionError(f"{host} could not be resolved: {failure.getErrorMessage()}")

        return self.lookup(host).addErrback(failed).addCallback(found)

    def services(self, name: str) -> Deferred[Found[tuple[Service, ...]]]:
        return fail(ResolutionError(f"{name}: there is nobody to ask for services"))


@frozen
class _Addresses:
    """The addresses of a name, which take turns at being the first."""

    every: tuple[str, ...]
    _turns: Iterator[int] = field(factory=count, eq=False, init=False)

    def in_turn(self) -> tuple[str, ...]:
        """
        All of them. The families alternate (RFC 8305, section 4), so that one that does not work costs one try. IPv4
        begins: a server that listens on one family only is then found by those who name it ``localhost``.
        """
        if len(self.every) == 1:
            return self.every
        turn = next(self._turns)
        families = (
            _from(turn, [each for each in self.every if ":" not in each]),
            _from(turn, [each for each in self.every if ":" in each]),
        )
        return tuple(each for each in chain.from_iterable(zip_longest(*families)) if each is not None)


def _from(turn: int, addresses: list[str]) -> list[str]:
    first = turn % len(addresses) if addresses else 0
    return addresses[first:] + addresses[:first]


class Resolver:
    """
    ``directory`` is asked, or a function that knows addresses. ``seconds`` is a monotonic clock and ``call_later`` its
    timers, without which nothing is renewed before somebody asks. Answers are IP literals.
    """

    def __init__(
        self,
        directory: Directory | Lookup,
        seconds: Callable[[], float],
        call_later: CallLater = no_timers,
    ) -> None:
        asked = directory if isinstance(directory, Directory) else _Untimed(directory)

        def addresses(host: str) -> Deferred[Found[_Addresses]]:
            return asked.addresses(host).addCallback(lambda found: Found(_Addresses(found.value), found.ttl))

        self._seconds = seconds
        self._addresses = Cache(addresses, seconds, call_later)
        self._services = Cache(asked.services, seconds, call_later)

    def cached(self, host: str) -> tuple[str, ...] | None:
        """The addresses if nobody has to be asked, else ``None``. Literals are their own answer."""
        if is_literal(host):
            return (host,)
        known = self._addresses.peek(host.lower())
        return None if known is None else known.in_turn()

    def resolve(self, host: str) -> Deferred[tuple[str, ...]]:
        """The addresses, at least one, the first to try in front. Fails with :class:`ResolutionError`."""
        if is_literal(host):
            return succeed((host,))
        return self._addresses.get(host.lower()).addCallback(_Addresses.in_turn)

    def known_services(self, name: str) -> tuple[Service, ...] | None:
        """The services if nobody has to be asked."""
        return self._services.peek(name.lower())

    def services(self, name: str) -> Deferred[tuple[Service, ...]]:
        """The services of a name (``_mysql._tcp.db.example``). Fails with :class:`ResolutionError`."""
        return self._services.get(name.lower())

    def follow_services(self, name: str, changed: Callable[[], None]) -> None:
        """Keep them known, and call ``changed`` whenever they become others."""
        self._services.follow(name.lower(), changed)

    def unfollow_services(self, name: str, changed: Callable[[], None]) -> None:
        """Do so no more."""
        self._services.unfollow(name.lower(), changed)

    def status(self) -> tuple[NameStatus, ...]:
        """Every name that was asked for, and what is known of it."""
        now = self._seconds()
        addresses = [
            _status(name, "addresses", entry, [] if entry.value is None else entry.value.every, now)
            for name, entry in self._addresses.entries()
        ]
        services = [
            _status(name, "services", entry, [_shown(each) for each in entry.value or ()], now)
            for name, entry in self._services.entries()
        ]
        return (*addresses, *services)

    def start(self) -> None:
        """The first question starts it."""

    def stop(self) -> None:
        """Leave no timer and no socket behind."""
        self._addresses.stop()
        self._services.stop()


def _status(name: str, kind: str, entry: Entry[Any], answers: Sequence[str], now: float) -> NameStatus:
    has_answer = entry.value is not None
    return NameStatus(
        name,
        kind,
        tuple(answers),
        ttl=max(0.0, entry.fresh_until - now) if has_answer else None,
        is_stale=has_answer and now >= entry.fresh_until,
        error=entry.error,
        next_lookup=max(0.0, entry.due_at - now) if entry.due is not None else None,
    )


def _shown(service: Service) -> str:
    return f"{service.target}:{service.port} priority {service.priority} weight {service.weight}"


def dns_resolver(
    reactor: Any, settings: ResolverSettings, hosts: str = HOSTS, resolv_conf: str = RESOLV_CONF
) -> Resolver:
    """
    One that asks ``settings.servers``, or those of ``resolv_conf``, or where there are none either the system; what
    ``hosts`` says comes first.
    """
    surroundings = Surroundings(
        Followed(hosts, parse_hosts), Followed(resolv_conf, parse_resolv_conf), system_lookup(reactor)
    )
    exchanges = Exchanges(reactor, lambda: secrets.randbelow(1 << 16))
    stub = Stub(exchanges, settings, surroundings, reactor)
    return Resolver(stub, reactor.seconds, reactor.callLater)


def system_lookup(reactor: Any) -> Lookup:
    """Ask the operating system (``/etc/hosts``, DNS) in the reactor's thread pool."""
    from twisted.internet.threads import deferToThreadPool

    def lookup(host: str) -> Deferred[tuple[str, ...]]:
        def ask() -> tuple[str, ...]:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))

        return deferToThreadPool(reactor, reactor.getThreadPool(), ask)

    return lookup
