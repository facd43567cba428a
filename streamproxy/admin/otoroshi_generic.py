"""
Otoroshi's generic resource API, ``/apis``, for the one kind of resource we have: JSON and YAML in and out, filters,
three kinds of patches. Where Otoroshi answers 401 for what has nothing to do with credentials, this answers 400 (it
exists already) or 404 (it does not exist).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from klein import Klein, Response
from twisted.web.server import Request

from streamproxy import __version__
from streamproxy.errors import InvalidConfiguration
from streamproxy.model import Json

from . import incoming
from .bodies import BodyError, parse_form, parse_json, parse_yaml
from .otoroshi import NDJSON, bulk_answer, paging_headers, template_of
from .otoroshi_bulk import Manners
from .otoroshi_query import Entity, ListQuery, QueryError, parse
from .otoroshi_schema import TCP_SERVICE
from .patching import PatchError, apply_patch, apply_paths, read_paths
from .respond import (
    Answer,
    RefusedError,
    answer,
    empty_answer,
    json_answer,
    lines_answer,
    problems_json,
    router,
    to_yaml,
)
from .tcp_services import FIELDS, EntityError, MissingError, TakenError, TcpServices, entity_of

GROUP, VERSION = "proxy.otoroshi.io", "v1"
PLURAL, SINGULAR, KIND = "tcp-services", "tcp-service", "TcpService"

_ANY = ("any", "all")
_NAMES = (PLURAL, SINGULAR, KIND.lower())
_YAML = ("application/yaml", "application/yml", "application/x-yaml", "text/yaml")
_K8S = ("application/yaml+k8s", "application/yml+k8s")
_JSON = ("application/json", "*/*", "application/*")
_PATHS = "application/json+oto-patch"
_FORM = "application/x-www-form-urlencoded"
_MANNERS = Manners(strict=True, extra={"id_field": "id"})


def _refusal(error: BaseException | None, request: Request) -> RefusedError | None:
    """How ``/apis`` says what may go wrong with a resource."""
    if isinstance(error, MissingError):
        updating = request.method == b"PUT"
        return RefusedError(404, "not_found", "resource does not exists" if updating else "resource not found")
    if isinstance(error, TakenError):
        return RefusedError(400, "already_exists", "resource already exists")
    if isinstance(error, (EntityError, InvalidConfiguration)):
        messages = list(map(str, error.problems))
        extra = {"error_description": messages, "problems": problems_json(error.problems)}
        return RefusedError(400, "bad_request", "; ".join(messages), extra)
    if isinstance(error, (BodyError, PatchError, QueryError)):
        return RefusedError(400, "bad_request", error.why)
    return None


@frozen
class Format:
    """How the caller wants its answer: one of JSON, YAML, YAML as for Kubernetes, or lines of JSON (of a list)."""

    type: str
    pretty: bool
    envelope: bool

    @classmethod
    def of(cls, request: Request, query: incoming.Query) -> Format:
        """The first type in ``Accept`` that there is; JSON if there is none. Raises ``RefusedError`` (400)."""
        known = (*_JSON, *_YAML, *_K8S, NDJSON)
        type_ = next((type_ for type_ in incoming.accepted(request) if type_ in known), "application/json")
        return cls(
            "application/json" if type_ in _JSON else type_,
            incoming.flag(query, "pretty", True),
            incoming.flag(query, "envelope", False),
        )

    def one(self, entity: Entity, code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        if self.type in _K8S:
            return answer(to_yaml(_armored(entity)), self.type, code, headers)
        return self.plain(_of_kind(entity), code, headers)

    def many(self, entities: Sequence[Entity], headers: Mapping[str, str]) -> Response:
        if self.type in _K8S:
            return answer(b"---\n".join(to_yaml(_armored(entity)) for entity in entities), self.type, 200, headers)
        shown = [_of_kind(entity) for entity in entities]
        return lines_answer(shown, headers) if self.type == NDJSON else self.plain(shown, 200, headers)

    def plain(self, value: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        if self.type in (*_YAML, *_K8S):
            return answer(to_yaml(value), self.type, code, headers)
        return json_answer({"data": value} if self.envelope else value, code, headers, pretty=self.pretty)


def _of_kind(entity: Entity) -> dict[str, Json]:
    return {**entity, "kind": f"{PLURAL}.{GROUP}/{VERSION}"}


def _armored(entity: Entity) -> dict[str, Json]:
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": entity.get("name", entity.get("id"))},
        "spec": dict(entity),
    }


def _unarmored(body: Json) -> Json:
    """What is inside a Kubernetes resource; anything else as it is."""
    if not isinstance(body, dict) or "apiVersion" not in body or not isinstance(body.get("spec"), dict):
        return body
    metadata, spec = body.get("metadata"), body["spec"]
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return {"name": name, **spec} if isinstance(spec, dict) and name is not None else spec


def read_body(request: Request) -> Json:
    """
    A resource, whatever it is written in. Raises ``BodyError``, ``PatchError``, and ``RefusedError`` (400) for what
    nobody can read.
    """
    data, type_ = incoming.body(request), incoming.content_type(request)
    if type_ == "application/json":
        return _unarmored(parse_json(data))
    if type_ in (*_YAML, *_K8S):
        return _unarmored(parse_yaml(data))
    if type_ == _PATHS:
        return apply_paths({}, read_paths(parse_json(data)))
    if type_ == _FORM:
        return apply_paths({}, parse_form(data))
    raise _unsupported()


def read_patch(request: Request) -> Callable[[Entity], Json]:
    """What the patch in the body of ``request`` does to an entity. Raises as :func:`read_body`."""
    data, type_ = incoming.body(request), incoming.content_type(request)
    if type_ == _PATHS:
        pairs: Sequence[tuple[str, Json]] = read_paths(parse_json(data))
        return lambda entity: apply_paths(dict(entity), pairs)
    if type_ == _FORM:
        form = parse_form(data)
        return lambda entity: apply_paths(dict(entity), form)
    if type_ in ("application/json", "application/json-patch+json"):
        operations = parse_json(data)
    elif type_ in _YAML:
        operations = parse_yaml(data)
    else:
        raise _unsupported()
    return lambda entity: apply_patch(dict(entity), operations)


def _unsupported() -> RefusedError:
    return RefusedError(400, "bad_content_type", "Unsupported content type")


def check_resource(group: str, version: str, entity: str) -> None:
    """Raises ``RefusedError`` (404) unless the path names TCP services."""
    if group not in (GROUP, *_ANY) or version not in (VERSION, *_ANY) or entity.lower() not in _NAMES:
        raise RefusedError(404, "not_found", "resource not found")


_RESOURCE = "/<group>/<version>/<entity>"


class GenericApi:
    """Everything under ``/apis``."""

    app: Klein = router(_refusal)

    def __init__(self, services: TcpServices) -> None:
        self._services = services

    @app.route("/entities", methods=["GET"])
    def entities(self, request: Request) -> Answer:
        query = incoming.query(request)
        version: dict[str, Any] = {"name": VERSION, "served": True, "deprecated": False, "storage": True}
        if incoming.flag(query, "schema", True):
            version["schema"] = TCP_SERVICE
        resource = {
            "kind": KIND,
            "plural_name": PLURAL,
            "singular_name": SINGULAR,
            "group": GROUP,
            "version": version,
        }
        return Format.of(request, query).plain({"version": __version__, "resources": [resource]})

    @app.route(_RESOURCE, methods=["GET"])
    def listed(self, request: Request, group: str, version: str, entity: str) -> Answer:
        form, query = self._asked(request, group, version, entity)
        listing = query.select(self._services.entities())
        headers = {**paging_headers(query, listing.total), "X-Pages": str(query.pages(listing.found))}
        return form.many(listing.items, headers)

    @app.route(_RESOURCE, methods=["POST"])
    async def create(self, request: Request, group: str, version: str, entity: str) -> Answer:
        form, _ = self._asked(request, group, version, entity)
        document = await self._services.create(read_body(request), self._intent(request))
        return form.one(document.body, 201, incoming.etag(document))

    @app.route(_RESOURCE, methods=["DELETE"])
    async def delete_all(self, request: Request, group: str, version: str, entity: str) -> Answer:
        """Otoroshi deletes all there is; who sends a filter along gets what it says."""
        _, query = self._asked(request, group, version, entity)
        await self._services.delete_all(query.keeps, self._intent(request))
        return empty_answer(204)

    @app.route(f"{_RESOURCE}/_bulk", methods=["POST", "PUT", "PATCH", "DELETE"])
    async def bulk(self, request: Request, group: str, version: str, entity: str) -> Answer:
        check_resource(group, version, entity)
        return await bulk_answer(request, self._services, _MANNERS)

    @app.route(f"{_RESOURCE}/_count", methods=["GET"])
    def count(self, request: Request, group: str, version: str, entity: str) -> Answer:
        form, _ = self._asked(request, group, version, entity)
        return form.plain({"count": len(self._services.all())})

    @app.route(f"{_RESOURCE}/_template", methods=["GET"])
    def template(self, request: Request, group: str, version: str, entity: str) -> Answer:
        check_resource(group, version, entity)
        form = Format.of(request, incoming.query(request))
        return form.plain(template_of(request, self._services, besides=("pretty", "envelope")))

    @app.route(f"{_RESOURCE}/_schema", methods=["GET"])
    def schema(self, request: Request, group: str, version: str, entity: str) -> Answer:
        form, _ = self._asked(request, group, version, entity)
        return form.plain(TCP_SERVICE)

    @app.route(f"{_RESOURCE}/<path:id>", methods=["GET"])
    def read(self, request: Request, group: str, version: str, entity: str, id: str) -> Answer:  # noqa: A002
        form, query = self._asked(request, group, version, entity)
        document = self._services.get(id)
        return form.one(query.project(entity_of(document)), headers=incoming.etag(document))

    @app.route(f"{_RESOURCE}/<path:id>", methods=["POST"])
    async def upsert(self, request: Request, group: str, version: str, entity: str, id: str) -> Answer:  # noqa: A002
        form, _ = self._asked(request, group, version, entity)
        document, done = await self._services.upsert(id, read_body(request), self._intent(request))
        headers = {**incoming.etag(document), "Otoroshi-Entity-Updated": "false" if done == "unchanged" else "true"}
        return form.one(entity_of(document), 201 if done == "created" else 200, headers)

    @app.route(f"{_RESOURCE}/<path:id>", methods=["PUT"])
    async def replace(self, request: Request, group: str, version: str, entity: str, id: str) -> Answer:  # noqa: A002
        form, _ = self._asked(request, group, version, entity)
        self._services.get(id)
        document = await self._services.replace(id, read_body(request), self._intent(request))
        return form.one(document.body, headers=incoming.etag(document))

    @app.route(f"{_RESOURCE}/<path:id>", methods=["PATCH"])
    async def patch(self, request: Request, group: str, version: str, entity: str, id: str) -> Answer:  # noqa: A002
        form, _ = self._asked(request, group, version, entity)
        self._services.get(id)
        document = await self._services.edit(id, read_patch(request), self._intent(request))
        return form.one(document.body, headers=incoming.etag(document))

    @app.route(f"{_RESOURCE}/<path:id>", methods=["DELETE"])
    async def delete(self, request: Request, group: str, version: str, entity: str, id: str) -> Answer:  # noqa: A002
        form, _ = self._asked(request, group, version, entity)
        document = await self._services.delete(id, self._intent(request))
        return form.one(entity_of(document))

    @staticmethod
    def _asked(request: Request, group: str, version: str, entity: str) -> tuple[Format, ListQuery]:
        check_resource(group, version, entity)
        query = incoming.query(request)
        return Format.of(request, query), parse(query, FIELDS)

    @staticmethod
    def _intent(request: Request) -> incoming.Intent:
        return incoming.intent(request, incoming.query(request))
