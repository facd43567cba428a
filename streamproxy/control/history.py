"""The configuration's past: what changed since when, and what takes it back there."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import frozen
from twisted.internet.defer import Deferred, inlineCallbacks

from ..errors import UnknownRevision
from ..interfaces import ConfigStore, Revision
from ..model import Change, Delete, Document, Key, Put

# So many revisions are read from a store at a time.
_STEP = 100

Pair: TypeAlias = "tuple[Document | None, Document | None]"


@frozen
class History:
    """An ``interfaces.History`` of what ``store`` remembers."""

    _store: ConfigStore

    def revisions(self, limit: int = 50, before: int | None = None) -> Deferred[tuple[Revision, ...]]:
        return self._store.revisions(limit, before)

    @inlineCallbacks
    def at(self, number: int) -> Generator[Deferred[Any], Any, Revision]:
        found: tuple[Revision, ...] = yield self._store.revisions(1, number + 1)
        if not found or found[0].number != number:
            oldest = yield self._oldest(found)
            raise UnknownRevision(number, oldest)
        return found[0]

    @inlineCallbacks
    def between(self, first: int, last: int) -> Generator[Deferred[Any], Any, tuple[Pair, ...]]:
        newest: tuple[Revision, ...] = yield self._store.revisions(1)
        latest = newest[0].number if newest else 0
        for number in (first, last):
            if not 0 <= number <= latest:
                raise UnknownRevision(number, None)
        low, high = sorted((first, last))
        revisions: list[Revision] = []
        wanted = high
        while wanted > low:
            found: tuple[Revision, ...] = yield self._store.revisions(min(_STEP, wanted - low), wanted + 1)
            for revision in found:
                if revision.number != wanted:
                    break
                revisions.append(revision)
                wanted -= 1
            else:
                if found:
                    continue
            raise UnknownRevision(low, wanted) if low else UnknownRevision(1, wanted + 1)
        pairs = net(reversed(revisions))
        return pairs if first <= last else tuple((after, before) for before, after in pairs)

    @inlineCallbacks
    def restoring(self, number: int) -> Generator[Deferred[Any], Any, tuple[int, tuple[Change, ...]]]:
        newest: tuple[Revision, ...] = yield self._store.revisions(1)
        latest = newest[0].number if newest else 0
        pairs = yield self.between(latest, number)
        return latest, tuple(becoming(now, then) for now, then in pairs)

    @inlineCallbacks
    def documents_at(
        self, number: int, latest: int, documents: Iterable[Document]
    ) -> Generator[Deferred[Any], Any, tuple[Document, ...]]:
        """What the store held at revision ``number``, where it holds ``documents`` at ``latest``."""
        pairs: tuple[Pair, ...] = yield self.between(latest, number)
        held: dict[Key, Document] = {document.key: document for document in documents}
        for now, then in pairs:
            if then is not None:
                held[then.key] = then
            elif now is not None:
                held.pop(now.key, None)
        return tuple(sorted(held.values(), key=lambda document: document.created_revision))

    @inlineCallbacks
    def _oldest(self, below: Sequence[Revision]) -> Generator[Deferred[Any], Any, int | None]:
        """The number of the oldest revision that is remembered, where ``below`` says that there is none at hand."""
        if below:
            return None
        number = None
        found: tuple[Revision, ...] = yield self._store.revisions(_STEP)
        while found:
            number = found[-1].number
            found = yield self._store.revisions(_STEP, number)
        return number


def net(revisions: Iterable[Revision]) -> tuple[Pair, ...]:
    """What several revisions, the oldest first, come to: a pair for each document that is not as it was."""
    first: dict[Key, Document | None] = {}
    last: dict[Key, Document | None] = {}
    for revision in revisions:
        for before, after in revision.changes:
            document = after or before
            if document is None:
                continue
            first.setdefault(document.key, before)
            last[document.key] = after
    return tuple((first[key], last[key]) for key in first if not same(first[key], last[key]))


def same(one: Document | None, other: Document | None) -> bool:
    """Do they say the same, whenever and by whomever they were written?"""
    if one is None or other is None:
        return one is other
    return one.key == other.key and one.body == other.body and one.expires == other.expires


def becoming(now: Document | None, then: Document | None) -> Change:
    """The change that makes ``then`` out of ``now``."""
    if then is not None:
        return Put(then.key, then.body, then.expires)
    if now is None:
        raise ValueError("nothing becomes nothing")
    return Delete(now.key)


def undoing(revision: Revision, documents: Mapping[Key, Document]) -> tuple[Change, ...]:
    """
    What takes ``revision`` back, as far as ``documents``, which are those of now, still say what it said: what
    somebody has written since stays.
    """
    changes = []
    for before, after in revision.changes:
        document = after or before
        if document is not None and same(documents.get(document.key), after):
            changes.append(becoming(after, before))
    return tuple(changes)
