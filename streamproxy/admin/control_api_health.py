"""Health, as APISIX's Control API tells it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streamproxy.model import Document, NodeStatus, UpstreamStatus
from streamproxy.observe.metrics_live import apisix_name

_COLUMNS = ("success", "tcp_failure", "http_failure", "timeout_failure")
_HEADINGS = (
    "Index",
    "Upstream",
    "Check type",
    "Host",
    "Status",
    "Success counts",
    "TCP Failures",
    "HTTP Failures",
    "TIMEOUT Failures",
)


def health_json(status: UpstreamStatus) -> dict[str, Any]:
    """One upstream whose nodes are checked."""
    return {
        "name": apisix_name(status.id),
        "type": status.probe,
        "nodes": [_node(node) for node in status.nodes] or {},
    }


def unasked(document: Document) -> dict[str, Any]:
    """The same of one that has checks and of which nothing is known, because nobody used it yet."""
    kind = checks_of(document) or {}
    probe = next((kind[each]["type"] for each in ("active", "passive") if "type" in (kind.get(each) or {})), "http")
    return {"name": apisix_name(str(document.key)), "type": probe, "nodes": {}}


def status_of(document: Document, statuses: Iterable[UpstreamStatus]) -> UpstreamStatus | None:
    """What is known of the upstream that ``document`` is or has."""
    key = str(document.key)
    found = (each for each in statuses if each.checked and (each.id == key or each.id.startswith(f"{key} ")))
    return next(found, None)


def checks_of(document: Document) -> Mapping[str, Any] | None:
    """The ``checks`` of the upstream that ``document`` is or has."""
    upstream = document.body.get("upstream")
    for holder in (document.body, upstream if isinstance(upstream, dict) else {}):
        checks = holder.get("checks")
        if isinstance(checks, dict):
            return checks
    return None


def health_page(items: Sequence[Mapping[str, Any]]) -> bytes:
    """The same for people."""
    rows: list[str] = []
    for item in items:
        for node in item["nodes"] or ():
            cells = (
                len(rows) + 1,
                item["name"],
                item["type"],
                f"{node['ip']}:{node['port']}",
                node["status"],
                *(node["counter"][column] for column in _COLUMNS),
            )
            color = "" if node["status"] in ("healthy", "mostly_healthy") else ' bgcolor="#FF0000"'
            rows.append(f"<tr{color}>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in cells)}</tr>")
    heading = "".join(f"<th>{text}</th>" for text in _HEADINGS)
    title = "APISIX upstream check status"
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n'
        f'<body>\n<h1>{title}</h1>\n<table cellspacing="0" cellpadding="3" border="1">\n'
        f'<tr bgcolor="#C0C0C0">{heading}</tr>\n' + "\n".join(rows) + "\n</table>\n</body>\n</html>\n"
    ).encode()


def _node(node: NodeStatus) -> dict[str, Any]:
    counters = node.counters
    return {
        "ip": node.ip or node.host,
        "port": node.port,
        "hostname": node.host,
        "status": node.health.value,
        "counter": {
            "success": counters.success,
            "http_failure": counters.http_failure,
            "tcp_failure": counters.tcp_failure,
            "timeout_failure": counters.timeout_failure,
        },
    }
