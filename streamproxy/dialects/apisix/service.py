"""APISIX's ``services``: an upstream and plugins that several routes share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from streamproxy.model import Key
from streamproxy.plugins.seam import Plugin

from .jsonschema import Violation
from .parts import identifier
from .plugin_conf import SERVICE, PluginPlan, to_plugins
from .secrets import Vault
from .upstream import UpstreamPlan, to_upstream


@frozen
class Service:
    """
    ``upstream`` is one of the service's own, ``upstream_id`` the id of an object (empty: none), which counts where
    there is none of its own. Of ``plugins``, those that are switched off are ``None``. ``broken``: not all of them are
    there, and without them nobody may pass.
    """

    key: Key
    upstream: UpstreamPlan | None = None
    upstream_id: str = ""
    plugins: Mapping[str, PluginPlan | None] = field(factory=dict)
    broken: bool = False


def to_service(
    key: Key, body: Mapping[str, Any], plugins: Mapping[str, Plugin], vault: Vault
) -> tuple[Service, tuple[Violation, ...]]:
    """
    The service that ``body``, which its schema has nothing against, describes; and what of it cannot be done or cannot
    work. What is for HTTP (``hosts``, ``enable_websocket``, ``script``) means nothing here.
    """
    upstream: UpstreamPlan | None = None
    found: tuple[Violation, ...] = ()
    if "upstream" in body:
        upstream, inner = to_upstream(body["upstream"], f"{key} upstream", vault, is_object=True)
        found = tuple(Violation(each.problem.under("upstream"), each.text) for each in inner)
    plans, refused = to_plugins(body.get("plugins") or {}, plugins, vault, str(key), SERVICE)
    service = Service(key, upstream, identifier(body.get("upstream_id", "")), plans, broken=bool(refused))
    return service, (*found, *refused)
