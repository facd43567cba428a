"""Results that live as long as what they were made of."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memo(Generic[K, V]):
    """
    ``function``, asked once for each object. For frozen objects: an equal one is another one, since in Python
    ``True == 1``, which no document means. Holds nothing alive, so it is as large as what is in use.
    """

    def __init__(self, function: Callable[[K], V]) -> None:
        self._function = function
        self._known: dict[int, tuple[weakref.ref[K], V]] = {}

    def __call__(self, item: K) -> V:
        identity = id(item)
        known = self._known.get(identity)
        if known is not None:
            return known[1]
        value = self._function(item)
        self._known[identity] = (weakref.ref(item, lambda _: self._known.pop(identity, None)), value)
        return value

    def __len__(self) -> int:
        return len(self._known)
