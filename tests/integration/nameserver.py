"""Knot DNS with a zone that the test changes, and that it stops and starts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from attrs import define, field

from .servers import DNS_ZONE, _directory, _port_of_both, _process, program, run


@define
class NameServer:
    """
    Serves :data:`~.servers.DNS_ZONE` on ``port`` of 127.0.0.1, over UDP and TCP. That a name does not exist may be
    believed for a second.
    """

    port: int
    directory: Path
    _serial: int = 0
    _running: contextlib.ExitStack = field(factory=contextlib.ExitStack)
    _is_running: bool = False

    def serve(self, *records: str) -> None:
        """From now on the zone has these and no others."""
        self._serial += 1
        lines = [f"$ORIGIN {DNS_ZONE}.", "$TTL 60", f"@ 1 SOA ns h {self._serial} 3600 600 86400 1", "@ NS ns"]
        lines += ["ns A 127.0.0.1", f'serial 0 TXT "{self._serial}"', *records]
        (self.directory / "zone").write_text("\n".join(lines) + "\n")
        if self._is_running:
            run("knotc", "-s", str(self.directory / "control"), "-b", "zone-reload", DNS_ZONE)
            said = self._said()
            assert said == str(self._serial), f"the zone was not taken over: it is at {said}, not {self._serial}"

    def start(self) -> None:
        command = [program("knotd"), "-c", str(self.directory / "knot.conf")]
        self._running.enter_context(_process(command, self.directory, lambda: self._said() == str(self._serial)))
        self._is_running = True

    def stop(self) -> None:
        """Nobody answers there any more."""
        self._is_running = False
        self._running.close()

    def _said(self) -> str:
        asked = ["@127.0.0.1", "-p", str(self.port), "+retry=0", "+timeout=1", "+short", f"serial.{DNS_ZONE}", "TXT"]
        return run("kdig", *asked).strip().strip('"')


@contextlib.contextmanager
def name_server() -> Iterator[NameServer]:
    program("knotd")
    with _directory("names") as directory:
        port = _port_of_both()
        (directory / "knot.conf").write_text(
            "server:\n"
            f'    rundir: "{directory}"\n'
            f"    listen: 127.0.0.1@{port}\n"
            "    udp-workers: 1\n"
            "    tcp-workers: 1\n"
            "    background-workers: 1\n"
            "database:\n"
            f'    storage: "{directory}"\n'
            "control:\n"
            f'    listen: "{directory}/control"\n'
            "log:\n"
            "  - target: stderr\n"
            "    any: info\n"
            "zone:\n"
            f"  - domain: {DNS_ZONE}\n"
            f'    file: "{directory}/zone"\n'
            "    zonefile-load: whole\n"
            "    journal-content: none\n"
        )
        server = NameServer(port, directory)
        server.serve()
        server.start()
        try:
            yield server
        finally:
            server.stop()
