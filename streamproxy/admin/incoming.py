"""What there is to read off a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import IO, cast
from urllib.parse import parse_qsl

from attrs import frozen
from twisted.web.server import Request

from streamproxy.model import Document, Role

from .respond import RefusedError

Query = Mapping[str, tuple[str, ...]]

_MOST_PARAMETERS = 100
_MOST_REASON = 1000
_REVISION = re.compile(r"[0-9]{1,18}")
_TAG = re.compile(r'(?:W/)?"?([0-9]{1,18})"?')


@frozen
class Caller:
    """Who sent the request, once that is proven; ``peer`` is the address it came from."""

    name: str
    role: Role
    peer: str


@frozen
class Intent:
    """
    What goes with every write: who does it and why, for the revision; and what the caller believes to be so.
    ``expect`` is the revision of the configuration it saw, ``if_match`` the revisions of the document it is ready to
    change (``None``: any).
    """

    author: str
    reason: str
    expect: int | None = None
    if_match: frozenset[int] | None = None

    def check(self, document: Document | None, revision: int) -> None:
        """
        The revision of the whole configuration is as good as that of the document: if it is the same, so is
        everything in it. Raises :class:`RefusedError` (412).
        """
        found = {revision} if document is None else {revision, document.revision}
        if self.if_match is not None and not found & self.if_match:
            now = revision if document is None else document.revision
            raise RefusedError(412, "conflict", f"this is at revision {now} by now: read it again")


def intent(request: Request, parameters: Query) -> Intent:
    """
    Of a request that is about to change something: ``X-Reason`` says why; ``If-Match: "12"`` names the document's
    revision (its ``ETag``), ``?expect=12`` the configuration's. Raises :class:`RefusedError` (400).
    """
    expect = parameters.get("expect", ("",))[-1]
    if expect and not _REVISION.fullmatch(expect):
        raise RefusedError(400, "bad_query", "expect is the number of a revision")
    return Intent(
        author=caller(request).name,
        reason=_reason(request),
        expect=int(expect) if expect else None,
        if_match=_if_match(header(request, "If-Match")),
    )


def _reason(request: Request) -> str:
    """What the caller says in ``X-Reason``; by default, what it calls."""
    given = printable(header(request, "X-Reason") or "").strip()
    return given[:_MOST_REASON] or f"{request.method.decode()} {path(request)}"


def etag(document: Document) -> dict[str, str]:
    return {"ETag": f'"{document.revision}"'}


def _if_match(value: str | None) -> frozenset[int] | None:
    if value is None or value.strip() == "*":
        return None
    tags = [_TAG.fullmatch(tag.strip()) for tag in value.split(",")]
    if not all(tags):
        raise RefusedError(400, "bad_request", 'If-Match is a revision: "12"')
    return frozenset(int(tag[1]) for tag in tags if tag)


def caller(request: Request) -> Caller:
    """Set by the gate, before any handler sees the request."""
    return cast("Caller", request.getComponent(Caller))


def header(request: Request, name: str) -> str | None:
    """The first header of this name, as text; bytes that are no UTF-8 are kept as surrogates."""
    values = request.requestHeaders.getRawHeaders(name.encode("ascii"))
    return values[0].decode("utf-8", "surrogateescape") if values else None


def media_type(value: str | None) -> str:
    """``application/json`` of ``Application/JSON; charset=utf-8``; empty if there is none."""
    return (value or "").partition(";")[0].strip().lower()


def content_type(request: Request) -> str:
    return media_type(header(request, "Content-Type"))


def accepted(request: Request) -> tuple[str, ...]:
    """The media types the caller accepts, in its order; those with ``q=0`` it does not."""
    types = []
    for item in (header(request, "Accept") or "").split(","):
        parameters = [parameter.strip().lower() for parameter in item.split(";")[1:]]
        if media_type(item) and not any(parameter in ("q=0", "q=0.0", "q=0.00", "q=0.000") for parameter in parameters):
            types.append(media_type(item))
    return tuple(types)


def query(request: Request) -> Query:
    """The query's parameters, each with all its values. Raises :class:`RefusedError` (400)."""
    try:
        text = request.uri.partition(b"?")[2].decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError as error:
        raise RefusedError(400, "bad_query", f"the query cannot be read: {error}") from None
    found: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        found[name] = (*found.get(name, ()), value)
    return found


def flag(query: Query, name: str, default: bool) -> bool:
    """``?name=true`` or ``false``; a bare ``?name`` is true. Raises :class:`RefusedError` (400)."""
    if name not in query:
        return default
    value = query[name][-1].lower()
    if value not in ("", "true", "false"):
        raise RefusedError(400, "bad_query", f"{name} is true or false")
    return value != "false"


def body(request: Request) -> bytes:
    return cast("IO[bytes]", request.content).read()


def path(request: Request) -> str:
    """The path, for people: whatever might hurt a terminal or a log is escaped."""
    return printable(request.path.decode("ascii", "backslashreplace"))[:300]


def printable(text: str) -> str:
    """``text`` with everything escaped that might hurt a terminal or a log."""
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)
