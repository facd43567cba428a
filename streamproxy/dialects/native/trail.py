"""Where a value stands, kept as steps until somebody asks: of a million values few have a problem to report."""

from __future__ import annotations

from typing import TypeAlias

from ..codec import member

Trail: TypeAlias = tuple["Trail", str | int] | None
"""The way to the value that holds this one, and the key or index that leads on from there; ``None`` at the top."""


def path_of(trail: Trail) -> str:
    """The path to write (``rules[0].targets[1].port``)."""
    steps: list[str | int] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    path = ""
    for step in reversed(steps):
        path = f"{path}[{step}]" if isinstance(step, int) else member(path, step)
    return path
