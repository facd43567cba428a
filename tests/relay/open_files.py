"""Which descriptors the test's process has open."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path


def open_files() -> frozenset[tuple[str, str]]:
    """Each descriptor with what it is open to: a number that is used again is another one."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        # The one that reads the directory is closed again.
        with contextlib.suppress(FileNotFoundError):
            found.add((link.name, str(link.readlink())))
    return frozenset(found)


@contextlib.contextmanager
def none_left_open() -> Iterator[None]:
    """Fails where more is open at the end than at the beginning. The collector may close what earlier tests left."""
    before = open_files()
    yield
    left = open_files() - before
    if left:
        # Only now, as collecting takes long among thousands of tests.
        gc.collect()
        left = open_files() - before
    assert not left, f"descriptors leaked: {sorted(left)}"
