"""streamproxy: a real ``twistd`` with its rule engine, session table and Admin API, as a user has it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from streamproxy import __version__
from tests.bench.processes import a_port, started
from tests.bench.seams import HOST, NAME, Job, Running, Tls
from tests.integration.harness import KEY, ROOT, rule, target, tcp_service


@frozen
class Ours:
    name = "streamproxy"

    def version(self) -> str | None:
        return f"{__version__}, Python {sys.version.split()[0]}"

    def refusal(self, job: Job) -> str | None:
        return None

    @contextlib.contextmanager
    def start(self, job: Job, directory: Path) -> Iterator[Running]:
        place = directory / "streamproxy"
        place.mkdir()
        port = a_port()
        path = place / "streamproxy.json"
        path.write_text(json.dumps(self._config(job, place, port)))
        command: list[str | Path] = [
            Path(sys.executable).with_name("twistd"),
            "-n",
            "--pidfile=",
            "streamproxy",
            "--config",
            path,
        ]
        environment = {"PYTHONPATH": str(ROOT)}
        with started(command, place, port, "udp" if job.udp else "tcp", environment) as pid:
            yield Running(port, pid)

    def _config(self, job: Job, place: Path, port: int) -> dict[str, Any]:
        config: dict[str, Any] = {
            "admin": {
                "listen": f"{HOST}:{a_port()}",
                "keys": [{"name": "bench", "key": KEY, "role": "admin"}],
            },
            "store": {"type": "memory"},
            "limits": {"shutdown_timeout": "1s"},
            **_resources(job, port),
        }
        if job.access_log:
            config["access_log"] = {"path": str(place / "access.log"), "format": "json"}
        if job.tls is Tls.TERMINATE and job.certificate is not None:
            config["tls"] = {"certificates": str(job.certificate.chain.parent), "fallback_sni": NAME}
        return config


def _resources(job: Job, port: int) -> dict[str, Any]:
    if job.udp or (job.routes > 1 and job.tls is Tls.NONE):
        return _apisix(job, port)
    service = tcp_service(id="bench", port=port, rules=[rule("*", target(job.target))])
    if job.tls is Tls.TERMINATE:
        service["tls"] = "Enabled"
    if job.tls is Tls.PASS_THROUGH:
        service["tls"] = "PassThrough"
        service["sni"] = {"enabled": True, "forwardIfNoMatch": False}
        service["rules"] = [rule(name, target(9)) for name in job.other_names] + [rule(NAME, target(job.target))]
    return {"resources": {"tcp_services": [service]}}


def _apisix(job: Job, port: int) -> dict[str, Any]:
    def route(name: str, network: str, to: int) -> dict[str, Any]:
        upstream = {"type": "roundrobin", "nodes": {f"{HOST}:{to}": 1}}
        return {"id": name, "remote_addr": network, "upstream": upstream}

    routes = [route(f"other{number}", network, 9) for number, network in enumerate(job.other_networks)]
    routes.append(route("bench", "127.0.0.0/8", job.target))
    kind = "udp" if job.udp else "tcp"
    return {"stream_proxy": {kind: [f"{HOST}:{port}"]}, "resources": {"stream_routes": routes}}
