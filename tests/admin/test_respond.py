from __future__ import annotations

import json

import pytest
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing.exceptions import RequestRedirect

from streamproxy.admin.bodies import BodyError
from streamproxy.admin.respond import RefusedError, answer, empty_answer, lines_answer, refusal, refusal_of, to_json
from streamproxy.errors import InvalidConfiguration, Problem, ReadOnlyDocument, RevisionConflict, StoreError


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (RefusedError(418, "teapot", "short and stout"), 418, "teapot"),
        (InvalidConfiguration((Problem("port", "conflict", "taken"),)), 400, "bad_entity"),
        (BodyError("not JSON"), 400, "bad_body"),
        (ReadOnlyDocument("a", "/etc/f.yaml"), 409, "read_only"),
        (RevisionConflict(1, 2), 409, "conflict"),
        (StoreError("disk full"), 500, "store_error"),
        (NotFound(), 404, "not_found"),
        (RequestRedirect("http://attacker.example/"), 404, "not_found"),
        (MethodNotAllowed(["GET", "PUT"]), 405, "method_not_allowed"),
        (MethodNotAllowed(), 405, "method_not_allowed"),
    ],
)
def test_errors_that_are_raised_on_purpose(error: Exception, code: int, word: str) -> None:
    refused = refusal_of(error)

    assert refused is not None
    response = refusal(refused)
    assert response.code == code
    body = json.loads(response.body)
    assert body["error"] == word
    assert body["error_description"]
    assert "attacker" not in str(response.headers)


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), KeyError("y"), None])
def test_errors_that_are_not(error: Exception | None) -> None:
    assert refusal_of(error) is None


def test_allowed_methods_are_told() -> None:
    refused = refusal_of(MethodNotAllowed(["PUT", "GET"]))

    assert refused is not None
    assert refused.headers == {"Allow": "GET, PUT"}


def test_json_is_always_utf_8() -> None:
    assert to_json({"é": "\ud800"}) == b'{"\xc3\xa9":"\\ud800"}'
    assert json.loads(to_json("\udfff")) == "\udfff"


def test_answers_have_their_length() -> None:
    assert answer("é".encode(), "text/plain").headers["Content-Length"] == "2"
    assert lines_answer([{"a": 1}, 2]).body == b'{"a":1}\n2'
    assert empty_answer(204).body == b""
