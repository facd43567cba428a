"""Connection plugins as data: which are asked about a session, and what they are told of their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen


@frozen
class PluginUse:
    """
    A plugin at one route. ``conf`` is its configuration as it was written, checked against the plugin's schema, but
    with references to secrets resolved; it shows itself in no repr. ``filter`` is an expression
    (:mod:`streamproxy.rules.expression`, empty: none): where it is false for a session, the plugin is not asked.
    ``upstreams`` are the ids, in the snapshot, of the upstreams ``conf`` refers to, by the path in ``conf`` at which it
    does. ``inherited``: it stands in the service that the route leads through, and so at its other routes too.
    """

    name: str
    priority: int
    conf: Mapping[str, Any] = field(repr=False)
    filter: tuple[Any, ...] = ()
    upstreams: Mapping[str, str] = field(factory=dict)
    inherited: bool = False
