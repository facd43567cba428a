"""What is true of a listener now."""

from __future__ import annotations

import enum

from attrs import frozen

from .listener import Listener


class ListenerState(enum.Enum):
    """``FAILED``: the address could not be bound and is tried again. ``DRAINING``: unbound, sessions still open."""

    LISTENING = "listening"
    FAILED = "failed"


@frozen
class ListenerStatus:
    """
    ``bound_port`` is the kernel's choice where port 0 was asked for. ``error`` and ``retry_in`` (seconds) say why a
    failed one failed and when it is tried again. ``ended`` counts ended sessions by their reason.
    """

    listener: Listener
    state: ListenerState
    bound_port: int
    error: str = ""
    retry_in: float | None = None
    revision: int = 0
    sessions: int = 0
    accepted: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    ended: tuple[tuple[str, int], ...] = ()
