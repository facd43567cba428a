"""What most plugins and gates have in common. Nobody has to build on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from twisted.plugin import IPlugin
from zope.interface import implementer

from ..errors import Problem
from ..model import Ended
from .interface import IStreamPlugin
from .seam import GO, Gate, Host, Place, UpstreamReference, Verdict, Visit

_ANYTHING: Final[Mapping[str, Any]] = {"type": "object"}


@implementer(IPlugin, IStreamPlugin)
class BasePlugin:
    """A plugin that takes any configuration. ``name``, ``priority`` and ``gate`` are its subclass's to give."""

    name: str
    version: float = 0.1
    priority: int
    schema: Mapping[str, Any] = _ANYTHING
    metadata_schema: Mapping[str, Any] = _ANYTHING
    encrypted: tuple[str, ...] = ()
    # Does what a gate answers follow from its configuration and from what it is asked alone? Then it may be asked about
    # connections that nobody made.
    pure: bool = False

    def problems(self, conf: Mapping[str, Any]) -> Iterable[Problem]:
        return ()

    def references(self, conf: Mapping[str, Any]) -> Iterable[UpstreamReference]:
        return ()

    def gate(self, conf: Mapping[str, Any], place: Place, host: Host) -> Gate:
        raise NotImplementedError


class BaseGate:
    """A gate that lets everybody pass and holds nothing."""

    def admit(self, visit: Visit) -> Verdict:
        return GO

    def ended(self, record: Ended) -> None: ...

    def close(self) -> None: ...


def with_defaults(conf: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with the ``default`` of each of its schema's properties that it does not mention."""
    defaults = {name: each["default"] for name, each in schema.get("properties", {}).items() if "default" in each}
    return {**defaults, **conf}
