"""The file of documents is followed, and nothing that is wrong with it disturbs what runs (C58)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, eventAsText

from streamproxy.control.configuration import LiveConfiguration
from streamproxy.control.standalone import StandaloneFile
from streamproxy.control.store.memory import MemoryStore
from streamproxy.errors import ReadOnlyDocument
from streamproxy.model import Config, Delete, Document, Key, Put, Snapshot

from ..admin.api import result_of

ROUTE = "{id: %s, server_port: %d, upstream: {nodes: {'127.0.0.1:1995': 1}, type: roundrobin}%s}"
KEY = Key("apisix", "stream_routes", "1")


class Scene:
    """A configuration with a file beside it, and a clock."""

    def __init__(self, directory: Path, *resources: Document) -> None:
        self.path = directory / "apisix.yaml"
        self.clock = Clock()
        self.snapshot = Snapshot()
        self.lines: list[str] = []
        self.configuration = LiveConfiguration(
            MemoryStore(), Config(str(directory / "config.yaml"), resources=resources), self.apply
        )

    def apply(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def start(self) -> None:
        self.file = StandaloneFile(self.clock, str(self.path), {"PORT": "1"}, self.configuration)
        with capturedLogs() as events:
            self.file.load()
        self.lines = [eventAsText(event, False, False, False) for event in events]
        result_of(self.configuration.start())
        self.file.start()

    def write(self, *routes: str, more: str = "", end: str = "#END") -> None:
        self.path.write_text(f"stream_routes: [{', '.join(routes)}]\n{more}\n{end}\n")
        os.utime(self.path, ns=(self.path.stat().st_mtime_ns + 1,) * 2)

    def later(self) -> list[str]:
        """What is logged in the next two seconds."""
        with capturedLogs() as events:
            for _ in range(4):
                self.clock.advance(0.5)
        return [eventAsText(event, False, False, False) for event in events]

    @property
    def ports(self) -> list[int | None]:
        routing = self.snapshot.routings.get("apisix")
        return [] if routing is None else [route.match.server_port for route in routing.routes]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_c58_it_is_served_and_a_change_is_in_force_within_two_seconds(scene: Scene) -> None:
    scene.write(ROUTE % (1, 1985, ""))
    scene.start()
    assert scene.ports == [1985]
    assert scene.lines == [f"config file {scene.path} reloaded."]

    scene.write(ROUTE % (2, 1987, ""), ROUTE % (1, 1986, ""))

    assert scene.later() == [f"config file {scene.path} reloaded."]
    assert scene.ports == [1987, 1986], "they are tried in the order of the file"
    assert scene.later() == []


def test_c58_without_its_end_the_old_configuration_stays(scene: Scene) -> None:
    scene.write(ROUTE % (1, 1985, ""))
    scene.start()

    scene.write(ROUTE % (1, 1986, ""), end="")

    message = f"missing valid end flag in file {scene.path}"
    assert scene.later() == [message]
    assert scene.ports == [1985]
    assert [str(problem) for problem in scene.configuration.problems()] == [message]
    scene.write(ROUTE % (1, 1986, ""))
    scene.later()
    assert (scene.ports, scene.configuration.problems()) == ([1986], ())


def test_c58_what_is_wrong_with_one_document_costs_that_document(scene: Scene) -> None:
    scene.write(ROUTE % (1, 1985, ", plugins: {mqtt-proxy: {}}"), ROUTE % (2, 1986, ""))
    scene.start()

    assert scene.ports == [1986]
    assert any('property "protocol_level" is required' in line for line in scene.lines)
    problems = {problem.path for problem in scene.configuration.problems()}
    assert "stream_routes[0].plugins.mqtt-proxy.protocol_level" in problems


def test_c58_an_unknown_plugin_closes_the_route(scene: Scene) -> None:
    scene.write(ROUTE % (1, 1985, ", plugins: {syslog: {host: h, port: 1}}"), more="plugins: []")
    scene.start()

    assert scene.ports == []
    assert "unknown plugin [syslog]" in scene.lines[0]
    assert list(scene.configuration.plugins) == []

    plugins = "plugins: [{name: syslog, stream: true}]"
    scene.write(ROUTE % (1, 1985, ", plugins: {syslog: {host: h, port: 1}}"), more=plugins)

    scene.later()
    assert scene.ports == [1985]
    assert list(scene.configuration.plugins) == ["syslog"]


def test_keys_that_mean_nothing_here_are_named_in_one_line(scene: Scene) -> None:
    scene.write(more="routes: []\nglobal_rules: []")
    scene.start()

    assert scene.lines[0] == f"keys in {scene.path} that mean nothing here: routes, global_rules"


def test_a_file_that_is_not_there_is_waited_for(scene: Scene) -> None:
    scene.start()
    assert "cannot be read" in scene.lines[0]
    assert scene.ports == []

    scene.write(ROUTE % (1, 1985, ""))
    scene.later()
    assert scene.ports == [1985]

    scene.path.unlink()
    assert "cannot be read" in scene.later()[0]
    assert scene.ports == [1985]


def test_nobody_looks_any_more_when_it_has_stopped(scene: Scene) -> None:
    scene.write(ROUTE % (1, 1985, ""))
    scene.start()
    scene.file.stop()

    scene.write(ROUTE % (1, 1986, ""))

    assert scene.later() == []
    assert scene.ports == [1985]


def test_its_documents_are_read_only(scene: Scene) -> None:
    scene.write(ROUTE % (1, 1985, ""))
    scene.start()

    document = scene.configuration.get(KEY)
    assert document is not None
    assert document.origin == str(scene.path)
    for change in (Delete(KEY), Put(KEY, {"upstream_id": "x"})):
        with pytest.raises(ReadOnlyDocument, match=r"apisix\.yaml"):
            result_of(scene.configuration.change([change], author="tester"))


def test_documents_of_the_configuration_are_served_beside_it(tmp_path: Path) -> None:
    upstream = Document(Key("apisix", "upstreams", "u"), {"nodes": {"127.0.0.1:1": 1}}, origin="config.yaml")
    scene = Scene(tmp_path, upstream)
    scene.write("{id: 1, server_port: ${{PORT}}, upstream_id: u}")
    scene.start()

    assert scene.ports == [1]
    assert scene.configuration.problems() == ()


def test_a_reload_of_the_configuration_keeps_it(scene: Scene) -> None:
    scene.write(ROUTE % (1, 1985, ""))
    scene.start()

    scene.configuration.reload(Config("config.yaml"))

    assert scene.ports == [1985]


def test_health_checks_can_be_switched_off(scene: Scene) -> None:
    upstream = "{nodes: {'127.0.0.1:1': 1}, type: roundrobin, checks: {active: {type: tcp}}}"
    scene.write(f"{{id: 1, upstream: {upstream}}}")
    scene.start()
    assert [upstream.checks is None for upstream in scene.snapshot.upstreams.values()] == [False]

    scene.configuration.reload(Config("config.yaml", health_checks=False))

    assert [upstream.checks is None for upstream in scene.snapshot.upstreams.values()] == [True]
