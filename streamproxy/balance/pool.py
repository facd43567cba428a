"""A pool: the live side of one upstream, where its nodes are chosen and what is found out about them is kept."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence

from attrs import frozen

from ..model import Node, NodeStatus, Policy, Report, Thresholds, Upstream, UpstreamStatus
from .chash import Chash
from .choice import Choice
from .ewma import Ewma
from .health import Health, account, step
from .least_conn import LeastConn
from .member import FAILURE_LATENCY, Candidate, Member, Members
from .roundrobin import RoundRobin

# Seconds until a session tries a node again that sessions found unhealthy and that nobody asks.
REPRIEVE = 10.0


def _silent(level: str, text: str) -> None:
    """Nobody listens."""


@frozen
class Means:
    """
    What pools use of the world: ``seconds`` is a monotonic clock, ``random`` gives a number in [0, 1), ``log`` writes a
    line (level ``debug``, ``info`` or ``warn``).
    """

    seconds: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random
    log: Callable[[str, str], None] = _silent


class Pool:
    """
    One upstream's choice of nodes: the highest priority that has one left, and within it by the upstream's policy.
    ``members`` are shared with other versions of the same upstream. ``first_used`` is told of the first pick, ``down``
    when a node becomes unhealthy whose sessions should end. ``nodes`` are those to choose from, where they are not
    just the upstream's own.
    """

    def __init__(
        self,
        upstream: Upstream,
        members: Members | None = None,
        means: Means = Means(),
        first_used: Callable[[Pool], None] = lambda pool: None,
        down: Callable[[Upstream, Node], None] = lambda upstream, node: None,
        nodes: tuple[Node, ...] | None = None,
    ) -> None:
        self.upstream = upstream
        self.nodes = upstream.nodes if nodes is None else nodes
        self.members = Members() if members is None else members
        self._means = means
        self._first_used: Callable[[Pool], None] | None = first_used
        self._down = down
        self._members: dict[Node, Member] = {node: self.members.of(node) for node in self.nodes}
        slow_start = upstream.checks.slow_start if upstream.checks is not None else 0.0
        self._candidates = [Candidate(n, self._members[n], slow_start) for n in self.nodes if n.weight > 0]
        self._only = self._candidates[0] if len(self._candidates) == 1 else None
        priorities = sorted({each.node.priority for each in self._candidates}, reverse=True)
        self._groups = [
            self._choice([each for each in self._candidates if each.node.priority == priority])
            for priority in priorities
        ]
        self._seen = -1
        self._filter = False
        self._all_down = False

    def _choice(self, candidates: Sequence[Candidate]) -> Choice:
        policy = self.upstream.policy
        if policy is Policy.CHASH:
            return Chash(candidates)
        if policy is Policy.LEAST_CONN:
            return LeastConn(candidates)
        if policy is Policy.EWMA:
            return Ewma(candidates, self._means.random)
        return RoundRobin(candidates)

    # Choosing

    def pick(self, exclude: Collection[Node] = (), key: str = "", most: int | None = None) -> Node | None:
        """
        The node for the next session, or for the next try of one that has tried ``exclude``. ``key`` is what a
        ``chash`` upstream hashes. Unhealthy nodes are passed over unless all are, full ones always; ``most`` sessions
        fill a node where the upstream itself does not say.
        """
        if self._first_used is not None:
            self.use()
        if self._seen != self.members.changes:
            self._look_again()
        now = self._means.seconds()
        if self.upstream.max_sessions is not None:
            most = self.upstream.max_sessions
        only = self._only
        if only is not None:
            # Most upstreams are like that, and most sessions pass here: nothing to choose, no order to keep.
            is_full = most is not None and only.member.sessions >= most
            return None if is_full or only.node in exclude else self._chosen(only, now)
        wary = self._filter

        def free(candidate: Candidate) -> bool:
            member = candidate.member
            if most is not None and member.sessions >= most:
                return False
            if wary and not member.health.usable and not self._may_be_tried(member, now):
                return False
            return candidate.node not in exclude

        for group in self._groups:
            chosen = group.pick(free, key, now)
            if chosen is not None:
                return self._chosen(chosen, now)
        return None

    def _chosen(self, candidate: Candidate, now: float) -> Node:
        if not candidate.member.health.usable:
            candidate.member.retry_at = now + REPRIEVE
        return candidate.node

    def is_full(self, exclude: Collection[Node] = (), most: int | None = None) -> bool:
        """Is there a node that would do but for the sessions it has?"""
        if self.upstream.max_sessions is not None:
            most = self.upstream.max_sessions
        return most is not None and any(
            each.member.sessions >= most for each in self._candidates if each.node not in exclude
        )

    def use(self) -> None:
        """Sessions come here: whoever wants to know is told, once."""
        told, self._first_used = self._first_used, None
        if told is not None:
            told(self)

    def _may_be_tried(self, member: Member, now: float) -> bool:
        """Where nobody asks an unhealthy node, a session finds out now and then."""
        return not self.members.checked and now >= member.retry_at

    def _look_again(self) -> None:
        """Which nodes are usable has changed, or may have."""
        self._seen = self.members.changes
        usable = sum(each.member.health.usable for each in self._candidates)
        all_down = not usable and len(self._candidates) > 1
        if all_down and not self._all_down:
            self._means.log("warn", f"all upstream nodes is unhealthy, use default ({self.upstream.id})")
        self._all_down = all_down
        self._filter = 0 < usable < len(self._candidates)

    @property
    def attempts(self) -> int:
        """On how many nodes one session may try its luck."""
        retries = self.upstream.retries
        nodes = len(self.nodes)
        return nodes if retries is None else min(retries + 1, nodes)

    # What becomes of it

    def opened(self, node: Node) -> None:
        """A session goes to ``node``. Every call is followed by one of :meth:`closed`."""
        member = self._members.get(node)
        if member is not None:
            member.sessions += 1

    def closed(self, node: Node) -> None:
        """That session is over, or the node could not be had."""
        member = self._members.get(node)
        if member is not None:
            member.sessions -= 1
        if self.members.queue:
            self.members.queue.advance()

    def report(self, node: Node, report: Report, now: float, elapsed: float | None = None) -> None:
        """
        What a session found out about ``node``, ``elapsed`` being its connect time in seconds. It counts for the node's
        health where the upstream has passive checks.
        """
        member = self._members.get(node)
        if member is None:
            return
        if report is not Report.SUCCESS:
            member.measure(max(FAILURE_LATENCY, elapsed or 0.0), now)
        elif elapsed is not None:
            member.measure(elapsed, now)
        checks = self.upstream.checks
        if checks is not None and checks.passive is not None:
            self._judge(node, member, report, checks.passive.thresholds, now)

    def probed(self, node: Node, report: Report | None, now: float, *, ip: str = "", detail: str = "") -> None:
        """
        What an active check found out; ``None``: nothing. ``ip`` is where ``node`` was asked, ``detail`` what was
        wrong.
        """
        member = self._members.get(node)
        checks = self.upstream.checks
        if member is None or checks is None or checks.active is None:
            return
        member.ip = ip or member.ip
        member.detail = detail
        if report is not None:
            self._judge(node, member, report, checks.active.thresholds, now)

    def _judge(self, node: Node, member: Member, report: Report, thresholds: Thresholds, now: float) -> None:
        before = member.health
        after = step(before, report, thresholds)
        if not before.usable:
            member.retry_at = now if report is Report.SUCCESS else now + REPRIEVE
        if after is before:
            return
        member.health = after
        good = report is Report.SUCCESS
        line = account(after, report, thresholds, node.host, member.ip or node.dial_host, node.port)
        self._means.log("debug" if good else "warn", line)
        if after.usable is before.usable:
            return
        self.members.changes += 1
        if after.usable:
            member.recovered_at = now
            self._means.log("info", f"{node.label} of {self.upstream.id} is healthy again")
            if self.members.queue:
                self.members.queue.advance()
        else:
            member.retry_at = now + REPRIEVE
            self._means.log("warn", f"{node.label} of {self.upstream.id} is unhealthy")
            if self.upstream.checks is not None and self.upstream.checks.close_sessions:
                self._down(self.upstream, node)

    def health(self, node: Node) -> Health:
        """What a node of this upstream was found to be."""
        return self._members[node].health

    def status(self, users: Sequence[str] = ()) -> UpstreamStatus:
        """All of it, as it is now."""
        upstream = self.upstream
        active = upstream.checks.active if upstream.checks is not None else None
        return UpstreamStatus(
            upstream.id,
            upstream.policy.value,
            tuple(_status(node, self._members[node]) for node in self.nodes),
            checked=self.members.checked,
            probe=active.probe.value if active is not None else "",
            users=tuple(users),
        )


def _status(node: Node, member: Member) -> NodeStatus:
    return NodeStatus(
        node.label,
        node.host,
        node.port,
        node.weight,
        node.priority,
        member.health.state,
        member.health.counters,
        member.sessions,
        member.latency,
        member.ip,
        member.detail,
    )
