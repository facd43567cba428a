"""What both of Otoroshi's APIs do to TCP services, told apart from how each of them says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, cast

from attrs import define, frozen

from streamproxy.dialects.memo import Memo
from streamproxy.dialects.otoroshi import canonical, new_id, template
from streamproxy.errors import Problem, StreamProxyError
from streamproxy.interfaces import Configuration
from streamproxy.model import Change, Delete, Document, Json, Key, Put

from .incoming import Intent
from .otoroshi_query import Entity
from .writer import Writer

# The keys of an entity as the API shows it.
FIELDS = (
    "_loc",
    "id",
    "name",
    "description",
    "enabled",
    "tls",
    "sni",
    "clientAuth",
    "port",
    "interface",
    "rules",
    "metadata",
    "tags",
)


@frozen(auto_exc=True)
class MissingError(StreamProxyError):
    """There is no service of this id."""

    id: str


@frozen(auto_exc=True)
class TakenError(StreamProxyError):
    """There is a service of this id already."""

    id: str


@frozen(auto_exc=True)
class EntityError(StreamProxyError):
    """What was sent (``body``) describes no service that could work."""

    problems: tuple[Problem, ...]
    body: Json = None


def key_of(id: str) -> Key:  # noqa: A002
    return Key("otoroshi", "tcp-services", id)


def _entity(document: Document) -> Entity:
    body, _ = canonical(document.body, id=document.key.id)
    return document.body if body is None else body


# What came through an API was stored as it is shown; what a file declares is as somebody wrote it.
_declared = Memo(_entity)


def entity_of(document: Document) -> Entity:
    """The service as the API shows it: with every field it has."""
    return _declared(document) if document.origin else document.body


@define
class TcpServices:
    """
    ``clock`` gives seconds since the epoch. ``dated``: every write notes its time in the service's metadata, as
    Otoroshi's generic API does.
    """

    configuration: Configuration
    writer: Writer
    uuid: Callable[[], str]
    clock: Callable[[], float]
    env_prod: bool = True
    dated: bool = False

    def all(self) -> list[Document]:
        return list(self.configuration.list("otoroshi", "tcp-services"))

    def entities(self) -> list[Entity]:
        return [entity_of(document) for document in self.all()]

    def get(self, id: str) -> Document:  # noqa: A002
        """Raises :class:`MissingError`."""
        document = self.configuration.get(key_of(id))
        if document is None:
            raise MissingError(id)
        return document

    def template(self, tenant: str | None, overrides: Mapping[str, Json]) -> dict[str, Json]:
        """A new service to start from; it is not checked."""
        return template(uuid=self.uuid(), env_prod=self.env_prod, tenant=(tenant or "default"), overrides=overrides)

    def new_id(self, body: Mapping[str, Json]) -> str:
        return new_id(body, uuid=self.uuid(), env_prod=self.env_prod)

    def checked(self, body: Json, id: str, dates: Sequence[str] = ()) -> dict[str, Json]:  # noqa: A002
        """``body`` as it is to be stored. Raises :class:`EntityError`."""
        entity, problems = canonical(self.stamped(body, dates), id=id)
        if entity is None:
            raise EntityError(problems, body)
        return entity

    def stamped(self, body: Json, dates: Sequence[str]) -> Json:
        """``body`` with the time of now in its metadata, where times are noted at all."""
        if not self.dated or not dates or not isinstance(body, dict):
            return body
        metadata = body.get("metadata") or {}
        if not isinstance(metadata, dict):
            return body
        now = datetime.fromtimestamp(self.clock(), timezone.utc).isoformat(timespec="milliseconds")
        return {**body, "metadata": {**metadata, **dict.fromkeys(dates, now.replace("+00:00", "Z"))}}

    async def create(self, body: Json, intent: Intent) -> Document:
        """Raises :class:`EntityError`, :class:`TakenError`, and whatever a write may."""
        if not isinstance(body, dict):
            raise EntityError((Problem("", "bad_format", "expected an object"),), body)
        id = self.new_id(body)  # noqa: A001
        entity = self.checked(body, id, ["created_at"])

        def decide() -> Sequence[Change]:
            if self.configuration.get(key_of(id)) is not None:
                raise TakenError(id)
            intent.check(None, self.configuration.revision())
            return (Put(key_of(id), entity),)

        return await self._write(decide, intent, id)

    async def replace(self, id: str, body: Json, intent: Intent) -> Document:  # noqa: A002
        """Raises :class:`MissingError`, :class:`EntityError`, and whatever a write may."""
        return await self.edit(id, lambda _: body, intent)

    async def edit(self, id: str, change: Callable[[Entity], Json], intent: Intent) -> Document:  # noqa: A002
        """
        Store what ``change`` makes of the service; its id stays what it is.

        Raises :class:`MissingError`, :class:`EntityError`, and whatever ``change`` or a write may.
        """

        def decide() -> Sequence[Change]:
            document = self.get(id)
            intent.check(document, self.configuration.revision())
            return (Put(document.key, self.checked(change(entity_of(document)), id, ["updated_at"])),)

        return await self._write(decide, intent, id)

    async def upsert(self, id: str, body: Json, intent: Intent) -> tuple[Document, str]:  # noqa: A002
        """
        Create or replace: the service, and ``created``, ``updated`` or ``unchanged``. The times in the metadata make
        no change.

        Raises :class:`EntityError`, and whatever a write may.
        """
        done = ""

        def decide() -> Sequence[Change]:
            nonlocal done
            document = self.configuration.get(key_of(id))
            intent.check(document, self.configuration.revision())
            if document is None:
                done = "created"
                return (Put(key_of(id), self.checked(body, id, ["created_at"])),)
            entity = self.checked(body, id, ["updated_at"])
            if _undated(entity) == _undated(entity_of(document)):
                done = "unchanged"
                return ()
            done = "updated"
            return (Put(document.key, entity),)

        return await self._write(decide, intent, id), done

    async def delete(self, id: str, intent: Intent) -> Document:  # noqa: A002
        """What it was. Raises :class:`MissingError`, and whatever a write may."""
        gone: list[Document] = []

        def decide() -> Sequence[Change]:
            document = self.get(id)
            intent.check(document, self.configuration.revision())
            gone[:] = [document]
            return (Delete(document.key),)

        await self.write(decide, intent)
        return gone[0]

    async def delete_all(self, keeps: Callable[[Entity], bool], intent: Intent) -> None:
        """Delete all of those that ``keeps`` holds for, or none. Raises whatever a write may."""

        def decide() -> Sequence[Change]:
            intent.check(None, self.configuration.revision())
            return [Delete(document.key) for document in self.all() if keeps(entity_of(document))]

        await self.write(decide, intent)

    async def write(self, decide: Callable[[], Sequence[Change]], intent: Intent) -> Sequence[Document | None]:
        outcome = await self.writer.write(decide, author=intent.author, reason=intent.reason, expect=intent.expect)
        return outcome.documents

    async def _write(self, decide: Callable[[], Sequence[Change]], intent: Intent, id: str) -> Document:  # noqa: A002
        documents = await self.write(decide, intent)
        return cast("Document", documents[0]) if documents else self.get(id)


def _undated(entity: Entity) -> dict[str, Any]:
    metadata = cast("Mapping[str, Json]", entity["metadata"])
    kept = {name: value for name, value in metadata.items() if name not in ("created_at", "updated_at")}
    return {**entity, "metadata": kept}
