"""A directory of certificates, followed while it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from itertools import chain, islice
from pathlib import Path

from attrs import define
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..dialects.codec import bounded
from ..errors import Problem
from ..model import Certificate
from ..tls import MaterialError
from .certfiles import Files, Search, Stamps, load, printable, why

STEPS = 10
"""Steps (looking at some files, or reading one certificate) before others have their turn."""

PAUSE = 0.005
"""Seconds that the others have."""

SECONDS_A_CERTIFICATE = 0.0005
"""What each adds to the time between two looks, so that looking takes some three percent of a processor at most."""


@define
class _Held:
    """
    What is known of a certificate's files. ``seen``: how they were when they were looked at; ``None``, when they were
    not there. ``tried``: how they were when they were read. ``certificate``: the last in them that could be used.
    """

    seen: tuple[Files, Stamps] | None = None
    tried: tuple[Files, Stamps] | None = None
    certificate: Certificate | None = None
    problem: Problem | None = None


class CertificateDirectory:
    """
    The certificates in and below the directory ``path``; :mod:`~streamproxy.control.certfiles` says which files these
    are. ``changed()`` is called when they have changed, or what is wrong with them.

    It looks every ``interval`` seconds (with ten thousand certificates, five more), and reads what has changed
    when it has found the same twice, so that nobody reads a file that is half written. What cannot be used is a
    problem, and what these files held before stays; so does everything while a directory cannot be read. Certificates
    whose files are gone are gone too.
    """

    _log = Logger()

    def __init__(self, path: Path, clock: IReactorTime, changed: Callable[[], None], interval: float = 0.5) -> None:
        self.certificates: tuple[Certificate, ...] = ()
        self.problems: tuple[Problem, ...] = ()
        self._search = Search(str(path))
        self._clock = clock
        self._changed = changed
        self._interval = interval
        self._held: dict[str, _Held] = {}
        self._round: Iterator[None] | None = None
        self._next: IDelayedCall | None = None

    def load(self) -> None:
        """
        Read everything there is now, in one go; ten thousand certificates take five seconds and more. Tells nobody.
        """
        for _ in self._look(eager=True):
            pass

    def begin(self) -> None:
        """The same, and start, with others having their turn meanwhile; ``changed()`` is called when it is done."""
        self._round = chain(self._look(eager=True), self._tell())
        self._next = self._clock.callLater(0, self._turn)

    def start(self) -> None:
        """Begin to look. Does nothing on a directory that is looked at."""
        if self._next is None:
            self._next = self._clock.callLater(self._interval, self._turn)

    def stop(self) -> None:
        """Look no more, until it is started again."""
        if self._next is not None:
            self._next.cancel()
            self._next = self._round = None

    def _turn(self) -> None:
        """Do some steps, and see to it that the next ones are done."""
        turn, self._round = self._round or self._look(eager=False), None
        # First of all, since whoever is told of a change may stop us.
        self._next = self._clock.callLater(self._interval + SECONDS_A_CERTIFICATE * len(self._held), self._turn)
        with self._log.failuresHandled("Changed certificates could not be taken over"):
            if sum(1 for _ in islice(turn, STEPS)) == STEPS:
                self._round = turn
                self._next.reset(PAUSE)

    def _tell(self) -> Iterator[None]:
        self._changed()
        yield

    def _look(self, *, eager: bool) -> Iterator[None]:
        """Look at everything once. ``eager``: take what is there without seeing it twice, and tell nobody."""
        before = self._search.unseen
        present: set[str] = set()
        is_changed = False
        for found in self._search.look():
            for files, stamps in found:
                present.add(files.cert)
                if self._meet(files, stamps, eager=eager):
                    is_changed = True
                    yield
            yield
        is_changed |= self._search.unseen != before
        if self._forget(present, eager=eager) or is_changed:
            self._publish()
            if not eager:
                self._changed()

    def _meet(self, files: Files, stamps: Stamps, *, eager: bool) -> bool:
        """Whether these files were read."""
        held = self._held.setdefault(files.cert, _Held())
        now = files, stamps
        before, held.seen = held.seen, now
        if held.tried == now or not (eager or before == now):
            return False
        held.tried = now
        _read(files, held)
        return True

    def _forget(self, present: Set[str], *, eager: bool) -> bool:
        """Whether there was anything to forget: what is not there for the second time."""
        hidden = tuple(f"{directory}/" for directory in self._search.unseen)
        missing = [cert for cert in self._held if cert not in present and not cert.startswith(hidden)]
        for cert in missing:
            if eager or self._held[cert].seen is None:
                del self._held[cert]
            else:
                self._held[cert].seen = None
        return any(cert not in self._held for cert in missing)

    def _publish(self) -> None:
        held = [self._held[cert] for cert in sorted(self._held)]
        unseen = (Problem(printable(path), "missing", words) for path, words in sorted(self._search.unseen.items()))
        problems = bounded([*unseen, *(each.problem for each in held if each.problem is not None)])
        for problem in problems:
            if problem not in self.problems:
                self._log.error("a certificate cannot be used: {problem}", problem=problem)
        self.certificates = tuple(each.certificate for each in held if each.certificate is not None)
        self.problems = problems


def _read(files: Files, held: _Held) -> None:
    try:
        held.certificate, held.problem = load(files), None
    except MaterialError as error:
        held.problem = Problem(printable(files.cert), "bad_value", str(error))
    except OSError as error:
        held.problem = Problem(printable(files.cert), "missing", why(error))
