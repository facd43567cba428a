"""Bounds of the process. All times in seconds."""

from __future__ import annotations

from attrs import frozen


@frozen
class Limits:
    """
    ``max_sessions`` (``None``: 45 % of the descriptors the process may open, since a session holds two) and
    ``max_sessions_per_client`` bound what is open at once; UDP sessions have their own cap,
    ``max_udp_sessions`` a listener. ``sniff_timeout`` is for the bytes that name the target, ``connect_timeout`` for
    one connect, ``idle_timeout`` without a byte either way, ``udp_idle_timeout`` the same for datagrams;
    ``shutdown_timeout`` is how long open sessions may go on after SIGTERM.
    """

    max_sessions: int | None = None
    max_sessions_per_client: int | None = None
    max_udp_sessions: int = 4096
    sniff_timeout: float = 3.0
    handshake_timeout: float = 10.0
    connect_timeout: float = 10.0
    idle_timeout: float = 600.0
    udp_idle_timeout: float = 60.0
    shutdown_timeout: float = 10.0
