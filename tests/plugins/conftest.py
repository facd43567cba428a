"""What the tests that need sockets share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .turning import Turning


@pytest.fixture
def turning() -> Iterator[Turning]:
    made = Turning()
    yield made
    made.close()
