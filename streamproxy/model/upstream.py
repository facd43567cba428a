"""Where connections go."""

from __future__ import annotations

import enum

from attrs import frozen

from .tls import ClientPolicy


class Policy(enum.Enum):
    """How a node is chosen."""

    ROUND_ROBIN = "roundrobin"


@frozen
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
        return f"{host}/{self.ip}:{self.port}" if self.ip else f"{host}:{self.port}"


@frozen
class Timeouts:
    """Seconds; ``None`` leaves the listener's own value in force."""

    connect: float | None = None
    idle: float | None = None


@frozen
class Upstream:
    """
    ``id`` is unique in its snapshot. ``retries`` is how many other nodes a failed connect is tried on (``None``: every
    other node once), ``retry_timeout`` bounds them all together in seconds (0: no bound).
    """

    id: str
    nodes: tuple[Node, ...]
    policy: Policy = Policy.ROUND_ROBIN
    retries: int | None = None
    retry_timeout: float = 0.0
    timeouts: Timeouts = Timeouts()
