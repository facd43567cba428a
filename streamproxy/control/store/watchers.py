"""Those who want to know what a store holds."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from ...interfaces import Loaded

_log = Logger()


class Watchers:
    """
    Tells each watcher of each state, in the same order to all: a watcher that writes to the store while it is told
    does not make the others see the older state last. One that raises is logged and told again next time.
    """

    def __init__(self) -> None:
        self._watchers: list[Callable[[Loaded], None]] = []
        self._untold: list[Loaded] = []
        self._telling = False

    def add(self, changed: Callable[[Loaded], None]) -> None:
        self._watchers.append(changed)

    def clear(self) -> None:
        self._watchers.clear()

    def tell(self, loaded: Loaded) -> None:
        self._untold.append(loaded)
        if self._telling:
            return
        self._telling = True
        while self._untold:
            state = self._untold.pop(0)
            for changed in tuple(self._watchers):
                with _log.failuresHandled(
                    "A watcher of the store failed at revision {revision}", revision=state.revision
                ):
                    changed(state)
        self._telling = False
