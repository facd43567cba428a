"""APISIX's Control API: what a process knows, told to whoever sits on the same machine."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from attrs import frozen
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import Request

from streamproxy.dialects.apisix import SCHEMAS, described
from streamproxy.model import Document, Json, Key, UpstreamStatus
from streamproxy.plugins.seam import Plugin

from . import incoming
from .control_api_health import checks_of, health_json, health_page, status_of, unasked
from .respond import RefusedError, to_json

_DIALECT: Final = "apisix"
# Where health may be asked for, and by which name a single object is.
_CHECKED: Final = ("routes", "services", "upstreams", "stream_routes")
_SINGLE: Final = {"route": "routes", "service": "services", "upstream": "upstreams", "stream_route": "stream_routes"}
_METADATA: Final = "plugin_metadata"

Answer: TypeAlias = "tuple[str, bytes]"


class Documents(Protocol):
    """What is configured."""

    def get(self, key: Key) -> Document | None: ...

    def list(self, dialect: str, kind: str) -> tuple[Document, ...]: ...


@frozen
class ControlSources:
    """
    ``upstreams`` says how they are, ``reload`` reads the configuration file again. ``plugins`` are those there are.
    """

    documents: Documents
    upstreams: Callable[[], tuple[UpstreamStatus, ...]]
    plugins: Mapping[str, Plugin]
    reload: Callable[[], None]


class ControlApi(Resource):
    """``/v1/...``. It asks nobody who he is, so it is for loopback, and shows no secrets."""

    isLeaf = True
    _log = Logger()

    def __init__(self, sources: ControlSources) -> None:
        super().__init__()
        self._sources = sources

    def render(self, request: Request) -> bytes:
        try:
            content_type, body = self._answer(request)
        except RefusedError as error:
            request.setResponseCode(error.code)
            content_type, body = _json({"error_msg": error.description})
        except Exception:  # noqa: BLE001 - whoever asks is not told what is wrong in here
            self._log.failure("the Control API failed")
            request.setResponseCode(500)
            content_type, body = _json({"error_msg": "this should not have happened: the log has the details"})
        request.setHeader("Content-Type", content_type)
        request.setHeader("Content-Length", str(len(body)))
        return body if request.method != b"HEAD" else b""

    def _answer(self, request: Request) -> Answer:
        try:
            version, *path = (part.decode() for part in request.postpath or ())
        except (UnicodeDecodeError, ValueError):
            raise _nothing_here() from None
        method = request.method.decode()
        if version != "v1":
            raise _nothing_here()
        if method in ("GET", "HEAD"):
            return self._read(request, path)
        if (method, path) == ("POST", ["gc"]):
            gc.collect()
            return "text/plain", b""
        if (method, path) == ("PUT", ["plugins", "reload"]):
            self._sources.reload()
            return "text/plain", b"done"
        raise _nothing_here()

    def _read(self, request: Request, path: list[str]) -> Answer:
        match path:
            case ["schema"]:
                return _json(self._schema())
            case ["healthcheck"]:
                items = [health_json(status) for status in self._sources.upstreams() if status.checked]
                return _health(request, items, items)
            case ["healthcheck", *rest]:
                item = self._health_of(rest)
                return _health(request, [item], item)
            case ["routes" | "services" | "upstreams" | "stream_routes" as kind]:
                return _json([self._item(each) for each in self._list(kind)])
            case ["plugin_metadatas"]:
                return _json([self._metadata(each) for each in self._list(_METADATA)])
            case ["plugin_metadata", name]:
                return _json(self._metadata(self._get(_METADATA, name, "plugin metadata")))
            case [single, identifier] if single in _SINGLE:
                return _json(self._item(self._get(_SINGLE[single], identifier, single)))
        raise _nothing_here()

    def _schema(self) -> dict[str, Any]:
        plugins = {name: described(plugin) for name, plugin in self._sources.plugins.items()}
        main = {kind.removesuffix("s"): schema for kind, schema in SCHEMAS.items()}
        return {"main": main, "plugins": {}, "stream_plugins": plugins}

    def _health_of(self, path: list[str]) -> dict[str, Any]:
        kind = path[0]
        if len(path) == 1 or not path[1]:
            raise RefusedError(404, "not_found", f"missing src id for src type {kind}")
        if kind not in _CHECKED:
            raise RefusedError(400, "bad_query", f"invalid src type {kind}")
        document = self._get(kind, path[1], kind)
        if checks_of(document) is None:
            raise RefusedError(404, "not_found", f"no checker for {kind}[{path[1]}]")
        status = status_of(document, self._sources.upstreams())
        return unasked(document) if status is None else health_json(status)

    def _list(self, kind: str) -> tuple[Document, ...]:
        return self._sources.documents.list(_DIALECT, kind)

    def _get(self, kind: str, identifier: str, called: str) -> Document:
        document = self._sources.documents.get(Key(_DIALECT, kind, identifier))
        if document is None:
            raise RefusedError(404, "not_found", f"{called}[{identifier}] not found")
        return document

    def _item(self, document: Document) -> dict[str, Any]:
        key = document.key
        return {
            "key": f"/apisix/{key.kind}/{key.id}",
            "value": self._shown(document),
            "createdIndex": document.created_revision,
            "modifiedIndex": document.revision,
            "clean_handlers": {},
        }

    def _metadata(self, document: Document) -> dict[str, Json]:
        return {"id": document.key.id, **document.body}

    def _shown(self, document: Document) -> dict[str, Any]:
        """The object without what is nobody's business."""
        body: dict[str, Any] = _without_client_key({"id": document.key.id, **document.body})
        if isinstance(body.get("upstream"), dict):
            body["upstream"] = _without_client_key(body["upstream"])
        if isinstance(body.get("plugins"), dict):
            body["plugins"] = {name: self._without_secrets(name, conf) for name, conf in body["plugins"].items()}
        return body

    def _without_secrets(self, name: str, conf: Any) -> Any:
        plugin = self._sources.plugins.get(name)
        for path in plugin.encrypted if plugin is not None else ():
            conf = _without(conf, path.split("."))
        return conf


def _without_client_key(upstream: dict[str, Any]) -> dict[str, Any]:
    stripped: dict[str, Any] = _without(upstream, ["tls", "client_key"])
    return stripped


def _without(value: Any, path: list[str]) -> Any:
    """``value`` without what stands at ``path`` in it."""
    if not isinstance(value, dict) or path[0] not in value:
        return value
    if len(path) == 1:
        return {name: item for name, item in value.items() if name != path[0]}
    return {**value, path[0]: _without(value[path[0]], path[1:])}


def _health(request: Request, items: list[dict[str, Any]], answer: Any) -> Answer:
    if "text/html" in incoming.accepted(request):
        return "text/html; charset=utf-8", health_page(items)
    return _json(answer)


def _json(value: Any) -> Answer:
    """An empty list is an object: Lua knows no difference, so those who call this expect it."""
    return "application/json", to_json({} if value == [] else value)


def _nothing_here() -> RefusedError:
    return RefusedError(404, "not_found", "404 Not Found")
