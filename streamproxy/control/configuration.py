"""The configuration: every document there is, and the one path by which it changes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, inlineCallbacks
from twisted.logger import Logger

from ..dialects.assemble import Assembled, DocumentProblem, Vault, assemble, sealed
from ..errors import InvalidConfiguration, Problem, ReadOnlyDocument
from ..interfaces import ConfigStore, Loaded, Outcome
from ..model import Change, Config, Delete, Document, Key, Put, Snapshot
from .store.changeset import revise


class LiveConfiguration:
    """
    The store's documents beside those of the configuration file. ``apply`` is called with the snapshot whenever what
    should be true has changed, whoever changed it. ``environ`` is what ``$env://`` in documents refers to,
    ``more_problems`` what else is wrong with what is asked for: with files that the configuration names.
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
    ) -> None:
        self._store = store
        self._config = config
        self._environ = environ or {}
        self._vault = Vault.of(config.keyring, self._environ)
        self._apply = apply
        self._more_problems = more_problems
        self._loaded = Loaded(0, ())
        self._documents: dict[Key, Document] = {}
        self._assembled = Assembled(Snapshot(), ())
        self._file_problems: tuple[Problem, ...] = ()
        self._lock = DeferredLock()
        self._started = False

    # Life

    def start(self) -> Deferred[None]:
        """Read the store and apply what it holds. Fails with ``StoreError``."""
        self._started = True
        self._store.watch(self._changed)
        loading = self._store.load()
        return loading.addCallback(self._changed)

    def reload(self, config: Config) -> None:
        """The configuration file says something else now."""
        if config.keyring != self._config.keyring:
            self._vault = Vault.of(config.keyring, self._environ)
        self._config = config
        self._file_problems = ()
        if self._started:
            self._changed(self._loaded)

    def refuse(self, problems: Sequence[Problem]) -> None:
        """The configuration file was changed into something that cannot be used: what runs stays, and this is shown."""
        self._file_problems = tuple(problems)

    @property
    def vault(self) -> Vault:
        """What keys in documents are read with, and sealed with before they are stored."""
        return self._vault

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
        return (*self._file_problems, *(_named(p) for p in self._assembled.problems), *self._more_problems())

    def change(
        self, changes: Sequence[Change], *, author: str, reason: str = "", expect: int | None = None
    ) -> Deferred[Outcome]:
        return self._lock.run(self._change, tuple(map(self._sealed, changes)), author, reason, expect)

    @inlineCallbacks
    def _change(
        self, changes: tuple[Change, ...], author: str, reason: str, expect: int | None
    ) -> Generator[Deferred[Any], Any, Outcome]:
        for change in changes:
            self._refuse_read_only(change)
        self._refuse_problems(changes)
        loaded = yield self._store.commit(changes, author=author, reason=reason, expect=expect)
        if loaded.revision > self._loaded.revision:
            self._changed(loaded)
        stored = {document.key: document for document in loaded.documents}
        return Outcome(
            loaded.revision,
            tuple(None if isinstance(change, Delete) else stored.get(change.key) for change in changes),
        )

    def _sealed(self, change: Change) -> Change:
        """No private key gets into a store, whoever writes it."""
        return Put(change.key, sealed(change.key, change.body, self._vault)) if isinstance(change, Put) else change

    def _refuse_read_only(self, change: Change) -> None:
        known = self._documents.get(change.key)
        if known is not None and known.origin:
            raise ReadOnlyDocument(str(known.key), known.origin)

    def _refuse_problems(self, changes: tuple[Change, ...]) -> None:
        """Assemble the would-be whole: a change may neither be wrong itself nor break something that was right."""
        latest = self._loaded.revision
        stored = {document.key: document for document in self._loaded.documents}
        would_be, _ = revise(stored, changes, latest=latest, time=0.0, author="")
        assembled = self._assemble(would_be.values(), latest + 1)
        index = {change.key: number for number, change in enumerate(changes) if isinstance(change, Put)}
        known = set(self._assembled.problems)
        problems = []
        for problem in assembled.problems:
            if problem.key in index:
                prefix = f"[{index[problem.key]}]" if len(changes) > 1 else ""
                problems.append(problem.problem.under(prefix))
            elif problem not in known:
                problems.append(_named(problem))
        if problems:
            raise InvalidConfiguration(tuple(problems))

    # Following the store

    def _changed(self, loaded: Loaded) -> None:
        self._loaded = loaded
        documents = [*self._config.resources, *loaded.documents]
        self._documents = {}
        for document in documents:
            self._documents.setdefault(document.key, document)
        self._assembled = self._assemble(loaded.documents, loaded.revision)
        for problem in self._assembled.problems:
            self._log.error("not served: {problem}", problem=_named(problem))
        self._apply(self._assembled.snapshot)

    def _assemble(self, stored: Iterable[Document], revision: int) -> Assembled:
        declared = {document.key for document in self._config.resources}
        documents = [*self._config.resources, *(document for document in stored if document.key not in declared)]
        return assemble(
            documents,
            static=self._config.stream_proxy,
            limits=self._config.limits,
            revision=revision,
            vault=self._vault,
            client_ca=self._config.tls.client_ca is not None,
        )


def _named(problem: DocumentProblem) -> Problem:
    return problem.problem if problem.key is None else problem.problem.under(str(problem.key))
