"""Envoy with one worker thread, where it is on the path."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.bench.processes import a_port, find, program, says, started
from tests.bench.seams import HOST, NAME, Job, Running, Tls

_V3 = "type.googleapis.com/envoy.extensions"


@frozen
class Envoy:
    name = "Envoy"

    def version(self) -> str | None:
        found = find("envoy")
        if found is None:
            return None
        said = re.search(r"/(\d+\.\d+\.\d+)", says([found, "--version"]))
        return said.group(1) if said else "of an unknown version"

    def refusal(self, job: Job) -> str | None:
        return "not set up for routes by network" if job.routes > 1 and job.tls is Tls.NONE else None

    @contextlib.contextmanager
    def start(self, job: Job, directory: Path) -> Iterator[Running]:
        place = directory / "envoy"
        place.mkdir()
        port = a_port()
        config = place / "envoy.json"
        config.write_text(json.dumps(self._config(job, place, port)))
        command: list[str | Path] = [
            program("envoy"),
            "-c",
            config,
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "-l",
            "error",
        ]
        with started(command, place, port, "udp" if job.udp else "tcp") as pid:
            yield Running(port, pid)

    def _config(self, job: Job, place: Path, port: int) -> dict[str, Any]:
        address = {"address": HOST, "port_value": port, **({"protocol": "UDP"} if job.udp else {})}
        listener: dict[str, Any] = {"name": "front", "address": {"socket_address": address}}
        if job.udp:
            listener["listener_filters"] = [_udp()]
            listener["udp_listener_config"] = {"downstream_socket_config": {"prefer_gro": True}}
        else:
            listener["tcp_backlog_size"] = 8192
            listener["filter_chains"] = _chains(job, place)
        if job.tls is Tls.PASS_THROUGH:
            inspector = {"@type": f"{_V3}.filters.listener.tls_inspector.v3.TlsInspector"}
            listener["listener_filters"] = [{"name": "tls_inspector", "typed_config": inspector}]
        clusters = [_cluster("back", job.target), _cluster("other", 9)]
        return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoint = {"address": {"socket_address": {"address": HOST, "port_value": port}}}
    # Its defaults for circuit breakers are for small services.
    many = {"max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "circuit_breakers": {"thresholds": [many]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]},
    }


def _chains(job: Job, place: Path) -> list[dict[str, Any]]:
    back: dict[str, Any] = {"filters": [_tcp("back", place if job.access_log else None)]}
    if job.tls is Tls.PASS_THROUGH:
        back["filter_chain_match"] = {"server_names": [NAME]}
        if job.routes == 1:
            return [back]
        other = {"filter_chain_match": {"server_names": [*job.other_names]}, "filters": [_tcp("other", None)]}
        return [other, back]
    if job.tls is Tls.TERMINATE and job.certificate is not None:
        pair = {
            "certificate_chain": {"filename": str(job.certificate.chain)},
            "private_key": {"filename": str(job.certificate.key)},
        }
        context = {
            "@type": f"{_V3}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificates": [pair]},
        }
        back["transport_socket"] = {"name": "tls", "typed_config": context}
    return [back]


def _tcp(cluster: str, log: Path | None) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "@type": f"{_V3}.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": cluster,
        "cluster": cluster,
    }
    if log is not None:
        file = {"@type": f"{_V3}.access_loggers.file.v3.FileAccessLog", "path": str(log / "access.log")}
        settings["access_log"] = [{"name": "file", "typed_config": file}]
    return {"name": "tcp_proxy", "typed_config": settings}


def _udp() -> dict[str, Any]:
    route = {"@type": f"{_V3}.filters.udp.udp_proxy.v3.Route", "cluster": "back"}
    action = {"name": "route", "typed_config": route}
    settings = {
        "@type": f"{_V3}.filters.udp.udp_proxy.v3.UdpProxyConfig",
        "stat_prefix": "back",
        "matcher": {"on_no_match": {"action": action}},
        "upstream_socket_config": {"prefer_gro": True},
    }
    return {"name": "udp_proxy", "typed_config": settings}
