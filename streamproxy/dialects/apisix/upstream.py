"""APISIX's ``upstreams``, and the upstreams inside its routes, services and plugins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import evolve, frozen

from streamproxy.errors import Problem
from streamproxy.model import ClientPolicy, HashKey, KeyPair, Node, Policy, Timeouts, Upstream, is_service_name

from ..codec import member, shown
from ..hostname import canonical_host
from .checks import seconds, to_checks
from .client_tls import to_client_policy
from .jsonschema import Schema, Violation, violations
from .parts import identifier
from .secrets import Vault

_ADDRESS = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(:(?P<port>[0-9]{1,5}))?")
_UNBRACKETED: Final = "IPv6 address must be enclosed with '[' and ']'"
_DISCOVERY: Final = "service discovery is not supported: write the nodes"
_CLIENT_ADDRESS: Final = HashKey("remote_addr")
_POLICIES: Final = {policy.value: policy for policy in Policy}

# What each way to hash takes for a key.
_HASHED_BY: Final[Mapping[str, Schema]] = {
    "vars": {
        "type": "string",
        "pattern": "^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname"
        "|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$",
    },
    "header": {"type": "string", "pattern": "^[a-zA-Z0-9-_]+$"},
    "cookie": {"type": "string", "pattern": "^[a-zA-Z0-9-_]+$"},
    "vars_combinations": {"type": "string"},
    "consumer": {},
}


@frozen
class UpstreamPlan:
    """
    An upstream but for what other documents hold: ``client_cert_id`` names the ``ssls`` object whose certificate its
    nodes are shown (empty: none).
    """

    upstream: Upstream
    client_cert_id: str = ""

    def with_certificate(self, pair: KeyPair) -> Upstream:
        """The upstream, when the object has been found to hold ``pair``."""
        nodes = tuple(
            node if node.tls is None else evolve(node, tls=evolve(node.tls, pair=pair)) for node in self.upstream.nodes
        )
        return evolve(self.upstream, nodes=nodes)


def to_upstream(
    body: Mapping[str, Any],
    id: str,  # noqa: A002
    vault: Vault,
    *,
    is_object: bool = False,
) -> tuple[UpstreamPlan, tuple[Violation, ...]]:
    """
    The upstream that ``body``, which its schema has nothing against, describes; and what of it cannot be done
    (``unsupported``) or cannot work. What is wrong with single nodes leaves the others; with anything else wrong there
    are none, so that whoever is led there is closed.

    ``is_object``: it is an object, or inside a service. Then APISIX looks at more than the schema, and what it has to
    say comes first, in its order and words. What it stores and finds out when it is used is ``tolerable``.
    """
    tls, tls_problems = to_client_policy(body, vault)
    nodes, unreachable = _nodes(body.get("nodes") or [], tls)
    policy, hash_key = _policy(body)
    checks, check_problems = to_checks(body["checks"]) if "checks" in body else (None, ())
    rules = [*(_object_violations(body) if is_object else ())]
    rules += [Violation.plain(each.path, each.code, each.message) for each in tls_problems]
    ours = [*_unsupported(body), *(problem.under("checks") for problem in check_problems)]
    timeout = body.get("timeout")
    upstream = Upstream(
        id,
        () if rules or ours else nodes,
        policy=policy,
        retries=body.get("retries"),
        retry_timeout=seconds(body.get("retry_timeout", 0)),
        timeouts=Timeouts()
        if timeout is None
        else Timeouts(seconds(timeout["connect"]), seconds(max(timeout["send"], timeout["read"]))),
        hash_key=hash_key,
        checks=checks,
    )
    found = (
        *(_address_violation(problem) for problem in unreachable if is_object and _is_apisixs(problem)),
        *rules,
        *(Violation(problem, str(problem)).tolerated() for problem in ours),
        *(Violation(each, str(each)).tolerated() for each in unreachable if not (is_object and _is_apisixs(each))),
    )
    client_cert_id = identifier((body.get("tls") or {}).get("client_cert_id", ""))
    return UpstreamPlan(upstream, client_cert_id if tls else ""), found


def _is_apisixs(problem: Problem) -> bool:
    return problem.message == _UNBRACKETED or problem.message.startswith("invalid port")


def _address_violation(problem: Problem) -> Violation:
    is_port = problem.message != _UNBRACKETED
    return Violation(problem, problem.message if is_port else f"invalid configuration: {problem.message}")


def _object_violations(body: Mapping[str, Any]) -> Iterator[Violation]:
    if body.get("pass_host") == "rewrite" and not body.get("upstream_host"):
        message = "`upstream_host` can't be empty when `pass_host` is `rewrite`"
        yield Violation.plain("upstream_host", "missing", message)
    if body.get("type") != "chash":
        return
    hash_on = body.get("hash_on", "vars")
    if "key" not in body:
        if hash_on != "consumer":
            yield Violation.plain("key", "missing", "missing key")
        return
    for violation in violations(body["key"], _HASHED_BY[hash_on], "key"):
        yield Violation(violation.problem, f"invalid configuration: {violation.text}")


def _unsupported(body: Mapping[str, Any]) -> Iterator[Problem]:
    if body.get("type", "roundrobin") not in _POLICIES:
        message = f"type {shown(body['type'])} is not known here: there is {', '.join(_POLICIES)}"
        yield Problem("type", "unsupported", message)
    if "service_name" in body:
        yield Problem("service_name", "unsupported", _DISCOVERY)


def _policy(body: Mapping[str, Any]) -> tuple[Policy, HashKey | None]:
    """
    How a node is chosen, and what by. What only HTTP has (a header, a cookie, a consumer) no session has, so it is
    hashed by its client's address.
    """
    policy = _POLICIES.get(body.get("type", "roundrobin"), Policy.ROUND_ROBIN)
    if policy is not Policy.CHASH:
        return policy, None
    hash_on, key = body.get("hash_on", "vars"), body.get("key")
    if not key or hash_on not in ("vars", "vars_combinations"):
        return policy, _CLIENT_ADDRESS
    return policy, HashKey(key, combined=hash_on == "vars_combinations")


def _is_unbracketed(host: str) -> bool:
    return ":" in host and not host.startswith("[")


def _nodes(
    nodes: list[dict[str, Any]] | Mapping[str, int], tls: ClientPolicy | None
) -> tuple[tuple[Node, ...], list[Problem]]:
    entries = _map_entries(nodes) if isinstance(nodes, Mapping) else _list_entries(nodes)
    made, problems = [], []
    for entry in entries:
        if isinstance(entry, Problem):
            problems.append(entry)
        elif tls is None:
            made.append(entry)
        else:
            made.append(evolve(entry, tls=evolve(tls, server_name=entry.host)))
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
    if _is_unbracketed(host):
        return Problem(host_where, "bad_value", _UNBRACKETED)
    if is_service_name(host):
        # Its records say which, whatever stands here.
        port = 0
    elif port is None:
        return Problem(where, "missing", "needs a port: a stream has no default one")
    elif not 1 <= port <= 65535:
        return Problem(where, "bad_value", f"invalid port {port}")
    try:
        return Node(canonical_host(host), port, weight=weight, priority=priority)
    except ValueError as error:
        return Problem(host_where, "bad_value", str(error))
