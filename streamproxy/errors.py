"""What can go wrong, as values. Errors carry data; whoever meets the user turns them into words."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, frozen


@frozen
class Problem:
    """
    One thing wrong with something a user wrote.

    ``path`` says where (``rules[0].targets[1].port``; empty for the whole document), ``code`` is a stable word
    for programs (``wrong_type``, ``missing``, ``unknown_key``, ``bad_value``, ``conflict``, ``dangling``,
    ``unsupported``), ``message`` is for people and names what to do. With one that is ``tolerable`` a document is
    stored all the same, and what of it can be served is: its dialect would have it so.
    """

    path: str
    code: str
    message: str
    tolerable: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def under(self, prefix: str) -> Problem:
        """The same problem, seen from the document that holds ours at ``prefix``."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return evolve(self, path=f"{prefix}{joint}{self.path}" if prefix else self.path)

    def tolerated(self) -> Problem:
        """The same problem, in spite of which its document is stored."""
        return evolve(self, tolerable=True)


class StreamProxyError(Exception):
    """The root of every error this package raises on purpose."""


@frozen(auto_exc=True)
class InvalidConfiguration(StreamProxyError):
    """What was asked for cannot work. Nothing was changed."""

    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return "; ".join(str(problem) for problem in self.problems)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> InvalidConfiguration:
        return cls(tuple(problems))


@frozen(auto_exc=True)
class RevisionConflict(StreamProxyError):
    """A write expected revision ``expected`` of the configuration, which is at ``found`` by now."""

    expected: int
    found: int

    def __str__(self) -> str:
        return f"the configuration is at revision {self.found}, not {self.expected}: read it again, then write"


@frozen(auto_exc=True)
class ReadOnlyDocument(StreamProxyError):
    """The document is declared in a file, so only that file may change it."""

    name: str
    origin: str

    def __str__(self) -> str:
        return f"{self.name} is declared in {self.origin}: change it there"


@frozen(auto_exc=True)
class UnknownRevision(StreamProxyError):
    """
    There is no revision ``number``: there never was, or it was forgotten, as everything before ``oldest`` was (``None``
    where that is not why).
    """

    number: int
    oldest: int | None

    def __str__(self) -> str:
        if self.oldest is not None and 0 < self.number < self.oldest:
            return f"revision {self.number} is forgotten: the history begins with {self.oldest}"
        return f"there is no revision {self.number}"


@frozen(auto_exc=True)
class NotPending(StreamProxyError):
    """Nothing up to revision ``number`` waits to be confirmed."""

    number: int

    def __str__(self) -> str:
        return f"nothing up to revision {self.number} waits to be confirmed: it was confirmed or taken back already"


@frozen(auto_exc=True)
class StoreError(StreamProxyError):
    """The store could not be read or written; ``why`` names the file or address and the cause."""

    why: str

    def __str__(self) -> str:
        return self.why
