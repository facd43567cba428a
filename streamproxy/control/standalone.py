"""APISIX without etcd: follows the file of documents that stands beside the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..dialects.native.standalone import Check, Documents, load_documents
from ..errors import InvalidConfiguration, Problem
from .filewatch import FileWatch


class Declares(Protocol):
    """What takes the documents: the live configuration."""

    def checking(self, plugins: tuple[str, ...] | None) -> Check:
        """What looks at a document, where only these stream plugins can be used."""
        ...

    def declare(self, documents: Documents) -> None:
        """These are the documents of the file now."""
        ...

    def refuse_documents(self, problems: Sequence[Problem]) -> None:
        """The file cannot be used: what it said before goes on."""
        ...


class StandaloneFile:
    """
    ``path`` is the file of documents, ``environ`` what is put in place of references in it. ``load`` it once before
    anything is served; what changes in it after that is in force about a second later.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        path: str,
        environ: Mapping[str, str],
        configuration: Declares,
        interval: float = 0.5,
    ) -> None:
        self._path = path
        self._environ = environ
        self._configuration = configuration
        self._watch = FileWatch(clock, [Path(path)], self.load, interval)

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()

    def load(self) -> None:
        """Read the file. One that cannot be used changes nothing, and is logged and shown."""
        try:
            found = load_documents(self._path, self._environ, self._configuration.checking)
        except InvalidConfiguration as error:
            for problem in error.problems:
                self._log.error("{problem}", problem=problem)
            self._configuration.refuse_documents(error.problems)
            return
        if found.ignored:
            keys = ", ".join(found.ignored)
            self._log.warn("keys in {path} that mean nothing here: {keys}", path=self._path, keys=keys)
        for item in found.dropped:
            self._log.error("{item}", item=item)
        self._configuration.declare(found)
        self._log.info("config file {path} reloaded.", path=self._path)
