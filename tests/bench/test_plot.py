"""The pictures, read back as XML."""

from __future__ import annotations

from xml.etree import ElementTree

from .plot import svg
from .seams import Row, Sample, Table

SVG = "{http://www.w3.org/2000/svg}"


def table(*rows: Row) -> Table:
    return Table("connect", "Connections <&>", "us per connection", "connections/s", rows)


def row(name: str, *costs: float | None) -> Row:
    return Row(name, samples=tuple(Sample(cost, 1.0) for cost in costs))


def test_a_bar_is_as_long_as_its_cost() -> None:
    picture = svg(table(row("streamproxy", 20, 20, 40), row("nginx", 10), row("Envoy")), "streamproxy")
    assert picture is not None
    root = ElementTree.fromstring(picture)
    _, ours, nginx = root.iter(f"{SVG}rect")
    assert float(ours.attrib["width"]) == 2 * float(nginx.attrib["width"])
    assert ours.attrib["fill"] != nginx.attrib["fill"]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"Connections <&>", "streamproxy", "20.0", "nginx", "10.0"} <= set(texts)
    assert "Envoy" not in texts


def test_the_line_goes_from_the_best_round_to_the_worst() -> None:
    picture = svg(table(row("nginx", 10, 20, 40)), "streamproxy")
    assert picture is not None
    (path,) = ElementTree.fromstring(picture).iter(f"{SVG}path")
    start, _, end = path.attrib["d"].partition("H")
    assert (start, end) == ("M320.0 65.0", "650.0")


def test_nobody_with_a_cost_is_no_picture() -> None:
    assert svg(table(row("(no proxy)", None), row("Envoy")), "streamproxy") is None
