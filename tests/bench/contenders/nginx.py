"""nginx's stream module with one worker."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.bench.origins import own_user
from tests.bench.processes import a_port, find, program, says, started
from tests.bench.seams import HOST, NAME, Job, Running, Tls

_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
_LOG = "$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time $upstream_addr"


@frozen
class Nginx:
    name = "nginx"

    def version(self) -> str | None:
        found = find("nginx")
        if found is None:
            return None
        said = re.search(r"nginx/(\S+)", says([found, "-v"]))
        return said.group(1) if said else "of an unknown version"

    def refusal(self, job: Job) -> str | None:
        if _MODULE.exists() or "--with-stream " in says([program("nginx"), "-V"]) + " ":
            return None
        return "libnginx-mod-stream is not installed"

    @contextlib.contextmanager
    def start(self, job: Job, directory: Path) -> Iterator[Running]:
        place = directory / "nginx"
        place.mkdir()
        port = a_port()
        config = place / "nginx.conf"
        config.write_text(self._config(job, place, port))
        command: list[str | Path] = [program("nginx"), "-p", place, "-e", place / "error.log", "-c", config]
        with started(command, place, port, "udp" if job.udp else "tcp") as pid:
            yield Running(port, pid)

    def _config(self, job: Job, place: Path, port: int) -> str:
        load = f"load_module {_MODULE};\n" if _MODULE.exists() else ""
        # Under load the error log is left to what is really wrong; 64 KiB buffers pay where streams are few and big.
        return (
            f"{load}{own_user()}daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {place}/pid;\n"
            f"error_log {place}/error.log error;\n"
            "events { worker_connections 16384; multi_accept on; use epoll; }\n"
            "stream {\n"
            f"  tcp_nodelay on; proxy_buffer_size {'64k' if job.bulk else '16k'}; proxy_timeout 600s;\n"
            f"{_access_log(job, place)}{_routes(job)}"
            f"  server {{ {_listen(job, port)} }}\n"
            "}\n"
        )


def _access_log(job: Job, place: Path) -> str:
    if not job.access_log:
        return "  access_log off;\n"
    return f"  log_format line '{_LOG}';\n  access_log {place}/access.log line buffer=64k flush=1s;\n"


def _routes(job: Job) -> str:
    if job.tls is Tls.PASS_THROUGH:
        names = "".join(f"    {name} {HOST}:9;\n" for name in job.other_names)
        hashes = "  map_hash_max_size 65536; map_hash_bucket_size 128;\n"
        return f"{hashes}  map $ssl_preread_server_name $to {{\n{names}    {NAME} {HOST}:{job.target};\n  }}\n"
    if job.routes > 1:
        networks = "".join(f"    {network} {HOST}:9;\n" for network in job.other_networks)
        return f"  geo $to {{\n{networks}    127.0.0.0/8 {HOST}:{job.target};\n  }}\n"
    return ""


def _listen(job: Job, port: int) -> str:
    listen = f"listen {HOST}:{port}"
    to = "$to" if job.routes > 1 or job.tls is Tls.PASS_THROUGH else f"{HOST}:{job.target}"
    if job.udp:
        return f"{listen} udp reuseport; proxy_pass {to};"
    if job.tls is Tls.TERMINATE and job.certificate is not None:
        shown = f"ssl_certificate {job.certificate.chain}; ssl_certificate_key {job.certificate.key};"
        return f"{listen} ssl reuseport backlog=8192; {shown} ssl_protocols TLSv1.2 TLSv1.3; proxy_pass {to};"
    preread = "ssl_preread on; " if job.tls is Tls.PASS_THROUGH else ""
    return f"{listen} reuseport backlog=8192; {preread}proxy_pass {to};"
