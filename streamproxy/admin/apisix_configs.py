"""APISIX's standalone mode: everything at once, in one request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from attrs import define
from klein import Response

from streamproxy.errors import InvalidConfiguration
from streamproxy.model import Change, Delete, Document, Json, Put

from .apisix_answer import TEXT, problems_header, refused, value_answer
from .apisix_body import Conf, read_whole
from .apisix_kinds import CONFIG_KINDS, KINDS
from .apisix_resource import Resources, key_of
from .apisix_validate import MARK, MOST_ERRORS, faults, item_id, items_of, unmarked
from .incoming import Intent
from .respond import answer, to_yaml

# What is to be known of the configuration as a whole, beside its documents.
STATE = key_of("configs", "standalone")

# Where a problem with a change starts.
_CHANGE = re.compile(r"\[([0-9]+)\]")
_DIGEST = re.compile(r"[\x20-\x7e]{1,256}")


@define
class Configs:
    """
    What there is is in documents like any other's. Beside them is kept what only this API knows: the versions, the
    digest, and the order and marks of items. ``clock`` gives seconds since the epoch.
    """

    resources: Resources
    clock: Callable[[], float]

    def validated(self, data: bytes, media_type: str) -> Response:
        """Raises :class:`ApisixError` (400) with all that is wrong."""
        found = [fault.json() for fault in islice(faults(read_whole(data, media_type), self.resources), MOST_ERRORS)]
        if found:
            raise refused("Configuration validation failed", errors=found)
        return value_answer({})

    def headers(self) -> dict[str, str]:
        """What tells one configuration from another; nothing, where none was sent yet."""
        state = self._state()
        if "digest" not in state:
            return {}
        return {"X-Digest": state["digest"], "X-Last-Modified": str(state["last_modified"])}

    def read(self, accepted: Sequence[str]) -> Response:
        """All there is, with the versions of all kinds; private keys are sealed."""
        state = self._state()
        whole: dict[str, Any] = {f"{kind}_conf_version": self._version(kind) for kind in CONFIG_KINDS}
        for kind in KINDS:
            items = [_item(document, state) for document in self._in_order(kind, state)]
            if items:
                whole[kind] = items
        if "digest" in state:
            whole["X-Last-Modified"], whole["X-Digest"] = state["last_modified"], state["digest"]
        if accepted and accepted[0] == "application/yaml":
            return answer(to_yaml(whole), "application/yaml", headers=self.headers())
        return value_answer(whole, headers=self.headers())

    async def write(self, data: bytes, media_type: str, digest: str | None, waits: bool, intent: Intent) -> Response:
        """
        Replace everything, but for kinds whose version is what it was. ``waits``: the caller wants to be told that it
        is in force, which it is as soon as it is stored. Raises :class:`ApisixError` (400), and whatever a write may.
        """
        if digest is None:
            raise refused("missing digest header")
        if not _DIGEST.fullmatch(digest):
            raise refused("invalid digest header: expected at most 256 printable ASCII characters")
        conf = read_whole(data, media_type)
        if self._state().get("digest") == digest:
            return answer(b"", TEXT, 204)
        for fault in faults(conf, self.resources):
            raise refused(fault.error)

        changes: list[Change] = []

        def decide() -> Sequence[Change]:
            changes[:] = self._changes(conf, digest)
            return changes

        try:
            outcome = await self.resources.writer.write(
                decide, author=intent.author, reason=intent.reason, expect=intent.expect
            )
        except InvalidConfiguration as error:
            raise _of_item(error, changes, conf) from None
        headers = {**self.headers(), **problems_header(outcome.problems)}
        return answer(b"", TEXT, 200 if waits else 202, headers)

    def _changes(self, conf: Conf, digest: str) -> list[Change]:
        """Raises :class:`ApisixError` (400)."""
        versions: dict[str, Json] = {kind: self._new_version(kind, conf) for kind in CONFIG_KINDS}
        state = self._state()
        items: dict[str, Any] = dict(state.get("items", {}))
        changes: list[Change] = []
        for kind in KINDS:
            if versions[kind] == self._version(kind):
                continue
            new = {item_id(item, number): item for number, item in enumerate(items_of(conf, kind), start=1)}
            stored = [each for each in self.resources.all(kind) if not each.origin]
            changes += [Delete(document.key) for document in stored if document.key.id not in new]
            changes += [Put(key_of(kind, id), unmarked(item)) for id, item in new.items()]  # noqa: A001
            items[kind] = {id: item.get(MARK) for id, item in new.items()}  # noqa: A001
        now = int(self.clock())
        return [*changes, Put(STATE, {"digest": digest, "last_modified": now, "versions": versions, "items": items})]

    def _new_version(self, kind: str, conf: Conf) -> int | float:
        name, version = f"{kind}_conf_version", self._version(kind)
        given: int | float | None = conf.get(name)
        if given is None:
            return version + 1
        if given < version:
            raise refused(f"{name} must be greater than or equal to ({version})")
        return given

    def _version(self, kind: str) -> int | float:
        version: int | float = self._state().get("versions", {}).get(kind, 0)
        return version

    def _state(self) -> Mapping[str, Any]:
        document = self.resources.configuration.get(STATE)
        return {} if document is None else document.body

    def _in_order(self, kind: str, state: Mapping[str, Any]) -> list[Document]:
        """As they were sent; before them what is from elsewhere, the configuration file."""
        order = {id: number for number, id in enumerate(state.get("items", {}).get(kind, {}))}  # noqa: A001
        return sorted(self.resources.all(kind), key=lambda document: order.get(document.key.id, -1))


def _of_item(error: InvalidConfiguration, changes: Sequence[Change], conf: Conf) -> Exception:
    """``error`` in terms of the item of ``conf`` that it is about: whoever sent that knows nothing of ``changes``."""
    problem = error.problems[0]
    place = _CHANGE.match(problem.path)
    key = changes[int(place[1])].key if place else STATE
    for index, item in enumerate(items_of(conf, key.kind) if key.kind in KINDS else ()):
        if item_id(item, index + 1) == key.id:
            return refused(f"invalid {key.kind} at index {index}, err: {problem.message}")
    return error


def _item(document: Document, state: Mapping[str, Any]) -> dict[str, Any]:
    item = dict(document.body)
    mark = state.get("items", {}).get(document.key.kind, {}).get(document.key.id)
    return item if mark is None else {**item, MARK: mark}
