"""
Listeners that are opened, changed and closed while the proxy runs: ``/streamproxy/v1/listeners``.

A change of one closes its old ports and opens its new ones; the sessions of a port that is closed go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from klein import Klein
from twisted.web.server import Request

from streamproxy.dialects.assemble import canonical
from streamproxy.dialects.listeners import LISTENERS
from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.interfaces import Configuration, Runtime
from streamproxy.model import Change, Delete, Document, Json, Key, Put

from . import incoming
from .bodies import parse_json, parse_yaml
from .incoming import Intent
from .native import listener_json
from .native_openapi import OBJECT, TEXT, Operation, described, several, shape
from .respond import Answer, RefusedError, json_answer, router
from .writer import Writer

_YAML = ("application/yaml", "application/x-yaml", "text/yaml")

_LISTENER = {"type": "object", "properties": {"id": TEXT, "addr": {"type": ["string", "integer"]}}}
_NOT_FOUND = {404: "There is no such listener."}

# What a body becomes, once it is known what there is.
_Edit = Callable[[Document | None], Json]


class ListenersApi:
    """Everything under ``/streamproxy/v1/listeners``. ``uuid`` makes ids for those that are given none."""

    app: Klein = router()

    def __init__(self, configuration: Configuration, runtime: Runtime, writer: Writer, uuid: Callable[[], str]) -> None:
        self._configuration = configuration
        self._runtime = runtime
        self._writer = writer
        self._uuid = uuid

    @app.route("/", methods=["GET"])
    @described(
        Operation(
            "What listens, whatever asked for it, and what was asked for here.",
            answers={200: shape(listeners=several(), configured=several())},
        )
    )
    def listed(self, _request: Request) -> Answer:
        """What listens, whatever asked for it; and what was asked for here or in the configuration file."""
        statuses = self._runtime.listeners()
        return json_answer(
            {
                "listeners": [listener_json(status) for status in statuses],
                "configured": [self._shown(document) for document in self._configuration.list(*LISTENERS)],
            }
        )

    @app.route("/", methods=["POST"])
    @described(
        Operation(
            "Open a listener.",
            body=_LISTENER,
            answers={201: OBJECT},
            writes=True,
            refusals={409: "There is one of this id."},
        )
    )
    async def create(self, request: Request) -> Answer:
        body = _body(request)
        given = body.get("id") if isinstance(body, dict) else None
        name = self._uuid() if given is None else str(given)

        def new(known: Document | None) -> Json:
            if known is not None:
                raise RefusedError(409, "conflict", f"there is a listener {name} already: PUT replaces it")
            return body

        document, _ = await self._store(request, name, new)
        headers = {**incoming.etag(document), "Location": f"/streamproxy/v1/listeners/{name}"}
        return json_answer(self._shown(document), 201, headers)

    @app.route("/<id>", methods=["GET"])
    @described(Operation("One that was asked for here.", refusals=_NOT_FOUND))
    def read(self, _request: Request, id: str) -> Answer:  # noqa: A002
        document = self._found(id)
        return json_answer(self._shown(document), headers=incoming.etag(document))

    @app.route("/<id>", methods=["PUT"])
    @described(Operation("Open or change a listener.", body=_LISTENER, answers={200: OBJECT, 201: OBJECT}, writes=True))
    async def replace(self, request: Request, id: str) -> Answer:  # noqa: A002
        body = _body(request)
        document, is_new = await self._store(request, id, lambda _: body)
        return json_answer(self._shown(document), 201 if is_new else 200, incoming.etag(document))

    @app.route("/<id>", methods=["PATCH"])
    @described(
        Operation(
            "Change a listener by a JSON merge patch (RFC 7396).", body=_LISTENER, writes=True, refusals=_NOT_FOUND
        )
    )
    async def patch(self, request: Request, id: str) -> Answer:  # noqa: A002
        """A JSON merge patch (RFC 7396)."""
        patch = _body(request)
        if not isinstance(patch, dict):
            raise InvalidConfiguration((Problem("", "wrong_type", "expected an object"),))
        self._found(id)
        document, _ = await self._store(request, id, lambda _: merged(dict(self._found(id).body), patch))
        return json_answer(self._shown(document), headers=incoming.etag(document))

    @app.route("/<id>", methods=["DELETE"])
    @described(Operation("Close a listener. Its sessions go on.", writes=True, refusals=_NOT_FOUND))
    async def delete(self, request: Request, id: str) -> Answer:  # noqa: A002
        intent = incoming.intent(request, incoming.query(request))

        def decide() -> Sequence[Change]:
            document = self._found(id)
            intent.check(document, self._configuration.revision())
            return (Delete(document.key),)

        await self._write(decide, intent)
        return json_answer({"deleted": True})

    def _found(self, id: str) -> Document:  # noqa: A002
        document = self._configuration.get(Key(*LISTENERS, id))
        if document is None:
            raise RefusedError(404, "not_found", "there is no such listener")
        return document

    async def _store(self, request: Request, id: str, edit: _Edit) -> tuple[Document, bool]:  # noqa: A002
        """Store what ``edit`` makes of what there is, and say whether there was nothing."""
        intent = incoming.intent(request, incoming.query(request))
        key = Key(*LISTENERS, id)
        is_new = False

        def decide() -> Sequence[Change]:
            nonlocal is_new
            known = self._configuration.get(key)
            is_new = known is None
            intent.check(known, self._configuration.revision())
            body, problems = canonical(key, edit(known))
            if body is None:
                raise InvalidConfiguration(problems)
            return (Put(key, body),)

        (document,) = await self._write(decide, intent)
        return cast("Document", document), is_new

    async def _write(self, decide: Callable[[], Sequence[Change]], intent: Intent) -> Sequence[Document | None]:
        outcome = await self._writer.write(decide, author=intent.author, reason=intent.reason, expect=intent.expect)
        return outcome.documents

    def _shown(self, document: Document) -> Mapping[str, Any]:
        """The listener as it was written, and what became of it."""
        statuses = [status for status in self._runtime.listeners() if document.key in status.listener.documents]
        return {
            "id": document.key.id,
            "listener": document.body,
            "origin": document.origin or None,
            "revision": document.revision,
            "created": document.created,
            "updated": document.updated,
            "status": [listener_json(status) for status in statuses],
        }


def _body(request: Request) -> Json:
    data = incoming.body(request)
    return parse_yaml(data) if incoming.content_type(request) in _YAML else parse_json(data)


def merged(value: Json, patch: Json) -> Json:
    """``value`` after the merge patch ``patch`` (RFC 7396): what is ``null`` goes, objects are merged."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for name, item in patch.items():
        if item is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), item)
    return result
