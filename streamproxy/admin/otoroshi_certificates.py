"""
The certificates that are served, in the shape of Otoroshi's ``/api/certificates``: to be read only, and without keys.

An entity is one certificate with its chain. Where an object has several, for different kinds of keys, the second one
has the object's id with ``:2`` at its end, and so on.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from attrs import frozen

from streamproxy.interfaces import Runtime
from streamproxy.model import CertificateStatus, LeafStatus

from .otoroshi_query import Entity
from .respond import RefusedError
from .tcp_services import MissingError

CERTIFICATE_FIELDS: Final = (
    "_loc",
    "id",
    "domain",
    "name",
    "description",
    "chain",
    "caRef",
    "privateKey",
    "selfSigned",
    "ca",
    "valid",
    "exposed",
    "revoked",
    "autoRenew",
    "letsEncrypt",
    "client",
    "keypair",
    "subject",
    "from",
    "to",
    "sans",
    "metadata",
    "tags",
)

_ELSEWHERE: Final = (
    "certificates cannot be changed here: write objects with /apisix/admin/ssls, or put files where tls.certificates "
    "of the configuration says"
)


def read_only() -> RefusedError:
    return RefusedError(405, "method_not_allowed", _ELSEWHERE, headers={"Allow": "GET, HEAD"})


@frozen
class Certificates:
    """``clock`` gives seconds since the epoch."""

    runtime: Runtime
    clock: Callable[[], float]

    def entities(self) -> list[Entity]:
        now = self.clock()
        return [entity for status in self.runtime.certificates() for entity in _entities(status, now)]

    def get(self, id: str) -> Entity:  # noqa: A002
        """Raises :class:`MissingError`."""
        now = self.clock()
        for status in self.runtime.certificates():
            if id.startswith(status.id):
                for entity in _entities(status, now):
                    if entity["id"] == id:
                        return entity
        raise MissingError(id)


def _entities(status: CertificateStatus, now: float) -> Iterator[Entity]:
    for number, leaf in enumerate(status.leaves, 1):
        yield _entity(status.id if number == 1 else f"{status.id}:{number}", status.names, leaf, now)


def _entity(id: str, names: tuple[str, ...], leaf: LeafStatus, now: float) -> Entity:  # noqa: A002
    domain = names[0] if names else ""
    values: dict[str, Any] = {
        "_loc": {"tenant": "default", "teams": ["default"]},
        "id": id,
        "domain": domain,
        "name": domain,
        "description": "",
        "chain": "".join(map(_pem, leaf.chain)),
        "caRef": None,
        "privateKey": "",
        "selfSigned": leaf.is_self_signed,
        "ca": leaf.is_authority,
        "valid": leaf.not_before <= now <= leaf.not_after,
        "exposed": False,
        "revoked": False,
        "autoRenew": False,
        "letsEncrypt": False,
        "client": False,
        "keypair": False,
        "subject": leaf.subject,
        "from": _milliseconds(leaf.not_before),
        "to": _milliseconds(leaf.not_after),
        "sans": [san.partition(":")[2] for san in leaf.sans if san.startswith(("DNS:", "IP:"))],
        "metadata": {},
        "tags": [],
    }
    return values


def _milliseconds(moment: float) -> int | None:
    return int(moment * 1000) if math.isfinite(moment) else None


def _pem(der: bytes) -> str:
    """RFC 7468, section 3."""
    text = base64.b64encode(der).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])
