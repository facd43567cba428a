"""The documents that a configuration file declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import fields, frozen

from streamproxy.errors import Problem
from streamproxy.model import Document, Json, Key
from streamproxy.plugins.seam import Plugin

from ..assemble import DEFAULT_VAULT, NO_PLUGINS, Vault, sealed
from ..codec import kind_of, shown, structure

KINDS: Final = {
    "tcp_services": ("otoroshi", "tcp-services"),
    "stream_routes": ("apisix", "stream_routes"),
    "upstreams": ("apisix", "upstreams"),
    "services": ("apisix", "services"),
    "ssls": ("apisix", "ssls"),
    "plugin_metadata": ("apisix", "plugin_metadata"),
    "listeners": ("native", "listeners"),
}
"""Which list holds documents of which dialect and kind."""


@frozen
class Resources:
    tcp_services: tuple[Any, ...] = ()
    stream_routes: tuple[Any, ...] = ()
    upstreams: tuple[Any, ...] = ()
    services: tuple[Any, ...] = ()
    ssls: tuple[Any, ...] = ()
    plugin_metadata: tuple[Any, ...] = ()
    listeners: tuple[Any, ...] = ()


@frozen
class Declared:
    """``paths`` says where in the file each document stands (``resources.upstreams[0]``)."""

    documents: tuple[Document, ...]
    paths: Mapping[Key, str]
    problems: tuple[Problem, ...]


def declared(
    section: Json, origin: str, vault: Vault = DEFAULT_VAULT, plugins: Mapping[str, Plugin] = NO_PLUGINS
) -> Declared:
    """
    The documents in the ``resources`` of the file ``origin``, in its order, with their bodies as they are but for
    private keys and what ``plugins`` keep secret, which is sealed with ``vault``. What is in the bodies is not looked
    at, but for the ids: a TCP service has one; anything else without one is called ``arr_1``, ``arr_2``, ... by its
    place in its list, as APISIX does it.
    """
    lists, problems = structure({} if section is None else section, Resources, forbid_extra=True, null_is_absent=True)
    if lists is None:
        lists = _readable(section)
    documents: dict[Key, Document] = {}
    paths: dict[Key, str] = {}
    found = [*problems]
    for name, index, body in _bodies(lists):
        where = f"{name}[{index}]"
        key = key_of(*KINDS[name], index, body)
        if isinstance(key, Problem):
            found.append(key.under(where))
        elif key in documents:
            message = f"{shown(key.id)} is the id of {paths[key]} already"
            found.append(Problem(f"{where}.id", "conflict", message))
        else:
            documents[key] = Document(key, sealed(key, body, vault, plugins), origin=origin)
            paths[key] = f"resources.{where}"
    return Declared(tuple(documents.values()), paths, tuple(problem.under("resources") for problem in found))


def _readable(section: Json) -> Resources:
    """What can still be read where something is wrong."""
    given = section if isinstance(section, Mapping) else {}
    names = [field.name for field in fields(Resources)]
    return Resources(**{name: tuple(value) for name in names if isinstance(value := given.get(name), list)})


def _bodies(lists: Resources) -> Iterator[tuple[str, int, Any]]:
    for name in KINDS:
        for index, body in enumerate(getattr(lists, name)):
            yield name, index, body


def key_of(dialect: str, kind: str, index: int, body: Any) -> Key | Problem:
    """What the document ``body``, which stands at ``index`` of its list, is called; or why it has no name."""
    if not isinstance(body, Mapping):
        return Problem("", "wrong_type", f"expected an object, got {kind_of(body)}")
    given = body.get("id")
    if given is None and dialect != "otoroshi":
        return Key(dialect, kind, f"arr_{index + 1}")
    if given is None:
        return Problem("id", "missing", "is required")
    if isinstance(given, str) and given:
        return Key(dialect, kind, given)
    if isinstance(given, int) and not isinstance(given, bool) and dialect != "otoroshi":
        return Key(dialect, kind, str(given))
    expected = "a string" if dialect == "otoroshi" else "a string or an integer"
    return Problem("id", "wrong_type", f"expected {expected} that is not empty, got {kind_of(given)}")
