"""Who may come in: lists of networks, compiled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from attrs import frozen

from streamproxy.model import Access

from .networkset import NetworkSet

# Who is let in by what; ``None`` where there is no such list.
_Lists: TypeAlias = "tuple[NetworkSet | None, NetworkSet | None]"


@frozen(eq=False)
class Guard:
    """Stands where everybody has to be let in by every one of some :class:`~streamproxy.model.Access`."""

    _lists: tuple[_Lists, ...]

    @classmethod
    def of(cls, accesses: Sequence[Access]) -> Guard | None:
        """``None`` where everybody may come in."""
        lists = tuple(_lists(access) for access in accesses if access.allow or access.deny)
        return cls(lists) if lists else None

    def admits(self, host: str) -> bool:
        """May a client from the IP literal ``host``? Other text is in no network."""
        for allow, deny in self._lists:
            if deny is not None and host in deny:
                return False
            if allow is not None and host not in allow:
                return False
        return True


@lru_cache(maxsize=256)
def _lists(access: Access) -> _Lists:
    allow, deny = (NetworkSet.of(networks) if networks else None for networks in (access.allow, access.deny))
    return allow, deny
