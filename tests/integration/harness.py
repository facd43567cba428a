"""A real ``twistd streamproxy`` process, and what its users would do with it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
KEY = "integration-admin-key"
VIEWER_KEY = "integration-viewer-key"
CLIENT_ID, CLIENT_SECRET = "admin-api-apikey-id", "admin-api-apikey-secret"

# How long anything that should happen soon may take before a test says that it did not.
PATIENCE = 20.0

# Below are those that people know by heart.
LOWEST_PORT = 10_000


def free_port(kind: int = socket.SOCK_STREAM, host: str = "127.0.0.1") -> int:
    """
    A port that nobody has, and that no connection of somebody else gets meanwhile: not one of those that the kernel
    gives away.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    first_given_away = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(100):
        port = LOWEST_PORT + secrets.randbelow(first_given_away - LOWEST_PORT)
        with contextlib.suppress(OSError), socket.socket(family, kind) as sock:
            sock.bind((host, port))
            return port
    raise AssertionError(f"no port of {host} is free")


def until(what: Callable[[], Any], saying: str, patience: float = PATIENCE) -> Any:
    """Ask ``what`` again and again until its answer is true, and give that answer."""
    end = time.monotonic() + patience
    while True:
        try:
            answer = what()
        except (OSError, AssertionError):
            answer = None
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"in {patience:g} s it did not happen that {saying}")
        time.sleep(0.02)


@frozen
class Answer:
    """What the Admin API said."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Proxy:
    """One process. ``config`` is merged over one that has an Admin API and a database in ``directory``."""

    def __init__(
        self,
        directory: Path,
        config: Mapping[str, Any] | None = None,
        *,
        command: tuple[str, ...] = ("twistd", "-n", "--pidfile="),
        descriptors: int | None = None,
        arguments: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self.directory = directory
        self.command = command
        self.descriptors = descriptors
        self.arguments = arguments
        self.environment = environment or {}
        self.prefix = prefix
        self.pass_fds = pass_fds
        self.path = directory / "streamproxy.yaml"
        self.admin_port = free_port()
        self.config: dict[str, Any] = {
            "admin": {
                "listen": f"127.0.0.1:{self.admin_port}",
                "keys": [
                    {"name": "test", "key": KEY, "role": "admin"},
                    {"name": "look", "key": VIEWER_KEY, "role": "viewer"},
                ],
                "clients": [{"id": CLIENT_ID, "secret": CLIENT_SECRET, "role": "admin"}],
            },
            "limits": {"shutdown_timeout": "1s"},
            **(config or {}),
        }
        self.process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []

    # Its life

    def write_config(self) -> None:
        """Put the configuration where the process reads it, at once."""
        beside = self.path.with_suffix(".new")
        beside.write_text(yaml.safe_dump(self.config))
        beside.rename(self.path)

    def spawn(self) -> subprocess.Popen[str]:
        """Start it without waiting."""
        self.write_config()
        program = Path(sys.executable).parent / self.command[0]
        arguments = [str(program), *self.command[1:], "streamproxy", "--config", str(self.path), *self.arguments]
        if "COVERAGE_PROCESS_CONFIG" in os.environ:
            arguments = [sys.executable, str(Path(__file__).with_name("measured.py")), *arguments]
        if self.descriptors is not None:
            arguments = ["sh", "-c", f'ulimit -n {self.descriptors}; exec "$@"', "sh", *arguments]
        arguments = [*self.prefix, *arguments]
        paths = {"PYTHONPATH": os.environ.get("TESTPATH", str(ROOT)), "PYTHONUNBUFFERED": "1"}
        environment = {**os.environ, **paths, **self.environment}
        self.lines = []
        self.process = subprocess.Popen(
            arguments,
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=self.pass_fds,
        )
        threading.Thread(target=self._collect, args=(self.process,), daemon=True).start()
        return self.process

    def _collect(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is not None:
            for line in process.stdout:
                self.lines.append(line.rstrip("\n"))

    def start(self, patience: float = PATIENCE) -> Proxy:
        """Start it and wait until its Admin API answers, so many seconds."""
        process = self.spawn()

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"the process ended with status {process.returncode}:\n{self.output}")
            return self.get("/streamproxy/v1/ready").status == 200

        until(ready, f"the process became ready; it said:\n{self.output}", patience)
        return self

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def pid(self) -> int:
        if self.process is None:
            raise AssertionError("the process was not started")
        return self.process.pid

    def stop(self) -> int:
        """End it as an init system would; the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the process did not end after SIGTERM:\n{self.output}") from None
        return self.process.returncode

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def restart(self) -> Proxy:
        """The same once more."""
        self.stop()
        return self.start()

    def hang_up(self) -> None:
        """SIGHUP."""
        os.kill(self.pid, signal.SIGHUP)

    # What it uses

    @property
    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def memory(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    # The Admin API

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = KEY,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask the Admin API. ``body``: text and bytes as they are, anything else as JSON."""
        sent = dict(headers or {})
        if key is not None:
            sent.setdefault("X-API-KEY", key)
        data: bytes | None = None
        if body is not None:
            data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
            sent.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.admin_port}{path}", data=data, method=method, headers=sent
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return Answer(response.status, dict(response.headers), response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read().decode())

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> Answer:
        return self.request("POST", path, body, **options)

    def put(self, path: str, body: Any, **options: Any) -> Answer:
        return self.request("PUT", path, body, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self.request("DELETE", path, **options)

    def listener(self, port: int, transport: str = "tcp") -> dict[str, Any] | None:
        """What ``/streamproxy/v1/listeners`` says of a port."""
        for listener in self.get("/streamproxy/v1/listeners").json["listeners"]:
            if listener["port"] == port and listener["transport"] == transport:
                return dict(listener)
        return None

    def create(self, **service: Any) -> dict[str, Any]:
        """Create a TCP service and wait until it listens."""
        answer = self.post("/api/tcp/services", {**tcp_service(), **service})
        assert answer.status == 201, answer
        created: dict[str, Any] = answer.json
        if created["enabled"]:
            until(
                lambda: (self.listener(created["port"]) or {}).get("state") == "listening",
                f"port {created['port']} listens; the process said:\n{self.output}",
            )
        return created

    def connect(self, port: int, host: str = "127.0.0.1") -> socket.socket:
        """Be a client."""
        sock = socket.create_connection((host, port), timeout=PATIENCE)
        sock.settimeout(PATIENCE)
        return sock


def tcp_service(**service: Any) -> dict[str, Any]:
    """A service on a free port of loopback, which relays as is."""
    return {
        "name": "a service",
        "description": "of a test",
        "enabled": True,
        "interface": "127.0.0.1",
        "port": free_port(),
        "tls": "Disabled",
        "rules": [],
        **service,
    }


def target(port: int, host: str = "127.0.0.1", ip: str | None = None, tls: bool = False) -> dict[str, Any]:
    return {"host": host, "ip": ip, "port": port, "tls": tls}


def rule(domain: str, *targets: dict[str, Any]) -> dict[str, Any]:
    return {"domain": domain, "targets": list(targets)}


def basic() -> dict[str, str]:
    """The credentials Otoroshi's own tests use."""
    return {"Authorization": "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()}


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """That many bytes; fewer only where the stream ends before."""
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(min(1 << 20, size - len(data)))
        if not chunk:
            break
        data += chunk
    return bytes(data)


def read_all(sock: socket.socket) -> bytes:
    """Until the end of the stream."""
    return read_exactly(sock, 1 << 60)


def is_dropped(sock: socket.socket) -> bool:
    """Was the connection closed or reset without a byte?"""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
