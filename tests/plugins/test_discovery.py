"""Which plugins there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent

from streamproxy.errors import InvalidConfiguration
from streamproxy.plugins import Gate, Host, Place
from streamproxy.plugins import discovery as module
from streamproxy.plugins.base import BaseGate, BasePlugin
from streamproxy.plugins.discovery import BUILT_IN, DEFAULT, catalogue
from streamproxy.plugins.ip_restriction import ip_restriction

Find = Callable[..., None]
Log = Callable[[], list[str]]


class Stranger(BasePlugin):
    """A plugin from elsewhere."""

    def __init__(self, name: Any = "stranger", priority: Any = 2000, **changes: Any) -> None:
        self.name = name
        self.priority = priority
        for attribute, value in changes.items():
            setattr(self, attribute, value)

    def gate(self, conf: Any, place: Place, host: Host) -> Gate:
        return BaseGate()


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Find:
    """Have Twisted find these."""

    def found(*plugins: object) -> None:
        monkeypatch.setattr(module, "getPlugins", lambda interface: iter(plugins))

    found()
    return found


@pytest.fixture
def log() -> Iterator[Log]:
    """What was logged so far."""
    with capturedLogs() as events:
        yield lambda: [formatEvent(event) for event in events]


@pytest.mark.usefixtures("find")
def test_where_nobody_says_which_they_are_apisix_s() -> None:
    assert list(catalogue()) == ["ip-restriction", "limit-conn", "mqtt-proxy", "traffic-split", "syslog"]
    assert set(DEFAULT) == set(catalogue())


@pytest.mark.usefixtures("find")
def test_a_list_replaces_that_one_and_the_order_is_theirs() -> None:
    names = ["syslog", "prometheus", "ip-restriction", "syslog"]
    assert list(catalogue(names)) == ["ip-restriction", "prometheus", "syslog"]
    assert catalogue([]) == {}


@pytest.mark.usefixtures("find")
def test_a_name_that_nobody_has_is_refused() -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        catalogue(["nobody", "syslog", "noone"])
    assert [problem.path for problem in caught.value.problems] == ["[0]", "[2]"]
    assert caught.value.problems[0].message == (
        "unknown plugin [nobody]: there are ip-restriction, limit-conn, mqtt-proxy, prometheus, syslog, traffic-split"
    )


def test_what_others_bring_is_there_too(find: Find) -> None:
    stranger = Stranger()
    find(stranger)
    assert list(catalogue())[:2] == ["ip-restriction", "stranger"]
    assert catalogue(["stranger"]) == {"stranger": stranger}
    assert "stranger" not in catalogue(["syslog"])


def test_two_of_one_priority_are_asked_by_name(find: Find) -> None:
    find(Stranger("b", 5), Stranger("c", 5), Stranger("a", 5))
    assert list(catalogue())[-3:] == ["a", "b", "c"]


def test_nobody_takes_the_name_of_one_of_ours(find: Find, log: Log) -> None:
    find(Stranger("ip-restriction"))
    assert catalogue()["ip-restriction"] is ip_restriction
    assert "there is a plugin ip-restriction already: tests.plugins.test_discovery.Stranger is left out" in log()


def test_of_two_with_one_name_the_first_is_taken(find: Find, log: Log) -> None:
    first, second = Stranger(), Stranger()
    find(first, first, second)
    assert catalogue()["stranger"] is first
    assert len(log()) == 1


class Breaking(Stranger):
    @property
    def schema(self) -> Any:  # type: ignore[override]
        raise RuntimeError("boom")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (Stranger(name=""), "its name is no text"),
        (Stranger(name=5), "its name is no text"),
        (Stranger(priority="high"), "its priority is no integer"),
        (Stranger(schema=None), "its schemas are no objects"),
        (Stranger(problems=None), "problems"),
        (object(), "IStreamPlugin"),
        (Breaking(), "boom"),
    ],
)
def test_one_that_is_broken_is_left_out(find: Find, log: Log, broken: object, why: str) -> None:
    find(broken, Stranger("good"))
    assert list(catalogue()) == ["ip-restriction", "good", *DEFAULT[1:]]
    (line,) = log()
    assert why in line


def test_a_plugin_system_that_fails_costs_only_what_it_had_not_found(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    def failing(interface: object) -> Iterable[object]:
        yield Stranger()
        raise OSError("no such directory")

    monkeypatch.setattr(module, "getPlugins", failing)
    assert set(catalogue()) == {*DEFAULT, "stranger"}
    assert "plugins cannot be looked for" in log()


def test_ours_are_what_twisted_s_plugin_system_would_take() -> None:
    assert [module._fault(plugin) for plugin in BUILT_IN] == [None] * 6
