"""What the tests of balancing make."""

from __future__ import annotations

from collections.abc import Collection

from attrs import define, field

from streamproxy.balance import Means
from streamproxy.balance.choice import Free
from streamproxy.balance.member import Candidate, Member
from streamproxy.model import Node


def nodes(*weights: int) -> list[Node]:
    return [Node(f"n{number}", 1, weight=weight) for number, weight in enumerate(weights)]


def candidates(*weights: int, slow_start: float = 0.0) -> list[Candidate]:
    return [Candidate(node, Member.of(node), slow_start) for node in nodes(*weights)]


def anyone(candidate: Candidate) -> bool:
    return True


def without(*taken: Candidate) -> Free:
    others: Collection[Candidate] = taken
    return lambda candidate: candidate not in others


@define
class World:
    """A clock, a die that shows what it is told, and a log."""

    now: float = 0.0
    dice: list[float] = field(factory=list)
    lines: list[tuple[str, str]] = field(factory=list)

    @property
    def means(self) -> Means:
        return Means(lambda: self.now, self._roll, lambda level, text: self.lines.append((level, text)))

    def _roll(self) -> float:
        return self.dice.pop(0) if self.dice else 0.0

    def said(self, level: str) -> list[str]:
        return [text for each, text in self.lines if each == level]
