"""What a session is hashed by."""

from __future__ import annotations

from collections.abc import Callable

from streamproxy.model import HashKey

from .variables import expand


def hash_text(key: HashKey, lookup: Callable[[str], str | None], otherwise: str) -> str:
    """
    The text that ``key`` stands for, by what ``lookup`` says of variables; ``otherwise`` where the session has none of
    them.
    """
    if not key.combined:
        return lookup(key.text) or otherwise
    text, found = expand(key.text, lookup)
    return text if found else otherwise
