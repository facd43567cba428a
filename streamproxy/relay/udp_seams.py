"""What a UDP proxy wants of others, what it keeps to, and what it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from attrs import define, field, frozen

from ..model import Ended, Ending, Facts, Node

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from .bandwidth import Meter
    from .gates import Admission


@frozen
class Routed:
    """
    Where a new client's datagrams go, until its session ends. ``idle_timeout`` in seconds, ``None`` leaves the
    listener's own in force. ``release`` is called once, when the session is over, with its record (``None``: there was
    no session after all). ``delay`` is how many seconds the first datagrams wait before they are sent; ``variables``
    is what plugins found out. ``prefix`` stands in front of every datagram to the node.

    ``requests`` and ``responses`` are nginx's ``proxy_requests`` and ``proxy_responses``: after ``requests`` datagrams
    the client's next one starts a new session; ``responses`` is how many the node answers to each, and the session is
    over when they all came and it takes no more requests (without ``requests``: at once). ``None`` is no limit.
    """

    node: Node
    route_id: str | None
    upstream_id: str | None
    idle_timeout: float | None
    release: Callable[[Ended | None], None]
    requests: int | None = None
    responses: int | None = None
    delay: float = 0.0
    variables: Mapping[str, str] = field(factory=dict)
    prefix: bytes = b""


@frozen
class Refused:
    """Why there is nowhere to go, and what is to be told of it: ``admission`` are the plugins that were asked."""

    ending: Ending
    why: str
    code: int | None = None
    route_id: str | None = None
    admission: Admission | None = None


class DatagramRouter(Protocol):
    """Decides where new clients of one listener go, at one revision of the configuration."""

    @property
    def owner(self) -> str:
        """The listener's owner, for the sessions' records."""
        ...

    @property
    def revision(self) -> int: ...

    def route(self, facts: Facts, datagram: bytes) -> Routed | Refused:
        """The place, or why there is none. Called for the first datagram of each client, with it."""
        ...


class DatagramResolver(Protocol):
    """Names to addresses: IP literals, the one to try first in front."""

    def cached(self, host: str) -> tuple[str, ...] | None:
        """The addresses if nobody has to be asked (a literal is its own), else ``None``."""
        ...

    def resolve(self, host: str) -> Deferred[tuple[str, ...]]:
        """A Deferred of the caller's own, which may cancel it."""
        ...


def everybody(direct: str, client: str) -> str:
    """Nobody is refused."""
    return ""


def unmetered(client: str) -> None:
    """Bandwidth is not limited."""


@frozen
class DatagramLimits:
    """
    Bounds of one listener. Over ``max_sessions`` or ``max_sessions_per_client`` (sessions of one IP address) the
    datagrams of new clients are dropped. ``idle_timeout`` in seconds, without a datagram either way; ``max_duration``
    is for a session as a whole.

    ``refuses`` is asked about each new client, by the address its datagram came from and by the one it goes by; it
    answers with the limit that was met (see :class:`DatagramCounters`), or nothing. ``meters`` gives those of what a
    client sends and gets.
    """

    max_sessions: int = 4096
    max_sessions_per_client: int | None = None
    idle_timeout: float = 60.0
    max_duration: float | None = None
    refuses: Callable[[str, str], str] = everybody
    meters: Callable[[str], tuple[Meter, Meter] | None] = unmetered


@define
class DatagramCounters:
    """
    What happened on one listener since it started; only ever grows. ``_in`` came from clients, ``_out`` went to them,
    in datagrams and in bytes of payload; what came in and was dropped is in both ``datagrams_in`` and its reason:

    ``dropped_no_route`` nothing to send it to; ``dropped_rejected`` a plugin refused it; ``dropped_proxy_header`` it
    had no PROXY protocol header, and should have; ``dropped_denied`` its sender may not come in;
    ``dropped_session_rate`` and ``dropped_session_rate_per_client`` too many sessions began lately;
    ``dropped_over_limit`` there were as many as there may be, and ``dropped_max_sessions_per_client`` as many of its
    client; ``dropped_no_descriptor`` none was left; ``dropped_nodes_full`` every node had as many sessions as it may;
    ``dropped_unreachable`` its node has lately proved not to be there; ``dropped_bandwidth`` too much, either way;
    ``dropped_queue`` too much waited for a name to resolve, or it waited in vain; ``dropped_loop`` it claimed to come
    from the listener itself; ``dropped_closing`` a new client of a listener that is closing; ``truncated`` larger than
    the buffer (either direction); ``send_errors`` the kernel refused it (either direction); ``icmp_errors`` errors the
    network reported for what had been sent to a node.
    """

    sessions: int = 0
    datagrams_in: int = 0
    datagrams_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    dropped_no_route: int = 0
    dropped_rejected: int = 0
    dropped_proxy_header: int = 0
    dropped_over_limit: int = 0
    dropped_max_sessions_per_client: int = 0
    dropped_denied: int = 0
    dropped_session_rate: int = 0
    dropped_session_rate_per_client: int = 0
    dropped_no_descriptor: int = 0
    dropped_nodes_full: int = 0
    dropped_unreachable: int = 0
    dropped_bandwidth: int = 0
    dropped_queue: int = 0
    dropped_loop: int = 0
    dropped_closing: int = 0
    truncated: int = 0
    send_errors: int = 0
    icmp_errors: int = 0

    def drop(self, why: str) -> None:
        """Count a datagram that was dropped; ``why`` is what stands behind ``dropped_`` above."""
        name = f"dropped_{why}"
        setattr(self, name, getattr(self, name) + 1)
