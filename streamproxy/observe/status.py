"""What nginx's stream module, and APISIX after it, would say of how a session ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..model import Ended, Ending, Transport

# 001 stands for a session that was closed before a node was looked for: no route, or a plugin said no.
_STATUS: Final[Mapping[Ending, str]] = {
    Ending.CLIENT_CLOSED: "200",
    Ending.TARGET_CLOSED: "200",
    Ending.CLIENT_RESET: "200",
    Ending.TARGET_RESET: "200",
    Ending.IDLE_TIMEOUT: "200",
    Ending.SNIFF_TIMEOUT: "200",
    Ending.HANDSHAKE_TIMEOUT: "500",
    Ending.CLIENT_GONE: "200",
    Ending.KILLED: "200",
    Ending.SHUTDOWN: "200",
    Ending.DRAINED: "200",
    Ending.SNIFF_FAILED: "400",
    Ending.HANDSHAKE_FAILED: "500",
    Ending.NO_ROUTE: "001",
    Ending.REJECTED: "001",
    Ending.NO_NODE: "502",
    Ending.CONNECT_TIMEOUT: "502",
    Ending.CONNECT_FAILED: "502",
    Ending.RESOLVE_FAILED: "502",
    Ending.TARGET_TLS_FAILED: "502",
    Ending.OVER_LIMIT: "503",
    Ending.DENIED: "403",
    Ending.MAX_DURATION: "200",
    Ending.QUEUE_FULL: "503",
    Ending.QUEUE_TIMEOUT: "503",
    Ending.NODE_DOWN: "200",
    Ending.INTERNAL_ERROR: "500",
}

# nginx's status is 200 for all that goes wrong once bytes are relayed; APISIX's metrics tell these apart.
_CODE: Final[Mapping[Ending, str]] = {
    **_STATUS,
    Ending.CLIENT_RESET: "400",
    Ending.SNIFF_TIMEOUT: "400",
    Ending.TARGET_RESET: "502",
    Ending.IDLE_TIMEOUT: "502",
    Ending.NO_ROUTE: "500",
    Ending.REJECTED: "500",
    Ending.NODE_DOWN: "502",
}

# The codes APISIX's metrics have: whatever a plugin says, a label takes few values.
CODES: Final = frozenset({"200", "400", "403", "500", "502", "503"})


def log_status(record: Ended) -> str:
    """The ``$status`` of the access log."""
    return _STATUS[record.ending]


def metrics_code(record: Ended) -> str:
    """The ``code`` of ``apisix_stream_status``, one of :data:`CODES`."""
    if record.code is None:
        # There is no other way in which one that went well would end.
        if record.ending is Ending.IDLE_TIMEOUT and record.facts.listener.transport is Transport.UDP:
            return "200"
        return _CODE[record.ending]
    code = str(record.code)
    if record.code // 100 == 2:
        return "500"
    if code in CODES:
        return code
    return "400" if record.code // 100 == 4 else "500"
