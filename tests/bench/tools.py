"""Load tools: each function runs one against a port of loopback and reads what it found."""

from __future__ import annotations

import concurrent.futures
import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

from tests.integration import servers

from .processes import cpu, program, run
from .seams import HOST, NAME, Load, Running, Sample, ToolFailed

MICRO = 1e6
_WRK_SCRIPT = Path(__file__).with_name("report.wrk.lua")
# More failures than one in so many units and there is no measurement.
_TOLERATED = 100


def metered(running: Running, load: Callable[[], Load], scale: float) -> Sample:
    """Put load on a proxy and say what a unit of work cost it; ``scale`` turns CPU seconds into the scenario's unit."""
    before = None if running.pid is None else cpu(running.pid)
    done = load()
    after = None if running.pid is None else cpu(running.pid)
    if done.units <= 0 or done.errors * _TOLERATED > done.units:
        raise ToolFailed(f"{done.units:g} units done, {done.errors} failed")
    rate = done.units / done.seconds
    if before is None or after is None:
        return Sample(None, rate, None, done.p50, done.p99, done.errors)
    used = after - before
    kernel = min(1.0, used.kernel / used.total) if used.total else None
    return Sample(used.total / done.units * scale, rate, kernel, done.p50, done.p99, done.errors)


def iperf3(port: int, streams: int, seconds: float, directory: Path) -> Load:
    """Units are GB (10^9 bytes) received."""
    command = [program("iperf3"), "-J", "-c", HOST, "-p", str(port), "-P", str(streams), "-t", f"{max(1, seconds):.0f}"]
    try:
        text = run(command, seconds, directory)
    except ToolFailed as error:
        # Where it fails, it tells so in JSON as well.
        raise ToolFailed(re.sub(r"\s+", " ", str(error))) from None
    received = json.loads(text)["end"]["sum_received"]
    return Load(received["bytes"] / 1e9, received["seconds"])


def redis_benchmark(port: int, seconds: float, directory: Path) -> Load:
    """50 connections, each waiting for its answer; units are requests (SET of 64 bytes)."""

    def ask(count: int) -> tuple[float, dict[str, str]]:
        command = [program("redis-benchmark"), "-h", HOST, "-p", str(port), "-c", "50", "-n", str(count), "-d", "64"]
        rows = list(csv.DictReader(run([*command, "-t", "set", "--csv"], seconds, directory).splitlines()))
        if len(rows) != 1:
            raise ToolFailed(f"redis-benchmark said {rows!r}")
        return float(rows[0]["rps"]), rows[0]

    # It counts requests and not seconds, so a few tell how many are enough.
    pilot = 3000
    rate, _ = ask(pilot)
    count = max(pilot, int(rate * seconds))
    rate, row = ask(count)
    return Load(count + pilot, (count + pilot) / rate, float(row["p50_latency_ms"]), float(row["p99_latency_ms"]))


def wrk(
    port: int,
    seconds: float,
    directory: Path,
    *,
    tls: bool = False,
    close: bool = False,
    connections: int = 50,
    path: str = "/",
    in_gb: bool = False,
) -> Load:
    """Units are requests, or GB (10^9 bytes). ``close``: one connection a request."""
    url = f"https://{NAME}:{port}{path}" if tls else f"http://{HOST}:{port}{path}"
    command = [program("wrk"), "-t", "1", "-c", str(connections), "-d", f"{max(1, seconds):.0f}s", "--timeout", "10s"]
    if close:
        command += ["-H", "Connection: close"]
    text = run([*command, "-s", _WRK_SCRIPT, url], seconds, directory)
    found = re.search(r"^FOUND (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)$", text, re.MULTILINE)
    if found is None:
        raise ToolFailed(f"wrk said {text}")
    requests, size, duration, p50, p99, errors = (float(group) for group in found.groups())
    if in_gb:
        return Load(size / 1e9, duration / MICRO, errors=int(errors))
    return Load(requests, duration / MICRO, p50, p99, int(errors))


def dnsperf(port: int, name: str, seconds: float, directory: Path) -> Load:
    """20 clients on one thread, 100 questions on their way; units are answered questions."""
    questions = directory / "questions"
    questions.write_text(f"{name} A\n")
    command = [program("dnsperf"), "-s", HOST, "-p", str(port), "-d", str(questions), "-c", "20", "-T", "1"]
    text = run([*command, "-q", "100", "-l", f"{max(1, seconds):.0f}", "-t", "1"], seconds, directory)

    def figure(label: str) -> float:
        found = re.search(rf"{label}:\s+([\d.]+)", text)
        if found is None:
            raise ToolFailed(f"dnsperf said {text}")
        return float(found.group(1))

    if (answered := figure("Queries completed")) and "NOERROR" not in text:
        raise ToolFailed(f"dnsperf got other answers than it asked for: {text}")
    # 2.10 knows the mean only, which is neither of ours.
    return Load(answered, figure(r"Run time \(s\)"), errors=int(figure("Queries lost")))


def s_time(port: int, seconds: float, directory: Path, clients: int = 4) -> Load:
    """
    ``openssl s_time -new``: full handshakes, never resumed, one after the other on each of a few clients; each fetches
    a page. Units are connections.
    """
    command = [program("openssl"), "s_time", "-connect", f"{HOST}:{port}", "-new", "-time", f"{max(1, seconds):.0f}"]
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        texts = list(pool.map(lambda _: run([*command, "-www", "/"], seconds, directory), range(clients)))
    total = longest = 0.0
    for text in texts:
        found = re.search(r"^(\d+) connections in (\d+) real seconds, (\d+) bytes read", text, re.MULTILINE)
        if found is None or int(found.group(3)) == 0:
            raise ToolFailed(f"openssl s_time said {text}")
        total += int(found.group(1))
        # It counts whole seconds and says one more than it ran.
        longest = max(longest, float(max(1, int(found.group(2)) - 1)))
    return Load(total, longest)


def pgbench(port: int, seconds: float, directory: Path) -> Load:
    """8 connections on one thread, select only; units are transactions."""
    options = ["-S", "-n", "-c", "8", "-j", "1", "-T", f"{max(1, seconds):.0f}"]
    text = run([servers.program("pgbench"), *options, *servers.postgres_at(port)], seconds, directory)
    done = re.search(r"^number of transactions actually processed: (\d+)", text, re.MULTILINE)
    failed = re.search(r"^number of failed transactions: (\d+)", text, re.MULTILINE)
    if done is None:
        raise ToolFailed(f"pgbench said {text}")
    rate = re.search(r"^tps = ([\d.]+)", text, re.MULTILINE)
    units = float(done.group(1))
    return Load(units, units / float(rate.group(1)) if rate else seconds, errors=int(failed.group(1)) if failed else 0)


def negotiated(port: int, directory: Path) -> str:
    """The version, cipher and key exchange of TLS that a proxy and OpenSSL's client agree upon."""
    command = [program("openssl"), "s_client", "-connect", f"{HOST}:{port}", "-servername", NAME]
    text = run(command, 1, directory)
    agreed = re.search(r"^New, (\S+), Cipher is (\S+)", text, re.MULTILINE)
    if agreed is None or agreed.group(2) == "(NONE)":
        raise ToolFailed(f"openssl s_client said {text}")
    exchange = re.search(r"^Server Temp Key: ([^,\n]+)", text, re.MULTILINE)
    return ", ".join([*agreed.groups(), exchange.group(1) if exchange else "unknown key exchange"])
