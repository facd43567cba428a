"""Writes: one at a time, each decided on what it then finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock, ensureDeferred

from streamproxy.errors import RevisionConflict
from streamproxy.interfaces import Configuration, Outcome
from streamproxy.model import Change

from .document_diff import Encrypted
from .rehearsal_json import rehearsed
from .terms import TERMS, Terms

# Other writers (the file, another API) may come in between; not this often.
_ATTEMPTS = 10


@define
class Writer:
    """
    What an API changes depends on what there is: whether an id is taken, what a patch applies to. So nothing is
    decided before the write's turn has come, and it is decided anew if somebody else wrote meanwhile. ``encrypted`` is
    what plugins keep secret.
    """

    configuration: Configuration
    encrypted: Encrypted = dict
    _lock: DeferredLock = field(factory=DeferredLock, init=False)

    def write(
        self,
        decide: Callable[[], Sequence[Change]],
        *,
        author: str,
        reason: str,
        expect: int | None = None,
        force: bool = False,
    ) -> Deferred[Outcome]:
        """
        Commit what ``decide`` answers; nothing, if that is empty. ``expect`` is the revision of the configuration that
        the caller saw, ``force`` as for ``Configuration.change``. Cancelling stops the waiting and not the write: half
        of one is worth nothing.

        Fails as ``Configuration.change`` does, or with whatever ``decide`` raises. Where the request's terms are that
        it is tried only, it always fails: with ``RehearsedError``, which is the answer.
        """
        terms = TERMS.get()
        told: Deferred[Outcome] = Deferred()
        written = self._lock.run(lambda: ensureDeferred(self._write(decide, author, reason, expect, force, terms)))
        written.addCallbacks(told.callback, told.errback)
        return told

    async def _write(
        self,
        decide: Callable[[], Sequence[Change]],
        author: str,
        reason: str,
        expect: int | None,
        force: bool,
        terms: Terms,
    ) -> Outcome:
        for attempt in range(1, _ATTEMPTS + 1):
            revision = self.configuration.revision()
            if expect is not None and expect != revision:
                raise RevisionConflict(expect, revision)
            changes = decide()
            if terms.dry_run:
                raise rehearsed(self.configuration.rehearse(changes, force=force), self.encrypted)
            if not changes:
                return Outcome(revision, ())
            try:
                outcome = await self.configuration.change(
                    changes,
                    author=author,
                    reason=reason,
                    expect=revision,
                    force=force,
                    confirm_within=terms.confirm_within,
                    sessions=terms.sessions,
                )
                terms.written(outcome.revision)
                return outcome
            except RevisionConflict:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError
