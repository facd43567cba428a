"""A short soak. ``SOAK_MINUTES`` makes it longer; ``python -m tests.soak`` is the whole."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

from tests.soak.course import Sample, svg, verdict
from tests.soak.traffic import Soak

MINUTES = float(os.environ.get("SOAK_MINUTES", "1"))


def test_memory_and_descriptors_are_flat_under_mixed_traffic(tmp_path: Path) -> None:
    soak = Soak(tmp_path)
    samples = soak.run(MINUTES * 60)
    assert not soak.failures, (soak.failures[:20], soak.proxy.output[-3000:])
    assert set(soak.done) == {"connects", "exchanges", "bulk", "reset", "datagrams", "write", "hang_up"}
    assert verdict(samples) == []


def course(memory: list[int], files: list[int]) -> list[Sample]:
    return [Sample(float(second), *each) for second, each in enumerate(zip(memory, files, strict=True))]


def test_what_grows_is_found() -> None:
    flat = [50 << 20] * 100
    steps = [(50 << 20) + number * (1 << 20) for number in range(100)]
    assert verdict(course(flat, [100] * 100)) == []
    assert verdict(course([1 << 20] * 20 + flat[:80], [10] * 20 + [100] * 80)) == [], "warming up is no leak"
    (memory,) = verdict(course(steps, [100] * 100))
    assert memory.startswith("memory went from")
    (files,) = verdict(course(flat, list(range(100, 200))))
    assert files.startswith("descriptors went from")
    assert verdict(course(flat[:3], [1, 1, 1])) == ["too short a run to say anything"]


def test_the_picture_is_one() -> None:
    ElementTree.fromstring(svg(course([1, 2, 3], [4, 5, 6]), "a run"))
