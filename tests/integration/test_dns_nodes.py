"""Nodes by name: a real name server whose zone changes, dies and comes back while sessions are made."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .conftest import Make
from .harness import Proxy, free_port, read_exactly, until
from .nameserver import NameServer, name_server
from .servers import DNS_ZONE
from .targets import Echo, UdpEcho

Echoes = Callable[..., Echo]

TTL = 1

# A change is followed within the TTL. What else may take its time on a busy machine: the name server's reload, a turn
# of the process, this test's own looking.
SOON = TTL + 5.0

LOCALHOST = "127.0.0.1"


@pytest.fixture
def zone() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


class Behind:
    """A process that asks ``zone``, with one listener that leads to one upstream, ``u``."""

    def __init__(
        self,
        make_proxy: Make,
        zone: NameServer,
        nodes: list[dict[str, Any]],
        resolver: dict[str, Any] | None = None,
        udp: bool = False,
        **upstream: Any,
    ) -> None:
        self.port = free_port(socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        body = {"id": "u", "type": "roundrobin", "nodes": nodes, **upstream}
        self.proxy: Proxy = make_proxy(
            {
                "resolver": {"servers": [f"127.0.0.1:{zone.port}"], "timeout": "2s", **(resolver or {})},
                "stream_proxy": {"udp" if udp else "tcp": [f"127.0.0.1:{self.port}"]},
                "resources": {"upstreams": [body], "stream_routes": [{"id": "1", "upstream_id": "u"}]},
            }
        ).start()

    def session(self) -> str:
        """Who greets a client; empty when it is dropped."""
        try:
            with self.proxy.connect(self.port) as client:
                return read_exactly(client, 3).decode().strip()
        except (ConnectionError, AssertionError):
            return ""

    def sessions(self, count: int = 6) -> set[str]:
        return {self.session() for _ in range(count)}

    def goes_to(self, *names: str) -> None:
        """Within the TTL all sessions go there, and every one of them is greeted on the way."""
        seen: set[str] = set()

        def there() -> bool:
            seen.clear()
            seen.update(self.sessions())
            assert "" not in seen, "a session failed while names were renewed"
            return seen == set(names)

        try:
            until(there, f"sessions go to {names}", SOON)
        except AssertionError as error:
            raise AssertionError(f"{error}; they went to {seen}; {self.names}\n{self.proxy.output}") from None

    @property
    def names(self) -> dict[str, dict[str, Any]]:
        found = self.proxy.get("/streamproxy/v1/dns").json["names"]
        return {each["name"]: each for each in found}

    def name(self, host: str) -> dict[str, Any]:
        return self.names[f"{host}.{DNS_ZONE}"]

    @property
    def nodes(self) -> list[dict[str, Any]]:
        (found,) = self.proxy.get("/streamproxy/v1/upstreams").json["upstreams"]
        return list(found["nodes"])


def on_both(echoes: Echoes) -> int:
    """A port where 127.0.0.1 says E1 and 127.0.0.2 says E2."""
    first = echoes("E1", host="127.0.0.1")
    echoes("E2", host="127.0.0.2", port=first.port)
    return first.port


def test_sessions_follow_the_address_of_a_name(make_proxy: Make, zone: NameServer, echoes: Echoes) -> None:
    port = on_both(echoes)
    zone.serve(f"db {TTL} A 127.0.0.1")
    behind = Behind(make_proxy, zone, [{"host": f"db.{DNS_ZONE}", "port": port, "weight": 1}])
    assert behind.sessions() == {"E1"}
    zone.serve(f"db {TTL} A 127.0.0.2")
    behind.goes_to("E2")
    zone.serve(f"db {TTL} CNAME elsewhere", f"elsewhere {TTL} A 127.0.0.1")
    behind.goes_to("E1")
    zone.serve(f"db {TTL} A 127.0.0.1", f"db {TTL} A 127.0.0.2")
    behind.goes_to("E1", "E2")
    assert sorted(behind.name("db")["answers"]) == ["127.0.0.1", "127.0.0.2"]


def test_all_addresses_of_a_name_are_tried(make_proxy: Make, zone: NameServer, echoes: Echoes) -> None:
    echo = echoes("E1")
    zone.serve(*(f"db 60 A 127.0.0.{number}" for number in (1, 7, 8)), "db 60 AAAA ::1")
    behind = Behind(make_proxy, zone, [{"host": f"db.{DNS_ZONE}", "port": echo.port, "weight": 1}], retries=0)
    assert behind.sessions() == {"E1"}


def test_the_last_answer_serves_while_nobody_answers(make_proxy: Make, zone: NameServer, echoes: Echoes) -> None:
    port = on_both(echoes)
    zone.serve(f"db {TTL} A 127.0.0.1", f"_db._tcp {TTL} SRV 0 1 {port} db")
    service = f"_db._tcp.{DNS_ZONE}"
    behind = Behind(
        make_proxy, zone, [{"host": f"db.{DNS_ZONE}", "port": port, "weight": 1}, {"host": service, "weight": 1}]
    )
    assert behind.sessions() == {"E1"}

    zone.stop()
    until(lambda: behind.sessions() == {"E1"} and behind.name("db")["stale"], "the answer became stale", SOON)
    until(lambda: behind.names[service]["stale"], "the services became stale", SOON)
    found = behind.name("db")
    assert found["answers"] == ["127.0.0.1"]
    assert "refused" in found["error"], found
    assert found["next_lookup"] is not None
    assert behind.sessions() == {"E1"}

    zone.serve(f"db {TTL} A 127.0.0.2", f"_db._tcp {TTL} SRV 0 1 {port} db")
    zone.start()
    # The pauses between the tries have grown while it was away.
    until(lambda: behind.sessions() == {"E2"}, "sessions follow the server that came back", 20)
    until(lambda: not behind.name("db")["stale"] and behind.name("db")["error"] is None, "nothing is stale")


def test_sessions_follow_the_services_of_a_name(make_proxy: Make, zone: NameServer, echoes: Echoes) -> None:
    first, second, third = echoes("E1"), echoes("E2"), echoes("E3")
    hosts = [f"{host} {TTL} A 127.0.0.1" for host in ("a", "b", "c")]

    def offer(*records: tuple[int, int, int, str]) -> None:
        zone.serve(*hosts, *(f"_db._tcp {TTL} SRV {p} {w} {port} {host}" for p, w, port, host in records))

    offer((10, 3, first.port, "a"), (10, 1, second.port, "b"), (20, 1, third.port, "c"))
    behind = Behind(make_proxy, zone, [{"host": f"_db._tcp.{DNS_ZONE}", "weight": 1}])
    seen = [behind.session() for _ in range(8)]
    assert (seen.count("E1"), seen.count("E2")) == (6, 2), seen
    assert [(node["host"], node["port"], node["weight"], node["priority"]) for node in behind.nodes] == [
        (f"a.{DNS_ZONE}", first.port, 3, -10),
        (f"b.{DNS_ZONE}", second.port, 1, -10),
        (f"c.{DNS_ZONE}", third.port, 1, -20),
    ]

    offer((10, 1, second.port, "b"), (20, 1, third.port, "c"))
    behind.goes_to("E2")
    second.close()
    assert behind.sessions() == {"E3"}, "those of the next priority take over"
    offer((10, 1, third.port, "c"), (10, 1, first.port, "c"))
    behind.goes_to("E1", "E3")


def test_a_session_waits_for_services_that_nobody_knows_yet(make_proxy: Make, zone: NameServer) -> None:
    zone.serve()
    behind = Behind(make_proxy, zone, [{"host": f"_db._tcp.{DNS_ZONE}", "weight": 1}])
    assert behind.session() == ""
    found = behind.names[f"_db._tcp.{DNS_ZONE}"]
    assert (found["kind"], found["answers"], found["ttl"]) == ("services", [], None)
    assert "does not exist" in found["error"]
    (ended,) = behind.proxy.get("/streamproxy/v1/sessions/recent").json["sessions"]
    assert (ended["ending"], "does not exist" in ended["detail"]) == ("resolve_failed", True)


def test_health_checks_follow_the_services(make_proxy: Make, zone: NameServer, echoes: Echoes) -> None:
    first, second = echoes("E1"), echoes("E2")
    active = {
        "type": "tcp",
        "healthy": {"interval": 1, "successes": 1},
        "unhealthy": {"interval": 1, "tcp_failures": 1},
    }
    zone.serve(f"a {TTL} A 127.0.0.1", f"_db._tcp {TTL} SRV 0 1 {first.port} a")
    behind = Behind(make_proxy, zone, [{"host": f"_db._tcp.{DNS_ZONE}", "weight": 1}], checks={"active": active})
    assert behind.session() == "E1"
    zone.serve(f"a {TTL} A 127.0.0.1", *(f"_db._tcp {TTL} SRV 0 1 {each.port} a" for each in (first, second)))
    until(lambda: second.connections >= 2, "the new node is asked how it is", 20)
    second.close()
    until(lambda: "unhealthy" in [node["health"] for node in behind.nodes], "the dead node is seen to be so", 20)
    assert behind.sessions() == {"E1"}


def test_datagrams_follow_too(make_proxy: Make, zone: NameServer) -> None:
    with contextlib.closing(UdpEcho(b"E1")) as first, contextlib.closing(UdpEcho(b"E2")) as second:
        zone.serve(f"a {TTL} A 127.0.0.1", f"_q._udp {TTL} SRV 0 1 {first.port} a")
        behind = Behind(make_proxy, zone, [{"host": f"_q._udp.{DNS_ZONE}", "weight": 1}], udp=True)

        def answer() -> bytes:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(0.3)
                client.sendto(b"?", (LOCALHOST, behind.port))
                return client.recv(100)

        was = until(answer, "the first datagrams come through")
        zone.serve(f"a {TTL} A 127.0.0.1", f"_q._udp {TTL} SRV 0 1 {second.port} a")
        until(lambda: answer() != was, "new clients go to the new place", SOON)


def test_without_any_name_server(make_proxy: Make, zone: NameServer, echoes: Echoes) -> None:
    echo = echoes("E1")
    zone.stop()
    behind = Behind(make_proxy, zone, [{"host": "localhost", "port": echo.port, "weight": 1}])
    began = time.monotonic()
    assert behind.sessions() == {"E1"}
    assert time.monotonic() - began < 10, "nobody waited for an answer"
    assert behind.names["localhost"]["error"] is None


def test_an_answer_too_long_for_a_datagram(make_proxy: Make, zone: NameServer, echoes: Echoes) -> None:
    echo = echoes("E1")
    zone.serve(
        f"a {TTL} A 127.0.0.1",
        *(f"_db._tcp {TTL} SRV {n} 1 {echo.port} {'x' * 60}{n}" for n in range(1, 60)),
        f"_db._tcp {TTL} SRV 0 1 {echo.port} a",
    )
    behind = Behind(make_proxy, zone, [{"host": f"_db._tcp.{DNS_ZONE}", "weight": 1}])
    assert behind.session() == "E1"
    assert len(behind.nodes) == 60
