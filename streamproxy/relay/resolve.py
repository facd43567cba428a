"""Names to addresses: cached, one lookup for everybody who waits, the last good answer kept when a refresh fails."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

# getaddrinfo tells no TTL. A changed record is followed within this many seconds.
FRESH = 30.0
# How long a failure is believed, so that a name that does not exist costs one lookup now and then.
NEGATIVE = 2.0
# Names kept; the least recently asked goes first.
CAPACITY = 4096


def is_literal(host: str) -> bool:
    """Is it an IP address already?"""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    except OSError:
        return False
    return True


class ResolutionError(Exception):
    """The name has no address, or nobody could say."""


@define
class _Entry:
    addresses: tuple[str, ...] = ()
    error: str = ""
    expires: float = 0.0
    waiting: list[Deferred[tuple[str, ...]]] | None = field(default=None)


# What really asks: (host) -> Deferred of the addresses, in any order.
Lookup = Callable[[str], "Deferred[tuple[str, ...]]"]


class Resolver:
    """
    ``seconds`` is a monotonic clock. Answers are IP literals, IPv4 first: a server that listens on one family only is
    then found by those who name it ``localhost``, whatever the order of ``/etc/hosts``.
    """

    def __init__(self, lookup: Lookup, seconds: Callable[[], float]) -> None:
        self._lookup = lookup
        self._seconds = seconds
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def cached(self, host: str) -> tuple[str, ...] | None:
        """The addresses if nobody has to be asked, else ``None``. Literals are their own answer."""
        if is_literal(host):
            return (host,)
        entry = self._entries.get(host.lower())
        if entry is not None and entry.addresses and entry.expires > self._seconds():
            return entry.addresses
        return None

    def resolve(self, host: str) -> Deferred[tuple[str, ...]]:
        """The addresses, at least one. Fails with :class:`ResolutionError`."""
        known = self.cached(host)
        if known is not None:
            return succeed(known)
        entry = self._entry(host.lower())
        if entry.error and entry.expires > self._seconds():
            return fail(ResolutionError(entry.error))
        waiter: Deferred[tuple[str, ...]] = Deferred()
        if entry.waiting is not None:
            entry.waiting.append(waiter)
            return waiter
        entry.waiting = [waiter]
        asked = self._lookup(host)
        asked.addCallbacks(self._answered, self._failed, callbackArgs=(entry, host), errbackArgs=(entry, host))
        return waiter

    def _entry(self, host: str) -> _Entry:
        entry = self._entries.setdefault(host, _Entry())
        self._entries.move_to_end(host)
        if len(self._entries) > CAPACITY:
            self._entries.popitem(last=False)
        return entry

    def _answered(self, addresses: tuple[str, ...], entry: _Entry, host: str) -> None:
        if not addresses:
            self._conclude(entry, f"{host} has no address")
            return
        entry.addresses = tuple(sorted(addresses, key=lambda address: ":" in address))
        entry.expires = self._seconds() + FRESH
        entry.error = ""
        self._fire(entry)

    def _failed(self, failure: Failure, entry: _Entry, host: str) -> None:
        self._conclude(entry, f"{host} could not be resolved: {failure.getErrorMessage()}")

    def _conclude(self, entry: _Entry, error: str) -> None:
        """No answer: the last good one serves on, if there ever was one."""
        entry.error = error
        entry.expires = self._seconds() + NEGATIVE
        self._fire(entry)

    def _fire(self, entry: _Entry) -> None:
        waiting, entry.waiting = entry.waiting or [], None
        for waiter in waiting:
            if entry.addresses:
                waiter.callback(entry.addresses)
            else:
                waiter.errback(ResolutionError(entry.error))


def system_lookup(reactor: Any) -> Lookup:
    """Ask the operating system (``/etc/hosts``, DNS) in the reactor's thread pool."""
    from twisted.internet.threads import deferToThreadPool

    def lookup(host: str) -> Deferred[tuple[str, ...]]:
        def ask() -> tuple[str, ...]:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))

        return deferToThreadPool(reactor, reactor.getThreadPool(), ask)

    return lookup
