"""Sessions as JSON: those that go on and those that are over, in one shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamproxy.model import Ended, Ongoing, TlsFacts


def session_json(session: Ongoing | Ended) -> Mapping[str, Any]:
    """``sniff_time`` and ``handshake_time`` are one phase: which of the two depends on who terminates TLS."""
    facts = session.facts
    is_over = isinstance(session, Ended)
    agreed = facts.handshake
    return {
        "id": session.id,
        "state": "ended" if is_over else "live",
        "phase": None if isinstance(session, Ended) else session.phase.value,
        "ending": session.ending.value if isinstance(session, Ended) else None,
        "detail": (session.detail or None) if isinstance(session, Ended) else None,
        "code": session.code if isinstance(session, Ended) else None,
        "transport": facts.listener.transport.value,
        "listener": str(facts.listener),
        "client": str(facts.peer),
        "peer": facts.peer.host,
        "local": str(facts.local),
        "via": None if facts.via is None else str(facts.via),
        "claimed": None if facts.claimed is None else str(facts.claimed),
        "tls": facts.tls,
        "name": facts.name,
        "sni": facts.sni,
        "alpn": list(facts.alpn),
        "http_host": facts.http_host,
        "handshake": None if agreed is None else _handshake(agreed),
        "owner": session.owner,
        "revision": session.revision,
        "route": session.route,
        "upstream": session.upstream,
        "node": session.node,
        "attempts": session.attempts,
        "started": session.started,
        "duration": round(session.duration, 6),
        "sniff_time": session.sniff_time if agreed is None else None,
        "handshake_time": session.sniff_time if agreed is not None else None,
        "connect_time": session.connect_time,
        "bytes_in": session.bytes_in,
        "bytes_out": session.bytes_out,
        "variables": dict(session.variables),
    }


def _handshake(agreed: TlsFacts) -> Mapping[str, Any]:
    client = agreed.client
    return {
        "version": agreed.version,
        "cipher": agreed.cipher,
        "alpn": agreed.alpn,
        "resumed": agreed.resumed,
        "client": None if client is None else {"subject": client.subject, "sans": list(client.sans)},
    }
