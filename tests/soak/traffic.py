"""The mixture: short and long sessions, bulk, sessions that are reset, datagrams, writes, reloads."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.integration.harness import Proxy, free_port, read_exactly, rule, target, tcp_service
from tests.integration.load import Load
from tests.integration.targets import UdpEcho

from .course import Sample

# How often memory and descriptors are looked at (seconds).
INTERVAL = 1.0
_BULK = 4 << 20


class Soak:
    """One run over a process of its own in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.udp_port = free_port(socket.SOCK_DGRAM)
        self.udp = UdpEcho(b"")
        upstream = {"type": "roundrobin", "nodes": {f"127.0.0.1:{self.udp.port}": 1}}
        self.proxy = Proxy(
            directory,
            {
                "access_log": {"path": "access.log"},
                "stream_proxy": {"udp": [f"127.0.0.1:{self.udp_port}"]},
                "resources": {"stream_routes": [{"id": "u", "server_port": self.udp_port, "upstream": upstream}]},
                "limits": {"udp_idle_timeout": "2s"},
            },
        )
        self.load = Load(short=4, long=50, pause=0.2, rest=0.02)
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self._ending = threading.Event()
        self._service: dict[str, object] = {}
        self._port = 0

    def run(self, seconds: float) -> list[Sample]:
        """The samples of so many seconds."""
        self.proxy.start()
        self._service = self.proxy.create(rules=[rule("*", target(self.load.target))])
        self._port = int(str(self._service["port"]))
        threads = [
            threading.Thread(target=self._repeat, args=(what, pause))
            for what, pause in (
                (self._bulk, 0.5),
                (self._reset, 0.1),
                (self._datagrams, 0.2),
                (self._write, 0.3),
                (self._hang_up, 5.0),
            )
        ]
        samples = []
        try:
            self.load.begin(self._port)
            for thread in threads:
                thread.start()
            begun = time.monotonic()
            while time.monotonic() < begun + seconds:
                time.sleep(INTERVAL)
                samples.append(Sample(time.monotonic() - begun, self.proxy.memory, self.proxy.open_files))
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()
            self.load.end()
            self.udp.close()
            self.proxy.stop()
        self.done["connects"] = self.load.connects
        self.done["exchanges"] = self.load.exchanges
        self.failures += [why for _, why in self.load.failures]
        return samples

    def _repeat(self, what: Callable[[], None], pause: float) -> None:
        name = what.__name__.strip("_")
        while not self._ending.wait(pause):
            try:
                what()
            except (OSError, AssertionError) as error:
                self.failures.append(f"{name}: {error!r}")
            else:
                self.done[name] += 1

    def _bulk(self) -> None:
        with self.proxy.connect(self._port) as client:
            sender = threading.Thread(target=self._send_all, args=(client,))
            sender.start()
            assert len(read_exactly(client, _BULK)) == _BULK
            sender.join()

    @staticmethod
    def _send_all(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.sendall(bytes(_BULK))

    def _reset(self) -> None:
        with self.proxy.connect(self._port) as client:
            client.sendall(b"half a line")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _datagrams(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect(("127.0.0.1", self.udp_port))
            for size in (0, 1, 512, 8000):
                client.send(bytes(size))
                assert len(client.recv(65535)) == size

    def _write(self) -> None:
        body = {**tcp_service(name=f"number {self.done['write']}"), "id": "other"}
        answer = self.proxy.post("/api/tcp/services", body)
        assert answer.status == 201, answer
        answer = self.proxy.delete("/api/tcp/services/other")
        assert answer.status in (200, 204), answer

    def _hang_up(self) -> None:
        self.proxy.hang_up()
