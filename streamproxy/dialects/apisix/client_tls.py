"""``scheme: tls`` and ``tls`` of an upstream: how its nodes are met, and what they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streamproxy.errors import Problem
from streamproxy.model import ClientPolicy, KeyPair
from streamproxy.tls import MaterialError, certificates

from .secrets import Vault
from .ssl import NO_CERT, to_pair, to_public

SEND_NAME: Final = "apisix_backend"
"""The name that APISIX sends to a node where the client sent none."""


def to_client_policy(body: Mapping[str, Any], vault: Vault) -> tuple[ClientPolicy | None, tuple[Problem, ...]]:
    """
    How the nodes of the upstream ``body`` are met where its scheme is ``tls``, but for their own names; and what is
    wrong with its ``tls``, which is looked at in any case.
    """
    tls = body.get("tls") or {}
    problems = []
    pair: KeyPair | None = None
    if "client_cert" in tls:
        found = to_pair(tls["client_cert"], tls["client_key"], "tls.client_cert", "tls.client_key", vault)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            pair = found
    ca: list[bytes] = []
    for index, written in enumerate(tls.get("ca_certs", ())):
        trusted = _trusted(written, f"tls.ca_certs[{index}]", vault)
        if isinstance(trusted, Problem):
            problems.append(trusted)
        else:
            ca += trusted
    if body.get("scheme") != "tls" or problems:
        return None, tuple(problems)
    policy = ClientPolicy(
        "",
        verify=tls.get("verify", False),
        send_name=SEND_NAME,
        ca=tuple(dict.fromkeys(ca)),
        pair=pair,
        follow_client=True,
    )
    return policy, ()


def _trusted(written: str, path: str, vault: Vault) -> tuple[bytes, ...] | Problem:
    pem = to_public(written, path, vault)
    if isinstance(pem, Problem):
        return pem
    try:
        return certificates(pem)
    except MaterialError:
        return Problem(path, "bad_value", NO_CERT)
