"""Bounds of the process and of its listeners. All times in seconds."""

from __future__ import annotations

from attrs import asdict, evolve, frozen


@frozen
class Rate:
    """``per_second`` for ever, and at most ``burst`` at once."""

    per_second: float
    burst: int


@frozen
class Limits:
    """
    ``max_sessions`` (``None``: 45 % of the descriptors the process may open, since a session holds two),
    ``max_sessions_per_listener`` and ``max_sessions_per_client`` bound what is open at once; UDP sessions have a cap of
    their own, ``max_udp_sessions`` a listener. ``session_rate`` bounds the sessions that begin at a listener,
    ``session_rate_per_client`` those of one client address. ``bandwidth`` is bytes a second that a session may relay,
    each way; ``bandwidth_per_client`` the same of all sessions of a client address together.

    ``sniff_timeout`` is for the bytes that name the target, ``connect_timeout`` for one connect, ``idle_timeout``
    without a byte either way, ``udp_idle_timeout`` the same for datagrams; ``max_duration`` is for a session as a
    whole. ``shutdown_timeout`` is how long open sessions may go on after SIGTERM, ``drain_time`` within how long those
    are ended that a change takes the way from, where it says so.

    ``max_sessions_per_node`` is for the nodes of upstreams that have no cap of their own. Where all are full,
    ``max_queue`` sessions may wait for one of an upstream's, each for ``queue_timeout``.
    """

    max_sessions: int | None = None
    max_sessions_per_listener: int | None = None
    max_sessions_per_client: int | None = None
    max_udp_sessions: int = 4096
    session_rate: Rate | None = None
    session_rate_per_client: Rate | None = None
    bandwidth: int | None = None
    bandwidth_per_client: int | None = None
    sniff_timeout: float = 3.0
    handshake_timeout: float = 10.0
    connect_timeout: float = 10.0
    idle_timeout: float = 600.0
    udp_idle_timeout: float = 60.0
    max_duration: float | None = None
    max_sessions_per_node: int | None = None
    max_queue: int = 0
    queue_timeout: float = 5.0
    shutdown_timeout: float = 10.0
    drain_time: float = 30.0


@frozen
class ListenerLimits:
    """
    What a listener has in place of the process's :class:`Limits`; ``None``: nothing. What is given here for each
    client counts the client's sessions at this listener, not at all of them.
    """

    max_sessions_per_listener: int | None = None
    max_sessions_per_client: int | None = None
    max_udp_sessions: int | None = None
    session_rate: Rate | None = None
    session_rate_per_client: Rate | None = None
    bandwidth: int | None = None
    bandwidth_per_client: int | None = None
    sniff_timeout: float | None = None
    handshake_timeout: float | None = None
    connect_timeout: float | None = None
    idle_timeout: float | None = None
    udp_idle_timeout: float | None = None
    max_duration: float | None = None
    max_sessions_per_node: int | None = None
    max_queue: int | None = None
    queue_timeout: float | None = None

    def over(self, limits: Limits) -> Limits:
        """``limits``, with what is given here in its place."""
        given = asdict(self, recurse=False, filter=lambda _, value: value is not None)
        return evolve(limits, **given) if given else limits
