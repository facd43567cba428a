"""Who may come in, by address."""

from __future__ import annotations

from attrs import frozen

from .route import Network


@frozen
class Access:
    """Clients in ``deny`` may not; where there is an ``allow``, only those in it may."""

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
