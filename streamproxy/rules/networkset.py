"""Is an address in any of many networks? The cost grows with the prefix lengths there are, not with the networks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from attrs import frozen

from streamproxy.model import Network

from .networks import parse_ip, unmapped

# ipaddress also takes netmasks and scopes, which APISIX refuses.
_NETWORK: Final = re.compile(r"[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?")

# The longest address has 45 characters, and a scope may follow it. What is longer is none, and not worth remembering.
_LONGEST = 64


def parse_network(text: str) -> Network:
    """
    The network that ``text`` (``10.0.0.0/8``, ``::1``) names; bits behind its prefix are dropped.

    Raises ``ValueError`` with APISIX's words.
    """
    if _NETWORK.fullmatch(text) is not None:
        try:
            return ipaddress.ip_network(text, strict=False)
        except ValueError:
            pass
    raise ValueError(f"invalid ip address: {text:.80}")


@frozen(eq=False)
class NetworkSet:
    """
    An IPv4-mapped IPv6 address is the IPv4 address it maps, in the set and in what is looked for. ``shapes``: a family,
    how far addresses are shifted to the right, and what the networks of that prefix length are then.
    """

    shapes: tuple[tuple[int, int, frozenset[int]], ...]

    @classmethod
    def of(cls, networks: Iterable[Network]) -> NetworkSet:
        shapes: dict[tuple[int, int], set[int]] = {}
        for each in networks:
            network = unmapped(each)
            shift = network.max_prefixlen - network.prefixlen
            shapes.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)
        return cls(tuple((*shape, frozenset(found)) for shape, found in shapes.items()))

    def __contains__(self, host: str) -> bool:
        """Is the IP literal ``host`` in one of the networks? Other text is in none."""
        if len(host) > _LONGEST:
            return False
        family, number = parse_ip(host)
        return any(family == of and number >> shift in found for of, shift, found in self.shapes)
