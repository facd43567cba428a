"""A PEM file that the configuration names, followed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..errors import Problem
from ..tls import MaterialError
from ..tls.material import MAX_CRLS
from .certfiles import read, why
from .filewatch import FileWatch


class PemFile:
    """
    Reads the file ``path`` at once, and from ``start`` to ``stop`` whenever it has changed, and gives what is in it to
    ``use``, which raises ``MaterialError`` for what it cannot use. What was used before then stays in force, and
    ``problem`` says what is wrong; ``name`` is the key of the configuration that names the file.
    """

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, name: str, path: str, use: Callable[[bytes | None], None]
    ) -> None:
        self._name = name
        self._path = path
        self._use = use
        self.problem: Problem | None = None
        self._watch = FileWatch(clock, [Path(path)], self._read)
        self._read()

    def start(self) -> None:
        """Begin to follow it."""
        self._watch.start()

    def stop(self) -> None:
        """Follow it no more."""
        self._watch.stop()

    def _read(self) -> None:
        try:
            # Empty would be taken for "no file": a file that is just being written says nothing yet.
            self._use(read(self._path, MAX_CRLS) or b"\n")
        except MaterialError as error:
            self.problem = Problem(self._name, "bad_value", f"{self._path}: {error}")
        except OSError as error:
            self.problem = Problem(self._name, "missing", f"{self._path} cannot be read: {why(error)}")
        else:
            self.problem = None
            return
        self._log.error("{problem}", problem=self.problem)
