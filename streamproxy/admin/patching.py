"""Patches of a document: RFC 6902, and Otoroshi's own by dotted paths."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import Any, cast

import jsonpatch
import jsonpointer
from attrs import frozen

from streamproxy.errors import StreamProxyError
from streamproxy.model import Json

from .bodies import DEPTH, BodyError, checked, parse_json

MOST_OPERATIONS = 1000
# Twenty copies of the whole into itself would make a million times as much of it.
MOST_COPIED = 100_000

_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
_INDEX = re.compile(r"[0-9]{1,6}")


@frozen(auto_exc=True)
class PatchError(StreamProxyError):
    """The patch is none, or does not apply to the document; ``why`` is for its author."""

    why: str

    def __str__(self) -> str:
        return self.why


def apply_patch(document: Json, operations: Json) -> Json:
    """
    ``document`` after the RFC 6902 ``operations``, all of them or none; it is not touched itself.

    Raises :class:`PatchError`.
    """
    result: Any = copy.deepcopy(document)
    copied = 0
    # A value that is added becomes part of the result, where later operations may change it.
    for index, operation in enumerate(copy.deepcopy(_operations(operations))):
        where = f"operation {index}"
        if operation["op"] == "copy":
            copied += _size(_at(result, operation.get("from"), where))
            if copied > MOST_COPIED:
                raise PatchError(f"{where}: the copies are too much")
        result = _applied(result, operation, where)
    return _sound(result)


def apply_paths(document: Json, values: Iterable[tuple[str, Json]]) -> Json:
    """
    ``document`` with each value put at its dotted path, objects made on the way where there are none. Text that reads
    as JSON (``true``, ``8080``, ``null``, ``{...}``) counts as that. Numbers in a path index a list.

    Raises :class:`PatchError`.
    """
    result: Any = copy.deepcopy(document)
    for path, value in values:
        parts = path.split(".")
        if not all(parts) or len(parts) > DEPTH:
            raise PatchError(f"{path[:80]!r} is no path of a field")
        holder = result
        for part in parts[:-1]:
            holder = _step(holder, part, path)
        _put(holder, parts[-1], copy.deepcopy(_coerced(value)), path)
    return _sound(result)


def read_paths(body: Json) -> list[tuple[str, Json]]:
    """The pairs of ``[{"path": "a.b", "value": 1}, ...]``. Raises :class:`PatchError`."""
    if not isinstance(body, list) or len(body) > MOST_OPERATIONS:
        raise PatchError(f"expected a list of at most {MOST_OPERATIONS} objects with path and value")
    pairs: list[tuple[str, Json]] = []
    for index, item in enumerate(body):
        path = item.get("path") if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(path, str) or "value" not in item:
            raise PatchError(f"[{index}]: expected an object with path and value")
        pairs.append((path, item["value"]))
    return pairs


def _operations(operations: Json) -> list[dict[str, Json]]:
    if not isinstance(operations, list) or len(operations) > MOST_OPERATIONS:
        raise PatchError(f"expected a list of at most {MOST_OPERATIONS} operations (RFC 6902)")
    for index, operation in enumerate(operations):
        if not isinstance(operation, dict) or operation.get("op") not in _OPERATIONS:
            raise PatchError(f"operation {index}: expected an object whose op is one of {', '.join(_OPERATIONS)}")
        if any(str(operation.get(name)).count("/") > DEPTH for name in ("path", "from")):
            raise PatchError(f"operation {index}: no document is more than {DEPTH} deep")
    return cast("list[dict[str, Json]]", operations)


def _applied(document: Any, operation: dict[str, Json], where: str) -> Any:
    try:
        return jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise PatchError(f"{where} does not apply: {str(error)[:200]}") from None
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RecursionError):
        # What jsonpatch lets through where an operation is malformed in a way it did not think of.
        raise PatchError(f"{where} does not apply") from None


def _at(document: Any, pointer: Json, where: str) -> Any:
    try:
        return jsonpointer.resolve_pointer(document, pointer if isinstance(pointer, str) else "?")
    except (jsonpointer.JsonPointerException, TypeError, ValueError):
        raise PatchError(f"{where}: there is nothing to copy from") from None


def _size(value: Any) -> int:
    size = 0
    pending = [value]
    while pending:
        item = pending.pop()
        size += 1
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return size


def _sound(value: Any) -> Json:
    try:
        return checked(value)
    except BodyError as error:
        raise PatchError(error.why) from None


def _step(holder: Any, part: str, path: str) -> Any:
    if isinstance(holder, dict):
        return holder.setdefault(part, {})
    if isinstance(holder, list) and _INDEX.fullmatch(part) and int(part) < len(holder):
        return holder[int(part)]
    raise PatchError(f"{path[:80]!r}: there is no {part[:80]!r}")


def _put(holder: Any, part: str, value: Json, path: str) -> None:
    if isinstance(holder, dict):
        holder[part] = value
    elif isinstance(holder, list) and _INDEX.fullmatch(part) and int(part) <= len(holder):
        holder[int(part) : int(part) + 1] = [value]
    else:
        raise PatchError(f"{path[:80]!r}: there is no {part[:80]!r}")


def _coerced(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value.encode("utf-8", "surrogateescape"))
    except BodyError:
        return value
