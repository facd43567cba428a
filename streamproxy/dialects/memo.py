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
        known = self._known.get(id(item))
        if known is not None:
            return known[1]
        value = self._function(item)
        self._keep(item, value)
        return value

    def adopt(self, item: K, like: K) -> None:
        """For ``item`` the function would answer what it did for ``like``, where it was asked for that."""
        known = self._known.get(id(like))
        if known is not None:
            self._keep(item, known[1])

    def _keep(self, item: K, value: V) -> None:
        identity = id(item)
        self._known[identity] = (weakref.ref(item, lambda _: self._known.pop(identity, None)), value)

    def __len__(self) -> int:
        return len(self._known)
