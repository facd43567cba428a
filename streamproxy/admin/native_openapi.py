"""Our own API, described where it is written: each handler says what it takes and answers. This reads it off them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from attrs import field, frozen
from klein import Klein
from twisted.web.server import Request

from streamproxy import __version__

from .respond import JSON, Answer, json_answer, router

PREFIX: Final = "/streamproxy/v1"

F = TypeVar("F", bound=Callable[..., Any])
Schema = Mapping[str, Any]

TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
FLAG: Final[Schema] = {"type": "boolean"}
OBJECT: Final[Schema] = {"type": "object"}

_ARGUMENT = re.compile(r"<(?:path:|string:)?(\w+)>")


def shape(**properties: Schema) -> Schema:
    """An object that has these, and perhaps more."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def several(item: Schema = OBJECT) -> Schema:
    return {"type": "array", "items": item}


@frozen
class Parameter:
    """Something that may stand in the query."""

    name: str
    description: str
    schema: Schema = TEXT


@frozen
class Operation:
    """
    ``answers`` by status. ``body`` is the schema of what is sent. ``is_public``: it needs no credentials. ``media`` is
    what the first answer is.
    """

    summary: str
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    answers: Mapping[int, Schema] = field(factory=lambda: {200: OBJECT})
    is_public: bool = False
    writes: bool = False
    media: str = JSON
    refusals: Mapping[int, str] = field(factory=dict)


PAGE: Final = (
    Parameter("limit", "How many are shown.", NUMBER),
    Parameter("offset", "How many are left out before them.", NUMBER),
)

_WRITE = (
    Parameter("dry_run", "Say what the write would do, and do nothing.", FLAG),
    Parameter("confirm_within", "It is taken back after this time (60s, 10m) unless it is confirmed."),
    Parameter("expect", "Refuse unless the configuration is at this revision.", NUMBER),
)
_HEADERS = (
    ("X-Reason", "Why: it is kept with the revision."),
    ("If-Match", 'The revision of the document that the caller saw: `"12"`.'),
)
_ALWAYS = {400: "What was asked is wrong.", 401: "No or wrong credentials.", 403: "Not allowed."}
_OUTDATED = {
    409: "It is declared in a file, or the configuration is not at the revision that was expected.",
    412: "The document is not at the revision that was expected.",
}
_ERROR = shape(error=TEXT, error_description=TEXT)


def described(operation: Operation) -> Callable[[F], F]:
    """Says what a handler does. It stands below its routes."""

    def described(handler: F) -> F:
        handler.operation = operation  # type: ignore[attr-defined]
        return handler

    return described


@frozen
class Part:
    """One class of handlers, and under which path they stand."""

    prefix: str
    handlers: type


class OpenApi:
    """Serves the document of all ``parts``, its own included, and of ``more`` paths that others have described."""

    app: Klein = router()

    def __init__(self, parts: Iterable[Part], more: Mapping[str, Any] | None = None) -> None:
        self._document = document((*parts, Part(PREFIX, OpenApi)), more)

    @app.route("/openapi.json", methods=["GET"])
    @described(Operation("This document."))
    def openapi(self, _request: Request) -> Answer:
        return json_answer(self._document)


def operations(parts: Iterable[Part]) -> Iterator[tuple[str, str, str, Operation]]:
    """Path, method, name and description of every handler. Raises ``AttributeError`` for one that has none."""
    for part in parts:
        app: Klein = part.handlers.app  # type: ignore[attr-defined]
        for rule in app.url_map.iter_rules():
            handler = getattr(part.handlers, rule.endpoint)
            path = part.prefix + (rule.rule if rule.rule != "/" else "")
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield path, method, rule.endpoint, handler.operation


def document(parts: Iterable[Part], more: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """As OpenAPI 3.1 has it."""
    paths: dict[str, dict[str, Any]] = dict(more or {})
    for path, method, name, operation in operations(parts):
        shown = _ARGUMENT.sub(r"{\1}", path)
        arguments = _ARGUMENT.findall(path)
        paths.setdefault(shown, {})[method.lower()] = _described(shown, method, name, arguments, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "streamproxy",
            "version": __version__,
            "description": "Our own API and APISIX's (/apisix/admin). Beside them there is Otoroshi's (/api, /apis).",
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}, {"basic": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
                "basic": {"type": "http", "scheme": "basic"},
            },
            "schemas": {"Error": _ERROR},
        },
    }


def _described(path: str, method: str, name: str, arguments: Iterable[str], operation: Operation) -> Mapping[str, Any]:
    parameters: list[Mapping[str, Any]] = [
        {"name": each, "in": "path", "required": True, "schema": TEXT} for each in arguments
    ]
    given = (*operation.parameters, *(_WRITE if operation.writes else ()))
    parameters += [
        {"name": each.name, "in": "query", "description": each.description, "schema": each.schema} for each in given
    ]
    if operation.writes:
        parameters += [
            {"name": header, "in": "header", "description": text, "schema": TEXT} for header, text in _HEADERS
        ]
    described: dict[str, Any] = {
        "operationId": f"{name}_{method.lower()}_{re.sub(r'[^a-z]+', '_', path.removeprefix(PREFIX)).strip('_')}",
        "summary": operation.summary,
        "parameters": parameters,
        "responses": _responses(operation),
    }
    if operation.is_public:
        described["security"] = []
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": operation.body}}}
    return described


def _responses(operation: Operation) -> Mapping[str, Any]:
    responses: dict[str, Any] = {}
    for code, schema in operation.answers.items():
        media = operation.media if not responses else JSON
        responses[str(code)] = {"description": "As asked.", "content": {media: {"schema": schema}}}
    refusals = {
        **({} if operation.is_public else _ALWAYS),
        **(_OUTDATED if operation.writes else {}),
        **operation.refusals,
    }
    for code, text in sorted(refusals.items()):
        content = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
        responses.setdefault(str(code), {"description": text, "content": content})
    return responses
