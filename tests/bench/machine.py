"""Where and with what it was measured: a number without this is nobody's."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.integration.harness import ROOT

from .processes import find, says
from .seams import Contender

_TOOLS = {
    "iperf3": "--version",
    "redis-benchmark": "--version",
    "pgbench": "--version",
    "wrk": "-v",
    "dnsperf": "-h",
    "openssl": "version",
    "knotd": "--version",
}
_NUMBER = re.compile(r"\d+\.\d+[\w.]*")


def facts(contenders: Iterable[Contender]) -> dict[str, str]:
    """Name and value, in the order of the report."""
    found = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {os.cpu_count()} visible",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown") if _has_release() else "unknown",
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "revision": _revision(),
    }
    for contender in contenders:
        found[contender.name] = contender.version() or "not installed"
    found["tools"] = ", ".join(f"{name} {_version(name, option)}" for name, option in _TOOLS.items())
    return found


def _has_release() -> bool:
    try:
        platform.freedesktop_os_release()
    except OSError:
        return False
    return True


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(name: str, option: str) -> str:
    program = find(name)
    if program is None:
        return "not installed"
    number = _NUMBER.search(says([program, option]))
    return number.group() if number else "of an unknown version"


def _revision() -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        commands = (["git", "rev-parse", "--short", "HEAD"], ["git", "status", "--porcelain", "--", "streamproxy"])
        head, changed = (
            subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
            for command in commands
        )
        return f"{head}, with uncommitted changes" if changed else head
    return "unknown"


def stolen() -> float:
    """Seconds of processor time that the host has kept for others since the machine started, processors added up."""
    ticks = Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]
    return int(ticks) / os.sysconf("SC_CLK_TCK")
