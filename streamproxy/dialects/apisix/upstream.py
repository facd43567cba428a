"""APISIX's ``upstreams``, and the upstreams inside its routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from streamproxy.errors import Problem
from streamproxy.model import Node, Timeouts, Upstream

from ..codec import member, shown
from ..hostname import canonical_host

# Some thirty years: what is longer is not meant as a time.
MOST_SECONDS = 1e9

_ADDRESS = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(:(?P<port>[0-9]{1,5}))?")
# Of what the schema knows, what changes where connections go or how, and is not there yet.
_UNSUPPORTED = {
    "service_name": "service discovery is not supported: write the nodes",
    "checks": "health checks are not supported",
}
_UNBRACKETED = "IPv6 address must be enclosed with '[' and ']'"


def to_upstream(body: Mapping[str, Any], id: str) -> tuple[Upstream | None, tuple[Problem, ...]]:  # noqa: A002
    """
    The upstream that ``body``, which its schema has nothing against, describes; or what of it cannot be done
    (``unsupported``) or cannot work.
    """
    problems = [Problem(key, "unsupported", message) for key, message in _UNSUPPORTED.items() if key in body]
    policy = body.get("type", "roundrobin")
    if policy != "roundrobin":
        problems.append(Problem("type", "unsupported", f"type {shown(policy)} is not supported: roundrobin is"))
    if body.get("scheme") == "tls":
        problems.append(Problem("scheme", "unsupported", "TLS to the nodes is not supported"))
    nodes, node_problems = _nodes(body.get("nodes") or [])
    problems += node_problems
    if problems:
        return None, tuple(problems)
    timeout = body.get("timeout")
    upstream = Upstream(
        id,
        nodes,
        retries=body.get("retries"),
        retry_timeout=_seconds(body.get("retry_timeout", 0)),
        timeouts=Timeouts()
        if timeout is None
        else Timeouts(_seconds(timeout["connect"]), _seconds(max(timeout["send"], timeout["read"]))),
    )
    return upstream, ()


def _seconds(value: float) -> float:
    return float(min(value, MOST_SECONDS))


def _nodes(nodes: list[dict[str, Any]] | dict[str, int]) -> tuple[tuple[Node, ...], list[Problem]]:
    entries = _map_entries(nodes) if isinstance(nodes, Mapping) else _list_entries(nodes)
    made, problems = [], []
    for entry in entries:
        if isinstance(entry, Node):
            made.append(entry)
        else:
            problems.append(entry)
    return tuple(made), problems


def _map_entries(nodes: Mapping[str, int]) -> Iterator[Node | Problem]:
    for address, weight in nodes.items():
        where = member("nodes", address)
        parsed = _ADDRESS.fullmatch(address)
        if parsed is not None:
            port = None if parsed["port"] is None else int(parsed["port"])
            yield _node(parsed["host"], port, weight, 0, where, where)
        elif address.count(":") > 1 and "[" not in address:
            yield Problem(where, "bad_value", _UNBRACKETED)
        else:
            yield Problem(where, "bad_value", f"expected host:port, got {shown(address)}")


def _list_entries(nodes: Iterable[Mapping[str, Any]]) -> Iterator[Node | Problem]:
    for index, node in enumerate(nodes):
        where = f"nodes[{index}]"
        yield _node(node["host"], node.get("port"), node["weight"], node.get("priority", 0), where, f"{where}.host")


def _node(host: str, port: int | None, weight: int, priority: int, where: str, host_where: str) -> Node | Problem:
    if ":" in host and not host.startswith("["):
        return Problem(host_where, "bad_value", _UNBRACKETED)
    if port is None:
        return Problem(where, "missing", "needs a port: a stream has no default one")
    if not 1 <= port <= 65535:
        return Problem(where, "bad_value", f"invalid port {port}")
    try:
        return Node(canonical_host(host), port, weight=weight, priority=priority)
    except ValueError as error:
        return Problem(host_where, "bad_value", str(error))
