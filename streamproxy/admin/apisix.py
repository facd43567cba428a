"""APISIX's Admin API, ``/apisix/admin``: paths, bodies, codes and words as APISIX's."""

from __future__ import annotations

from attrs import frozen
from klein import Klein, Response
from twisted.web.server import Request

from streamproxy.errors import InvalidConfiguration, Problem, ReadOnlyDocument, RevisionConflict, StoreError
from streamproxy.model import Json

from . import incoming
from .apisix_answer import (
    ApisixError,
    Shape,
    key_not_found,
    no_such_page,
    problems_header,
    refused,
    text_answer,
    value_answer,
)
from .apisix_body import number, read, seconds_to_live
from .apisix_configs import Configs
from .apisix_introspection import Introspection
from .apisix_kinds import HTTP_KINDS, KINDS, Kind, unsupported, why_not
from .apisix_list import listed
from .apisix_resource import Resources, Written
from .respond import JSON, Answer, RefusedError, answer, refusal_of, router

_METHODS = ["GET", "PUT", "POST", "DELETE", "PATCH"]
# What is only told of.
_TOLD = ("schema", "plugins")
# Of a document with more wrong than this, no more is told.
_MOST_PROBLEMS = 10


def _refusal(error: BaseException | None, _request: Request) -> RefusedError | None:
    """How this API says what may go wrong."""
    if isinstance(error, InvalidConfiguration):
        return refused(f"invalid configuration: {_text(error.problems)}")
    if isinstance(error, ReadOnlyDocument):
        return refused(str(error), 409)
    if isinstance(error, RevisionConflict):
        return refused("value changed before overwritten", 503)
    if isinstance(error, StoreError):
        return refused(str(error), 503)
    known = refusal_of(error)
    if known is None or type(known) is not RefusedError:
        return known
    # These come from what all APIs share, and the router.
    return no_such_page() if known.code in (404, 405) else ApisixError(known.code, known.error, known.description)


def _text(problems: tuple[Problem, ...]) -> str:
    more = f"; and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
    return "; ".join(map(str, problems[:_MOST_PROBLEMS])) + more


@frozen
class Target:
    """What a path names: ``/{resource}[/{id}[/{path}]]``."""

    resource: str
    id: str
    path: str

    @classmethod
    def of(cls, text: str) -> Target:
        steps = text.rstrip("/").split("/")
        if steps[:2] == ["schema", "plugins"]:
            steps = steps[1:]
        elif steps[0] == "consumers" and steps[2:3] == ["credentials"]:
            steps = steps[2:]
        elif steps[0] == "secrets" and len(steps) > 1:
            # Their ids have two parts, and what has the first alone is a list.
            steps = ["secrets", "/".join(steps[1:3]) if len(steps) > 2 else "", *steps[3:]]
        resource, id, path = (steps[0], "".join(steps[1:2]), "/".join(steps[2:]))  # noqa: A001
        return cls(resource, id, path)


@frozen
class Write:
    """``given``: was there a body, and what did it say. ``ttl`` is in seconds (``None``: for good)."""

    given: tuple[bool, Json]
    ttl: float | None
    force: bool


class ApisixApi:
    """
    Everything under ``/apisix``. ``version`` is the shape of answers, ``v3`` or ``v2``. Without ``stream_enabled``
    there are no stream routes. ``is_standalone``: everything is written at once, through ``/configs``.
    """

    app: Klein = router(_refusal)

    def __init__(
        self,
        resources: Resources,
        *,
        version: str = "v3",
        stream_enabled: bool = True,
        is_standalone: bool = False,
    ) -> None:
        self._resources = resources
        self._introspection = Introspection(resources.plugins)
        self._configs = Configs(resources, resources.clock)
        self._shape = Shape(version)
        self._stream_enabled = stream_enabled
        self._is_standalone = is_standalone

    @app.route("/admin/plugins/list", methods=["GET"])
    def plugin_names(self, request: Request) -> Answer:
        return self._introspection.names(incoming.query(request))

    @app.route("/admin/plugins/reload", methods=_METHODS)
    def reload_plugins(self, request: Request) -> Answer:
        """They are read when the process starts, so there is nothing to do."""
        if request.method != b"PUT":
            method = request.method.decode()
            raise refused(f"please use PUT method to reload the plugins, {method} method is not allowed.", 405)
        return text_answer("done")

    @app.route("/admin/schema/validate/<path:kind>", methods=["POST"])
    def validate(self, request: Request, kind: str) -> Answer:
        return self._introspection.validated(kind.rstrip("/"), read(incoming.body(request)))

    @app.route("/admin/configs/validate", methods=["POST"])
    def validate_configs(self, request: Request) -> Answer:
        return self._configs.validated(incoming.body(request), incoming.content_type(request))

    @app.route("/admin/configs", methods=["GET", "PUT"])
    async def configs(self, request: Request) -> Answer:
        if not self._is_standalone:
            return await self._dispatched(request, "configs")
        if request.method == b"HEAD":
            return answer(b"", JSON, headers=self._configs.headers())
        if request.method == b"GET":
            return self._configs.read(incoming.accepted(request))
        query = incoming.query(request)
        return await self._configs.write(
            incoming.body(request),
            incoming.content_type(request),
            incoming.header(request, "X-Digest"),
            (number(query.get("wait", ("",))[0]) or 0) > 0,
            incoming.intent(request, query),
        )

    @app.route("/admin/<path:rest>", methods=_METHODS)
    async def resource(self, request: Request, rest: str) -> Answer:
        return await self._dispatched(request, rest)

    async def _dispatched(self, request: Request, rest: str) -> Response:
        """In the order in which APISIX looks at a request."""
        target = Target.of(rest)
        method = request.method.decode()
        if method not in _METHODS:
            raise no_such_page()
        if target.resource == "stream_routes" and not self._stream_enabled:
            raise refused("stream mode is disabled, can not add stream routes")
        if target.resource not in (*KINDS, *HTTP_KINDS, *_TOLD):
            raise unsupported(target.resource)
        if method != "GET" and (self._is_standalone or target.resource in _TOLD):
            raise refused("not found", 404)
        given = read(incoming.body(request))
        query = incoming.query(request)
        ttl = seconds_to_live(query.get("ttl", (None,))[0])
        request.setHeader("X-API-VERSION", self._shape.version)
        if target.resource == "plugins":
            return self._introspection.plugin(target.id, query)
        if target.resource == "schema":
            return self._introspection.schema(target.id)
        if method == "GET":
            return self._read(target, query)
        if target.resource in HTTP_KINDS:
            raise refused(why_not(target.resource)) if method != "DELETE" else key_not_found()
        kind = KINDS[target.resource]
        kind.check_method(method)
        return await self._written(request, kind, target, Write(given, ttl, query.get("force", ("",))[0] == "true"))

    def _read(self, target: Target, query: incoming.Query) -> Response:
        kind = KINDS.get(target.resource) or Kind(target.resource, target.resource)
        if not target.id:
            items = [kind.item(document) for document in self._resources.all(kind.name)]
            page = listed(kind, items, query if self._shape.is_v3 else {})
            return value_answer(self._shape.listed(kind.name, page.items, page.total))
        return value_answer(self._shape.read(kind.item(self._resources.get(kind, target.id))))

    async def _written(self, request: Request, kind: Kind, target: Target, write: Write) -> Response:
        intent = incoming.intent(request, incoming.query(request))
        if request.method == b"PATCH":
            written = await self._resources.patch(kind, target.id, target.path, write.given, write.ttl, intent)
            return self._answer(kind, written, "compareAndSwap")
        if target.path:
            # APISIX looks at no more than the id here, and would change the whole document.
            raise refused(f"invalid sub-path: /{target.path[:200]}")
        if request.method == b"DELETE":
            await self._resources.delete(kind, target.id, write.force, intent)
            return value_answer(self._shape.deleted(kind.name, target.id))
        if request.method == b"POST":
            written = await self._resources.post(kind, target.id, write.given, write.ttl, intent)
            return self._answer(kind, written, "create")
        written = await self._resources.put(kind, target.id, write.given, write.ttl, intent)
        return self._answer(kind, written, "set")

    def _answer(self, kind: Kind, written: Written, action: str) -> Response:
        value = self._shape.written(kind.stored_item(written.document), action)
        return value_answer(value, 201 if written.is_new else 200, problems_header(written.problems))
