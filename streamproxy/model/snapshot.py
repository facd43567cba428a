"""Everything that should be true, at one revision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from .listener import Listener
from .route import Routing
from .settings import Limits
from .tls import Certificate
from .upstream import Upstream


@frozen
class Snapshot:
    """
    The whole desired state. It is consistent: every listener's routing and every route's upstream is in here, and no
    two listeners overlap. ``revision`` is the store's; two snapshots with equal content and different revisions ask
    for nothing to change. ``certificates`` are those of documents; there may be more, in files. ``plugin_metadata`` is
    what was configured for all uses of a plugin, by its name.
    """

    revision: int = 0
    listeners: tuple[Listener, ...] = ()
    routings: Mapping[str, Routing] = field(factory=dict)
    upstreams: Mapping[str, Upstream] = field(factory=dict)
    limits: Limits = Limits()
    certificates: tuple[Certificate, ...] = ()
    plugin_metadata: Mapping[str, Mapping[str, Any]] = field(factory=dict)
