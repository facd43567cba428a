"""Documents: what users wrote, kept as they wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, Union

from attrs import evolve, frozen

Json: TypeAlias = Union[bool, int, float, str, "list[Json]", "dict[str, Json]", None]


@frozen(order=True, cache_hash=True)
class Key:
    """Names a document: ``dialect`` (``otoroshi``, ``apisix``), ``kind`` (``tcp-services``, ``upstreams``), ``id``."""

    dialect: str
    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.dialect}:{self.kind}/{self.id}"


@frozen
class Document:
    """
    A document as its author wrote it. ``body`` is never changed after it got here.

    ``created_revision`` and ``revision`` are the configuration revisions of its first and last write, ``created``
    and ``updated`` the same in seconds since the epoch. ``origin`` is empty for what came through an API, else the
    path of the file that declares it, which makes it read-only in the APIs. At ``expires`` (seconds since the epoch)
    the document is deleted by itself; ``None``: never.
    """

    key: Key
    body: Mapping[str, Json]
    created_revision: int = 0
    revision: int = 0
    created: float = 0.0
    updated: float = 0.0
    origin: str = ""
    expires: float | None = None

    def with_body(self, body: Mapping[str, Json]) -> Document:
        return evolve(self, body=body)


@frozen
class Put:
    """Create or replace the document ``key``, for good or until ``expires`` (seconds since the epoch)."""

    key: Key
    body: Mapping[str, Json]
    expires: float | None = None


@frozen
class Delete:
    """Remove the document ``key``; removing what is not there is no change."""

    key: Key


Change: TypeAlias = Put | Delete
