"""What every way of choosing a node has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from .member import Candidate

Free: TypeAlias = Callable[[Candidate], bool]
"""May this one be taken?"""


class Choice(Protocol):
    """Chooses among the nodes of one priority, none of them with a weight of 0."""

    def pick(self, free: Free, key: str, now: float) -> Candidate | None:
        """The one to take, ``None`` when no candidate is ``free``. ``now`` in seconds, monotonic."""
        ...
