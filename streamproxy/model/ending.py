"""How a session goes, how it ended, and the record it leaves."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from attrs import field, frozen

from .facts import Facts


class Ending(enum.Enum):
    """Why a session is over. The value is what logs, counters and answers show."""

    CLIENT_CLOSED = "client_closed"
    TARGET_CLOSED = "target_closed"
    CLIENT_RESET = "client_reset"
    TARGET_RESET = "target_reset"
    IDLE_TIMEOUT = "idle_timeout"
    SNIFF_TIMEOUT = "sniff_timeout"
    SNIFF_FAILED = "sniff_failed"
    CLIENT_GONE = "client_gone"
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    HANDSHAKE_FAILED = "handshake_failed"
    NO_ROUTE = "no_route"
    REJECTED = "rejected"
    NO_NODE = "no_node"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    RESOLVE_FAILED = "resolve_failed"
    TARGET_TLS_FAILED = "target_tls_failed"
    OVER_LIMIT = "over_limit"
    DENIED = "denied"
    MAX_DURATION = "max_duration"
    QUEUE_FULL = "queue_full"
    QUEUE_TIMEOUT = "queue_timeout"
    NODE_DOWN = "node_down"
    KILLED = "killed"
    SHUTDOWN = "shutdown"
    DRAINED = "drained"
    INTERNAL_ERROR = "internal_error"


@frozen
class Ended:
    """
    One ended session. Times are seconds: ``started`` since the epoch, the rest lengths of phases, ``None`` where the
    session did not get that far. ``bytes_in`` went from the client to the target, ``bytes_out`` the other way.
    ``node`` is the label of the last node that was tried, ``earlier`` are those before it (the last of them, where they
    are many); ``detail`` says more than ``ending`` (an errno's text, why the first bytes could not be read). ``code``
    is the status a plugin rejected it with (``REJECTED``), ``variables`` what plugins found out about it
    (``mqtt_client_id``).
    """

    id: str
    facts: Facts
    owner: str
    revision: int
    ending: Ending
    started: float
    duration: float
    route: str | None = None
    upstream: str | None = None
    node: str | None = None
    detail: str = ""
    sniff_time: float | None = None
    connect_time: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    attempts: int = 0
    code: int | None = None
    variables: Mapping[str, str] = field(factory=dict)
    earlier: tuple[str, ...] = ()


class Phase(enum.Enum):
    """
    What a session is at: it waits for a PROXY protocol header, for the bytes that name its target, for its client's
    handshake, for what plugins say, for a node with room, for a connection to one; or it relays.
    """

    HEADER = "header"
    SNIFFING = "sniffing"
    HANDSHAKE = "handshake"
    PLUGINS = "plugins"
    QUEUED = "queued"
    CONNECTING = "connecting"
    RELAYING = "relaying"


@frozen
class Ongoing:
    """One session that goes on, as it was when this was made. The fields are those of :class:`Ended`."""

    id: str
    facts: Facts
    owner: str
    revision: int
    phase: Phase
    started: float
    duration: float
    route: str | None = None
    upstream: str | None = None
    node: str | None = None
    sniff_time: float | None = None
    connect_time: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    attempts: int = 0
    variables: Mapping[str, str] = field(factory=dict)
