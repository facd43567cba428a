"""What the tests of explanations share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..relay.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A reactor whose clock the test moves."""
    loop = Loop()
    yield loop
    loop.close()
