"""Asking a running process to be replaced by a new one."""

from __future__ import annotations

from pathlib import Path

from ..errors import StoreError
from . import wire
from .estate import VERSION
from .handover import PATIENCE
from .wire import Wire, WireError


def upgrade(path: Path) -> int:
    """
    Have the process that answers at ``path`` start its successor, and wait until that serves; its process id. Raises
    ``StoreError``: the process that ran goes on.
    """
    # The process gives up by itself, and says why.
    seconds = PATIENCE + 10
    try:
        asked = Wire(wire.connect(path, seconds), seconds)
    except OSError as error:
        why = error.strerror or error
        raise StoreError(f"{path}: no running process can be asked there: {why}") from error
    try:
        asked.send({"want": "upgrade", "version": VERSION})
        body = asked.receive().body
    except (OSError, WireError) as error:
        raise StoreError(f"the running process does not answer: {error}") from error
    finally:
        asked.close()
    if "failed" in body:
        raise StoreError(str(body["failed"]))
    return int(body.get("upgraded", 0))
