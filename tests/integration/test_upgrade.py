"""One process takes over from another."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from .harness import PATIENCE, ROOT, Proxy, free_port, read_exactly, rule, target, tcp_service, until
from .load import Load
from .targets import Echo, UdpEcho

Echoes = Callable[..., Echo]
Make = Callable[..., Proxy]

TAKEOVER = ("--takeover",)


class Successor(Proxy):
    """A process with the files of another one."""

    def __init__(self, before: Proxy, *arguments: str) -> None:
        super().__init__(before.directory, command=before.command, arguments=arguments)
        self.admin_port = before.admin_port
        self.config = before.config


@pytest.fixture
def successor() -> Iterator[Callable[..., Successor]]:
    made: list[Successor] = []

    def make(before: Proxy, *arguments: str) -> Successor:
        made.append(Successor(before, *arguments))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def ended(proxy: Proxy) -> bool:
    return proxy.process is not None and proxy.process.poll() is not None


def take_over(before: Proxy, after: Successor) -> None:
    after.spawn()
    until(
        lambda: ended(after) or "has taken over" in before.output,
        f"the old process gave way; they said:\n{before.output}\n--\n{after.output}",
    )
    assert not ended(after), after.output


def other_service(id_: str, number: int) -> dict[str, object]:
    return {**tcp_service(enabled=False, name=f"number {number}"), "id": id_}


def test_reloads_a_thousand_writes_and_an_upgrade_break_nothing(
    make_proxy: Make, successor: Callable[..., Successor]
) -> None:
    load = Load(short=4, long=200)
    proxy = make_proxy({"limits": {"shutdown_timeout": "60s"}}).start()
    after = successor(proxy, *TAKEOVER)
    try:
        service = proxy.create(rules=[rule("*", target(load.target))])
        load.begin(service["port"])
        until(lambda: load.settled == 200, f"200 sessions are open; {load.reasons}")
        other = proxy.create(enabled=False)["id"]
        proxy.hang_up()
        writes = 0
        for number in range(500):
            answer = proxy.put(f"/api/tcp/services/{other}", other_service(other, number))
            assert answer.status == 200, answer
            writes += 1
        before = load.connects
        after.spawn()
        # The writes go on while one process takes over from the other.
        for number in range(500, 1000):
            answer = proxy.put(f"/api/tcp/services/{other}", other_service(other, number))
            assert answer.status == 200, answer
            writes += 1
        until(lambda: "has taken over" in proxy.output, f"it was taken over:\n{proxy.output}\n--\n{after.output}")
        os.kill(after.pid, signal.SIGHUP)
        until(lambda: load.connects > before + 200, "clients are served by the new process")
        assert after.get(f"/api/tcp/services/{other}").json["name"] == "number 999"
        assert not ended(proxy), "the old process ended with sessions of its own"
        assert after.listener(service["port"])["accepted"] > 0  # type: ignore[index]
    finally:
        load.end()
    assert load.reasons == {}, load.reasons
    assert writes == 1000
    assert load.exchanges > load.connects > 400
    until(lambda: ended(proxy), f"the old process ended with its last session:\n{proxy.output}")
    assert proxy.process is not None
    assert proxy.process.returncode in (0, -signal.SIGTERM), proxy.output
    print(f"{load.connects} connects, {load.exchanges} exchanges, {writes} writes, no failure")


def test_the_command(make_proxy: Make, echoes: Echoes) -> None:
    echo = echoes("E1")
    proxy = make_proxy().start()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    path = proxy.directory / "streamproxy.db.handover"
    until(path.exists, "the socket is there")
    assert path.stat().st_mode & 0o777 == 0o600
    main = "import sys; from streamproxy.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", main, "upgrade", "--config", str(proxy.path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def upgrade() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False
        )

    done = upgrade()
    assert done.returncode == 0, (done, proxy.output)
    pid = int(re.search(r"process (\d+) serves now", done.stdout)[1])  # type: ignore[index]
    try:
        until(lambda: ended(proxy), "the old process ended")
        until(lambda: proxy.get("/streamproxy/v1/ready").status == 200, "the new one serves")
        with proxy.connect(service["port"]) as client:
            assert read_exactly(client, 3) == b"E1\n"
        # Again, with a file that cannot be used.
        proxy.config["limits"] = {"shutdown_timeout": "soon"}
        proxy.write_config()
        refused = upgrade()
        assert refused.returncode == 1
        assert "limits.shutdown_timeout" in refused.stderr
        assert "goes on" in refused.stderr
        with proxy.connect(service["port"]) as client:
            assert read_exactly(client, 3) == b"E1\n"
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not path.exists(), "the last process removed the socket")


def test_what_cannot_start_changes_nothing(
    make_proxy: Make, echoes: Echoes, successor: Callable[..., Successor]
) -> None:
    echo = echoes("E1")
    proxy = make_proxy().start()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    until((proxy.directory / "streamproxy.db.handover").exists, "the socket is there")
    # The store cannot be read by the new process, which finds that out when it has the sockets.
    after = successor(proxy, *TAKEOVER)
    (proxy.directory / "broken.db").write_bytes(b"this is no database" * 100)
    (proxy.directory / "broken.db.handover").symlink_to("streamproxy.db.handover")
    after.config = {**proxy.config, "store": {"path": "broken.db"}}
    process = after.spawn()
    assert process.wait(PATIENCE) == 1, after.output
    until(lambda: "came to nothing" in proxy.output, "the old process said that it goes on")
    until(lambda: "broken.db" in after.output, "the new one said why")
    assert "broken.db" in proxy.output
    answer = proxy.post("/api/tcp/services", tcp_service(enabled=False))
    assert answer.status == 201, answer
    with proxy.connect(service["port"]) as client:
        assert read_exactly(client, 3) == b"E1\n"


def test_without_a_running_process_there_is_nothing_to_take_over(
    make_proxy: Make, successor: Callable[..., Successor]
) -> None:
    after = successor(make_proxy(), *TAKEOVER)
    process = after.spawn()
    assert process.wait(PATIENCE) == 1
    until(lambda: "no running process" in after.output, f"it said so:\n{after.output}")


def test_a_changed_configuration_comes_with_the_new_process(
    make_proxy: Make, echoes: Echoes, successor: Callable[..., Successor]
) -> None:
    first, second = echoes("F1"), echoes("F2")
    kept, gone, new, metrics = free_port(), free_port(), free_port(), free_port()

    def declared(port: int, echo: Echo) -> dict[str, object]:
        return {**tcp_service(port=port, rules=[rule("*", target(echo.port))]), "id": f"s{port}"}

    proxy = make_proxy(
        {
            "store": {"type": "memory"},
            "metrics": {"listen": f"127.0.0.1:{metrics}"},
            "limits": {"shutdown_timeout": "30s"},
            "resources": {"tcp_services": [declared(kept, first), declared(gone, first)]},
        }
    ).start()
    # A store in memory is handed over as well.
    written = proxy.create(rules=[rule("*", target(first.port))])
    live = proxy.connect(gone)
    assert read_exactly(live, 3) == b"F1\n"
    after = successor(proxy, *TAKEOVER)
    after.config = {
        **proxy.config,
        "resources": {"tcp_services": [declared(kept, second), declared(new, second)]},
        "limits": {"shutdown_timeout": "1s"},
    }
    take_over(proxy, after)
    until(lambda: after.get("/streamproxy/v1/ready").status == 200, "the new process answers")
    for port, greeting in ((kept, b"F2\n"), (new, b"F2\n"), (written["port"], b"F1\n")):
        try:
            client = after.connect(port)
        except ConnectionRefusedError:
            ports = kept, new, written["port"]
            raise AssertionError(f"nobody is at {port} of {ports}:\n{after.output}") from None
        with client:
            assert read_exactly(client, 3) == greeting
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gone), timeout=5)
    socket.create_connection(("127.0.0.1", metrics), timeout=5).close()
    live.sendall(b"still here")
    assert read_exactly(live, 10) == b"still here"
    live.close()
    until(lambda: ended(proxy), "the old process ended with its last session")


def test_datagrams_go_to_the_new_process_and_answers_of_the_old_one_still_come(
    make_proxy: Make, successor: Callable[..., Successor]
) -> None:
    port = free_port(socket.SOCK_DGRAM)
    echo = UdpEcho(b"")
    upstream = {"type": "roundrobin", "nodes": {f"127.0.0.1:{echo.port}": 1}}
    routes = [{"id": "u", "server_port": port, "upstream": upstream}]
    proxy = make_proxy(
        {
            "stream_proxy": {"udp": [f"127.0.0.1:{port}"]},
            "resources": {"stream_routes": routes},
            "limits": {"shutdown_timeout": "30s", "udp_idle_timeout": "6s"},
        }
    ).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", port))
        client.send(b"one")
        assert client.recv(100) == b"one"
        (first,) = echo.peers
        after = successor(proxy, *TAKEOVER)
        take_over(proxy, after)
        # What the node of the old session says late is still passed on.
        echo._sock.sendto(b"late", first)
        assert client.recv(100) == b"late"
        client.send(b"two")
        assert client.recv(100) == b"two"
        assert echo.peers[1] != first, "the new process has a socket of its own"
        for number in range(20):
            client.send(b"%d" % number)
            assert client.recv(100) == b"%d" % number
    assert len(set(echo.peers)) == 2
    until(lambda: ended(proxy), "the old process ended when its session was idle")
    echo.close()
