"""Writes: one at a time, each decided on what it then finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock, ensureDeferred

from streamproxy.errors import RevisionConflict
from streamproxy.interfaces import Configuration, Outcome
from streamproxy.model import Change

# Other writers (the file, another API) may come in between; not this often.
_ATTEMPTS = 10


@define
class Writer:
    """
    What an API changes depends on what there is: whether an id is taken, what a patch applies to. So nothing is
    decided before the write's turn has come, and it is decided anew if somebody else wrote meanwhile.
    """

    configuration: Configuration
    _lock: DeferredLock = field(factory=DeferredLock, init=False)

    def write(
        self, decide: Callable[[], Sequence[Change]], *, author: str, reason: str, expect: int | None = None
    ) -> Deferred[Outcome]:
        """
        Commit what ``decide`` answers; nothing, if that is empty. ``expect`` is the revision of the configuration that
        the caller saw. Cancelling stops the waiting and not the write: half of one is worth nothing.

        Fails as ``Configuration.change`` does, or with whatever ``decide`` raises.
        """
        told: Deferred[Outcome] = Deferred()
        written = self._lock.run(lambda: ensureDeferred(self._write(decide, author, reason, expect)))
        written.addCallbacks(told.callback, told.errback)
        return told

    async def _write(
        self, decide: Callable[[], Sequence[Change]], author: str, reason: str, expect: int | None
    ) -> Outcome:
        for attempt in range(1, _ATTEMPTS + 1):
            revision = self.configuration.revision()
            if expect is not None and expect != revision:
                raise RevisionConflict(expect, revision)
            changes = decide()
            if not changes:
                return Outcome(revision, ())
            try:
                return await self.configuration.change(changes, author=author, reason=reason, expect=revision)
            except RevisionConflict:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError
