"""
``python -m tests.bench.workers``: how many more connections two processes carry than one. Each process may use only a
share of a processor (a control group sees to that, which takes root), so that wrk and the server are not the limit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from streamproxy import __version__
from tests.integration.harness import KEY, ROOT, rule, target, tcp_service

from . import origins
from .processes import a_port, started, tree
from .seams import HOST, ToolFailed, Unavailable
from .tools import wrk

CGROUPS = Path("/sys/fs/cgroup")
# Short, so that a process that has used up its share waits milliseconds.
PERIOD = 10_000


@frozen
class Share:
    """A control group of our own, whose processes have ``percent`` of one processor together."""

    directory: Path

    @classmethod
    def make(cls, name: str, percent: int) -> Share:
        """Raises :exc:`Unavailable` where that is not ours to decide."""
        quota = PERIOD * percent // 100
        first = (CGROUPS / "cpu" / "cpu.cfs_quota_us").parent
        is_first = first.is_dir()
        made = cls((first if is_first else CGROUPS) / f"streamproxy-bench-{name}")
        limits: Mapping[str, str] = (
            {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": str(quota)}
            if is_first
            else {"cpu.max": f"{quota} {PERIOD}"}
        )
        try:
            made.directory.mkdir()
            for file, text in limits.items():
                (made.directory / file).write_text(text)
        except OSError as error:
            made.remove()
            raise Unavailable(f"no control group can be made to share out processors: {error}") from error
        return made

    def take(self, pid: int) -> None:
        """This process is in it from now on."""
        (self.directory / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Nobody is in it any more."""
        with contextlib.suppress(OSError):
            self.directory.rmdir()


@contextlib.contextmanager
def proxy(directory: Path, workers: int, percent: int, to: int) -> Iterator[int]:
    """So many processes on one port, which is yielded, each with its own share."""
    directory.mkdir()
    port = a_port()
    service = tcp_service(id="bench", port=port, rules=[rule("*", target(to))])
    config = {
        "workers": workers,
        "admin": {"listen": f"{HOST}:{a_port()}", "keys": [{"name": "bench", "key": KEY, "role": "admin"}]},
        "store": {"type": "memory"},
        "limits": {"shutdown_timeout": "1s"},
        "resources": {"tcp_services": [service]},
    }
    path = directory / "streamproxy.json"
    path.write_text(json.dumps(config))
    twistd = Path(sys.executable).with_name("twistd")
    command: list[str | Path] = [twistd, "-n", "--pidfile=", "streamproxy", "--config", path]
    with contextlib.ExitStack() as stack:
        shares = [Share.make(f"{port}-{number}", percent) for number in range(workers)]
        for share in shares:
            stack.callback(share.remove)
        pid = stack.enter_context(started(command, directory, port, environment={"PYTHONPATH": str(ROOT)}))
        # All of them serve before any of them is measured.
        wrk(port, 2, directory, close=True)
        processes = tree(pid)
        if len(processes) != workers:
            raise ToolFailed(f"{workers} workers are {len(processes)} processes")
        for share, process in zip(shares, processes, strict=True):
            share.take(process)
        yield port


def measure(rounds: int, seconds: float, percent: int) -> dict[int, list[float]]:
    """Connections a second, by the number of workers, round by round."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="streamproxy-bench-") as name, contextlib.ExitStack() as stack:
        place = Path(name)
        web = stack.enter_context(origins.web(place))
        ports = {
            workers: stack.enter_context(proxy(place / f"workers{workers}", workers, percent, web.plain))
            for workers in rates
        }
        for turn in range(rounds):
            for workers in sorted(rates, reverse=bool(turn % 2)):
                load = wrk(ports[workers], seconds, place, close=True)
                rates[workers].append(load.units / (load.seconds or seconds))
                print(f"round {turn + 1}: {workers} workers: {rates[workers][-1]:.0f} connections/s", file=sys.stderr)
    return rates


def main(given: Sequence[str]) -> int:
    """0 where it was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a turn is (5)")
    parser.add_argument("--percent", type=int, default=25, help="of one processor that each process may use (25)")
    chosen = parser.parse_args(given)
    try:
        rates = measure(chosen.rounds, chosen.seconds, chosen.percent)
    except (Unavailable, ToolFailed) as error:
        print(error, file=sys.stderr)
        return 1
    one, two = (statistics.median(rates[workers]) for workers in (1, 2))
    print(f"streamproxy {__version__}, each process with {chosen.percent} % of a processor\n")
    print("| workers | connections/s | min to max |\n| ---: | ---: | ---: |")
    for workers, found in rates.items():
        print(f"| {workers} | {statistics.median(found):,.0f} | {min(found):,.0f} to {max(found):,.0f} |")
    print(f"\nTwo carry {two / one:.2f} x what one does.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
