"""
Otoroshi's own API of TCP services, ``/api``: bodies, codes and words as Otoroshi's, except that what is wrong with a
query or a patch is 400 and never 401, and that a refused document comes with all its problems.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from klein import Klein, Response
from twisted.web.server import Request

from streamproxy.errors import InvalidConfiguration, Problem, StoreError
from streamproxy.model import Json

from . import incoming
from .bodies import BodyError, parse_json, parse_lines
from .otoroshi_bulk import ACTIONS, Manners, bulk
from .otoroshi_certificates import CERTIFICATE_FIELDS, Certificates, read_only
from .otoroshi_query import NO_PAGE_SIZE, ListQuery, QueryError, parse
from .patching import PatchError, apply_patch
from .respond import Answer, RefusedError, json_answer, lines_answer, problems_json, router
from .tcp_services import FIELDS, EntityError, MissingError, TakenError, TcpServices, entity_of

NDJSON = "application/x-ndjson"
_MANNERS = Manners(strict=False)


def _refusal(error: BaseException | None, request: Request) -> RefusedError | None:
    """How ``/api`` says what may go wrong with a service."""
    if isinstance(error, MissingError):
        return _missing(request.method)
    if isinstance(error, TakenError):
        # So it reads in Otoroshi, and programs that were written for it look for just that.
        return RefusedError(400, "not_found", "Entity already exists")
    if isinstance(error, BodyError):
        error = EntityError((Problem("", "bad_format", error.why),))
    if isinstance(error, InvalidConfiguration):
        return _unsound(error.problems)
    if isinstance(error, EntityError):
        if request.method == b"POST" and any(problem.code == "bad_format" for problem in error.problems):
            return RefusedError(400, "bad_format", "Bad entity format", {"problems": problems_json(error.problems)})
        return _unsound(error.problems, error.body)
    if isinstance(error, PatchError):
        return RefusedError(400, "bad_patch", error.why)
    if isinstance(error, QueryError):
        return RefusedError(400, "bad_query", error.why)
    if isinstance(error, StoreError) and request.method == b"POST":
        return RefusedError(500, "creation_error", str(error))
    return None


def _missing(method: bytes) -> RefusedError:
    if method == b"DELETE":
        return RefusedError(404, "delete_error", "Entity not found")
    reading = method in (b"GET", b"HEAD")
    return RefusedError(404, "not_found", "entity not found" if reading else "Entity not found")


def _unsound(problems: tuple[Problem, ...], entity: Json = None) -> RefusedError:
    extra: dict[str, Json] = {"problems": problems_json(problems)}
    if entity is not None:
        extra["entity"] = entity
    return RefusedError(400, "bad_entity", "; ".join(map(str, problems)), extra)


class OtoroshiApi:
    """Everything under ``/api``."""

    app: Klein = router(_refusal)

    def __init__(self, services: TcpServices, certificates: Certificates) -> None:
        self._services = services
        self._certificates = certificates

    @app.route("/tcp/services", methods=["GET"])
    def listed(self, request: Request) -> Answer:
        query = parse(incoming.query(request), FIELDS)
        listing = query.select(self._services.entities())
        headers = paging_headers(query, listing.total)
        accepted = incoming.accepted(request)
        if NDJSON in accepted and "application/json" not in accepted:
            return lines_answer(listing.items, headers)
        return json_answer(listing.items, headers=headers)

    @app.route("/tcp/services", methods=["POST"])
    async def create(self, request: Request) -> Answer:
        intent = incoming.intent(request, incoming.query(request))
        document = await self._services.create(parse_json(incoming.body(request)), intent)
        return json_answer(document.body, 201, incoming.etag(document))

    @app.route("/tcp/services/_bulk", methods=["POST", "PUT", "PATCH", "DELETE"])
    async def bulk(self, request: Request) -> Answer:
        return await bulk_answer(request, self._services, _MANNERS)

    @app.route("/tcp/services/_template", methods=["POST"])
    async def create_from_template(self, request: Request) -> Answer:
        intent = incoming.intent(request, incoming.query(request))
        over = parse_json(incoming.body(request) or b"{}")
        if not isinstance(over, dict):
            raise EntityError((Problem("", "bad_format", "expected an object"),), over)
        body = self._services.template(incoming.header(request, "Otoroshi-Tenant"), over)
        document = await self._services.create(body, intent)
        return json_answer(document.body, 201, incoming.etag(document))

    @app.route("/new/tcp/service", methods=["GET"])
    def new(self, request: Request) -> Answer:
        return self._template(request)

    @app.route("/tcp/_template", methods=["GET"])
    def template(self, request: Request) -> Answer:
        return self._template(request)

    @app.route("/tcp/services/<path:id>", methods=["GET"])
    def read(self, request: Request, id: str) -> Answer:  # noqa: A002
        query = parse(incoming.query(request), FIELDS)
        document = self._services.get(id)
        return json_answer(query.project(entity_of(document)), headers=incoming.etag(document))

    @app.route("/tcp/services/<path:id>", methods=["PUT"])
    async def replace(self, request: Request, id: str) -> Answer:  # noqa: A002
        intent = incoming.intent(request, incoming.query(request))
        self._services.get(id)
        document = await self._services.replace(id, parse_json(incoming.body(request)), intent)
        return json_answer(document.body, headers=incoming.etag(document))

    @app.route("/tcp/services/<path:id>", methods=["PATCH"])
    async def patch(self, request: Request, id: str) -> Answer:  # noqa: A002
        intent = incoming.intent(request, incoming.query(request))
        self._services.get(id)
        operations = parse_json(incoming.body(request))
        document = await self._services.edit(id, lambda entity: apply_patch(dict(entity), operations), intent)
        return json_answer(document.body, headers=incoming.etag(document))

    @app.route("/tcp/services/<path:id>", methods=["DELETE"])
    async def delete(self, request: Request, id: str) -> Answer:  # noqa: A002
        await self._services.delete(id, incoming.intent(request, incoming.query(request)))
        return json_answer({"deleted": True})

    @app.route("/certificates", methods=["GET"])
    def certificates(self, request: Request) -> Answer:
        query = parse(incoming.query(request), CERTIFICATE_FIELDS)
        listing = query.select(self._certificates.entities())
        return json_answer(listing.items, headers=paging_headers(query, listing.total))

    @app.route("/certificates/<path:id>", methods=["GET"])
    def certificate(self, request: Request, id: str) -> Answer:  # noqa: A002
        query = parse(incoming.query(request), CERTIFICATE_FIELDS)
        return json_answer(query.project(self._certificates.get(id)))

    @app.route("/certificates", methods=["POST", "PUT", "PATCH", "DELETE"])
    @app.route("/certificates/<path:id>", methods=["POST", "PUT", "PATCH", "DELETE"])
    def change_certificate(self, _request: Request, id: str = "") -> Answer:  # noqa: A002
        raise read_only()

    def _template(self, request: Request) -> Response:
        return json_answer(template_of(request, self._services))


def template_of(request: Request, services: TcpServices, besides: Container[str] = ()) -> Mapping[str, Json]:
    """Each parameter of the query but ``besides`` replaces a field, as text: so it is in Otoroshi."""
    query = incoming.query(request)
    over: dict[str, Json] = {name: values[-1] for name, values in query.items() if name not in besides}
    return services.template(incoming.header(request, "Otoroshi-Tenant"), over)


def paging_headers(query: ListQuery, total: int) -> dict[str, str]:
    return {
        "X-Count": str(total),
        "X-Offset": str(query.offset),
        "X-Page": str(query.page),
        "X-Page-Size": str(query.page_size or NO_PAGE_SIZE),
    }


async def bulk_answer(request: Request, services: TcpServices, manners: Manners) -> Response:
    """Raises :class:`RefusedError` (400) for what is not newline-delimited JSON."""
    types = [incoming.content_type(request)]
    if request.method == b"DELETE":
        # Some clients cannot put a Content-Type on a DELETE.
        types.append(incoming.media_type(incoming.header(request, "X-Content-Type")))
    if NDJSON not in types:
        raise RefusedError(400, "bad_content_type", "Unsupported content type")
    intent = incoming.intent(request, incoming.query(request))
    lines = parse_lines(incoming.body(request))
    outcomes: list[Any] = [*await bulk(services, ACTIONS[request.method], lines, intent, manners)]
    return lines_answer(outcomes)
