"""Who may come in, by address."""

from __future__ import annotations

from attrs import frozen

from .route import Network


@frozen(cache_hash=True)
class Access:
    """
    Clients in ``deny`` may not; where there is an ``allow``, only those in it may. The lists may be long, and what is
    made of them is kept by this.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
