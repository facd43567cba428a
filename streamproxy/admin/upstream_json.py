"""Upstreams and how their nodes are, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamproxy.model import NodeStatus, UpstreamStatus


def upstream_json(status: UpstreamStatus) -> Mapping[str, Any]:
    return {
        "id": status.id,
        "policy": status.policy,
        "checked": status.checked,
        "probe": status.probe or None,
        "users": list(status.users),
        "nodes": [node_json(node) for node in status.nodes],
    }


def node_json(node: NodeStatus) -> Mapping[str, Any]:
    """``latency`` in seconds, ``null`` before the first connect."""
    counters = node.counters
    return {
        "node": node.label,
        "host": node.host,
        "ip": node.ip or None,
        "port": node.port,
        "weight": node.weight,
        "priority": node.priority,
        "health": node.health.value,
        "detail": node.detail or None,
        "counters": {
            "success": counters.success,
            "tcp_failure": counters.tcp_failure,
            "timeout_failure": counters.timeout_failure,
            "http_failure": counters.http_failure,
        },
        "sessions": node.sessions,
        "latency": None if node.latency is None else round(node.latency, 6),
    }
