"""Names that are looked up, and which of them are names of services."""

from __future__ import annotations

import re

from attrs import frozen

# RFC 2782: an underscore before what nobody would call a host, and before the protocol.
_SERVICE_NAME = re.compile(r"_[^.]+\._(?:tcp|udp)\..+", re.IGNORECASE)


def is_service_name(host: str) -> bool:
    """Is it the name of SRV records, like ``_mysql._tcp.db.example``?"""
    return host.startswith("_") and _SERVICE_NAME.fullmatch(host) is not None


@frozen
class NameStatus:
    """
    What is known of a name. ``kind``: its ``addresses`` or its ``services``. ``ttl``: how many seconds its answers hold
    on (``None``: there are none). They are stale when they are used though nobody vouches for them any more; ``error``
    says why, or why there are none. ``next_lookup``: in how many seconds somebody asks again by himself.
    """

    name: str
    kind: str
    answers: tuple[str, ...]
    ttl: float | None = None
    is_stale: bool = False
    error: str = ""
    next_lookup: float | None = None
