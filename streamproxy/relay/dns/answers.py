"""What a lookup comes to."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar, runtime_checkable

from attrs import frozen
from twisted.internet.defer import Deferred

from .message import Service

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ResolutionError(Exception):
    """The name has no address, or nobody could say."""


class NothingThere(ResolutionError):
    """Somebody who knows says that there is nothing. ``ttl``: for how many seconds; ``None`` where he did not say."""

    def __init__(self, why: str, ttl: float | None = None) -> None:
        super().__init__(why)
        self.ttl = ttl


@frozen
class Found(Generic[T_co]):
    """``value`` is never empty; ``ttl`` in seconds."""

    value: T_co
    ttl: float


@runtime_checkable
class Directory(Protocol):
    """Who is asked. The Deferreds fail with :class:`ResolutionError`, and may be cancelled."""

    def addresses(self, host: str) -> Deferred[Found[tuple[str, ...]]]:
        """IP literals, in any order."""
        ...

    def services(self, name: str) -> Deferred[Found[tuple[Service, ...]]]:
        """The SRV records of a name, in an order that is theirs alone."""
        ...
