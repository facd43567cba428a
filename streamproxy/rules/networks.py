"""
Addresses: which routes' conditions on networks and ports hold, by tuple-space search.

Conditions are grouped by their shape (which of client network, server network and port they name, with what prefix
lengths). A shape is one dictionary from the masked addresses to the first route, so a lookup costs one probe for each
shape there is, however many networks there are. An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is the IPv4
address it maps, in connections and in conditions; ``::/0`` stands for IPv6 proper only. Scope ids are dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple, TypeAlias

from attrs import frozen

from streamproxy.model import Facts, Match, Network

NEVER: Final = sys.maxsize
"""The index of no route; greater than that of any."""

_MAPPED = b"\0" * 10 + b"\xff\xff"


@lru_cache(maxsize=1024)
def parse_ip(host: str) -> tuple[int, int]:
    """The family (4 or 6) and the number of the IP literal ``host``; ``(0, 0)`` when it is none."""
    try:
        if ":" not in host:
            return 4, int.from_bytes(inet_pton(AF_INET, host), "big")
        packed = inet_pton(AF_INET6, host.partition("%")[0])
    except (OSError, ValueError):
        return 0, 0
    if packed.startswith(_MAPPED):
        return 4, int.from_bytes(packed[12:], "big")
    return 6, int.from_bytes(packed, "big")


def unmapped(network: Network) -> Network:
    """The IPv4 network that ``network`` maps, or itself when it maps none."""
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        address = network.network_address.ipv4_mapped
        if address is not None:
            return IPv4Network((address, network.prefixlen - 96))
    return network


def is_conditional(match: Match) -> bool:
    """Does it ask for anything other than a name?"""
    return match.remote is not None or match.server is not None or match.server_port is not None


def _mask(network: Network | None) -> tuple[int, int, int]:
    """The family, how far to shift an address to the right, and what it has to be then; zeros for no condition."""
    if network is None:
        return 0, 0, 0
    network = unmapped(network)
    shift = network.max_prefixlen - network.prefixlen
    return network.version, shift, int(network.network_address) >> shift


class _Shape(NamedTuple):
    """
    A family of 0 asks for no address. ``first`` is the lowest index in ``routes``, which are keyed by the port and the
    masked addresses that are asked for, side by side in one number.
    """

    first: int
    remote_family: int
    remote_shift: int
    server_family: int
    server_shift: int
    has_port: bool
    routes: dict[int, int]


@frozen(eq=False, weakref_slot=False)
class AddressIndex:
    """
    Routes by their conditions on addresses: ``shapes`` in order of their ``first``. ``otherwise`` is the route that
    has no conditions, or ``NEVER``.
    """

    shapes: tuple[_Shape, ...]
    otherwise: int

    def lowest(self, facts: Facts, below: int) -> int:
        """The lowest index of a route that matches, where that is lower than ``below``; else ``below``."""
        local = facts.accepted
        remote_family, remote = parse_ip(facts.peer.host)
        server_family, server = parse_ip(local.host)
        best = below if below < self.otherwise else self.otherwise
        for first, of_remote, remote_shift, of_server, server_shift, has_port, routes in self.shapes:
            if first >= best:
                break
            key = local.port if has_port else 0
            if of_remote:
                if of_remote != remote_family:
                    continue
                key = key << 128 | remote >> remote_shift
            if of_server:
                if of_server != server_family:
                    continue
                key = key << 128 | server >> server_shift
            index = routes.get(key, best)
            if index < best:
                best = index
        return best


Group: TypeAlias = int | AddressIndex
"""Routes that ask for the same name: the index of the first one when that asks for nothing else, or all by address."""


def group(routes: Iterable[tuple[int, Match]]) -> Group:
    """
    ``routes`` in ascending order of their indices. What comes after one without conditions cannot win and is left out.
    """
    shapes: dict[tuple[int, int, int, int, bool], dict[int, int]] = {}
    otherwise = NEVER
    for index, match in routes:
        if not is_conditional(match):
            otherwise = index
            break
        remote_family, remote_shift, remote = _mask(match.remote)
        server_family, server_shift, server = _mask(match.server)
        key = match.server_port or 0
        if remote_family:
            key = key << 128 | remote
        if server_family:
            key = key << 128 | server
        shape = remote_family, remote_shift, server_family, server_shift, match.server_port is not None
        shapes.setdefault(shape, {}).setdefault(key, index)
    if not shapes:
        return otherwise
    # All was filled in ascending order: a dictionary's first value is its lowest, and the shapes are in order too.
    found = (_Shape(next(iter(places.values())), *shape, places) for shape, places in shapes.items())
    return AddressIndex(tuple(found), otherwise)


def lowest(groups: Iterable[Group], facts: Facts, below: int) -> int:
    """The lowest index of a route that matches in any of ``groups``, where that is lower than ``below``."""
    for found in groups:
        index = found if isinstance(found, int) else found.lowest(facts, below)
        if index < below:
            below = index
    return below
