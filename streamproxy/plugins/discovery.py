"""Which plugins there are: ours, and those that Twisted's plugin system finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from twisted.logger import Logger
from twisted.plugin import getPlugins
from zope.interface.verify import verifyObject

from ..errors import InvalidConfiguration, Problem
from .interface import IStreamPlugin
from .ip_restriction import ip_restriction
from .limit_conn import limit_conn
from .mqtt_proxy import mqtt_proxy
from .prometheus import prometheus
from .seam import Plugin
from .syslog import syslog
from .traffic_split import traffic_split

_log = Logger()

# Ours need no plugin system: they are here whatever became of its cache, and nobody can take their names.
BUILT_IN: Final[Sequence[Plugin]] = (ip_restriction, limit_conn, mqtt_proxy, traffic_split, prometheus, syslog)

DEFAULT: Final = ("ip-restriction", "limit-conn", "mqtt-proxy", "traffic-split", "syslog")
"""Those of ours that are in use where nobody says which (APISIX's own list)."""


def catalogue(enabled: Sequence[str] | None = None) -> Mapping[str, Plugin]:
    """
    The plugins that routes may use, by name, in the order in which they are asked. ``enabled`` names them; where it is
    ``None`` they are :data:`DEFAULT` and everybody else's. A plugin that is broken is logged and left out.

    Raises :class:`~streamproxy.errors.InvalidConfiguration` with a problem for each name that nobody has; its path is
    the name's place in ``enabled``.
    """
    plugins = _found()
    if enabled is None:
        ours = {plugin.name for plugin in BUILT_IN}
        names = [name for name in plugins if name in DEFAULT or name not in ours]
    else:
        there_are = f"there are {', '.join(sorted(plugins))}"
        problems = [
            Problem(f"[{index}]", "bad_value", f"unknown plugin [{name}]: {there_are}")
            for index, name in enumerate(enabled)
            if name not in plugins
        ]
        if problems:
            raise InvalidConfiguration.of(problems)
        names = [name for name in plugins if name in enabled]
    names.sort(key=lambda name: (-plugins[name].priority, name))
    return {name: plugins[name] for name in names}


def _found() -> dict[str, Plugin]:
    """Of those with one name the first."""
    plugins = {plugin.name: plugin for plugin in BUILT_IN}
    for plugin in _others():
        known = plugins.setdefault(plugin.name, plugin)
        if known is not plugin:
            _log.error(
                "there is a plugin {name} already: {plugin} is left out", name=plugin.name, plugin=_whose(plugin)
            )
    return plugins


def _others() -> Iterator[Plugin]:
    """Twisted logs what it cannot import, and goes on."""
    try:
        for found in getPlugins(IStreamPlugin):
            why = _fault(found)
            if why is None:
                yield cast(Plugin, found)
            else:
                _log.error("the plugin {plugin} is left out: {why}", plugin=_whose(found), why=why)
    except Exception:  # noqa: BLE001 - the plugin system runs everybody's modules
        _log.failure("plugins cannot be looked for")


def _fault(found: Any) -> str | None:
    """Why an object that says that it is a plugin is none."""
    try:
        verifyObject(IStreamPlugin, found)
        if not isinstance(found.name, str) or not found.name:
            return "its name is no text"
        if not isinstance(found.priority, int):
            return "its priority is no integer"
        if not isinstance(found.schema, Mapping) or not isinstance(found.metadata_schema, Mapping):
            return "its schemas are no objects"
    except Exception as error:  # noqa: BLE001 - a plugin is anybody's code
        return " ".join(str(error).split())
    return None


def _whose(plugin: object) -> str:
    return f"{type(plugin).__module__}.{type(plugin).__qualname__}"
