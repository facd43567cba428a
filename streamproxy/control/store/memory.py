"""A store that forgets when the process ends: for tests, and for proxies whose configuration is a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from twisted.internet import defer

from ...errors import StoreError
from ...interfaces import Loaded, Pending, Revision
from ...model import Change, Document, Key
from .changeset import revise
from .watchers import Watchers


class MemoryStore:
    """
    An ``interfaces.ConfigStore``. It answers at once and keeps the last ``history`` revisions; ``clock`` gives
    seconds since the epoch. A commit survives nothing.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, history: int = 1000) -> None:
        self._clock = clock
        self._documents: Mapping[Key, Document] = {}
        self._history = history
        self._revisions: list[Revision] = []
        self._pending: dict[int, Pending] = {}
        self._held = Loaded(0, ())
        self._watchers = Watchers()
        self._closed = False

    def load(self) -> defer.Deferred[Loaded]:
        return defer.execute(self._load)

    def commit(
        self,
        changes: Sequence[Change],
        *,
        author: str,
        reason: str = "",
        expect: int | None = None,
        confirm_by: float | None = None,
        settles: Collection[int] = (),
    ) -> defer.Deferred[Loaded]:
        return defer.execute(self._commit, changes, author, reason, expect, confirm_by, settles)

    def pending(self) -> defer.Deferred[tuple[Pending, ...]]:
        return defer.execute(self._unconfirmed)

    def revisions(self, limit: int = 50, before: int | None = None) -> defer.Deferred[tuple[Revision, ...]]:
        return defer.execute(self._newest, limit, before)

    def watch(self, changed: Callable[[Loaded], None]) -> None:
        self._watchers.add(changed)

    def close(self) -> defer.Deferred[None]:
        self._closed = True
        self._watchers.clear()
        return defer.succeed(None)

    def _load(self) -> Loaded:
        if self._closed:
            raise StoreError("the store is closed")
        return self._held

    def _unconfirmed(self) -> tuple[Pending, ...]:
        self._load()
        return tuple(self._pending[number] for number in sorted(self._pending))

    def _commit(
        self,
        changes: Sequence[Change],
        author: str,
        reason: str,
        expect: int | None,
        confirm_by: float | None,
        settles: Collection[int],
    ) -> Loaded:
        held = self._load()
        documents, revision = revise(
            self._documents,
            changes,
            latest=held.revision,
            time=self._clock(),
            author=author,
            reason=reason,
            expect=expect,
        )
        for number in settles:
            self._pending.pop(number, None)
        if revision is None:
            return held
        self._documents = documents
        self._remember(revision)
        if confirm_by is not None:
            self._pending[revision.number] = Pending(revision.number, confirm_by)
        self._held = held = Loaded(revision.number, tuple(documents.values()))
        self._watchers.tell(held)
        return held

    def _remember(self, revision: Revision) -> None:
        oldest = revision.number - self._history
        self._revisions = [each for each in self._revisions if each.number > oldest or each.number in self._pending]
        self._revisions.append(revision)

    def _newest(self, limit: int, before: int | None) -> tuple[Revision, ...]:
        self._load()
        found = [revision for revision in reversed(self._revisions) if before is None or revision.number < before]
        return tuple(found[: max(limit, 0)])
