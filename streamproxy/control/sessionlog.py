"""The process's log of sessions that did not come to be: what somebody looks for at three in the morning."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.logger import Logger

from ..model import Ended, Ending
from ..observe.throttle import Throttle
from ..tls import NO_CERTIFICATE, NO_NAME

# Sessions that were served as they should be, or that nobody can do anything about, are the access log's.
_TOLD = frozenset(
    {
        Ending.SNIFF_FAILED,
        Ending.HANDSHAKE_FAILED,
        Ending.NO_ROUTE,
        Ending.NO_NODE,
        Ending.CONNECT_TIMEOUT,
        Ending.CONNECT_FAILED,
        Ending.RESOLVE_FAILED,
        Ending.TARGET_TLS_FAILED,
        Ending.INTERNAL_ERROR,
    }
)


@define
class SessionLog:
    """Writes a line for each session that failed, as many as a log can bear. ``seconds`` is a monotonic clock."""

    _seconds: Callable[[], float]
    _throttle: Throttle = field(init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._throttle = Throttle(self._seconds)

    def ended(self, record: Ended) -> None:
        """A session is over."""
        if record.ending not in _TOLD:
            return
        held = self._throttle.passes()
        if held is None:
            return
        self._log.info(
            "{id} from {peer} at {listener}: {ending}: {words}{held}",
            id=record.id,
            peer=record.facts.peer,
            listener=record.facts.listener,
            ending=record.ending.value,
            words=words(record),
            held=f" (and {held} more like it were not logged)" if held else "",
        )


def words(record: Ended) -> str:
    """What happened, with APISIX's own words in it where it has some: its users search their logs for them."""
    detail, name = record.detail, record.facts.sni
    if record.ending is Ending.NO_ROUTE:
        return "not hit any route"
    if record.ending is Ending.HANDSHAKE_FAILED and detail.startswith(NO_CERTIFICATE):
        return f"failed to match any SSL certificate by SNI: {name}; {detail}"
    if record.ending is Ending.HANDSHAKE_FAILED and detail.startswith(NO_NAME):
        return f"failed to find SNI: please check if the client requests via IP or uses an outdated protocol; {detail}"
    if record.ending in (Ending.NO_NODE, Ending.RESOLVE_FAILED):
        return f"no valid upstream node: {detail}"
    return detail
