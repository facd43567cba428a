"""Members: the live side of places that upstreams lead to. They outlive a change of what leads there."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable
from typing import TypeAlias

from attrs import define, field

from ..model import Node
from .health import Health
from .queue import Queue

# After so many seconds a connect time that was measured counts e times less.
DECAY = 10.0

# What a failed connect counts as, in seconds: a node that refuses at once is not to pass for a fast one.
FAILURE_LATENCY = 1.0

# The least share of its weight that a node has that has just recovered.
FIRST_SHARE = 0.05

# What tells members apart: host, the address that is dialled in its place, port.
MemberKey: TypeAlias = "tuple[str, str | None, int]"


def member_key(node: Node) -> MemberKey:
    return (node.host, node.ip, node.port)


@define(eq=False)
class Member:
    """
    One place. ``sessions`` are open to it. ``latency`` is its smoothed connect time as of ``measured_at``.
    ``recovered_at`` is when it last came back, ``retry_at`` when a node that nobody asks is tried again.
    """

    ip: str
    health: Health = Health()
    sessions: int = 0
    latency: float | None = None
    measured_at: float = 0.0
    recovered_at: float | None = None
    retry_at: float = 0.0
    detail: str = ""

    @classmethod
    def of(cls, node: Node) -> Member:
        return cls(node.dial_host if _is_address(node.dial_host) else "")

    def measure(self, elapsed: float, now: float) -> None:
        """
        Remember a connect time: a longer one than expected at once, a shorter one the more, the longer ago the last
        was (peak EWMA).
        """
        elapsed = max(0.0, elapsed)
        known = self.latency
        if known is None or elapsed > known:
            self.latency = elapsed
        else:
            share = math.exp(-max(0.0, now - self.measured_at) / DECAY)
            self.latency = known * share + elapsed * (1.0 - share)
        self.measured_at = now

    def expected(self, now: float) -> float:
        """The connect time to expect: nothing is held against it for ever."""
        if self.latency is None:
            return 0.0
        return self.latency * math.exp(-max(0.0, now - self.measured_at) / DECAY)


@define(eq=False)
class Candidate:
    """A node of an upstream and its live side, for whoever chooses. ``slow_start`` in seconds."""

    node: Node
    member: Member
    slow_start: float = 0.0

    def weight(self, now: float) -> float:
        """Its weight at this moment: less, as long as it has only just recovered."""
        since = self.member.recovered_at
        if since is None or not self.slow_start:
            return self.node.weight
        share = (now - since) / self.slow_start
        return self.node.weight * min(1.0, max(FIRST_SHARE, share))


@define
class Members:
    """
    Those of one upstream. ``changes`` counts how often one became usable or ceased to be. ``checked``: somebody asks
    them. ``queue`` is where sessions wait while all are full.
    """

    changes: int = 0
    checked: bool = False
    queue: Queue = field(factory=Queue, init=False, eq=False)
    _members: dict[MemberKey, Member] = field(factory=dict, init=False)

    def of(self, node: Node) -> Member:
        """The member at the node's address, whatever its weight."""
        key = member_key(node)
        member = self._members.get(key)
        if member is None:
            member = self._members[key] = Member.of(node)
        return member

    def keep(self, nodes: Iterable[Node]) -> None:
        """Forget all others. One that has sessions is not gone before they are, but was never ill if it comes back."""
        wanted = {member_key(node) for node in nodes}
        for key in self._members.keys() - wanted:
            member = self._members[key]
            if member.sessions:
                member.health = Health()
                member.recovered_at = None
            else:
                del self._members[key]
        self.changes += 1

    def recover(self) -> None:
        """Nothing is held against any of them."""
        for member in self._members.values():
            member.health = Health()
            member.detail = ""
        self.changes += 1


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
