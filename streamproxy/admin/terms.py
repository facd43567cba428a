"""On which terms a caller wants its write: tried only, or to be confirmed. They go for every API alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar

from attrs import frozen
from twisted.web.server import Request

from streamproxy.model import Fate, SessionPolicy

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
    somebody confirms it by then. ``written`` is told the revision of a write. ``sessions`` is for those that it takes
    the way from.
    """

    dry_run: bool = False
    confirm_within: float | None = None
    written: Callable[[int], None] = _nobody
    sessions: SessionPolicy = SessionPolicy()


TERMS: ContextVar[Terms] = ContextVar("streamproxy.admin.terms", default=Terms())  # noqa: B039 - frozen
"""Those of the request that is being handled. The gate sets them, so that no API has to hand them on."""


def terms_of(request: Request) -> Terms:
    """
    ``?dry_run=true``, ``?confirm_within=60s`` and ``?sessions=drain&drain_time=60s``. Raises :class:`RefusedError`
    (400).
    """
    query = incoming.query(request)
    within = query.get("confirm_within", ("",))[-1]

    def written(revision: int) -> None:
        request.setHeader("X-Revision", str(revision))

    return Terms(
        incoming.flag(query, "dry_run", False),
        _seconds("confirm_within", within) if within else None,
        written,
        _policy(query),
    )


def _policy(query: incoming.Query) -> SessionPolicy:
    word = query.get("sessions", (Fate.KEEP.value,))[-1]
    if word not in {fate.value for fate in Fate}:
        raise RefusedError(400, "bad_query", "sessions is keep, drain or close")
    drain_time = query.get("drain_time", ("",))[-1]
    if drain_time and word != Fate.DRAIN.value:
        raise RefusedError(400, "bad_query", "drain_time goes with sessions=drain")
    return SessionPolicy(Fate(word), _seconds("drain_time", drain_time) if drain_time else None)


def _seconds(name: str, text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise RefusedError(400, "bad_query", f"{name} is a time: 60s, 10m, 1h")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not SHORTEST <= seconds <= LONGEST:
        raise RefusedError(400, "bad_query", f"{name} is from 1 second to 7 days")
    return seconds
