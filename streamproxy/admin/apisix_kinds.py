"""The kinds of documents of APISIX's, and which of them a proxy of streams has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from streamproxy.dialects.apisix import without_keys
from streamproxy.model import Document

from .apisix_answer import ApisixError, Item, refused

_PATCH, _POST = "PATCH", "POST"


@frozen
class Kind:
    """
    ``name`` as in the path, ``word`` as in messages. ``unsupported``: methods it does not have. ``filters``: what a
    list can be filtered by. Documents that are ``dated`` know when they were made and changed.
    """

    name: str
    word: str
    unsupported: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    dated: bool = True

    @property
    def is_named_by_plugin(self) -> bool:
        """Its ids are plugins' names, and not in the body."""
        return self.name == "plugin_metadata"

    def item(self, document: Document) -> Item:
        """As the API shows it to those who ask: without what only its author should know."""
        value = {**document.body}
        value.setdefault("id", document.key.id)
        return Item(document, without_keys(value) if self.name == "ssls" else value)

    def stored_item(self, document: Document) -> Item:
        """As it is answered to its author: as it is stored, with private keys sealed."""
        return Item(document, {**document.body, "id": document.body.get("id", document.key.id)})

    def check_method(self, method: str) -> None:
        """Raises :class:`ApisixError` (405)."""
        if method in self.unsupported:
            raise refused(f"not supported `{method}` method for {self.word}", 405)


KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("stream_routes", "stream route", unsupported=(_PATCH,), filters=("service_id", "upstream_id")),
        Kind("upstreams", "upstream"),
        Kind("services", "service"),
        Kind("ssls", "ssl"),
        Kind("plugin_metadata", "plugin_metadata", unsupported=(_POST, _PATCH), dated=False),
    )
}
"""Those there are."""

HTTP_KINDS: Final = (
    "routes",
    "consumers",
    "credentials",
    "consumer_groups",
    "protos",
    "global_rules",
    "plugin_configs",
    "secrets",
    "graphql_cost_decorations",
)
"""Those that only a proxy of HTTP could have."""

CONFIG_KINDS: Final = (
    *KINDS,
    *(name for name in HTTP_KINDS if name not in ("credentials", "graphql_cost_decorations")),
    "plugins",
)
"""Those that a whole configuration is made of, ``/configs``."""


def why_not(name: str) -> str:
    """Why nothing of this kind can be written."""
    if name == "plugins":
        return "the plugins are those that the configuration file names (stream_plugins)"
    return f"this is a layer-4 proxy, which has no {name}: of APISIX's kinds it has {', '.join(KINDS)}"


def unsupported(name: str) -> ApisixError:
    return refused(f"Unsupported resource type: {name}", 404)
