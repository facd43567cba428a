"""Ending the sessions with a node that was found to be dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..balance.member import MemberKey, member_key
from ..model import Ending, Node, Upstream
from .session import Session
from .udp_session import DatagramSession

if TYPE_CHECKING:
    from .engine import Engine


class NodeCloser:
    """A :class:`~streamproxy.balance.pools.Closer` for all sessions of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, upstream: Upstream, node: Node) -> None:
        # Whoever calls is in the middle of something, of the end of one of these sessions perhaps.
        self._engine.reactor.callLater(0, self._close, upstream.id, member_key(node), f"{node.label} is unhealthy")

    def _close(self, upstream: str, place: MemberKey, why: str) -> None:
        for session in tuple(self._engine.table.everybody()):
            if isinstance(session, (Session, DatagramSession)) and session.place == (upstream, place):
                session.kill(Ending.NODE_DOWN, why)
