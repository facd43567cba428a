"""What APISIX's Admin API does to its documents, told apart from how it says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from attrs import define, frozen

from streamproxy.dialects.apisix import Vault
from streamproxy.dialects.apisix.check import Get, deletion_refusal, refusal
from streamproxy.errors import Problem
from streamproxy.interfaces import Configuration, Outcome
from streamproxy.model import Change, Delete, Document, Json, Key, Put
from streamproxy.plugins.seam import Plugin

from .apisix_answer import key_not_found, refused
from .apisix_body import Conf, check_undated, check_unidentified, conf_of, dated, identified
from .apisix_kinds import KINDS, Kind
from .apisix_patch import merged, replaced
from .incoming import Intent
from .writer import Writer

DIALECT = "apisix"


def key_of(kind: str, id: str) -> Key:  # noqa: A002
    return Key(DIALECT, kind, id)


@frozen
class Written:
    """``problems`` is what is wrong with ``document``, which was stored all the same as APISIX would have it."""

    document: Document
    problems: tuple[Problem, ...]
    is_new: bool = False

    @classmethod
    def of(cls, outcome: Outcome, *, is_new: bool = False) -> Written:
        return cls(cast("Document", outcome.documents[0]), outcome.problems, is_new)


@define
class Resources:
    """
    ``clock`` gives seconds since the epoch, ``vault`` what secrets are read with at the time, ``plugins`` those that
    there are, by name. ``protocols`` are the names of those that streams may be taken apart by.
    """

    configuration: Configuration
    writer: Writer
    plugins: Callable[[], Mapping[str, Plugin]]
    vault: Callable[[], Vault]
    clock: Callable[[], float]
    protocols: frozenset[str] = frozenset()

    def all(self, kind: str) -> tuple[Document, ...]:
        return self.configuration.list(DIALECT, kind)

    def get(self, kind: Kind, id: str) -> Document:  # noqa: A002
        """Raises :class:`KeyNotFoundError`."""
        document = self.configuration.get(key_of(kind.name, id))
        if document is None:
            raise key_not_found()
        return document

    async def put(
        self, kind: Kind, uri_id: str, given: tuple[bool, Json], ttl: float | None, intent: Intent
    ) -> Written:
        """Create or replace. Raises :class:`ApisixError`, and whatever a write may."""
        id, conf = identified(kind, uri_id, conf_of(*given))  # noqa: A001
        check_undated(conf)
        is_new = False

        def decide() -> Sequence[Change]:
            nonlocal is_new
            before = self.configuration.get(key_of(kind.name, id))
            intent.check(before, self.configuration.revision())
            self.check(kind.name, id, conf)
            is_new = before is None
            return (self._put(kind, id, self._dated(kind, conf, before), ttl),)

        outcome = await self._write(decide, intent)
        return Written.of(outcome, is_new=is_new)

    async def post(
        self, kind: Kind, uri_id: str, given: tuple[bool, Json], ttl: float | None, intent: Intent
    ) -> Written:
        """Create, under an id of our own. Raises :class:`ApisixError`, and whatever a write may."""
        conf = conf_of(*given)
        check_unidentified(kind, uri_id, conf)
        check_undated(conf)

        def decide() -> Sequence[Change]:
            intent.check(None, self.configuration.revision())
            id = self._new_id(kind)  # noqa: A001
            self.check(kind.name, id, {**conf, "id": id})
            return (self._put(kind, id, self._dated(kind, {**conf, "id": id}, None), ttl),)

        return Written.of(await self._write(decide, intent), is_new=True)

    async def patch(
        self,
        kind: Kind,
        id: str,  # noqa: A002
        path: str,
        given: tuple[bool, Json],
        ttl: float | None,
        intent: Intent,
    ) -> Written:
        """Change a part, that at ``path`` if it names one. Raises :class:`ApisixError`, and whatever a write may."""
        if not id:
            raise refused(f"missing {kind.word} id")
        is_given, new = given
        if not is_given:
            raise refused("missing new configuration")
        if not path and not isinstance(new, dict):
            raise refused("invalid configuration")

        def decide() -> Sequence[Change]:
            before = self.get(kind, id)
            intent.check(before, self.configuration.revision())
            whole = new if isinstance(new, dict) and not path else {}
            conf = replaced(before.body, path, new) if path else merged(before.body, whole)
            conf.setdefault("create_time", self._created(before))
            if whole.get("update_time") is None:
                conf["update_time"] = self._now()
            _, conf = identified(kind, id, conf)
            self.check(kind.name, id, conf)
            return (self._put(kind, id, conf, ttl),)

        return Written.of(await self._write(decide, intent))

    async def delete(self, kind: Kind, id: str, force: bool, intent: Intent) -> None:  # noqa: A002
        """``force``: though something leads to it. Raises :class:`KeyNotFoundError`, and whatever a write may."""
        if not id:
            raise refused(f"missing {kind.word} id")

        def decide() -> Sequence[Change]:
            document = self.get(kind, id)
            intent.check(document, self.configuration.revision())
            if not force:
                others = [each for name in KINDS for each in self.all(name)]
                why = deletion_refusal(kind.name, id, others)
                if why is not None:
                    raise refused(why)
            return (Delete(document.key),)

        await self._write(decide, intent)

    def check(self, kind: str, id: str, conf: Conf, get: Get | None = None) -> None:  # noqa: A002
        """
        Raises :class:`ApisixError` (400) with what APISIX has against ``conf``. ``get`` gives the body of what that
        refers to; by default, what there is.
        """
        why = refusal(
            kind,
            id,
            conf,
            get=get or self._body,
            plugins=self.plugins(),
            vault=self.vault(),
            now=self.clock(),
            protocols=self.protocols,
        )
        if why is not None:
            raise refused(why)

    def _body(self, kind: str, id: str) -> Mapping[str, Any] | None:  # noqa: A002
        document = self.configuration.get(key_of(kind, str(id)))
        return None if document is None else document.body

    def _new_id(self, kind: Kind) -> str:
        """APISIX takes the number of the revision, so that later ids are greater."""
        number = self.configuration.revision() + 1
        while self.configuration.get(key_of(kind.name, f"{number:020d}")) is not None:
            number += 1
        return f"{number:020d}"

    def _now(self) -> int:
        return int(self.clock())

    @staticmethod
    def _created(document: Document) -> int:
        created = document.body.get("create_time")
        return created if isinstance(created, int) else int(document.created)

    def _dated(self, kind: Kind, conf: Conf, before: Document | None) -> Conf:
        if not kind.dated:
            return conf
        return dated(conf, self._now() if before is None else self._created(before), self._now())

    def _put(self, kind: Kind, id: str, conf: Conf, ttl: float | None) -> Put:  # noqa: A002
        return Put(key_of(kind.name, id), conf, None if ttl is None else self.clock() + ttl)

    async def _write(self, decide: Callable[[], Sequence[Change]], intent: Intent) -> Outcome:
        # APISIX looks at no more than the document itself and what uses it: a route that leads nowhere after the write
        # closes what it matches.
        return await self.writer.write(
            decide, author=intent.author, reason=intent.reason, expect=intent.expect, force=True
        )
