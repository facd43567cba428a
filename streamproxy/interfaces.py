"""The seams between the layers, as types. Who implements one and who calls it need not know each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from .errors import Problem
from .model import (
    CertificateChoice,
    CertificateStatus,
    Change,
    Document,
    Ended,
    Ending,
    Json,
    Key,
    ListenerStatus,
    NameStatus,
    Ongoing,
    SessionPolicy,
    UpstreamStatus,
)

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


@frozen
class Loaded:
    """Everything a store holds, at one revision."""

    revision: int
    documents: tuple[Document, ...]


@frozen
class Revision:
    """
    One write. ``time`` is seconds since the epoch, ``changes`` pairs what each document was with what it became
    (``None``: did not exist).
    """

    number: int
    time: float
    author: str
    reason: str
    changes: tuple[tuple[Document | None, Document | None], ...]


@frozen
class Pending:
    """
    A revision that is taken back by itself at ``deadline`` (seconds since the epoch) unless somebody confirms it.
    """

    revision: int
    deadline: float


class ConfigStore(Protocol):
    """
    Keeps documents, durably where it says so. Level-triggered: whoever watches gets the full set after each change,
    whoever made it. Errors (:class:`~streamproxy.errors.StoreError`, ``RevisionConflict``) come as failures.
    """

    def load(self) -> Deferred[Loaded]: ...

    def commit(
        self,
        changes: Sequence[Change],
        *,
        author: str,
        reason: str = "",
        expect: int | None = None,
        confirm_by: float | None = None,
        settles: Collection[int] = (),
    ) -> Deferred[Loaded]:
        """
        Apply all ``changes`` or none, as one new revision, and answer what the store holds then. Changes that change
        nothing make no revision. ``expect`` is the revision the writer last saw: at any other one the write fails
        with ``RevisionConflict``. When the Deferred fires, the change survives ``kill -9``.

        With ``confirm_by`` (seconds since the epoch) the new revision is :class:`Pending` until a later commit
        ``settles`` it. Who takes it back is not the store's affair.
        """
        ...

    def pending(self) -> Deferred[tuple[Pending, ...]]:
        """The revisions that wait for somebody to confirm them, the oldest first. They stay in the history."""
        ...

    def revisions(self, limit: int = 50, before: int | None = None) -> Deferred[tuple[Revision, ...]]:
        """The newest revisions first, those below ``before`` where given."""
        ...

    def watch(self, changed: Callable[[Loaded], None]) -> None:
        """Call ``changed`` in the reactor's thread after every commit."""
        ...

    def close(self) -> Deferred[None]: ...


@frozen
class Outcome:
    """
    What became of a write: the documents as they now stand, in the order of the changes (``None``: deleted), and the
    revision they stand at. ``problems`` is what is wrong with them though they were stored.
    """

    revision: int
    documents: tuple[Document | None, ...]
    problems: tuple[Problem, ...] = ()


class History(Protocol):
    """
    What the configuration was. Fails with ``UnknownRevision`` where the history does not reach, or ``StoreError``.
    """

    def revisions(self, limit: int = 50, before: int | None = None) -> Deferred[tuple[Revision, ...]]:
        """The newest first, those below ``before`` where given."""
        ...

    def at(self, number: int) -> Deferred[Revision]:
        """That one."""
        ...

    def between(self, first: int, last: int) -> Deferred[tuple[tuple[Document | None, Document | None], ...]]:
        """
        The documents that are not the same at ``last`` as they were at ``first`` (0: when there was nothing): what
        they were, what they became.
        """
        ...

    def restoring(self, number: int) -> Deferred[tuple[int, tuple[Change, ...]]]:
        """The latest revision, and what takes all documents from there to where they were at ``number``."""
        ...


@frozen
class Rerouted:
    """A recent session, where it went, and where it would go; empty: nowhere."""

    session: Ended
    before: str
    after: str


@frozen
class Rehearsal:
    """
    What a write would do. ``revision`` is what it was tried on; ``changes`` as in :class:`Revision`; with ``problems``
    it would be refused. ``listeners`` and ``routes`` name what would begin, change or end, each with that word. Of
    the ``sessions`` that ended lately so many would go ``elsewhere`` and of so many nobody can tell (``unknown``): what
    would be asked about them was not looked at. ``examples`` are some of them.
    """

    revision: int
    changes: tuple[tuple[Document | None, Document | None], ...] = ()
    problems: tuple[Problem, ...] = ()
    listeners: tuple[tuple[str, str], ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    sessions: int = 0
    elsewhere: int = 0
    unknown: int = 0
    examples: tuple[Rerouted, ...] = ()


class Configuration(Protocol):
    """
    What an API may do to the configuration. ``change`` takes the one path every change takes: decode, assemble the
    would-be whole, refuse with problems or commit; the reconciler follows by itself.
    """

    def revision(self) -> int: ...

    def get(self, key: Key) -> Document | None: ...

    def list(self, dialect: str, kind: str) -> tuple[Document, ...]:
        """In order of creation; documents from files come first."""
        ...

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
        """
        ``force``: though something else, which was right, is a problem then (what a route leads to is deleted).
        ``confirm_within``: it is taken back after so many seconds, or when the process ends, unless :meth:`confirm`
        is called before. ``sessions`` is for those whose listener, route or node is gone with the change, or another.

        Fails with ``InvalidConfiguration`` (each problem's path is relative to the body of the change it belongs to
        when there is one change, and starts with ``[index]`` when there are more), ``ReadOnlyDocument``,
        ``RevisionConflict`` or ``StoreError``.
        """
        ...

    def rehearse(self, changes: Sequence[Change], *, force: bool = False) -> Rehearsal:
        """What ``change`` would do. Writes nothing. Raises ``ReadOnlyDocument`` or ``StoreError``."""
        ...

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the configuration that was last asked for and is not served for it."""
        ...

    @property
    def history(self) -> History:
        """What it was before."""
        ...

    def pending(self) -> tuple[Pending, ...]:
        """The revisions that are taken back unless somebody confirms them, the oldest first."""
        ...

    def confirm(self, number: int) -> Deferred[tuple[int, ...]]:
        """
        Everything pending up to revision ``number`` stays; which revisions that are. Fails with ``NotPending`` or
        ``StoreError``.
        """
        ...


class LiveSession(Protocol):
    """A session that goes on, as people see it: over TCP or of datagrams."""

    def ongoing(self) -> Ongoing:
        """What is known of it now."""
        ...

    def kill(self, ending: Ending, detail: str = "") -> None:
        """End it now."""
        ...


class SessionWatcher(Protocol):
    """Who wants to know of every session at once. The methods must neither raise nor take long, nor end a session."""

    def opened(self, session: LiveSession) -> None: ...

    def routed(self, session: LiveSession) -> None:
        """It has its node, and relays from now on."""
        ...

    def ended(self, record: Ended) -> None: ...


@frozen
class Explained:
    """Why a connection goes, went or would go where it does: for programs, and for people."""

    answer: Mapping[str, Any]
    text: str


class Runtime(Protocol):
    """What an API may see of what runs."""

    def listeners(self) -> tuple[ListenerStatus, ...]: ...

    def upstreams(self) -> tuple[UpstreamStatus, ...]:
        """Every upstream and how its nodes are, by id."""
        ...

    def sessions(self) -> int:
        """How many sessions are open."""
        ...

    def recent(self) -> Sequence[Ended]:
        """The last ended sessions, oldest first; bounded."""
        ...

    def refresh(self) -> Deferred[None]:
        """Where several processes serve: find out what the sessions of the others are before asking about them."""
        ...

    def live(self) -> Iterable[Ongoing]:
        """The sessions that go on, those of datagrams included, each as it is when its turn comes."""
        ...

    def session(self, session_id: str) -> Ongoing | Ended | None:
        """One of those, or of the recent ones."""
        ...

    def kill(self, session_id: str, detail: str) -> bool:
        """End a session that goes on, and say so in its record. False: there is none of that id."""
        ...

    def watch(self, watcher: SessionWatcher) -> Callable[[], None]:
        """Tell ``watcher`` of what happens to sessions, until what is answered is called."""
        ...

    def why(self, session_id: str) -> Deferred[Explained | None]:
        """Why that session goes where it does; ``None``: it is forgotten."""
        ...

    def explain(self, question: Json) -> Deferred[Explained]:
        """
        Where a made-up connection would go. Fails with ``InvalidConfiguration`` where the question, or the
        configuration that it is about, cannot be read.
        """
        ...

    def certificates(self) -> tuple[CertificateStatus, ...]:
        """Those that clients may be shown."""
        ...

    def names(self) -> tuple[NameStatus, ...]:
        """The names that are looked up, and what is known of them."""
        ...

    def certificate_for(self, name: str | None) -> CertificateChoice:
        """Which of them a client is shown that asks for ``name``, or for none."""
        ...


class Leg(Protocol):
    """
    One end of a session: a byte stream to a peer. A leg tells its :class:`Receiver` what happens on it. After
    ``abort``, or after ``lost`` was told, nothing more is told and every call does nothing.
    """

    can_half_close: bool
    receiver: Receiver

    def start(self) -> None:
        """Begin telling the receiver; once."""
        ...

    def write(self, data: bytes) -> bool:
        """
        Send ``data``. True: all of it is with the kernel. False: some is kept here and ``drained`` will be told when
        it is gone; whoever feeds the leg should stop until then.
        """
        ...

    def pause(self) -> None:
        """Stop telling ``received``. Idempotent. A paused leg may not notice that its peer has gone."""
        ...

    def resume(self) -> None:
        """Undo ``pause``; does nothing after the end of the stream."""
        ...

    def finish(self) -> bool:
        """
        No more will be written: flush, then FIN where the transport can half-close, else close. True: done. False:
        ``drained`` will be told when it is.
        """
        ...

    def close(self) -> None:
        """Both directions are over: free everything now, orderly. Nothing unsent may be left."""
        ...

    def abort(self) -> None:
        """End with a reset, so that the peer cannot take what it got for the whole."""
        ...


class Receiver(Protocol):
    """What a leg tells. The methods may call the leg back at once."""

    def received(self, data: bytes) -> None:
        """The peer sent this."""
        ...

    def ended(self) -> None:
        """The peer will send no more (FIN, close_notify). Once."""
        ...

    def drained(self) -> None:
        """What ``write`` or ``finish`` kept back is gone now."""
        ...

    def lost(self, why: str, *, reset: bool) -> None:
        """The leg broke: ``reset`` by its peer, or for another reason (a kernel error's text)."""
        ...
