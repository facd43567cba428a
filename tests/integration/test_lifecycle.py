"""Starting, reloading, dying and coming back."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .harness import PATIENCE, ROOT, Proxy, free_port, read_exactly, rule, target, tcp_service, until
from .targets import Echo

Echoes = Callable[..., Echo]
Make = Callable[..., Proxy]


def greets(proxy: Proxy, port: int) -> str:
    with proxy.connect(port) as client:
        return read_exactly(client, 3).decode().strip()


def declared(port: int, target_port: int, name: str = "declared") -> dict[str, object]:
    return {**tcp_service(port=port, rules=[rule("*", target(target_port))]), "id": name, "name": name}


@pytest.mark.parametrize("command", [("twistd", "-n", "--pidfile="), ("twist",)])
def test_it_starts_under_twistd_and_twist_and_says_what_there_is(
    make_proxy: Make, echoes: Echoes, command: tuple[str, ...]
) -> None:
    echo = echoes("E1")
    port = free_port()
    resources = {"tcp_services": [declared(port, echo.port)]}
    proxy = make_proxy({"resources": resources}, command=command).start()
    until(lambda: "Try:" in proxy.output, "it said what to try")
    assert re.search(rf"tcp 127\.0\.0\.1:{port} +otoroshi:tcp-services/declared", proxy.output), proxy.output
    assert f"http://127.0.0.1:{proxy.admin_port}/" in proxy.output
    assert greets(proxy, port) == "E1"
    assert proxy.stop() in (0, -signal.SIGTERM)


def test_a_bad_file_at_the_start_is_refused_with_every_problem(make_proxy: Make) -> None:
    proxy = make_proxy(
        {
            "stream_proxy": {"tcp": [0, "127.0.0.1:99999"]},
            "resources": {"tcp_services": [{"id": "x", "name": "x", "description": "", "port": "1", "rules": 7}]},
            "limts": {},
        }
    )
    process = proxy.spawn()
    assert process.wait(PATIENCE) == 1
    until(lambda: "not started" in proxy.output, "it said that it did not start")
    for path in ("stream_proxy.tcp[0]", "stream_proxy.tcp[1]", "resources.tcp_services[0].port", "limts"):
        assert path in proxy.output, proxy.output
    assert "limits" in proxy.output, "no hint at what was meant"


def test_a_file_that_is_not_there(make_proxy: Make) -> None:
    proxy = make_proxy()
    program = Path(sys.executable).parent / "twistd"
    done = subprocess.run(
        [program, "-n", "--pidfile=", "streamproxy", "--config", "absent.yaml"],
        cwd=proxy.directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "absent.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_cannot_be_used_stops_the_start(make_proxy: Make) -> None:
    proxy = make_proxy({"store": {"type": "sqlite", "path": "broken.db"}})
    (proxy.directory / "broken.db").write_bytes(b"this is no database" * 100)
    process = proxy.spawn()
    assert process.wait(PATIENCE) == 1
    until(lambda: "broken.db" in proxy.output, "it named the file")


def test_what_was_answered_201_survives_a_kill(make_proxy: Make, echoes: Echoes) -> None:
    echo = echoes("E1")
    proxy = make_proxy().start()
    answer = proxy.post("/api/tcp/services", tcp_service(rules=[rule("*", target(echo.port))]))
    proxy.kill()
    assert answer.status == 201
    service = answer.json
    proxy.start()
    assert proxy.get(f"/api/tcp/services/{service['id']}").json == service
    assert greets(proxy, service["port"]) == "E1"


def test_every_acknowledged_write_of_a_stream_of_them_survives_a_kill(make_proxy: Make) -> None:
    proxy = make_proxy().start()
    acknowledged: list[str] = []

    def write() -> None:
        try:
            for number in range(10_000):
                body = {**tcp_service(enabled=False), "id": f"s{number}"}
                if proxy.post("/api/tcp/services", body).status == 201:
                    acknowledged.append(f"s{number}")
        except OSError:
            # It was killed in the middle of an answer.
            return

    writer = threading.Thread(target=write)
    writer.start()
    until(lambda: len(acknowledged) >= 20, "some writes were answered")
    proxy.kill()
    writer.join()
    proxy.start()
    kept = {service["id"] for service in proxy.get("/api/tcp/services").json}
    assert set(acknowledged) <= kept


def test_a_changed_file_is_taken_over_and_a_bad_one_is_not(make_proxy: Make, echoes: Echoes) -> None:
    first, second = echoes("F1"), echoes("F2")
    port = free_port()
    proxy = make_proxy({"resources": {"tcp_services": [declared(port, first.port)]}}).start()
    with proxy.connect(port) as live:
        assert read_exactly(live, 3) == b"F1\n"
        proxy.config["resources"] = {"tcp_services": [declared(port, second.port)]}
        proxy.write_config()
        until(lambda: greets(proxy, port) == "F2", "the changed file was in force")
        proxy.config["resources"] = {"tcp_services": [{**declared(port, second.port), "port": 0}]}
        proxy.write_config()
        until(
            lambda: "resources.tcp_services[0].port" in proxy.get("/streamproxy/v1/problems").text,
            "the problem was shown",
        )
        assert greets(proxy, port) == "F2"
        live.sendall(b"still")
        assert read_exactly(live, 5) == b"still"


def test_hang_up_reads_the_file_again(make_proxy: Make, echoes: Echoes) -> None:
    echo = echoes("E1")
    proxy = make_proxy().start()
    port = free_port()
    proxy.config["resources"] = {"tcp_services": [declared(port, echo.port)]}
    proxy.write_config()
    proxy.hang_up()
    until(lambda: greets(proxy, port) == "E1", "the new service is served")
    proxy.config["resources"] = {"tcp_services": "all of them"}
    proxy.write_config()
    proxy.hang_up()
    until(lambda: "not taken over" in proxy.output, "the bad file was reported")
    assert greets(proxy, port) == "E1"


def test_what_a_file_declares_is_read_only_in_the_api(make_proxy: Make, echoes: Echoes) -> None:
    port = free_port()
    proxy = make_proxy({"resources": {"tcp_services": [declared(port, echoes("E1").port)]}}).start()
    assert proxy.get("/api/tcp/services/declared").status == 200
    for answer in (
        proxy.delete("/api/tcp/services/declared"),
        proxy.put("/api/tcp/services/declared", declared(port, 1)),
    ):
        assert answer.status == 409, answer
        assert "streamproxy.yaml" in answer.text
    assert greets(proxy, port) == "E1"


def test_stopping_lets_sessions_end_then_cuts_them(make_proxy: Make, echoes: Echoes) -> None:
    echo = echoes("E1")
    proxy = make_proxy({"limits": {"shutdown_timeout": "3s"}}).start()
    service = proxy.create(rules=[rule("*", target(echo.port))])
    client = proxy.connect(service["port"])
    assert read_exactly(client, 3) == b"E1\n"
    os.kill(proxy.pid, signal.SIGTERM)

    def refused() -> bool:
        try:
            proxy.connect(service["port"]).close()
        except ConnectionRefusedError:
            return True
        return False

    until(refused, "it ceased to listen")
    client.sendall(b"last words")
    assert read_exactly(client, 10) == b"last words"
    started = time.monotonic()
    try:
        assert client.recv(1) == b""
    except ConnectionResetError:
        pass
    assert time.monotonic() - started < PATIENCE
    assert proxy.process is not None
    assert proxy.process.wait(PATIENCE) in (0, -signal.SIGTERM)
    client.close()


def test_a_generated_key_is_shown_once_kept_and_works(make_proxy: Make) -> None:
    proxy = make_proxy()
    proxy.config["admin"] = {"listen": f"127.0.0.1:{proxy.admin_port}"}
    proxy.start()
    until(lambda: "Try:" in proxy.output, "it greeted")
    found = re.search(r"X-API-KEY: (\S+)", proxy.output)
    assert found, proxy.output
    key = found[1]
    (kept,) = proxy.directory.glob("*.admin-key")
    assert kept.read_text().strip() == key
    assert kept.stat().st_mode & 0o777 == 0o600
    assert proxy.get("/streamproxy/v1/listeners", key=key).status == 200
    assert proxy.get("/streamproxy/v1/listeners", key="wrong").status == 401
    proxy.restart()
    until(lambda: "Try:" in proxy.output, "it greeted")
    assert key not in proxy.output, "the key was shown again"
    assert proxy.get("/streamproxy/v1/listeners", key=key).status == 200


def test_the_quick_start_proxies_with_nothing_else_there(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "quickstart.yaml").read_text()
    ports = {port: str(free_port()) for port in ("9100", "9180")}
    for port, free in ports.items():
        assert port in text
        text = text.replace(port, free)
    path = tmp_path / "quickstart.yaml"
    path.write_text(text)
    program = Path(sys.executable).parent / "twistd"
    process = subprocess.Popen(
        [program, "-n", "--pidfile=", "streamproxy", "--config", str(path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Try:"):
                break
        command = said[-1].removeprefix("Try:").strip()
        assert f"127.0.0.1:{ports['9100']}" in command, "".join(said)
        tried = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert tried.returncode == 0, tried
        assert '"revision"' in tried.stdout
    finally:
        process.terminate()
        process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


def test_the_embedding_example(tmp_path: Path, echoes: Echoes) -> None:
    echo = echoes("E1")
    port = free_port()
    text = (ROOT / "examples" / "embed.py").read_text()
    assert "tcp:8000:" in text
    assert '"port": 8001' in text
    program = tmp_path / "embed.py"
    program.write_text(text.replace("tcp:8000:", f"tcp:{port}:").replace('"port": 8001', f'"port": {echo.port}'))
    process = subprocess.Popen([sys.executable, program], env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:

        def relayed() -> bool:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
                return read_exactly(client, 3) == b"E1\n"

        until(relayed, "the embedded proxy relayed")
    finally:
        process.terminate()
        process.wait(PATIENCE)
