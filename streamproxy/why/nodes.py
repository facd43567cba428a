"""Which node of an upstream, and why not another one."""

from __future__ import annotations

from collections.abc import Mapping

from ..balance.chash import Chash
from ..balance.choice import Choice
from ..balance.least_conn import LeastConn
from ..balance.member import Candidate, Member
from ..model import Facts, HashKey, Node, NodeStatus, Policy, Route, Upstream, UpstreamStatus
from ..rules.hashkey import hash_text
from ..rules.variables import variable
from .values import NodeSeen, UpstreamSeen

# So many nodes are shown; the one that was picked always is.
MOST = 100


def upstream_seen(
    upstream: Upstream,
    status: UpstreamStatus | None,
    facts: Facts,
    route: Route,
    variables: Mapping[str, str],
    *,
    picked: str | None = None,
    attempts: int = 0,
    is_made_up: bool = False,
    by: str = "",
) -> UpstreamSeen:
    """
    ``status`` is how the nodes are now. Where it ``is_made_up``, the node is foretold where its policy leaves nothing
    to chance; else ``picked`` is the label of the last one that the session tried, after ``attempts`` tries.
    """
    statuses = {} if status is None else {each.label: each for each in status.nodes}
    hashed = _hashed(upstream.hash_key, facts, route, variables)
    free = [node for node in upstream.nodes if not _barred(node, statuses.get(node.label), upstream)]
    if not free:
        # When all are unhealthy all are used.
        free = [node for node in upstream.nodes if node.weight > 0 and not _full(statuses.get(node.label), upstream)]
    best = max((node.priority for node in free), default=0)
    group = [node for node in free if node.priority == best]
    if is_made_up:
        picked = _foretold(upstream, group, statuses, hashed)
    seen: list[NodeSeen] = []
    for node in upstream.nodes:
        live = statuses.get(node.label)
        is_picked = node.label == picked
        if is_picked:
            why = _why_picked(upstream, node, group, hashed, attempts)
        else:
            why = _barred(node, live, upstream) or _why_not(upstream, node, group, best)
        if len(seen) < MOST or is_picked:
            seen.append(_node(node, live, is_picked, why))
    return UpstreamSeen(upstream.id, upstream.policy.value, tuple(seen), hashed, by)


def _node(node: Node, live: NodeStatus | None, is_picked: bool, why: str) -> NodeSeen:
    if live is None:
        return NodeSeen(node.label, node.weight, node.priority, None, None, None, is_picked, why)
    return NodeSeen(node.label, node.weight, node.priority, live.health, live.sessions, live.latency, is_picked, why)


def _hashed(key: HashKey | None, facts: Facts, route: Route, variables: Mapping[str, str]) -> str | None:
    if key is None:
        return None
    return hash_text(key, lambda name: variable(name, facts, route, variables), facts.peer.host)


def _full(live: NodeStatus | None, upstream: Upstream) -> bool:
    return live is not None and upstream.max_sessions is not None and live.sessions >= upstream.max_sessions


def _barred(node: Node, live: NodeStatus | None, upstream: Upstream) -> str:
    """Why it takes no session now; empty: it does."""
    if not node.weight:
        return "its weight is 0: it takes no new sessions"
    if live is not None and not live.health.usable:
        return f"it is {live.health.value}" + (f": {live.detail}" if live.detail else "")
    if _full(live, upstream):
        return f"it has {upstream.max_sessions} sessions, which is all it may have"
    return ""


def _foretold(
    upstream: Upstream, group: list[Node], statuses: Mapping[str, NodeStatus], hashed: str | None
) -> str | None:
    """The label of the node that the next session gets, where that can be told."""
    if len(group) == 1:
        return group[0].label
    choice: Choice
    members = [node for node in upstream.nodes if node.weight > 0 and (not group or node.priority == group[0].priority)]
    candidates = [Candidate(node, _member(statuses.get(node.label))) for node in members]
    if upstream.policy is Policy.CHASH:
        choice = Chash(candidates)
    elif upstream.policy is Policy.LEAST_CONN:
        choice = LeastConn(candidates)
    else:
        return None
    chosen = choice.pick(lambda candidate: candidate.node in group, hashed or "", 0.0)
    return None if chosen is None else chosen.node.label


def _member(live: NodeStatus | None) -> Member:
    member = Member("")
    member.sessions = 0 if live is None else live.sessions
    return member


def _why_picked(upstream: Upstream, node: Node, group: list[Node], hashed: str | None, attempts: int) -> str:
    if attempts > 1:
        others = attempts - 1
        return f"it was tried after {others} {'other' if others == 1 else 'others'} could not be had"
    if len(upstream.nodes) == 1:
        return "it is the only node"
    if len(group) == 1 and node in group:
        return "it is the only one that is to be had"
    if upstream.policy is Policy.CHASH:
        return f"the hash of {hashed!r} leads there"
    if upstream.policy is Policy.LEAST_CONN:
        return "it has the fewest sessions for its weight"
    if upstream.policy is Policy.EWMA:
        return "of two taken at random it answers faster"
    return f"it was its turn: by its weight it gets {_share(node, group)} of the sessions"


def _why_not(upstream: Upstream, node: Node, group: list[Node], best: int) -> str:
    if node.priority < best:
        return f"nodes of priority {best} are used first"
    if upstream.policy is Policy.CHASH:
        return "the hash leads elsewhere"
    if upstream.policy is Policy.LEAST_CONN:
        return "another one has fewer sessions for its weight"
    if upstream.policy is Policy.EWMA:
        return "it would be taken if it answers faster than another one taken at random"
    return f"by its weight it gets {_share(node, group)} of the sessions, in turn"


def _share(node: Node, group: list[Node]) -> str:
    total = sum(each.weight for each in group) or node.weight or 1
    return f"{100 * node.weight / total:.3g} %"
