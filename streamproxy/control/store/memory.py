"""A store that forgets when the process ends: for tests, and for proxies whose configuration is a file."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from twisted.internet import defer

from ...errors import StoreError
from ...interfaces import Loaded, Revision
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
        self._revisions: deque[Revision] = deque(maxlen=history)
        self._held = Loaded(0, ())
        self._watchers = Watchers()
        self._closed = False

    def load(self) -> defer.Deferred[Loaded]:
        return defer.execute(self._load)

    def commit(
        self, changes: Sequence[Change], *, author: str, reason: str = "", expect: int | None = None
    ) -> defer.Deferred[Loaded]:
        return defer.execute(self._commit, changes, author, reason, expect)

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

    def _commit(self, changes: Sequence[Change], author: str, reason: str, expect: int | None) -> Loaded:
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
        if revision is None:
            return held
        self._documents = documents
        self._revisions.append(revision)
        self._held = held = Loaded(revision.number, tuple(documents.values()))
        self._watchers.tell(held)
        return held

    def _newest(self, limit: int, before: int | None) -> tuple[Revision, ...]:
        self._load()
        found = [revision for revision in reversed(self._revisions) if before is None or revision.number < before]
        return tuple(found[: max(limit, 0)])
