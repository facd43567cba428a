from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.web.http_headers import Headers

from streamproxy.admin import incoming
from streamproxy.admin.respond import RefusedError
from streamproxy.model import Document, Key

from .api import patient


class Request:
    """As much of a request as is looked at here."""

    def __init__(self, uri: bytes = b"/", **headers: str | bytes) -> None:
        self.uri, self.path = uri, uri.partition(b"?")[0]
        self.requestHeaders = Headers()
        for name, value in headers.items():
            self.requestHeaders.addRawHeader(name.replace("_", "-").encode(), _encoded(value))


def _encoded(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def request(uri: bytes = b"/", **headers: str | bytes) -> Any:
    return Request(uri, **headers)


@pytest.mark.parametrize(
    ("accept", "types"),
    [
        ("", ()),
        ("application/json", ("application/json",)),
        ("Text/HTML;q=0.3, application/yaml ; charset=x", ("text/html", "application/yaml")),
        ("a/b;q=0, c/d;q=0.0, e/f;Q=0.000, g/h;q=0.1", ("g/h",)),
        (",;,", ()),
    ],
)
def test_accepted_types(accept: str, types: tuple[str, ...]) -> None:
    assert incoming.accepted(request(Accept=accept)) == types


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        (b"/", {}),
        (b"/?", {}),
        (b"/?a=1&b=&a=2&c", {"a": ("1", "2"), "b": ("",), "c": ("",)}),
        (b"/?a=%C3%A9+x", {"a": ("é x",)}),
        (b"/?a=b?c", {"a": ("b?c",)}),
    ],
)
def test_queries(uri: bytes, found: dict[str, tuple[str, ...]]) -> None:
    assert incoming.query(request(uri)) == found


@pytest.mark.parametrize("uri", [b"/?a=%ff", b"/?a=\x80", b"/?" + b"a&" * 200])
def test_queries_that_cannot_be_read(uri: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        incoming.query(request(uri))

    assert caught.value.code == 400
    assert str(caught.value).startswith("the query")


@patient
@given(st.binary())
def test_any_query_is_read_or_refused(data: bytes) -> None:
    try:
        found = incoming.query(request(b"/?" + data))
    except RefusedError:
        return
    for name, values in found.items():
        assert "".join([name, *values]).encode() is not None


def test_a_path_that_hurts_no_terminal() -> None:
    assert incoming.path(request(b"/a\x7fb\xb0")) == "/a\\x7fb\\xb0"
    assert len(incoming.path(request(b"/" * 5000))) == 300


def test_a_header_that_is_no_text_is_kept() -> None:
    assert incoming.header(request(X=b"\xff"), "X") == "\udcff"
    assert incoming.header(request(), "X") is None


def intent(if_match: frozenset[int] | None) -> incoming.Intent:
    return incoming.Intent("a", "r", None, if_match)


@pytest.mark.parametrize("seen", [None, {4}, {7}, {1, 4}])
def test_a_document_that_was_seen_as_it_is(seen: set[int] | None) -> None:
    document = Document(Key("d", "k", "i"), {}, revision=4)

    intent(None if seen is None else frozenset(seen)).check(document, 7)


@pytest.mark.parametrize(("document", "now"), [(Document(Key("d", "k", "i"), {}, revision=4), 4), (None, 7)])
def test_a_document_that_has_changed_since(document: Document | None, now: int) -> None:
    with pytest.raises(RefusedError, match=f"revision {now} ") as caught:
        intent(frozenset({5})).check(document, 7)

    assert caught.value.code == 412
