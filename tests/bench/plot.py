"""A table as a picture: one bar a contender as long as its cost, the range of its rounds on it. Pure."""

from __future__ import annotations

from xml.sax.saxutils import escape

from .report import number, summarize
from .seams import Table

# Pixels.
_LABELS, _BARS, _NUMBERS, _LINE, _HEAD = 210, 440, 110, 26, 52
_OURS, _OTHERS, _RANGE = "#2f6fab", "#b4bdc6", "#20262c"
_TEXT = 'font-family="sans-serif" font-size="13" role="img"'


def svg(table: Table, ours: str) -> str | None:
    """The picture; None where nobody has a cost."""
    summaries = [(row, summarize(row, None)) for row in table.rows]
    bars = [
        (row, summary.cost, summary.low or 0.0, summary.high or 0.0)
        for row, summary in summaries
        if summary is not None and summary.cost is not None
    ]
    longest = max((high for _, _, _, high in bars), default=0.0)
    if longest <= 0:
        return None
    width, height = _LABELS + _BARS + _NUMBERS, _HEAD + _LINE * len(bars) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {_TEXT}>',
        f"<title>{escape(table.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="20" font-weight="bold">{escape(table.title)}</text>',
        f'<text x="10" y="38" fill="#5a646e">{escape(table.cost)}; less is better; lines: range of rounds</text>',
    ]
    for place, (row, cost, low, high) in enumerate(bars):
        top = _HEAD + _LINE * place
        middle = top + _LINE / 2
        color = _OURS if row.contender == ours else _OTHERS
        bar = f'width="{cost / longest * _BARS:.1f}" height="{_LINE - 8}" fill="{color}"'
        from_x, to_x = (_LABELS + value / longest * _BARS for value in (low, high))
        parts += [
            f'<text x="{_LABELS - 8}" y="{middle + 4:.1f}" text-anchor="end">{escape(row.label)}</text>',
            f'<rect x="{_LABELS}" y="{top + 4}" {bar}/>',
            f'<path d="M{from_x:.1f} {middle:.1f}H{to_x:.1f}" stroke="{_RANGE}" stroke-width="1.5"/>',
            f'<text x="{_LABELS + _BARS + 8}" y="{middle + 4:.1f}">{number(cost)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
