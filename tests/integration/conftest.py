"""What the integration tests share: the process, and targets it can be sent to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import Proxy
from .targets import Echo

Make = Callable[..., Proxy]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def make_proxy(tmp_path: Path) -> Iterator[Make]:
    """Make a process of a configuration of the test's own; it is ended with the test."""
    made: list[Proxy] = []

    def make(config: dict[str, Any] | None = None, **options: Any) -> Proxy:
        directory = tmp_path / f"proxy{len(made)}"
        directory.mkdir()
        proxy = Proxy(directory, config, **options)
        made.append(proxy)
        return proxy

    yield make
    for proxy in made:
        proxy.stop()


@pytest.fixture
def proxy(make_proxy: Make) -> Proxy:
    """A running process that serves nothing yet."""
    return make_proxy().start()


@pytest.fixture
def echoes() -> Iterator[Callable[..., Echo]]:
    """Start servers that say their name, then echo."""
    started: list[Echo] = []

    def start(name: str = "E1", **options: Any) -> Echo:
        echo = Echo(name, **options)
        started.append(echo)
        return echo

    yield start
    for echo in started:
        echo.close()
