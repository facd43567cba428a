"""What plain words of YAML mean."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.native.scalar import resolve

from .reading import patient


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("0", 0),
        ("-17", -17),
        ("+9100", 9100),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("0.25", 0.25),
        ("1e3", 1000.0),
        ("6.", 6.0),
    ],
)
def test_words_that_are_values(text: str, value: object) -> None:
    found = resolve(text)

    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "no", "on", "Off", "nUll", "tRUE"),
        *("0755", "00", "-01", "00.5", "1_000", "0x", "0b1", "0o8"),
        *("12:30", "127.0.0.1", "2001-01-01", "1.2.3", "1 000", "٣"),
        *(".inf", "-.INF", ".nan", "inf", "1e9999", ".", "+", "-", "e1"),
        *("9" * 20, "0x" + "f" * 16, "1" * 5000),
    ],
)
def test_words_that_are_text(text: str) -> None:
    assert resolve(text) == text


@patient
@given(st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none())
def test_what_json_writes_is_read_back(value: float | bool | None) -> None:
    assert resolve(json.dumps(value)) == value


@patient
@given(st.text() | st.from_regex(r"[-+0-9a-fxo._eE]{1,24}", fullmatch=True))
def test_everything_means_something_that_json_can_write(text: str) -> None:
    value = resolve(text)

    assert isinstance(value, (str, int, float)) or value is None
    assert not isinstance(value, float) or math.isfinite(value)
    assert not isinstance(value, str) or value == text
