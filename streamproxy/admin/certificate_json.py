"""Certificates as our own API shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from streamproxy.model import CertificateStatus, LeafStatus

_DAY = 86400
_VERSIONS = {0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}


def certificate_json(status: CertificateStatus, now: float) -> Mapping[str, Any]:
    """At ``now`` (seconds since the epoch). There is no key in it."""
    return {
        "id": status.id,
        "source": "file" if status.id.startswith("file:") else "document",
        "names": status.names,
        "key_types": [_key_type(leaf) for leaf in status.leaves],
        "client_auth": None if status.client_auth is None else status.client_auth.value,
        "versions": [_VERSIONS[version] for version in sorted(status.versions)] or None,
        **_dates(status.not_before, status.not_after, now),
        "leaves": [_leaf_json(leaf, now) for leaf in status.leaves],
    }


def _leaf_json(leaf: LeafStatus, now: float) -> Mapping[str, Any]:
    return {
        "subject": leaf.subject,
        "issuer": leaf.issuer,
        "serial": leaf.serial,
        "key_type": _key_type(leaf),
        "sans": leaf.sans,
        "fingerprint": leaf.fingerprint,
        "self_signed": leaf.is_self_signed,
        "authority": leaf.is_authority,
        "chain_length": len(leaf.chain),
        **_dates(leaf.not_before, leaf.not_after, now),
    }


def _key_type(leaf: LeafStatus) -> str:
    return f"{leaf.key_type} {leaf.key_size}" if leaf.key_size else leaf.key_type


def _dates(start: float, end: float, now: float) -> Mapping[str, Any]:
    """``days_left`` are whole days, less than none after the end."""
    return {
        "not_before": _iso(start),
        "not_after": _iso(end),
        "days_left": math.floor((end - now) / _DAY) if math.isfinite(end) else None,
        "valid": start <= now <= end,
    }


def _iso(moment: float) -> str | None:
    """``None``: at no time that has a name."""
    try:
        return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError):
        return None
