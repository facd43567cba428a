"""
``access`` and ``limits``: who may come in at a listener, and how much of it there may be.

They are the same in every document that opens a listener, and in the configuration file, where they are about all.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from attrs import asdict, field, frozen

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import Access, Json, ListenerLimits

from .codec import Via, structure
from .quantities import Bandwidth, Count, CountOrNone, Duration, NetworkText, RateText

# A list that is longer is no list for a document.
MOST_NETWORKS: Final = 100_000


@frozen
class _Access:
    allow: tuple[NetworkText, ...] = ()
    deny: tuple[NetworkText, ...] = ()


@frozen
class _Limits:
    max_sessions_per_listener: Count | None = None
    max_sessions_per_client: Count | None = None
    max_udp_sessions: Count | None = None
    session_rate: RateText | None = None
    session_rate_per_client: RateText | None = None
    bandwidth: Bandwidth | None = None
    bandwidth_per_client: Bandwidth | None = None
    sniff_timeout: Duration | None = None
    handshake_timeout: Duration | None = None
    connect_timeout: Duration | None = None
    idle_timeout: Duration | None = None
    udp_idle_timeout: Duration | None = None
    max_duration: Duration | None = None
    max_sessions_per_node: Count | None = None
    max_queue: CountOrNone | None = None
    queue_timeout: Duration | None = None


def access(value: Any) -> Access:
    """``{allow, deny}``: addresses and networks. Raises ``InvalidConfiguration``."""
    found, problems = structure(value, _Access, forbid_extra=True, null_is_absent=True)
    if found is None:
        raise InvalidConfiguration(problems)
    if len(found.allow) + len(found.deny) > MOST_NETWORKS:
        raise InvalidConfiguration((Problem("", "bad_value", f"more than {MOST_NETWORKS} networks are too many"),))
    return Access(found.allow, found.deny)


def listener_limits(value: Any) -> ListenerLimits:
    """The limits of one listener. Raises ``InvalidConfiguration``."""
    found, problems = structure(value, _Limits, forbid_extra=True, null_is_absent=True)
    if found is None:
        raise InvalidConfiguration(problems)
    return ListenerLimits(**asdict(found, recurse=False))


AccessText = Annotated[Access, Via(Any, access)]
LimitsText = Annotated[ListenerLimits, Via(Any, listener_limits)]


@frozen
class Written:
    """Either of them, and how it was written, which is how it is written again."""

    limits: ListenerLimits = ListenerLimits()
    access: Access = Access()
    source: Json = field(default=None, eq=False)


def _written_limits(value: Any) -> Written:
    return Written(limits=listener_limits(value), source=value)


def _written_access(value: Any) -> Written:
    return Written(access=access(value), source=value)


NOT_WRITTEN: Final = Written()
WrittenLimits = Annotated[Written, Via(Any, _written_limits)]
WrittenAccess = Annotated[Written, Via(Any, _written_access)]
