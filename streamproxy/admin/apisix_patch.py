"""APISIX's patches: an object merged into a document, or the value at a path in it replaced."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from streamproxy.model import Json

from .apisix_answer import refused
from .bodies import DEPTH, BodyError, checked


def merged(value: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """``value`` with ``patch`` merged in: objects recursively, ``null`` deletes, all else replaces (RFC 7396)."""
    result = dict(value)
    for name, new in patch.items():
        if new is None:
            result.pop(name, None)
        elif isinstance(new, dict):
            old = result.get(name)
            result[name] = merged(old if isinstance(old, dict) else {}, new)
        else:
            result[name] = copy.deepcopy(new)
    return result


def replaced(value: Mapping[str, Any], path: str, new: Json) -> dict[str, Any]:
    """
    ``value`` with ``new`` at the ``path`` (``a/b``), objects made on the way where there are none; ``null`` deletes.

    Raises :class:`ApisixError` (400).
    """
    steps = path.split("/")
    if len(steps) > DEPTH:
        raise _wrong(path[:200])
    result: dict[str, Any] = copy.deepcopy(dict(value))
    holder: Any = result
    for number, step in enumerate(steps[:-1], start=1):
        holder = holder.setdefault(step, {})
        if not isinstance(holder, dict):
            raise _wrong("/".join(steps[:number])[:200])
    if new is None:
        holder.pop(steps[-1], None)
    else:
        holder[steps[-1]] = copy.deepcopy(new)
    try:
        checked(result)
    except BodyError as error:
        raise refused(f"invalid configuration: {error.why}") from None
    return result


def _wrong(path: str) -> Exception:
    return refused(f"invalid sub-path: /{path}")
