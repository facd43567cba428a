"""How documents differ, with every secret hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from streamproxy.dialects.apisix.secrets import concealed
from streamproxy.dialects.codec import member
from streamproxy.model import Document, Json

Pair: TypeAlias = "tuple[Document | None, Document | None]"
Encrypted: TypeAlias = Callable[[], Mapping[str, Iterable[str]]]
"""The fields that plugins keep secret, by the plugin's name."""

# Of one document so many differences are told apart.
MOST = 500
MOST_DEPTH = 60


def changes_json(pairs: Iterable[Pair], encrypted: Encrypted) -> list[Mapping[str, Any]]:
    """Each document that became another, came to be or ceased to be."""
    secret = encrypted()
    return [_change(before, after, secret) for before, after in pairs]


def _change(before: Document | None, after: Document | None, secret: Mapping[str, Iterable[str]]) -> Mapping[str, Any]:
    document = after or before
    if document is None:
        raise ValueError("no document became none")
    key = document.key
    action = "created" if before is None else "deleted" if after is None else "changed"
    old, new = _shown(before, secret), _shown(after, secret)
    found = list(_bounded(differences(old, new))) if before is not None and after is not None else []
    return {
        "document": str(key),
        "dialect": key.dialect,
        "kind": key.kind,
        "id": key.id,
        "action": action,
        "before": old,
        "after": new,
        "diff": found,
    }


def _shown(document: Document | None, secret: Mapping[str, Iterable[str]]) -> Json:
    if document is None:
        return None
    return concealed(document.key.kind, document.body, secret)


def _bounded(found: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for number, each in enumerate(found):
        if number == MOST:
            yield {"path": "", "action": "more", "before": None, "after": None}
            return
        yield each


def differences(before: Json, after: Json, path: str = "", depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Each place that is not the same, with what stands there in either."""
    if isinstance(before, dict) and isinstance(after, dict) and depth < MOST_DEPTH:
        for name in dict.fromkeys((*before, *after)):
            where = member(path, name)
            if name not in after:
                yield _difference(where, "removed", before[name], None)
            elif name not in before:
                yield _difference(where, "added", None, after[name])
            else:
                yield from differences(before[name], after[name], where, depth + 1)
    elif isinstance(before, list) and isinstance(after, list) and depth < MOST_DEPTH:
        for index in range(max(len(before), len(after))):
            where = f"{path}[{index}]"
            if index >= len(after):
                yield _difference(where, "removed", before[index], None)
            elif index >= len(before):
                yield _difference(where, "added", None, after[index])
            else:
                yield from differences(before[index], after[index], where, depth + 1)
    elif type(before) is not type(after) or before != after:
        yield _difference(path, "changed", before, after)


def _difference(path: str, action: str, before: Json, after: Json) -> Mapping[str, Any]:
    return {"path": path, "action": action, "before": before, "after": after}
