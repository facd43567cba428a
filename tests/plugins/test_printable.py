"""Text from strangers, for logs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.plugins.printable import MOST_SHOWN, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain text", "plain text"),
        ("a\nb\x1b[31m", r"a\nb\x1b[31m"),
        ("é\ud800\U0001f600", r"\xe9\ud800\U0001f600"),
        ("x" * MOST_SHOWN, "x" * MOST_SHOWN),
        ("x" * (MOST_SHOWN + 1), "x" * MOST_SHOWN + "..."),
    ],
)
def test_it_is_one_line_of_ascii(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_always(text: str) -> None:
    shown = printable(text)
    assert shown.isascii()
    assert shown.isprintable()
