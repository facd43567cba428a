"""
What speaks against storing or deleting a document: one text, in the words and the order of APISIX's Admin API. What it
stores though it cannot work is no reason to refuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from attrs import frozen

from streamproxy.model import Document, Key
from streamproxy.plugins.seam import Plugin

from ..codec import shown
from .jsonschema import Schema, Violation, violations
from .metadata import metadata_schema, to_metadata
from .parts import identifier
from .schema import CONFORMS, SCHEMAS, SHOWN
from .secrets import Vault, sealed
from .service import to_service
from .ssl import refused, to_ssl
from .stream_route import to_stream_route
from .upstream import to_upstream

Get: TypeAlias = Callable[[str, str], "Mapping[str, Any] | None"]
_NOT_FOUND: Final = "response code: 404"
_OBJECT: Final[Schema] = {"type": "object"}
# A list that is empty is an object to the validator, but nothing that could be stored.
_NO_OBJECT: Final = "wrong type: expected object, got table"


@frozen
class _Question:
    key: Key
    body: Mapping[str, Any]
    get: Get
    plugins: Mapping[str, Plugin]
    vault: Vault
    now: float | None
    protocols: frozenset[str]


def refusal(
    kind: str,
    id: str,  # noqa: A002
    body: object,
    *,
    get: Get,
    plugins: Mapping[str, Plugin],
    vault: Vault,
    now: float | None,
    protocols: frozenset[str] = frozenset(),
) -> str | None:
    """
    What is answered as ``error_msg`` to storing ``body`` as ``kind``/``id`` at ``now`` (seconds since the epoch;
    ``None``: at no time in particular). ``None``: nothing. ``get`` gives the stored body of a kind and an id,
    ``plugins`` are those that are there for streams, ``protocols`` the xRPC protocols.

    Times that APISIX sets itself are not looked at, and a body's id only if it is one.
    """
    ask = _QUESTIONS.get(kind)
    if ask is None:
        return f"apisix documents of the kind {shown(kind)[1:-1]} are not supported"
    if not isinstance(body, Mapping):
        found = next((found.text for found in violations(body, _OBJECT)), _NO_OBJECT)
        return f"invalid configuration: {found}"
    if kind != "plugin_metadata":
        text = schema_refusal(kind, {"id": id, **body}, plugins)
        if text is not None:
            return f"invalid configuration: {text}"
    question = _Question(Key("apisix", kind, id), body, get, plugins, vault, now, protocols)
    return next(ask(question), None)


def schema_refusal(kind: str, body: object, plugins: Mapping[str, Plugin]) -> str | None:
    """
    What the schema of ``kind`` has against ``body``, in the words of APISIX's validator, and nothing else; that of
    ``plugin_metadata`` is of the plugin that is the body's ``id``.
    """
    schema = SCHEMAS.get(kind)
    if kind == "plugin_metadata" and isinstance(body, Mapping):
        plugin = plugins.get(str(body.get("id", "")))
        schema = None if plugin is None else metadata_schema(plugin)
    conforms = CONFORMS.get(id(schema))
    if schema is None or (conforms is not None and conforms(body)):
        return None
    return next((found.text for found in violations(body, schema)), None)


def deletion_refusal(kind: str, id: str, documents: Iterable[Document]) -> str | None:  # noqa: A002
    """
    Why ``kind``/``id`` is not to be deleted while ``documents`` stand; not asked where a deletion is forced. As in
    APISIX, stream routes do not hold their upstream, and nobody holds a certificate: they close what they match.
    """
    find = _USERS.get(kind)
    if find is None:
        return None
    users = (find(document, id) for document in documents if document.key.dialect == "apisix")
    return next((user for user in users if user is not None), None)


def schema_document(name: str) -> Schema | None:
    """The schema that is shown as ``stream_route``, ``upstream``, ``service`` or ``ssl``; ``None``: there is none."""
    return SHOWN.get(name)


# What is asked of each kind, when its schema has nothing against it


def _stream_route(question: _Question) -> Iterator[str]:
    body, get = question.body, question.get
    yield from _upstream_id(question)
    if "service_id" in body and get("services", identifier(body["service_id"])) is None:
        yield f"failed to fetch service info by service id [{identifier(body['service_id'])}], {_NOT_FOUND}"
    yield from _superior(question)
    _, found = to_stream_route(question.key, body, question.plugins, question.vault)
    known = (body.get("protocol") or {}).get("name") in question.protocols
    yield from _texts(each for each in found if not (known and each.problem.path == "protocol.name"))


def _upstream(question: _Question) -> Iterator[str]:
    yield from _client_cert(question.body, question.get)
    _, found = to_upstream(question.body, str(question.key), question.vault, is_object=True)
    yield from _texts(found)


def _service(question: _Question) -> Iterator[str]:
    _, found = to_service(question.key, question.body, question.plugins, question.vault)
    yield from _client_cert(question.body.get("upstream"), question.get)
    yield from _texts(each for each in found if each.problem.path.startswith("upstream"))
    yield from _upstream_id(question)
    yield from _texts(found)


def _ssl(question: _Question) -> Iterator[str]:
    ssl, problems = to_ssl(question.key, question.body, question.vault)
    yield from (problem.message for problem in problems)
    if ssl is not None and question.now is not None:
        yield from (problem.message for problem in refused(ssl, question.now))
    # What is sealed is longer, and has to be a document all the same.
    text = schema_refusal("ssls", sealed("ssls", question.body, question.vault.keyring), {})
    if text is not None:
        yield f"invalid configuration: {text}"


def _metadata(question: _Question) -> Iterator[str]:
    if question.key.id not in question.plugins:
        yield "invalid plugin name"
        return
    _, found = to_metadata(question.key, question.body, question.plugins)
    yield from (f"invalid configuration: {text}" for text in _texts(found))


_QUESTIONS: Final[Mapping[str, Callable[[_Question], Iterator[str]]]] = {
    "stream_routes": _stream_route,
    "upstreams": _upstream,
    "services": _service,
    "ssls": _ssl,
    "plugin_metadata": _metadata,
}


def _texts(found: Iterable[Violation]) -> Iterator[str]:
    return (each.text for each in found if not each.problem.tolerable)


def _upstream_id(question: _Question) -> Iterator[str]:
    if "upstream_id" not in question.body:
        return
    id_ = identifier(question.body["upstream_id"])
    if question.get("upstreams", id_) is None:
        yield f"failed to fetch upstream info by upstream id [{id_}], {_NOT_FOUND}"


def _client_cert(upstream: object, get: Get) -> Iterator[str]:
    tls = upstream.get("tls") if isinstance(upstream, Mapping) else None
    if not isinstance(tls, Mapping) or "client_cert_id" not in tls:
        return
    id_ = identifier(tls["client_cert_id"])
    ssl = get("ssls", id_)
    if ssl is None:
        yield f"failed to fetch ssl info by ssl id [{id_}], {_NOT_FOUND}"
    elif ssl.get("type") != "client":
        yield f"failed to fetch ssl info by ssl id [{id_}], wrong ssl type"


def _superior(question: _Question) -> Iterator[str]:
    protocol = question.body.get("protocol") or {}
    if "superior_id" not in protocol:
        return
    id_ = identifier(protocol["superior_id"])
    if id_ == question.key.id:
        yield "stream route can not set itself as superior_id"
    superior = question.get("stream_routes", id_)
    if superior is None:
        yield f"failed to fetch stream routes[{id_}], {_NOT_FOUND}"
        return
    theirs = superior.get("protocol")
    name = theirs.get("name") if isinstance(theirs, Mapping) else None
    if name != protocol["name"]:
        ours = shown(protocol["name"])[1:-1]
        yield (
            f"protocol mismatch: subordinate protocol [{ours}] does not match superior protocol"
            f" [{'nil' if name is None else name}]"
        )


# Who uses what is to be deleted


def _upstream_user(document: Document, id_: str) -> str | None:
    key, body = document.key, document.body
    if key.kind != "services":
        return None
    if _is(body.get("upstream_id"), id_):
        return f"can not delete this upstream, service [{key.id}] is still using it now"
    if _is_split_to(body, id_):
        return f"can not delete this upstream, plugin in service [{key.id}] is still using it now"
    return None


def _service_user(document: Document, id_: str) -> str | None:
    key, body = document.key, document.body
    if key.kind != "stream_routes" or not _is(body.get("service_id"), id_):
        return None
    return f"can not delete this service directly, stream_route [{key.id}] is still using it now"


def _superior_user(document: Document, id_: str) -> str | None:
    key, protocol = document.key, document.body.get("protocol")
    if key.kind != "stream_routes" or not isinstance(protocol, Mapping) or not _is(protocol.get("superior_id"), id_):
        return None
    return f"can not delete this stream route directly, stream route [{key.id}] is still using it as superior_id"


_USERS: Final[Mapping[str, Callable[[Document, str], str | None]]] = {
    "upstreams": _upstream_user,
    "services": _service_user,
    "stream_routes": _superior_user,
}


def _is(written: object, id_: str) -> bool:
    return isinstance(written, (str, int)) and identifier(written) == id_


def _is_split_to(body: Mapping[str, Any], id_: str) -> bool:
    """Does the plugin ``traffic-split`` lead to the upstream?"""
    found: list[Any] = [body]
    for step in ("plugins", "traffic-split", "rules", "*", "weighted_upstreams", "*", "upstream_id"):
        if step == "*":
            found = [item for value in found if isinstance(value, list) for item in value]
        else:
            found = [value[step] for value in found if isinstance(value, Mapping) and step in value]
    return any(_is(value, id_) for value in found)
