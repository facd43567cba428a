"""The configuration: every document there is, and the one path by which it changes."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredLock, inlineCallbacks
from twisted.logger import Logger

from ..dialects.assemble import Assembled, DocumentProblem, Vault, adopt, canonical, sealed
from ..dialects.native.standalone import Check, Documents
from ..errors import InvalidConfiguration, NotPending, Problem, ReadOnlyDocument, UnknownRevision
from ..interfaces import ConfigStore, Loaded, Outcome, Pending, Rehearsal
from ..model import (
    Change,
    Config,
    Delete,
    Document,
    Ended,
    Key,
    Put,
    SessionPolicy,
    Snapshot,
)
from ..plugins.discovery import catalogue
from ..plugins.seam import Plugin
from . import dryrun
from .history import History, undoing
from .means import Means
from .snapshots import Snapshots
from .store.changeset import body_text, revise

# Who takes back what nobody confirmed.
NOBODY = "streamproxy"


class LiveConfiguration:
    """
    The store's documents beside those of files. ``apply`` is called with the snapshot whenever what
    should be true has changed, whoever changed it. ``environ`` is what ``$env://`` in documents refers to,
    ``more_problems`` what else is wrong with what is asked for: with files that the configuration names.
    ``plugins`` finds the connection plugins of these names, ``None``: the default ones. ``now`` gives seconds since the
    epoch, ``recent`` the sessions that ended lately. With ``continues`` this goes on where another process left off.
    ``retire`` is told, once a change is in force, what was before and is now and what its author wants to become of the
    sessions it concerns.
    """

    _log = Logger()

    def __init__(
        self,
        store: ConfigStore,
        config: Config,
        apply: Callable[[Snapshot], None],
        *,
        environ: Mapping[str, str] | None = None,
        more_problems: Callable[[], tuple[Problem, ...]] = tuple,
        plugins: Callable[[tuple[str, ...] | None], Mapping[str, Plugin]] = catalogue,
        now: Callable[[], float] = time.time,
        recent: Callable[[], Sequence[Ended]] = tuple,
        continues: bool = False,
        retire: Callable[[Snapshot, Snapshot, SessionPolicy], object] = lambda before, after, policy: None,
    ) -> None:
        self._store = store
        self._environ = environ or {}
        self._apply = apply
        self._more_problems = more_problems
        self._catalogue = functools.cache(plugins)
        vault = Vault.of(config.keyring, self._environ)
        self._means = Means(config, vault, Documents(), self._catalogue(config.stream_plugins))
        self._loaded = Loaded(0, ())
        self._documents: dict[Key, Document] = {}
        self._expiry: float | None = None
        self._assembled = Assembled(Snapshot(), ())
        self._candidate: tuple[Means, Mapping[Key, Document], Assembled] | None = None
        self._file_problems: tuple[Problem, ...] = ()
        self._declared_problems: tuple[Problem, ...] = ()
        self._now = now
        self._recent = recent
        self._continues = continues
        self._retire = retire
        self._pending: tuple[Pending, ...] = ()
        self._lock = DeferredLock()
        self._frozen = False
        self._still = False
        self._missed = False
        self._started = False
        self.history = History(store)
        self.snapshots = Snapshots()

    # Life

    def start(self) -> Deferred[None]:
        """
        Read the store, take back what nobody confirmed before the process ended, and apply what there is then. Fails
        with ``StoreError``.
        """
        self._started = True
        return self._lock.run(self._start)

    @inlineCallbacks
    def _start(self) -> Generator[Deferred[Any], Any, None]:
        loaded: Loaded = yield self._store.load()
        pending: tuple[Pending, ...] = yield self._store.pending()
        if self._continues:
            self._pending = pending
        elif pending:
            loaded = yield self._take_back(loaded, pending, "was not confirmed before the process ended")
        self._store.watch(self._changed)
        self._changed(loaded)

    def freeze(self) -> Deferred[None]:
        """
        Change nothing in the store from now on; the Deferred fires when what was under way is done. Whoever wants to
        change something waits until :meth:`thaw`, and what files or other processes change is not followed until then.
        """
        self._frozen = True

        def still(_: object) -> None:
            self._still = True

        return self._lock.acquire().addCallback(still)

    def thaw(self) -> None:
        """Undo it, once it is so."""
        self._frozen = self._still = False
        self._lock.release()
        if self._missed:
            self._missed = False
            self._changed(self._loaded)

    def reload(self, config: Config) -> None:
        """The configuration file says something else now."""
        before = self._means
        same_keys = config.keyring == before.config.keyring
        vault = before.vault if same_keys else Vault.of(config.keyring, self._environ)
        self._file_problems = ()
        self._follow(config, vault, before.declared)

    def refuse(self, problems: Sequence[Problem]) -> None:
        """The configuration file was changed into something that cannot be used: what runs stays, and this is shown."""
        self._file_problems = tuple(problems)

    # A file of documents beside that of the configuration

    def checking(self, plugins: tuple[str, ...] | None) -> Check:
        """What looks at its documents, where only these stream plugins can be used (``None``: the configured ones)."""
        known = self._catalogue(self._means.config.stream_plugins if plugins is None else plugins)
        return lambda key, body: canonical(key, body, vault=self.vault, plugins=known)

    def declare(self, documents: Documents) -> None:
        """It says this now."""
        self._declared_problems = tuple(item.problem for item in documents.dropped)
        self._follow(self._means.config, self._means.vault, documents)

    def refuse_documents(self, problems: Sequence[Problem]) -> None:
        """It was changed into something that cannot be used: what it said before goes on, and this is shown."""
        self._declared_problems = tuple(problems)

    @property
    def plugins(self) -> Mapping[str, Plugin]:
        """The connection plugins that routes may use, by name."""
        return self._means.plugins

    @property
    def stored(self) -> tuple[Document, ...]:
        """What is in the store."""
        return self._loaded.documents

    @property
    def vault(self) -> Vault:
        """What keys in documents are read with, and sealed with before they are stored."""
        return self._means.vault

    @property
    def snapshot(self) -> Snapshot:
        """What should be true."""
        return self._assembled.snapshot

    # What an API may do

    def revision(self) -> int:
        return self._loaded.revision

    def get(self, key: Key) -> Document | None:
        return self._documents.get(key)

    def list(self, dialect: str, kind: str) -> tuple[Document, ...]:
        return tuple(d for k, d in self._documents.items() if k.dialect == dialect and k.kind == kind)

    def problems(self) -> tuple[Problem, ...]:
        assembled = (_named(problem) for problem in self._assembled.problems)
        return (*self._file_problems, *self._declared_problems, *assembled, *self._more_problems())

    def expired(self, now: float) -> tuple[Key, ...]:
        """The documents whose time was over at ``now`` (seconds since the epoch)."""
        if self._frozen or self._expiry is None or self._expiry > now:
            return ()
        documents = self._documents.values()
        return tuple(each.key for each in documents if each.expires is not None and each.expires <= now)

    def change(
        self,
        changes: Sequence[Change],
        *,
        author: str,
        reason: str = "",
        expect: int | None = None,
        force: bool = False,
        confirm_within: float | None = None,
        sessions: SessionPolicy = SessionPolicy(),
    ) -> Deferred[Outcome]:
        sealed_changes = tuple(map(self._sealed, changes))
        return self._lock.run(self._change, sealed_changes, author, reason, expect, force, confirm_within, sessions)

    @inlineCallbacks
    def _change(
        self,
        changes: tuple[Change, ...],
        author: str,
        reason: str,
        expect: int | None,
        force: bool,
        confirm_within: float | None,
        sessions: SessionPolicy,
    ) -> Generator[Deferred[Any], Any, Outcome]:
        before = self.snapshot
        for change in changes:
            self._refuse_read_only(change)
        assembled, would_be, _, problems = self._would_be(changes, force)
        if problems:
            raise InvalidConfiguration(problems)
        self._candidate = (self._means, would_be, assembled)
        if confirm_within is None:
            loaded = yield self._store.commit(changes, author=author, reason=reason, expect=expect)
        else:
            deadline = self._now() + confirm_within
            loaded = yield self._store.commit(
                changes, author=author, reason=reason, expect=expect, confirm_by=deadline
            )
            self._pending = yield self._store.pending()
        if loaded.revision > self._loaded.revision:
            self._changed(loaded)
        self._retire(before, self.snapshot, sessions)
        stored = {document.key: document for document in loaded.documents}
        return Outcome(
            loaded.revision,
            tuple(None if isinstance(change, Delete) else stored.get(change.key) for change in changes),
            tuple(problem for _, problem in _own_problems(assembled, changes)),
        )

    def rehearse(self, changes: Sequence[Change], *, force: bool = False) -> Rehearsal:
        sealed_changes = tuple(map(self._sealed, changes))
        for change in sealed_changes:
            self._refuse_read_only(change)
        assembled, _, changed, problems = self._would_be(sealed_changes, force)
        before, after = self._assembled.snapshot, assembled.snapshot
        moved = dryrun.moved(before, after, self._recent())
        return Rehearsal(
            self._loaded.revision,
            tuple(changed),
            problems,
            dryrun.listeners(before, after),
            dryrun.routes(before, after),
            moved.sessions,
            moved.elsewhere,
            moved.unknown,
            moved.examples,
        )

    def candidate(self, changes: Sequence[Change]) -> tuple[Snapshot, tuple[Problem, ...]]:
        """
        What should be true if all that is in the store and ``changes`` were, whatever is wrong with it, and what is.
        Raises ``StoreError`` for a document that no store could keep.
        """
        assembled, _, _, problems = self._would_be(tuple(map(self._sealed, changes)), False)
        return assembled.snapshot, problems

    @inlineCallbacks
    def snapshot_at(self, number: int) -> Generator[Deferred[Any], Any, Snapshot | None]:
        """What should have been true at revision ``number``, with the files of today; ``None``: it is forgotten."""
        loaded = self._loaded
        try:
            documents = yield self.history.documents_at(number, loaded.revision, loaded.documents)
        except UnknownRevision:
            return None
        return self._means.assemble(documents, number).snapshot

    # What is taken back by itself

    def pending(self) -> tuple[Pending, ...]:
        return self._pending

    def confirm(self, number: int) -> Deferred[tuple[int, ...]]:
        return self._lock.run(self._confirm, number)

    @inlineCallbacks
    def _confirm(self, number: int) -> Generator[Deferred[Any], Any, tuple[int, ...]]:
        settled = tuple(each.revision for each in self._pending if each.revision <= number)
        if not settled:
            raise NotPending(number)
        yield self._store.commit((), author=NOBODY, settles=settled)
        self._pending = tuple(each for each in self._pending if each.revision not in settled)
        return settled

    def take_back_overdue(self, now: float) -> Deferred[None] | None:
        """Take back what nobody confirmed up to ``now`` (seconds since the epoch); ``None``: there is nothing."""
        if self._frozen or not any(each.deadline <= now for each in self._pending):
            return None
        return self._lock.run(self._take_back_overdue, now)

    @inlineCallbacks
    def _take_back_overdue(self, now: float) -> Generator[Deferred[Any], Any, None]:
        # Whoever had the lock before may have confirmed it.
        overdue = tuple(each for each in self._pending if each.deadline <= now)
        if not overdue:
            return
        loaded = yield self._take_back(self._loaded, overdue, "was not confirmed in time")
        self._pending = tuple(each for each in self._pending if each not in overdue)
        if loaded.revision > self._loaded.revision:
            self._changed(loaded)

    @inlineCallbacks
    def _take_back(
        self, loaded: Loaded, pending: Sequence[Pending], why: str
    ) -> Generator[Deferred[Any], Any, Loaded]:
        """The newest first, each a revision of its own, whatever else may be wrong with what it was before."""
        for each in sorted(pending, key=lambda each: -each.revision):
            try:
                revision = yield self.history.at(each.revision)
                changes = undoing(revision, {document.key: document for document in loaded.documents})
                by = revision.author
            except UnknownRevision:
                changes, by = (), "somebody"
            reason = f"revision {each.revision} of {by} {why}"
            loaded = yield self._store.commit(changes, author=NOBODY, reason=reason, settles=[each.revision])
            self._log.warn("{reason}: it is taken back", reason=reason)
        return loaded

    # Inside

    def _sealed(self, change: Change) -> Change:
        """No private key gets into a store, whoever writes it."""
        if isinstance(change, Put):
            return evolve(change, body=sealed(change.key, change.body, self.vault, self.plugins))
        return change

    def _refuse_read_only(self, change: Change) -> None:
        known = self._documents.get(change.key)
        if known is not None and known.origin:
            raise ReadOnlyDocument(str(known.key), known.origin)

    def _would_be(
        self, changes: tuple[Change, ...], force: bool
    ) -> tuple[
        Assembled,
        Mapping[Key, Document],
        Sequence[tuple[Document | None, Document | None]],
        tuple[Problem, ...],
    ]:
        """
        The would-be whole, the stored documents it is made of, what is not as it was in it, and why it is refused: a
        change may neither be wrong itself nor, unless by ``force``, break something that was right.
        """
        latest = self._loaded.revision
        stored = {document.key: document for document in self._loaded.documents}
        would_be, revision = revise(stored, changes, latest=latest, time=self._now(), author="")
        assembled = self._means.assemble(would_be.values(), latest + 1)
        own = dict(_own_problems(assembled, changes))
        known = set(self._assembled.problems)
        problems = []
        for problem in assembled.problems:
            if problem in own:
                if not problem.problem.tolerable:
                    problems.append(own[problem])
            elif problem not in known and not force:
                problems.append(_named(problem))
        return assembled, would_be, () if revision is None else revision.changes, tuple(problems)

    # Following the store

    def _follow(self, config: Config, vault: Vault, declared: Documents) -> None:
        """A file says something else now."""
        names = config.stream_plugins if declared.stream_plugins is None else declared.stream_plugins
        self._means = Means(config, vault, declared, self._catalogue(names))
        if self._started:
            self._changed(self._loaded)

    def _changed(self, loaded: Loaded) -> None:
        self._loaded = loaded
        if self._still:
            # Somebody was told what there is, and is about to take it over: a listener that is new would be in the way.
            self._missed = True
            return
        documents = [*self._means.from_files, *loaded.documents]
        self._documents = {}
        for document in documents:
            self._documents.setdefault(document.key, document)
        dates = (document.expires for document in self._documents.values() if document.expires is not None)
        self._expiry = min(dates, default=None)
        known = set(self._assembled.problems)
        self._assembled = self._as_expected(loaded) or self._means.assemble(loaded.documents, loaded.revision)
        for problem in self._assembled.problems:
            if problem not in known:
                self._log.error("not served: {problem}", problem=_named(problem))
        self.snapshots.keep(self._assembled.snapshot, self._now())
        self._apply(self._assembled.snapshot)

    def _as_expected(self, loaded: Loaded) -> Assembled | None:
        """What was assembled before the write, where it is this that was written: a large whole takes its time."""
        candidate, self._candidate = self._candidate, None
        if candidate is None:
            return None
        means, would_be, assembled = candidate
        written = loaded.documents
        same = (
            loaded.revision == assembled.snapshot.revision
            and means is self._means
            and len(written) == len(would_be)
            and all(map(_is_alike, written, would_be.values()))
        )
        if not same:
            return None
        news = (pair for pair in zip(written, would_be.values(), strict=True) if pair[0] is not pair[1])
        adopt(news, self.vault, self.plugins)
        return assembled


def _own_problems(assembled: Assembled, changes: Sequence[Change]) -> Iterator[tuple[DocumentProblem, Problem]]:
    """What is wrong with the documents that are written, and how they are told who wrote them."""
    index = {change.key: number for number, change in enumerate(changes) if isinstance(change, Put)}
    for problem in assembled.problems:
        if problem.key in index:
            prefix = f"[{index[problem.key]}]" if len(changes) > 1 else ""
            yield problem, problem.problem.under(prefix)


def _is_alike(written: Document, expected: Document) -> bool:
    """Do they ask for the same? When they were written says nothing about that."""
    return written is expected or (
        written.key == expected.key
        and (written.created_revision, written.revision, written.expires)
        == (expected.created_revision, expected.revision, expected.expires)
        and body_text(written.key, written.body) == body_text(expected.key, expected.body)
    )


def _named(problem: DocumentProblem) -> Problem:
    return problem.problem if problem.key is None else problem.problem.under(str(problem.key))
