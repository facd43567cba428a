"""Processes: started, waited for, measured, and ended by their numbers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from tests.integration.harness import free_port

from .seams import HOST, ToolFailed, Unavailable

TICK = os.sysconf("SC_CLK_TCK")
NANOSECONDS = 1e9
PATIENCE = 60.0
# Seconds between SIGTERM and SIGKILL.
GRACE = 5.0
_LISTENING = {"tcp": "0A", "udp": "07"}


def find(name: str) -> str | None:
    """Where a program is, also one that only root or PostgreSQL usually finds."""
    of_postgres = sorted(str(path) for path in Path("/usr/lib/postgresql").glob("*/bin"))
    places = [os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin", *of_postgres]
    return shutil.which(name, path=os.pathsep.join(places))


def program(name: str) -> str:
    """The same, for what has to be there. Raises :exc:`Unavailable`."""
    found = find(name)
    if found is None:
        raise Unavailable(f"{name} is not installed")
    return found


def a_port() -> int:
    """Free for TCP and for UDP."""
    for _ in range(100):
        port = free_port()
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((HOST, port))
            return port
    raise Unavailable("no port is free")


def says(command: Sequence[str]) -> str:
    """What a program writes, wherever it writes it; for asking its version."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return (done.stdout + done.stderr).strip()


def run(command: Sequence[str | Path], seconds: float, directory: Path) -> str:
    """What a tool writes to its standard output. Raises :exc:`ToolFailed` where it fails or takes much longer."""
    limit = 2 * seconds + PATIENCE
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolFailed(f"{command[0]} did not end in {limit:g} s") from error
    if done.returncode != 0:
        raise ToolFailed(f"{command[0]} ended with status {done.returncode}: {_tail(done.stderr or done.stdout)}")
    return done.stdout


def _tail(text: str) -> str:
    return text.strip()[-600:] or "it said nothing"


@contextlib.contextmanager
def started(
    command: Sequence[str | Path],
    directory: Path,
    port: int,
    transport: str = "tcp",
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """A server, once it listens; its process id. It and all its children are gone after."""
    said = directory / f"{Path(command[0]).name}-{port}.said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + PATIENCE
        while not listens(port, transport):
            if process.poll() is not None:
                text = _tail(said.read_text(errors="replace"))
                raise ToolFailed(f"{command[0]} ended with status {process.returncode}: {text}")
            if time.monotonic() > end:
                raise ToolFailed(f"{command[0]} does not listen: {_tail(said.read_text(errors='replace'))}")
            time.sleep(0.02)
        yield process.pid
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    children = tree(process.pid)
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def listens(port: int, transport: str = "tcp") -> bool:
    """Does somebody listen there? Asks the kernel, so that nobody notices."""
    for line in Path(f"/proc/net/{transport}").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == _LISTENING[transport]:
            return True
    return False


def _stat(pid: int) -> list[str]:
    # The name, in brackets, may have spaces and brackets of its own.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(pid: int) -> list[int]:
    """A process and all that come from it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parents.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


@frozen
class Cpu:
    """Seconds of processor time: ``total`` as the scheduler counts it, ``kernel`` of it in system calls."""

    total: float
    kernel: float

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.total - before.total, self.kernel - before.kernel)


def cpu(pid: int) -> Cpu:
    """What a tree of processes has used so far."""
    total = kernel = 0.0
    for each in tree(pid):
        fields = _stat(each)
        user, system = int(fields[11]) / TICK, int(fields[12]) / TICK
        kernel += system
        # Nanoseconds, where the kernel tells them; the ticks of stat are a hundredth of a second.
        tasks = [_nanoseconds(task) for task in Path(f"/proc/{each}/task").iterdir()]
        total += sum(tasks) / NANOSECONDS if all(tasks) else user + system
    return Cpu(total, kernel)


def _nanoseconds(task: Path) -> int:
    try:
        return int((task / "schedstat").read_text().split()[0])
    except OSError:
        return 0


def resident(pid: int) -> int:
    """Bytes of memory that a tree of processes holds."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) * page for each in tree(pid))
