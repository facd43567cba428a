"""Numbers from rounds, and tables from numbers. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from attrs import asdict, frozen

from .seams import Row, Sample, Table

_COLUMNS = ("of it in the kernel", "to the best peer", "p50 ms", "p99 ms")
_NOTHING = "-"


@frozen
class Summary:
    """
    Medians of a row's rounds. ``low`` and ``high``: the cheapest and the dearest round; ``ratio``: the cost over that
    of the best peer in the same variant, None where there is none. ``errors`` are those of all rounds.
    """

    cost: float | None
    low: float | None
    high: float | None
    kernel: float | None
    ratio: float | None
    rate: float
    p50: float | None
    p99: float | None
    errors: int


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _costs(samples: Iterable[Sample]) -> list[float]:
    return [sample.cost for sample in samples if sample.cost is not None]


def best_peer(table: Table, variant: str, peers: Collection[str]) -> float | None:
    """The lowest median cost of a peer in this variant."""
    rows = [row for row in table.rows if row.variant == variant and row.contender in peers]
    return min((cost for row in rows if (cost := _median(_costs(row.samples))) is not None), default=None)


def summarize(row: Row, best: float | None) -> Summary | None:
    """What the rounds of a row come to; None where there was no round."""
    if not row.samples:
        return None
    costs = _costs(row.samples)
    cost = _median(costs)
    return Summary(
        cost=cost,
        low=min(costs, default=None),
        high=max(costs, default=None),
        kernel=_median(sample.kernel for sample in row.samples),
        ratio=cost / best if cost is not None and best else None,
        rate=statistics.median(sample.rate for sample in row.samples),
        p50=_median(sample.p50 for sample in row.samples),
        p99=_median(sample.p99 for sample in row.samples),
        errors=sum(sample.errors for sample in row.samples),
    )


def number(value: float | None, suffix: str = "") -> str:
    """Three digits that count, without an exponent."""
    if value is None:
        return _NOTHING
    if abs(value) >= 100:
        return f"{value:,.0f}{suffix}"
    return f"{value:#.3g}".rstrip(".") + suffix if value else f"0{suffix}"


def _cells(row: Row, best: float | None) -> list[str]:
    summary = summarize(row, best)
    if summary is None:
        return [row.label, "n/a", *[""] * (len(_COLUMNS) + 2)]
    spread = _NOTHING if summary.cost is None else f"{number(summary.low)} to {number(summary.high)}"
    return [
        row.label,
        number(summary.cost),
        spread,
        number(None if summary.kernel is None else summary.kernel * 100, " %"),
        _NOTHING if summary.ratio is None else f"{summary.ratio:.2f} x",
        number(summary.p50),
        number(summary.p99),
        number(summary.rate),
    ]


def _notes(row: Row) -> Iterable[str]:
    reason = "" if row.samples else "n/a: "
    if row.remark:
        yield f"* {row.label}: {row.remark}"
    for trouble in row.troubles:
        yield f"* {row.label}: {reason}{trouble}"
    errors = sum(sample.errors for sample in row.samples)
    if errors:
        yield f"* {row.label}: {errors} failed in all rounds together"


def markdown(table: Table, peers: Collection[str]) -> str:
    """A heading, the table, and a line for everything that was not as it should be."""
    head = ["", table.cost, "min to max", *_COLUMNS, table.rate]
    lines = [f"### {table.title} (`{table.scenario}`)", "", _line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    lines += [_line(_cells(row, best_peer(table, row.variant, peers))) for row in table.rows]
    notes = [note for row in table.rows for note in _notes(row)]
    return "\n".join([*lines, "", *notes, *([""] if notes else [])])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def overview(tables: Iterable[Table], ours: str, reference: str, peers: Collection[str]) -> str:
    """One line a scenario: what we cost, what the best peer costs, and what the reference does."""
    lines = [_line(["scenario", "unit", ours, "best peer", "ratio", reference]), "|---|---|---:|---:|---:|---:|"]
    for table in tables:
        for row in table.rows:
            if row.contender != ours:
                continue
            best = best_peer(table, row.variant, peers)
            mine = summarize(row, best)
            others = [other for other in table.rows if other.contender == reference and other.variant == row.variant]
            theirs = summarize(others[0], None) if others else None
            ratio = None if mine is None else mine.ratio
            lines.append(
                _line(
                    [
                        f"{table.scenario}, {row.variant}" if row.variant else table.scenario,
                        table.cost,
                        "n/a" if mine is None else number(mine.cost),
                        number(best),
                        _NOTHING if ratio is None else f"{ratio:.2f} x",
                        number(None if theirs is None else theirs.cost),
                    ]
                )
            )
    return "\n".join(lines) + "\n"


def facts_list(facts: Mapping[str, str]) -> str:
    return "".join(f"* {name}: {value}\n" for name, value in facts.items())


def as_json(tables: Iterable[Table], facts: Mapping[str, str], peers: Collection[str]) -> dict[str, Any]:
    """Everything, every round included."""
    return {
        "machine": dict(facts),
        "scenarios": [
            {
                **{name: value for name, value in asdict(table, recurse=False).items() if name != "rows"},
                "rows": [
                    {
                        **asdict(row),
                        "summary": None if (summary := summarize(row, best)) is None else asdict(summary),
                    }
                    for row in table.rows
                    for best in (best_peer(table, row.variant, peers),)
                ],
            }
            for table in tables
        ],
    }
