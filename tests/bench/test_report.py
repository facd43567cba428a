"""What is made of the rounds. Nothing here measures anything."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from .report import as_json, best_peer, markdown, number, overview, summarize
from .seams import Row, Sample, Table

PEERS = ("nginx", "HAProxy")


def row(contender: str, *costs: float, variant: str = "", rate: float = 10.0) -> Row:
    return Row(contender, variant, tuple(Sample(cost, rate) for cost in costs))


def table(*rows: Row) -> Table:
    return Table("connect", "Connections", "us per connection", "connections/s", rows)


def line_of(text: str, label: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_comes_to_the_median_of_its_rounds() -> None:
    samples = (
        Sample(300.0, 1000.0, 0.5, 2.0, 9.0, 1),
        Sample(100.0, 3000.0, 0.7, 1.0, None, 0),
        Sample(140.0, 2000.0, None, 3.0, 5.0, 2),
    )
    summary = summarize(Row("streamproxy", samples=samples), 70.0)
    assert summary is not None
    assert (summary.cost, summary.low, summary.high) == (140.0, 100.0, 300.0)
    assert summary.ratio == 2.0
    assert (summary.rate, summary.kernel) == (2000.0, 0.6)
    assert (summary.p50, summary.p99) == (2.0, 7.0), "a round that does not know a latency does not count as zero"
    assert summary.errors == 3


def test_a_row_without_rounds_comes_to_nothing() -> None:
    assert summarize(Row("Envoy", troubles=("is not installed",)), 70.0) is None


def test_without_a_proxy_there_is_a_rate_and_no_cost() -> None:
    summary = summarize(Row("(no proxy)", samples=(Sample(None, 9.0),)), 70.0)
    assert summary is not None
    assert (summary.cost, summary.low, summary.ratio, summary.rate) == (None, None, None, 9.0)


def test_the_best_peer_is_the_cheapest_median_and_neither_us_nor_the_reference() -> None:
    compared = table(row("streamproxy", 1), row("portforward", 2), row("nginx", 9, 50, 60), row("HAProxy", 40, 40, 40))
    assert best_peer(compared, "", PEERS) == 40.0


def test_variants_are_compared_with_their_like() -> None:
    compared = table(
        row("streamproxy", 30),
        row("nginx", 10),
        row("streamproxy", 60, variant="access log"),
        row("nginx", 40, variant="access log"),
    )
    assert best_peer(compared, "", PEERS) == 10.0
    assert best_peer(compared, "access log", PEERS) == 40.0
    assert line_of(markdown(compared, PEERS), "streamproxy, access log")[4] == "1.50 x"
    assert "| connect, access log | us per connection | 60.0 | 40.0 | 1.50 x | - |" in overview(
        [compared], "streamproxy", "portforward", PEERS
    )


def test_no_peer_means_no_ratio() -> None:
    compared = table(row("streamproxy", 30), Row("nginx", troubles=("is not installed",)))
    assert best_peer(compared, "", PEERS) is None
    assert line_of(markdown(compared, PEERS), "streamproxy")[4] == "-"


def test_who_could_not_take_part_is_named_with_the_reason() -> None:
    text = markdown(table(row("nginx", 3), Row("HAProxy", troubles=("proxies no UDP",))), PEERS)
    assert line_of(text, "HAProxy")[1] == "n/a"
    assert "* HAProxy: n/a: proxies no UDP" in text


def test_a_round_that_failed_is_told_beside_those_that_did_not() -> None:
    text = markdown(table(evolve(row("nginx", 3), troubles=("wrk ended with status 1: oh",))), PEERS)
    assert line_of(text, "nginx")[1] == "3.00"
    assert "* nginx: wrk ended with status 1: oh" in text


def test_a_remark_is_told() -> None:
    assert "* nginx: TLSv1.3" in markdown(table(evolve(row("nginx", 3), remark="TLSv1.3")), PEERS)


def test_failed_units_are_told() -> None:
    text = markdown(table(Row("nginx", samples=(Sample(3.0, 9.0, errors=2), Sample(3.0, 9.0, errors=1)))), PEERS)
    assert "* nginx: 3 failed in all rounds together" in text


def test_every_line_of_a_table_has_as_many_cells_as_its_head() -> None:
    text = markdown(
        table(row("nginx", 3), Row("Envoy", troubles=("why",)), Row("d", samples=(Sample(None, 1),))), PEERS
    )
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_the_overview_has_ours_the_best_peer_and_the_reference() -> None:
    compared = table(row("streamproxy", 200), row("nginx", 100), row("portforward", 500))
    text = overview([compared], "streamproxy", "portforward", PEERS)
    assert "| connect | us per connection | 200 | 100 | 2.00 x | 500 |" in text
    failed = overview([table(Row("streamproxy", troubles=("no",)))], "streamproxy", "portforward", PEERS)
    assert "| connect | us per connection | n/a | - | - | - |" in failed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (0.0123456, "0.0123"),
        (1.0, "1.00"),
        (12.345, "12.3"),
        (99.99, "100"),
        (123.4, "123"),
        (45678.9, "45,679"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float | None, text: str) -> None:
    assert number(value) == text


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=9), st.floats(0.001, 1e6))
def test_a_summary_lies_within_its_rounds(costs: list[float], best: float) -> None:
    summary = summarize(row("streamproxy", *costs), best)
    assert summary is not None
    assert summary.cost is not None
    assert summary.ratio is not None
    assert min(costs) == summary.low
    assert max(costs) == summary.high
    assert min(costs) <= summary.cost <= max(costs)
    assert summary.ratio * best == pytest.approx(summary.cost)


def test_the_json_has_every_round_and_the_machine() -> None:
    compared = table(row("streamproxy", 20, 30, 40), row("nginx", 10), Row("Envoy", troubles=("is not installed",)))
    found = json.loads(json.dumps(as_json([compared], {"kernel": "Linux"}, PEERS)))
    assert found["machine"] == {"kernel": "Linux"}
    (scenario,) = found["scenarios"]
    assert scenario["scenario"] == "connect"
    ours, _, envoy = scenario["rows"]
    assert [sample["cost"] for sample in ours["samples"]] == [20, 30, 40]
    assert ours["summary"]["ratio"] == 3.0
    assert envoy == {
        "contender": "Envoy",
        "variant": "",
        "samples": [],
        "troubles": ["is not installed"],
        "remark": "",
        "summary": None,
    }
