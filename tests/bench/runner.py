"""Rounds: every contender has its turn before any has its next."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from attrs import define, field

from .processes import program
from .seams import Contender, Job, Row, Running, Sample, Scenario, Table, Tls, ToolFailed, Unavailable
from .tools import negotiated

Say = Callable[[str], None]
# Seconds of load that nobody counts, before the first round.
_WARM_UP = 1.0
# What may go wrong with a contender or a tool. The others go on.
_TROUBLE = (ToolFailed, Unavailable, OSError, ValueError, KeyError, AssertionError)


@define
class _Entrant:
    contender: Contender
    variant: str
    job: Job
    directory: Path
    running: Running | None = None
    samples: list[Sample] = field(factory=list)
    troubles: list[str] = field(factory=list)
    remark: str = ""

    def row(self) -> Row:
        return Row(
            self.contender.name, self.variant, tuple(self.samples), tuple(dict.fromkeys(self.troubles)), self.remark
        )


def compare(scenario: Scenario, contenders: Iterable[Contender], rounds: int, seconds: float, say: Say) -> Table:
    """Run a scenario. Whoever cannot take part has a row that says why; so has everybody where a tool is not there."""
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamproxy-bench-")))
        try:
            for name in scenario.programs:
                program(name)
            jobs = stack.enter_context(scenario.jobs(place))
        except _TROUBLE as error:
            return _table(scenario, [Row(contender.name, troubles=(_text(error),)) for contender in contenders])
        entrants = [
            _Entrant(contender, variant, job, place / f"{number}-{contender.name.strip('()').replace(' ', '-')}-{turn}")
            for turn, (variant, job) in enumerate(jobs.items())
            for number, contender in enumerate(contenders)
        ]
        ready = [entrant for entrant in entrants if _admit(entrant)]
        if not scenario.fresh:
            ready = [entrant for entrant in ready if _start(entrant, stack, entrant.directory)]
            ready = [entrant for entrant in ready if _measure(scenario, entrant, min(seconds, _WARM_UP), counts=False)]
        for turn in range(rounds):
            # Nobody is always first.
            first = turn % max(1, len(ready))
            for entrant in ready[first:] + ready[:first]:
                _round(scenario, entrant, turn, seconds)
                said = f"{entrant.samples[-1].cost or 0:.4g} {scenario.cost}" if entrant.samples else "failed"
                say(f"{scenario.name}, round {turn + 1}: {entrant.row().label}: {said}")
        return _table(scenario, [entrant.row() for entrant in entrants])


def _table(scenario: Scenario, rows: Iterable[Row]) -> Table:
    return Table(scenario.name, scenario.title, scenario.cost, scenario.rate, tuple(rows))


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) if isinstance(error, ToolFailed | Unavailable) else f"{error!r}"


def _admit(entrant: _Entrant) -> bool:
    if entrant.contender.version() is None:
        entrant.troubles.append("is not installed")
    elif why := entrant.contender.refusal(entrant.job):
        entrant.troubles.append(why)
    return not entrant.troubles


def _start(entrant: _Entrant, stack: contextlib.ExitStack, directory: Path) -> bool:
    try:
        directory.mkdir()
        entrant.running = stack.enter_context(entrant.contender.start(entrant.job, directory))
        if entrant.job.tls is Tls.TERMINATE:
            # Whoever chooses a cheaper cipher has less to do.
            entrant.remark = negotiated(entrant.running.port, directory)
    except _TROUBLE as error:
        entrant.troubles.append(_text(error))
        return False
    return True


def _measure(scenario: Scenario, entrant: _Entrant, seconds: float, *, counts: bool = True) -> bool:
    if entrant.running is None:
        return False
    try:
        sample = scenario.measure(entrant.running, seconds, entrant.directory)
    except _TROUBLE as error:
        entrant.troubles.append(_text(error))
        return False
    if counts:
        entrant.samples.append(sample)
    return True


def _round(scenario: Scenario, entrant: _Entrant, turn: int, seconds: float) -> None:
    if not scenario.fresh:
        _measure(scenario, entrant, seconds)
        return
    with contextlib.ExitStack() as stack:
        if _start(entrant, stack, entrant.directory.with_name(f"{entrant.directory.name}-{turn}")):
            entrant.directory.mkdir(exist_ok=True)
            _measure(scenario, entrant, seconds)
