"""How APISIX's Admin API answers: the texts of its refusals, and its two shapes of what it has."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from klein import Response

from streamproxy.errors import Problem
from streamproxy.model import Document

from .respond import JSON, RefusedError, answer, to_json

VERSION = "3.18.0"
"""The release of APISIX whose API this is."""

PREFIX = "/apisix"
"""What keys of documents start with: the default of APISIX's ``etcd.prefix``."""

TEXT = "text/plain; charset=utf-8"

PROBLEMS = "X-Streamproxy-Problems"
# Of all that is wrong, in characters.
_MOST_TOLD = 1000

_PAGE = "<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<p>{why}</p>\n</body>\n</html>\n"


@frozen(auto_exc=True)
class ApisixError(RefusedError):
    """Answered as ``{"error_msg": description}`` and ``extra``."""

    def body(self) -> dict[str, Any]:
        return {"error_msg": self.description, **self.extra}

    def content(self) -> tuple[bytes, str]:
        return _line(self.body()), JSON


@frozen(auto_exc=True)
class ApisixText(RefusedError):
    """Answered as bare text."""

    def content(self) -> tuple[bytes, str]:
        return self.description.encode(), TEXT


@frozen(auto_exc=True)
class ApisixPage(RefusedError):
    """Answered as a page, as nginx does where it refuses before APISIX is asked; ``error`` is its title."""

    def content(self) -> tuple[bytes, str]:
        page = _PAGE.format(title=html.escape(self.error), why=html.escape(self.description))
        return page.encode("utf-8", "backslashreplace"), "text/html; charset=utf-8"


@frozen(auto_exc=True)
class KeyNotFoundError(RefusedError):
    """There is no document of this kind and id."""

    def content(self) -> tuple[bytes, str]:
        return _line({"message": self.description}), JSON


def refused(message: str, code: int = 400, **extra: Any) -> ApisixError:
    return ApisixError(code, "refused", message, extra)


def key_not_found() -> KeyNotFoundError:
    return KeyNotFoundError(404, "not_found", "Key not found")


def no_such_page() -> ApisixPage:
    return ApisixPage(404, "404 Not Found", "There is nothing here.")


def value_answer(value: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return answer(_line(value), JSON, code, headers)


def problems_header(problems: Iterable[Problem]) -> dict[str, str]:
    """What tells the author of a document that was stored why it, or a part of it, is not served; else nothing."""
    text = "; ".join(map(str, problems))
    if not text:
        return {}
    short = text if len(text) <= _MOST_TOLD else f"{text[:_MOST_TOLD]}..."
    return {PROBLEMS: "".join(each if " " <= each <= "~" else "?" for each in short)}


def text_answer(text: str, code: int = 200) -> Response:
    return answer(text.encode(), TEXT, code)


def _line(value: Any) -> bytes:
    return to_json(value) + b"\n"


def etcd_key(kind: str, id: str = "") -> str:  # noqa: A002
    return f"{PREFIX}/{kind}/{id}" if id else f"{PREFIX}/{kind}"


@frozen
class Item:
    """A document and how it is shown."""

    document: Document
    value: Mapping[str, Any]

    @property
    def key(self) -> str:
        return etcd_key(self.document.key.kind, self.document.key.id)

    def with_indexes(self) -> dict[str, Any]:
        indexes = {"createdIndex": self.document.created_revision, "modifiedIndex": self.document.revision}
        return {"key": self.key, "value": self.value, **indexes}

    def bare(self) -> dict[str, Any]:
        return {"key": self.key, "value": self.value}


@frozen
class Shape:
    """``version``: ``v3``, or ``v2`` for what all of APISIX answered before it: etcd's words around everything."""

    version: str

    @property
    def is_v3(self) -> bool:
        return self.version == "v3"

    def read(self, item: Item) -> dict[str, Any]:
        return item.with_indexes() if self.is_v3 else {"action": "get", "node": item.bare()}

    def written(self, item: Item, action: str) -> dict[str, Any]:
        """``action``: ``set``, ``create`` or ``compareAndSwap``."""
        return item.bare() if self.is_v3 else {"action": action, "node": item.bare()}

    def deleted(self, kind: str, id: str) -> dict[str, Any]:  # noqa: A002
        """``deleted`` is how many were, as etcd puts it."""
        found = {"deleted": "1", "key": etcd_key(kind, id)}
        return found if self.is_v3 else {"action": "delete", "node": {}, **found}

    def listed(self, kind: str, items: Sequence[Item], total: int) -> dict[str, Any]:
        shown = [item.with_indexes() for item in items]
        if self.is_v3:
            return {"list": shown, "total": total}
        node = {"dir": True, "key": etcd_key(kind), "nodes": shown}
        return {"action": "get", "count": total, "node": node}
