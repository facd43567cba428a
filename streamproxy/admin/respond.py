"""Answers: values to bytes, and every way a request can fail to one shape of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import yaml
from attrs import field, frozen
from klein import Klein, Response
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException

from streamproxy.dialects.native.scalar import resolve
from streamproxy.errors import (
    InvalidConfiguration,
    NotPending,
    Problem,
    ReadOnlyDocument,
    RevisionConflict,
    StoreError,
    StreamProxyError,
    UnknownRevision,
)
from streamproxy.model import Json

from .bodies import BodyError

# What is answered is data for programs: no browser may guess a type, run anything in it, frame it or keep it.
SECURITY_HEADERS: Mapping[str, str] = {
    "Server": "streamproxy",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}

JSON = "application/json"

# What a handler returns: a ``Response``, which the types of Klein's decorators know nothing of.
Answer: TypeAlias = Any
Translate: TypeAlias = Callable[[Any, Any], "RefusedError | None"]

_log = Logger()
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_DUMPER):
    """Quotes all text that a reader of YAML, ours included, would take for something else; writes no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if resolve(text) == text else "'")


_Dumper.add_representer(str, _represent_text)


@frozen(auto_exc=True)
class RefusedError(StreamProxyError):
    """A request that is answered with ``code`` and a JSON body of ``error``, ``description`` and ``extra``."""

    code: int
    error: str
    description: str
    extra: Mapping[str, Any] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)

    def __str__(self) -> str:
        return self.description

    def body(self) -> dict[str, Any]:
        return {"error": self.error, "error_description": self.description, **self.extra}

    def content(self) -> tuple[bytes, str]:
        """What is sent, and its media type."""
        return to_json(self.body()), JSON


@frozen(auto_exc=True)
class ViewerError(RefusedError):
    """Somebody who may only read tried to write."""


def to_json(value: Any, *, pretty: bool = False) -> bytes:
    layout: dict[str, Any] = {"indent": 2} if pretty else {"separators": (",", ":")}
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, **layout)
    # Half of a surrogate pair is no UTF-8, but its escape is the JSON that means it.
    return text.encode("utf-8", "backslashreplace")


def to_yaml(value: Any) -> bytes:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text.encode("utf-8", "backslashreplace")


def answer(body: bytes, content_type: str, code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The length is given, so that an answer to HEAD has it too."""
    every: dict[str | bytes, Any] = {"Content-Type": content_type, "Content-Length": str(len(body))}
    every.update(headers or {})
    return Response(code=code, headers=every, body=body)


def json_answer(
    value: Any, code: int = 200, headers: Mapping[str, str] | None = None, *, pretty: bool = False
) -> Response:
    return answer(to_json(value, pretty=pretty), JSON, code, headers)


def lines_answer(values: Iterable[Any], headers: Mapping[str, str] | None = None) -> Response:
    """Newline-delimited JSON, without a newline at the end."""
    return answer(b"\n".join(map(to_json, values)), "application/x-ndjson", 200, headers)


def empty_answer(code: int) -> Response:
    return Response(code=code, headers={}, body=b"")


def problems_json(problems: Iterable[Problem]) -> list[Json]:
    return [{"path": problem.path, "code": problem.code, "message": problem.message} for problem in problems]


def refusal_of(error: BaseException | None) -> RefusedError | None:
    """How an error that is raised on purpose is answered, ``None`` for one that is not."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, InvalidConfiguration):
        return RefusedError(400, "bad_entity", str(error), {"problems": problems_json(error.problems)})
    if isinstance(error, BodyError):
        return RefusedError(400, "bad_body", error.why)
    if isinstance(error, ReadOnlyDocument):
        return RefusedError(409, "read_only", str(error))
    if isinstance(error, RevisionConflict):
        return RefusedError(409, "conflict", str(error))
    if isinstance(error, UnknownRevision):
        return RefusedError(404, "not_found", str(error))
    if isinstance(error, NotPending):
        return RefusedError(409, "conflict", str(error))
    if isinstance(error, StoreError):
        return RefusedError(500, "store_error", str(error))
    if isinstance(error, HTTPException):
        return _routing_refusal(error)
    return None


def _routing_refusal(error: HTTPException) -> RefusedError:
    if error.code == 405:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return RefusedError(405, "method_not_allowed", f"only {allowed} here", headers={"Allow": allowed})
    return RefusedError(404, "not_found", "there is nothing here: / tells what there is")


def refusal(refused: RefusedError) -> Response:
    body, content_type = refused.content()
    return answer(body, content_type, refused.code, refused.headers)


def internal_error(failure: Failure) -> Response:
    """Tells the log everything and the caller nothing."""
    _log.failure("the admin API failed", failure=failure)
    return json_answer(
        {"error": "internal_error", "error_description": "this should not have happened: the log has the details"}, 500
    )


def router(translate: Translate = lambda _error, _request: None) -> Klein:
    """
    A Klein application whose handlers may raise whatever ``translate`` or :func:`refusal_of` know. The first is asked
    first: each API has its own words.
    """
    app = Klein()

    @app.handle_errors
    def failed(self: Any, request: IRequest, failure: Failure) -> Any:
        refused = translate(failure.value, request) or refusal_of(failure.value)
        return internal_error(failure) if refused is None else refusal(refused)

    return app
