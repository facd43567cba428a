"""MQTT through ``mqtt-proxy`` to two brokers: a client's id says which is its broker, as often as it comes."""

from __future__ import annotations

import contextlib
import functools
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from . import servers
from .conftest import Make
from .harness import PATIENCE, Proxy, free_port, until
from .servers import Running

CLIENTS = [f"device-{number}" for number in range(12)]


class Listening:
    """Somebody at each broker itself, who writes down every message that comes there."""

    def __init__(self, brokers: Mapping[str, Running], directory: Path) -> None:
        self.files = {name: directory / name for name in brokers}
        self.processes = []
        for name, broker in brokers.items():
            command = [servers.program("mosquitto_sub"), "-p", str(broker.port), "-t", "#", "-F", "%t %p", "-q", "1"]
            with self.files[name].open("wb") as output:
                process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            self.processes.append(process)
        # Before it has subscribed nothing of what is said comes to it.
        for name, broker in brokers.items():
            until(functools.partial(self._hears, name, broker), f"{name} is listened to")

    def _hears(self, name: str, broker: Running) -> bool:
        servers.run("mosquitto_pub", "-p", str(broker.port), "-t", "ready", "-m", "now")
        return "ready now" in self.heard(name)

    def heard(self, name: str) -> list[str]:
        return [line for line in self.files[name].read_text().splitlines() if line]

    def where(self, line: str) -> list[str]:
        """The brokers that a message came to."""
        return [name for name in self.files for heard in self.heard(name) if heard == line]

    def broker_of(self, line: str) -> str:
        """The only one that a message comes to."""
        (name,) = until(lambda: self.where(line), f"{line!r} came to a broker")
        return str(name)

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait(PATIENCE)


@pytest.fixture
def listening(mqtt_brokers: tuple[Running, Running], tmp_path: Path) -> Iterator[Listening]:
    names = dict(zip(("first", "second"), mqtt_brokers, strict=True))
    listening = Listening(names, tmp_path)
    with contextlib.closing(listening):
        yield listening


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5"])
def level(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def plane(make_proxy: Make, mqtt_brokers: tuple[Running, Running], level: int) -> tuple[Proxy, int]:
    port = free_port()
    nodes = [{"host": "127.0.0.1", "port": broker.port, "weight": 1} for broker in mqtt_brokers]
    route: dict[str, Any] = {
        "id": "mqtt",
        "plugins": {"mqtt-proxy": {"protocol_name": "MQTT", "protocol_level": level}},
        "upstream": {"type": "chash", "key": "mqtt_client_id", "nodes": nodes},
    }
    config = {"stream_proxy": {"tcp": [f"127.0.0.1:{port}"]}, "resources": {"stream_routes": [route]}}
    return make_proxy(config).start(), port


def version(level: int) -> str:
    return "mqttv5" if level == 5 else "mqttv311"


def publish(port: int, level: int, client: str, message: str) -> None:
    """At least once: it ends when the broker has said that it has it."""
    servers.run(
        *("mosquitto_pub", "-p", str(port), "-V", version(level), "-i", client, "-q", "1", "-t", client, "-m", message)
    )


def test_a_client_has_one_broker(listening: Listening, plane: tuple[Proxy, int], level: int) -> None:
    _, port = plane
    places: dict[str, set[str]] = {}
    for turn in ("1", "2", "3"):
        for client in CLIENTS:
            publish(port, level, client, turn)
            places.setdefault(client, set()).add(listening.broker_of(f"{client} {turn}"))
    assert {client: len(where) for client, where in places.items()} == dict.fromkeys(CLIENTS, 1)
    assert set.union(*places.values()) == {"first", "second"}, "each broker has some of them"


def test_a_subscriber_gets_what_is_said_to_it(plane: tuple[Proxy, int], level: int, tmp_path: Path) -> None:
    """One id for two clients would be one client for a broker, so the publisher goes to each of them itself."""
    proxy, port = plane
    properties = ["-D", "connect", "session-expiry-interval", "60", "-D", "connect", "user-property", "a", "b"]
    output = tmp_path / "heard"
    command = [servers.program("mosquitto_sub"), "-p", str(port), "-V", version(level), "-i", "listener", "-q", "2"]
    command += ["-t", "news/#", "-C", "1", *(properties if level == 5 else ())]
    with output.open("wb") as file:
        subscriber = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        until(lambda: sessions(proxy), "the subscriber's session relays")
        (session,) = sessions(proxy)
        assert session["variables"] == {"mqtt_client_id": "listener"}
        broker = int(session["node"].rpartition(":")[2])

        def heard() -> bool:
            servers.run("mosquitto_pub", "-p", str(broker), "-t", "news/today", "-m", "x" * 100_000)
            return subscriber.poll() is not None

        until(heard, "the subscriber had its one message")
        assert output.read_text() == "x" * 100_000 + "\n"
    finally:
        subscriber.kill()
        subscriber.wait()


def test_another_version_is_turned_away(plane: tuple[Proxy, int], level: int) -> None:
    proxy, port = plane
    other = 4 if level == 5 else 5
    command = [servers.program("mosquitto_pub"), "-p", str(port), "-V", version(other), "-i", "x", "-t", "t", "-m", "m"]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode != 0
    until(lambda: f"expect protocol level: {level}, but got {other}" in proxy.output, "it is logged why")


def sessions(proxy: Proxy) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = proxy.get("/streamproxy/v1/sessions").json["sessions"]
    return [session for session in found if session["phase"] == "relaying"]
