"""The same store three ways: forgetting, in a file through a thread, in a file before the reactor runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define, field

from streamproxy.control.store.memory import MemoryStore
from streamproxy.control.store.sqlite import SqliteStore
from streamproxy.interfaces import ConfigStore

from .pumped import PumpedReactor


@define
class Bench:
    """A store to try, the reactor that drives it, and the time it writes down."""

    reactor: PumpedReactor
    open: Callable[[], ConfigStore]
    time: float = 1_700_000_000.5
    _opened: list[ConfigStore] = field(factory=list)

    def close(self) -> None:
        for store in self._opened:
            self.reactor.result_of(store.close())

    def clock(self) -> float:
        return self.time


def _bench(running: bool, make: Callable[[Bench], ConfigStore]) -> Bench:
    def opened() -> ConfigStore:
        store = make(made)
        made._opened.append(store)
        return store

    made = Bench(PumpedReactor(running=running), opened)
    return made


@pytest.fixture(params=["memory", "sqlite", "sqlite before the reactor runs"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    path = str(tmp_path / "store.db")
    if request.param == "memory":
        made = _bench(True, lambda bench: MemoryStore(clock=bench.clock, history=5))
    else:
        made = _bench(
            request.param == "sqlite",
            lambda bench: SqliteStore(path, bench.reactor, clock=bench.clock, history=5),
        )
    yield made
    made.close()
