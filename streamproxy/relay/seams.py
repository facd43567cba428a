"""What the data path wants of a reactor: no more than Twisted's POSIX reactors give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall


class Reactor(Protocol):
    """An ``IReactorFDSet`` with ``IReactorTime``; descriptors need not declare interfaces."""

    def addReader(self, reader: Any) -> None: ...

    def removeReader(self, reader: Any) -> None: ...

    def addWriter(self, writer: Any) -> None: ...

    def removeWriter(self, writer: Any) -> None: ...

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> IDelayedCall: ...  # noqa: A002

    def seconds(self) -> float: ...
