"""On which terms a caller wants its write: tried only, or to be confirmed. They go for every API alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar

from attrs import frozen
from twisted.web.server import Request

from . import incoming
from .respond import RefusedError

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(s|m|h|)")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}

LONGEST = 7 * 86400.0
SHORTEST = 1.0


def _nobody(_: int) -> None:
    """Nobody wants to know."""


@frozen
class Terms:
    """
    ``dry_run``: say what the write would do, and do nothing. ``confirm_within`` (seconds): it is taken back unless
    somebody confirms it by then. ``written`` is told the revision of a write.
    """

    dry_run: bool = False
    confirm_within: float | None = None
    written: Callable[[int], None] = _nobody


TERMS: ContextVar[Terms] = ContextVar("streamproxy.admin.terms", default=Terms())  # noqa: B039 - frozen
"""Those of the request that is being handled. The gate sets them, so that no API has to hand them on."""


def terms_of(request: Request) -> Terms:
    """``?dry_run=true`` and ``?confirm_within=60s``. Raises :class:`RefusedError` (400)."""
    query = incoming.query(request)
    within = query.get("confirm_within", ("",))[-1]

    def written(revision: int) -> None:
        request.setHeader("X-Revision", str(revision))

    return Terms(incoming.flag(query, "dry_run", False), _seconds(within) if within else None, written)


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise RefusedError(400, "bad_query", "confirm_within is a time: 60s, 10m, 1h")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not SHORTEST <= seconds <= LONGEST:
        raise RefusedError(400, "bad_query", "confirm_within is from 1 second to 7 days")
    return seconds
