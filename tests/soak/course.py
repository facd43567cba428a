"""What was measured in a soak, what it says, and how it looks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

# The first part of a run, in which pools, caches and allocators fill.
WARM_UP = 0.3
# Memory may end so much above what it was after the warm-up: a part of it, and bytes.
GROWTH = 0.08
SLACK = 8 << 20
# Descriptors come and go with sessions; their median may move by so many.
DESCRIPTORS = 8

_WIDTH, _HEIGHT, _MARGIN = 760, 180, 46
_TEXT = 'font-family="sans-serif" font-size="12" role="img"'


@frozen
class Sample:
    """``seconds`` since the beginning, resident ``memory`` in bytes, open ``files``."""

    seconds: float
    memory: int
    files: int


def verdict(samples: Sequence[Sample]) -> list[str]:
    """What is wrong with the course of a run; nothing, if it is flat."""
    warm = samples[int(len(samples) * WARM_UP) :]
    if len(warm) < 4:
        return ["too short a run to say anything"]
    part = max(len(warm) // 4, 1)
    first, last = warm[:part], warm[-part:]
    found = []
    before, after = _median([each.memory for each in first]), _median([each.memory for each in last])
    if after > before * (1 + GROWTH) + SLACK:
        found.append(f"memory went from {before / 1e6:.1f} to {after / 1e6:.1f} MB")
    before, after = _median([each.files for each in first]), _median([each.files for each in last])
    if after > before + DESCRIPTORS:
        found.append(f"descriptors went from {before:g} to {after:g}")
    return found


def _median(numbers: Sequence[int]) -> float:
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    return float(ordered[middle]) if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def svg(samples: Sequence[Sample], title: str) -> str:
    """Memory and descriptors over time."""
    charts = [
        _chart([(each.seconds / 60, each.memory / 1e6) for each in samples], "resident memory, MB", 0),
        _chart([(each.seconds / 60, float(each.files)) for each in samples], "open descriptors", _HEIGHT),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {2 * _HEIGHT + 30}" {_TEXT}>',
            f"<title>{title}</title>",
            f'<rect width="{_WIDTH}" height="{2 * _HEIGHT + 30}" fill="#ffffff"/>',
            f'<text x="10" y="18" font-weight="bold">{title}</text>',
            *charts,
            "</svg>",
            "",
        ]
    )


def _chart(points: Sequence[tuple[float, float]], name: str, top: int) -> str:
    last = max(points[-1][0], 1e-9)
    most = max(value for _, value in points) * 1.1 or 1.0
    left, bottom, wide, high = _MARGIN, top + _HEIGHT, _WIDTH - 2 * _MARGIN, _HEIGHT - 40
    line = " ".join(f"{left + x / last * wide:.1f},{bottom - y / most * high:.1f}" for x, y in points)
    return "\n".join(
        [
            f'<text x="{left}" y="{top + 34}" fill="#5a646e">{name}</text>',
            f'<path d="M{left} {bottom - high}V{bottom}H{left + wide}" fill="none" stroke="#b4bdc6"/>',
            f'<text x="{left - 6}" y="{bottom - high + 4:.1f}" text-anchor="end">{most:.0f}</text>',
            f'<text x="{left - 6}" y="{bottom}" text-anchor="end">0</text>',
            f'<text x="{left + wide}" y="{bottom + 14}" text-anchor="end">{last:.1f} min</text>',
            f'<polyline points="{line}" fill="none" stroke="#2f6fab" stroke-width="1.5"/>',
        ]
    )
