"""HAProxy in TCP mode with one thread."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.bench.processes import a_port, find, program, says, started
from tests.bench.seams import HOST, NAME, Job, Running, Tls


@frozen
class Haproxy:
    name = "HAProxy"

    def version(self) -> str | None:
        found = find("haproxy")
        if found is None:
            return None
        said = re.search(r"version (\S+)", says([found, "-v"]))
        return said.group(1) if said else "of an unknown version"

    def refusal(self, job: Job) -> str | None:
        return "proxies no UDP" if job.udp else None

    @contextlib.contextmanager
    def start(self, job: Job, directory: Path) -> Iterator[Running]:
        place = directory / "haproxy"
        place.mkdir()
        port = a_port()
        config = place / "haproxy.cfg"
        with contextlib.ExitStack() as stack:
            syslog = stack.enter_context(_syslog()) if job.access_log else None
            config.write_text(self._config(job, place, port, syslog))
            pid = stack.enter_context(started([program("haproxy"), "-db", "-f", config], place, port))
            yield Running(port, pid)

    def _config(self, job: Job, place: Path, port: int, syslog: int | None) -> str:
        lines = ["global", "  nbthread 1", "  maxconn 6000", "  maxpipes 500", "  tune.maxaccept 64"]
        if syslog is not None:
            lines.append(f"  log {HOST}:{syslog} local0 info")
        if job.bulk:
            lines += ["  tune.bufsize 65536", "  tune.pipesize 1048576"]
        lines += ["defaults", "  mode tcp", "  timeout connect 10s", "  timeout client 600s", "  timeout server 600s"]
        lines += ["  option splice-auto", "  option dontlognull" if syslog is None else "  option tcplog"]
        if syslog is not None:
            lines.append("  log global")
        shown = ""
        if job.tls is Tls.TERMINATE and job.certificate is not None:
            shown = f" ssl crt {job.certificate.both} ssl-min-ver TLSv1.2"
        lines += ["frontend front", f"  bind {HOST}:{port} backlog 8192{shown}", *_routes(job, place)]
        lines += ["backend back", f"  server one {HOST}:{job.target}", "backend other", f"  server none {HOST}:9"]
        return "\n".join(lines) + "\n"


def _routes(job: Job, place: Path) -> list[str]:
    known = place / "known.map"
    if job.tls is Tls.PASS_THROUGH:
        known.write_text("".join(f"{name} other\n" for name in (*job.other_names,)) + f"{NAME} back\n")
        wait = ["  tcp-request inspect-delay 5s", "  tcp-request content accept if { req.ssl_hello_type 1 }"]
        return [*wait, f"  use_backend %[req.ssl_sni,lower,map_str({known},other)]"]
    if job.routes > 1:
        known.write_text("".join(f"{network} other\n" for network in (*job.other_networks,)) + "127.0.0.0/8 back\n")
        return [f"  use_backend %[src,map_ip({known},other)]"]
    return ["  default_backend back"]


@contextlib.contextmanager
def _syslog() -> Iterator[int]:
    """Its log goes to a syslog server and to nothing else; this one only takes it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HOST, 0))
        server.settimeout(0.2)
        going = [True]

        def take() -> None:
            while going:
                with contextlib.suppress(TimeoutError):
                    server.recv(65536)

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            going.clear()
            thread.join()
