"""What becomes of the sessions that a change takes the way from."""

from __future__ import annotations

import enum

from attrs import frozen


class Fate(enum.Enum):
    """They go on; are ended one after the other; are ended at once."""

    KEEP = "keep"
    DRAIN = "drain"
    CLOSE = "close"


@frozen
class SessionPolicy:
    """``drain_time`` is within how many seconds they are ended where they are drained (``None``: as configured)."""

    fate: Fate = Fate.KEEP
    drain_time: float | None = None
