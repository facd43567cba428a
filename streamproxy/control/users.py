"""Who uses an upstream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import Snapshot


def users_of(snapshot: Snapshot) -> Mapping[str, Sequence[str]]:
    """The documents whose routes lead to each upstream, by its id, in order of the routes."""
    found: dict[str, dict[str, None]] = {}
    for routing in snapshot.routings.values():
        for route in routing.routes:
            user = route.id if route.document is None else str(route.document)
            for upstream in route.leads_to:
                found.setdefault(upstream, {})[user] = None
    return {upstream: tuple(users) for upstream, users in found.items()}
