"""Where connections go."""

from __future__ import annotations

import enum

from attrs import frozen

from .health import Checks
from .tls import ClientPolicy


class Policy(enum.Enum):
    """
    How a node is chosen: in turn by weight; by a hash of something the session has; the least loaded for its weight;
    the one that lately answered fastest.
    """

    ROUND_ROBIN = "roundrobin"
    CHASH = "chash"
    LEAST_CONN = "least_conn"
    EWMA = "ewma"


@frozen
class HashKey:
    """
    What a session is hashed by: the variable ``text``, or where ``combined`` a text with ``$variables`` in it. A
    session without it is hashed by its client's address.
    """

    text: str
    combined: bool = False


@frozen(cache_hash=True)
class Node:
    """
    A place to connect to. ``host`` is a name or an IP literal; ``ip``, where given, is dialled in its place (it may be
    a name too) and ``host`` stays the label and the name TLS verifies. ``weight`` 0 takes no new session. Nodes of a
    higher ``priority`` are used first.
    """

    host: str
    port: int
    ip: str | None = None
    weight: int = 1
    priority: int = 0
    tls: ClientPolicy | None = None

    @property
    def dial_host(self) -> str:
        return self.ip or self.host

    @property
    def label(self) -> str:
        """For people and logs: ``host:port``, or ``host/ip:port`` where ``ip`` overrides."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        # A dot at the end makes no other name of it.
        overridden = self.ip is not None and self.ip.removesuffix(".") != self.host
        return f"{host}/{self.ip}:{self.port}" if overridden else f"{host}:{self.port}"


@frozen
class Timeouts:
    """Seconds; ``None`` leaves the listener's own value in force."""

    connect: float | None = None
    idle: float | None = None


@frozen
class Upstream:
    """
    ``id`` is unique in its snapshot. ``retries`` is how many other nodes a failed connect is tried on (``None``: every
    other node once), ``retry_timeout`` bounds them all together in seconds (0: no bound). ``hash_key`` is for
    ``CHASH``. ``max_sessions`` is how many may be open to one node at a time (``None``: any number).
    """

    id: str
    nodes: tuple[Node, ...]
    policy: Policy = Policy.ROUND_ROBIN
    retries: int | None = None
    retry_timeout: float = 0.0
    timeouts: Timeouts = Timeouts()
    hash_key: HashKey | None = None
    checks: Checks | None = None
    max_sessions: int | None = None
