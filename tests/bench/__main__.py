"""``python -m tests.bench``: see ``--help`` and docs/performance."""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import machine, plot, report
from .contenders import CONTENDERS, OURS, PEERS
from .runner import compare
from .scenarios import SCENARIOS
from .seams import Contender, Table

REFERENCE = "portforward"


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="What a unit of work costs a proxy.")
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], metavar="SCENARIO", help="see --list")
    parser.add_argument("--all", action="store_true", help="every scenario")
    parser.add_argument("--list", action="store_true", help="say which scenarios there are")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender (3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a turn is (5)")
    parser.add_argument("--only", metavar="NAMES", default="", help="only these contenders, with commas between")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY", help="write a picture of each scenario there")
    chosen = parser.parse_args(given)
    if chosen.rounds < 1 or chosen.seconds < 1:
        parser.error("at least one round of one second")
    if not (chosen.all or chosen.list or chosen.scenario):
        parser.error("name a scenario, or say --all or --list")
    return chosen


def _contenders(names: str) -> list[Contender]:
    wanted = {name.strip().lower() for name in names.split(",") if name.strip()}
    known = {contender.name.lower() for contender in CONTENDERS}
    if wanted - known:
        sys.exit(f"no such contender: {', '.join(sorted(wanted - known))}; there are {', '.join(sorted(known))}")
    return [contender for contender in CONTENDERS if not wanted or contender.name.lower() in wanted]


def _leave(*_: object) -> None:
    # So that everything that was started is ended.
    sys.exit(1)


def main(given: Sequence[str]) -> int:
    """0 where everything named was measured at least once of ours."""
    chosen = _arguments(given)
    if chosen.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:15}{scenario.title}")
        return 0
    signal.signal(signal.SIGTERM, _leave)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    contenders = _contenders(chosen.only)
    facts = machine.facts(contenders)
    facts["rounds"] = f"{chosen.rounds} of {chosen.seconds:g} s"
    began, stolen = time.monotonic(), machine.stolen()
    tables = []
    for name in SCENARIOS if chosen.all else dict.fromkeys(chosen.scenario):
        table = compare(SCENARIOS[name], contenders, chosen.rounds, chosen.seconds, _say)
        print(report.markdown(table, PEERS), flush=True)
        tables.append(table)
    took = time.monotonic() - began
    share = (machine.stolen() - stolen) / took / (os.cpu_count() or 1) * 100
    facts["noise"] = f"the host kept {share:.1f} % of processor time; load after {os.getloadavg()[0]:.2f}"
    facts["took"] = f"{took:.0f} s"
    overview = report.overview(tables, OURS, REFERENCE, PEERS)
    print(overview)
    if chosen.json:
        chosen.json.write_text(json.dumps(report.as_json(tables, facts, PEERS), indent=1) + "\n")
    if chosen.plots:
        _draw(tables, chosen.plots)
    if chosen.markdown:
        parts = [report.facts_list(facts), overview, *(report.markdown(table, PEERS) for table in tables)]
        chosen.markdown.write_text("\n".join(parts))
    return 0 if all(row.samples for table in tables for row in table.rows if row.contender == OURS) else 1


def _draw(tables: Sequence[Table], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for table in tables:
        picture = plot.svg(table, OURS)
        if picture is not None:
            (directory / f"{table.scenario}.svg").write_text(picture)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
