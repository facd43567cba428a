"""What the integration tests share: the process, and targets it can be sent to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from . import servers
from .harness import Proxy
from .servers import Running
from .targets import Echo

Make = Callable[..., Proxy]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line which servers there were not, and what was not tested for it."""
    missing, tests = set(), []
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        if reason.endswith(servers.NOT_INSTALLED):
            missing.add(reason.removeprefix("Skipped: ").split()[0])
            tests.append(report.nodeid.rpartition("::")[2])
    if missing:
        terminalreporter.write_line(f"not installed: {', '.join(sorted(missing))}; not tested: {', '.join(tests)}")


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[Running]:
    with servers.postgres() as running:
        yield running


@pytest.fixture(scope="session")
def redis() -> Iterator[Running]:
    with servers.redis() as running:
        yield running


@pytest.fixture(scope="session")
def ssh() -> Iterator[Running]:
    with servers.ssh() as running:
        yield running


@pytest.fixture(scope="session")
def dns() -> Iterator[Running]:
    with servers.dns() as running:
        yield running


@pytest.fixture(scope="session")
def mqtt_brokers() -> Iterator[tuple[Running, Running]]:
    with servers.mqtt() as first, servers.mqtt() as second:
        yield first, second


@pytest.fixture(scope="session")
def tls_servers() -> Iterator[dict[str, Running]]:
    """One for each of two names."""
    with servers.tls("a.example.com") as first, servers.tls("b.example.com") as second:
        yield {"a.example.com": first, "b.example.com": second}


@pytest.fixture(scope="session")
def http_servers() -> Iterator[dict[str, Running]]:
    """One for each of two names."""
    with servers.http("a.example.com") as first, servers.http("b.example.com") as second:
        yield {"a.example.com": first, "b.example.com": second}
