"""
APISIX's ``stream_proxy``: the addresses at which the one table of stream routes is served.

An entry is a port, an address or a range (``9100``, ``"127.0.0.1:9101"``, ``"[::]:9100"``, ``"2000-2010"``,
``"[::1]:5000-5010"``), for TCP also an object that holds one of them as its ``addr``. A port alone is one of every
IPv4 address. The messages are APISIX's. Where it leaves the address to nginx (a host name), it is refused here: a
listener that waited for DNS could not start without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

from attrs import frozen

from streamproxy.errors import Problem
from streamproxy.model import ListenAddress, StaticListener, Transport, canonical_interface

from .claims import Claims
from .codec import MOST_PROBLEMS, Via, bounded, kind_of, shown, structure

# For each transport. A listener holds a descriptor, and few processes may open more.
MOST_LISTENERS = 10_000

T = TypeVar("T")

_ADDRESS = re.compile(r"(?:(\[[^\[\]]+\]|[^\[\]:]+):)?([^\[\]:]*)")
_PORTS = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
_FRACTION = re.compile(r"[0-9]+\.[0-9]+")


@frozen
class Range:
    """``interface`` as of :class:`ListenAddress`; both ports are in it."""

    interface: str
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def addresses(self, transport: Transport) -> Iterator[ListenAddress]:
        return (ListenAddress(transport, self.interface, port) for port in range(self.first, self.last + 1))


def expand(
    entries: object,
    transport: Transport,
    path: str,
    *,
    claims: Claims | None = None,
    proxy_protocol: bool = False,
    proxy_protocol_to_upstream: int = 0,
) -> tuple[tuple[StaticListener, ...], tuple[Problem, ...]]:
    """
    The listeners that the list ``entries``, which stands at ``path`` of a file, asks for; and what is wrong with the
    entries that have none. ``claims`` holds addresses that others have, and gets those found here.
    ``proxy_protocol`` and ``proxy_protocol_to_upstream`` are for the TCP entries that do not say.
    """
    if not isinstance(entries, (list, tuple)):
        return (), (Problem(path, "wrong_type", f"expected a list, got {kind_of(entries)}"),)
    claims = Claims() if claims is None else claims
    listeners: list[StaticListener] = []
    problems: list[Problem] = []
    for index, written in enumerate(entries):
        where = f"{path}[{index}]"
        entry, found = _decode(written, transport)
        if entry is not None:
            found = tuple(_refused(entry.addr, transport, len(listeners), claims))
        problems += [problem.under(where) for problem in found]
        if len(problems) > MOST_PROBLEMS:
            break
        if entry is None or found:
            continue
        for address in entry.addr.addresses(transport):
            claims.take(address, where)
            listeners.append(entry.listener(address, where, proxy_protocol, proxy_protocol_to_upstream))
    return tuple(listeners), bounded(problems)


def _refused(wanted: Range, transport: Transport, count: int, claims: Claims) -> Iterator[Problem]:
    """Why a range cannot be had, when there are ``count`` listeners already."""
    if count + len(wanted) > MOST_LISTENERS:
        yield Problem("", "bad_value", f"more than {MOST_LISTENERS} listeners are too many")
        return
    for address in wanted.addresses(transport):
        owner = claims.owner(address)
        if owner is not None:
            message = f"port {address.port} on {address.interface} is already taken by {owner}"
            yield Problem("", "conflict", message)
            return


def listen_range(value: object) -> Range:
    """What an ``addr`` says. Raises ``ValueError`` with APISIX's words for what it does not."""
    match value:
        case bool():
            raise ValueError("invalid port value type: boolean")
        case int():
            return Range("0.0.0.0", _port(value), value)
        case float():
            raise ValueError(f"port must be an integer, got: {value}")
        case str():
            return _parsed(value)
        case None:
            raise ValueError("invalid port value type: nil")
        case _:
            raise ValueError("invalid port value type: table")


def _parsed(value: str) -> Range:
    written = shown(value)[1:-1]
    address = _ADDRESS.fullmatch(value)
    if address is None:
        raise ValueError(f"invalid port format: {written}")
    host, text = address.groups()
    if not text:
        raise ValueError(f"missing port: {written}")
    if _FRACTION.fullmatch(text):
        raise ValueError(f"port must be an integer, got: {shown(text)[1:-1]}")
    ports = _PORTS.fullmatch(text)
    if ports is None:
        raise ValueError(f"invalid port format: {written}")
    first = _port(int(ports[1]))
    last = _port(int(ports[2])) if ports[2] else first
    if first > last:
        raise ValueError(f"invalid port range (start > end): {written}")
    try:
        interface = canonical_interface(host or "")
    except ValueError:
        raise ValueError(f"invalid port format: {written}") from None
    return Range(interface, first, last)


def _port(number: int) -> int:
    if not 1 <= number <= 65535:
        raise ValueError(f"port out of range (1-65535): {number if abs(number) < 10**20 else 'a far larger number'}")
    return number


def _version(value: object) -> int:
    if isinstance(value, bool):
        return int(value)
    if value not in (1, 2) or not isinstance(value, int):
        raise ValueError("expected a boolean, 1 or 2: the version of the PROXY protocol")
    return value


ProxyVersion = Annotated[int, Via(Any, _version)]
"""``true`` is APISIX's, version 1, and ``false`` is none."""

@frozen
class _Entry:
    addr: Annotated[Range, Via(Any, listen_range)]
    tls: bool = False
    tls_passthrough: bool = False
    proxy_protocol: bool | None = None
    proxy_protocol_to_upstream: ProxyVersion | None = None

    def listener(
        self, address: ListenAddress, path: str, proxy_protocol: bool, proxy_protocol_to_upstream: int
    ) -> StaticListener:
        """One of its listeners. The last two are for a TCP entry that does not say."""
        is_tcp = address.transport is Transport.TCP
        return StaticListener(
            address,
            path,
            tls=self.tls,
            proxy_protocol=is_tcp and _said(self.proxy_protocol, proxy_protocol),
            proxy_protocol_to_upstream=_said(self.proxy_protocol_to_upstream, proxy_protocol_to_upstream)
            if is_tcp
            else 0,
            tls_passthrough=self.tls_passthrough,
        )


def _said(own: T | None, default: T) -> T:
    return default if own is None else own


def _decode(written: object, transport: Transport) -> tuple[_Entry | None, tuple[Problem, ...]]:
    """An entry and its problems, whose paths are relative to it."""
    is_object = isinstance(written, Mapping) and transport is Transport.TCP
    value = written if is_object else {"addr": written}
    entry, problems = structure(value, _Entry, forbid_extra=True, null_is_absent=is_object)
    return entry, tuple(_as_apisix(problem, transport, is_object) for problem in problems)


def _as_apisix(problem: Problem, transport: Transport, is_object: bool) -> Problem:
    if problem.path != "addr" or problem.code != "bad_value":
        return problem
    return Problem(
        "addr" if is_object else "",
        problem.code,
        f"invalid stream_proxy.{transport.value} entry: {problem.message}",
    )
