"""Text from strangers, for logs."""

from __future__ import annotations

MOST_SHOWN = 200
"""Characters of one text."""


def printable(text: str) -> str:
    """``text`` on one line and cut to a bounded length; escaped as in Python unless it is printable ASCII."""
    shown = text[:MOST_SHOWN]
    if not (shown.isascii() and shown.isprintable()):
        shown = shown.encode("unicode_escape").decode("ascii")
    return shown if len(text) <= MOST_SHOWN else f"{shown}..."
