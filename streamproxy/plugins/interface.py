"""What Twisted's plugin system looks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zope.interface import Attribute, Interface

from ..errors import Problem
from .seam import Gate, Host, Place, UpstreamReference


class IStreamPlugin(Interface):
    """
    A connection plugin. :class:`~streamproxy.plugins.Plugin` says the same with types, and what each part means; an
    object that is this and ``twisted.plugin.IPlugin``, in a module of ``twisted.plugins``, is found by its interfaces.
    """

    name: str = Attribute("Unique among all plugins")
    version: float = Attribute("A number, shown to people")
    priority: int = Attribute("An integer: the greater, the earlier it is asked")
    schema: Mapping[str, Any] = Attribute("The JSON schema of one use's configuration")
    metadata_schema: Mapping[str, Any] = Attribute("The JSON schema of what is configured for all uses")
    encrypted: tuple[str, ...] = Attribute("A tuple of the fields that are sealed before they are stored")

    # zope's methods are written without self.
    def problems(conf: Mapping[str, Any]) -> Iterable[Problem]:  # noqa: N805
        """What is wrong with a configuration that its schema has nothing against."""

    def references(conf: Mapping[str, Any]) -> Iterable[UpstreamReference]:  # noqa: N805
        """The upstreams a configuration leads to."""

    def gate(conf: Mapping[str, Any], place: Place, host: Host) -> Gate:  # noqa: N805
        """One use, made ready."""
