"""APISIX's Admin API, described from the schemas that its documents are validated with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from streamproxy.dialects.apisix.check import schema_document

from .apisix_kinds import KINDS, Kind
from .native_openapi import FLAG, NUMBER, OBJECT, TEXT, Schema, several, shape
from .respond import JSON

PREFIX: Final = "/apisix/admin"

_REFUSALS: Final = {
    400: "What was asked is wrong, or what is to be deleted is in use.",
    401: "No or wrong credentials.",
    404: "It is not there.",
    405: "Not for this kind.",
}
_ERROR: Final[Schema] = shape(error_msg=TEXT)
_WRITTEN: Final[Schema] = shape(key=TEXT, value=OBJECT)
_READ: Final[Schema] = shape(key=TEXT, value=OBJECT, createdIndex=NUMBER, modifiedIndex=NUMBER)
_LIST: Final[Schema] = shape(list=several(_READ), total=NUMBER)
_DELETED: Final[Schema] = shape(deleted=TEXT, key=TEXT)
_TTL: Final = ("ttl", "After so many seconds it is gone.", NUMBER)
_FORCE: Final = ("force", "Though something uses it.", FLAG)
_SUBSYSTEM: Final = ("subsystem", "stream or http", TEXT)
_LISTED: Final = (
    ("page", "From 1.", NUMBER),
    ("page_size", "From 10 to 500.", NUMBER),
    ("name", "An expression that is searched for in names.", TEXT),
    ("label", "The key of a label.", TEXT),
)
_FILTER: Final = ("filter", "service_id=1 or upstream_id=1, encoded.", TEXT)
_SCHEMAS: Final = {"stream_routes": "stream_route", "upstreams": "upstream", "services": "service", "ssls": "ssl"}

_Parameters = tuple[tuple[str, str, Schema], ...]


def apisix_paths() -> dict[str, Any]:
    """What an OpenAPI document says under ``paths``."""
    paths: dict[str, Any] = {}
    for kind in KINDS.values():
        paths[f"{PREFIX}/{kind.name}"] = dict(_of_all(kind))
        paths[f"{PREFIX}/{kind.name}/{{id}}"] = dict(_of_one(kind))
        paths[f"{PREFIX}/schema/validate/{kind.name}"] = {
            "post": _operation("validate", kind.name, "Has its schema anything against it?", {200: None}, body=OBJECT)
        }
    for name in _SCHEMAS.values():
        paths[f"{PREFIX}/schema/{name}"] = {"get": _operation("schema", name, "Its schema.", {200: OBJECT})}
    paths[f"{PREFIX}/plugins"] = {
        "get": _operation("plugins", "all", "All plugins.", {200: OBJECT}, parameters=(_SUBSYSTEM,))
    }
    names = _operation("plugins", "names", "Their names, by priority.", {200: several(TEXT)}, parameters=(_SUBSYSTEM,))
    paths[f"{PREFIX}/plugins/list"] = {"get": names}
    paths[f"{PREFIX}/plugins/reload"] = {"put": _operation("plugins", "reload", "Does nothing.", {200: None})}
    paths[f"{PREFIX}/plugins/{{name}}"] = {
        "get": _operation("plugins", "one", "Its schema.", {200: OBJECT}, path=("name",), parameters=(_SUBSYSTEM,))
    }
    whole: Schema = {
        "type": "object",
        "properties": {kind: several(_schema(kind)) for kind in KINDS},
    }
    paths[f"{PREFIX}/configs/validate"] = {
        "post": _operation("configs", "validate", "Could all of this be stored?", {200: OBJECT}, body=whole)
    }
    return paths


def _schema(kind: str) -> Schema:
    return schema_document(_SCHEMAS.get(kind, "")) or OBJECT


def _of_all(kind: Kind) -> Iterator[tuple[str, Any]]:
    filters = (_FILTER,) if kind.filters else ()
    yield "get", _operation("list", kind.name, "Those there are.", {200: _LIST}, parameters=(*_LISTED, *filters))
    if "POST" not in kind.unsupported:
        yield (
            "post",
            _operation(
                "post",
                kind.name,
                "Create one under an id that is made up.",
                {201: _WRITTEN},
                body=_schema(kind.name),
                parameters=(_TTL,),
            ),
        )


def _of_one(kind: Kind) -> Iterator[tuple[str, Any]]:
    path = ("id",)
    yield "get", _operation("get", kind.name, "One.", {200: _READ}, path=path)
    yield (
        "put",
        _operation(
            "put",
            kind.name,
            "Create or replace one.",
            {200: _WRITTEN, 201: _WRITTEN},
            body=_schema(kind.name),
            path=path,
            parameters=(_TTL,),
        ),
    )
    if "PATCH" not in kind.unsupported:
        yield (
            "patch",
            _operation("patch", kind.name, "Merge into one.", {200: _WRITTEN}, body=OBJECT, path=path),
        )
    yield (
        "delete",
        _operation("delete", kind.name, "Delete one.", {200: _DELETED}, path=path, parameters=(_FORCE,)),
    )


def _operation(
    verb: str,
    of: str,
    summary: str,
    answers: Mapping[int, Schema | None],
    *,
    path: tuple[str, ...] = (),
    parameters: _Parameters = (),
    body: Schema | None = None,
) -> dict[str, Any]:
    """``answers`` by status, ``None`` for one without a body of JSON."""
    told: dict[str, Any] = {
        "operationId": f"apisix_{verb}_{of}",
        "summary": summary,
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": TEXT} for name in path),
            *({"name": name, "in": "query", "description": why, "schema": schema} for name, why, schema in parameters),
        ],
        "responses": {str(code): _answer("As asked.", schema) for code, schema in answers.items()},
    }
    told["responses"].update({str(code): _answer(text, _ERROR) for code, text in _REFUSALS.items()})
    if body is not None:
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return told


def _answer(description: str, schema: Schema | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": description}
    return answer if schema is None else {**answer, "content": {JSON: {"schema": schema}}}
