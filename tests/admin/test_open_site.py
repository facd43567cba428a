"""Sites without credentials."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.resource import Resource

from .open import Caller


class Hello(Resource):
    """Says hello to reading and writing."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"hello"

    render_POST = render_GET


def test_it_answers_those_on_this_machine() -> None:
    reply = Caller(Hello()).get("/")
    assert (reply.code, reply.data) == (200, b"hello")
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_no_name_that_somebody_else_owns_leads_here() -> None:
    caller = Caller(Hello())
    assert caller.call("GET", "/", {"Host": "evil.example.com"}).code == 403
    assert caller.call("GET", "/", {"Host": "a b"}).code == 400
    assert caller.call("GET", "/", {"Host": "localhost:1"}).code == 200
    assert caller.call("GET", "/", {"Host": ""}).code == 400
    assert Caller(Hello(), "0.0.0.0").call("GET", "/", {"Host": "proxy.example.com"}).code == 200


def test_no_page_of_another_site_writes_here() -> None:
    caller = Caller(Hello())
    assert caller.call("POST", "/", {"Origin": "http://evil.example.com"}).code == 403
    assert caller.call("GET", "/", {"Origin": "http://evil.example.com"}).code == 200
    assert caller.call("POST", "/").code == 200


@pytest.mark.parametrize("length", [1, 100_000_000])
def test_no_body_is_taken(length: int) -> None:
    assert Caller(Hello()).call("POST", "/", {"Content-Length": str(length)}, b"x").code == 413
