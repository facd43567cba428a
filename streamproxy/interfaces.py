"""The seams between the layers, as types. Who implements one and who calls it need not know each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from .errors import Problem
from .model import CertificateChoice, CertificateStatus, Change, Document, Ended, Key, ListenerStatus

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


class ConfigStore(Protocol):
    """
    Keeps documents, durably where it says so. Level-triggered: whoever watches gets the full set after each change,
    whoever made it. Errors (:class:`~streamproxy.errors.StoreError`, ``RevisionConflict``) come as failures.
    """

    def load(self) -> Deferred[Loaded]: ...

    def commit(
        self, changes: Sequence[Change], *, author: str, reason: str = "", expect: int | None = None
    ) -> Deferred[Loaded]:
        """
        Apply all ``changes`` or none, as one new revision, and answer what the store holds then. Changes that change
        nothing make no revision. ``expect`` is the revision the writer last saw: at any other one the write fails
        with ``RevisionConflict``. When the Deferred fires, the change survives ``kill -9``.
        """
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
    revision they stand at.
    """

    revision: int
    documents: tuple[Document | None, ...]


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
        self, changes: Sequence[Change], *, author: str, reason: str = "", expect: int | None = None
    ) -> Deferred[Outcome]:
        """
        Fails with ``InvalidConfiguration`` (each problem's path is relative to the body of the change it belongs to
        when there is one change, and starts with ``[index]`` when there are more), ``ReadOnlyDocument``,
        ``RevisionConflict`` or ``StoreError``.
        """
        ...

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the configuration that was last asked for and is not served for it."""
        ...


class Runtime(Protocol):
    """What an API may see of what runs."""

    def listeners(self) -> tuple[ListenerStatus, ...]: ...

    def sessions(self) -> int:
        """How many sessions are open."""
        ...

    def recent(self) -> Sequence[Ended]:
        """The last ended sessions, oldest first; bounded."""
        ...

    def certificates(self) -> tuple[CertificateStatus, ...]:
        """Those that clients may be shown."""
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
