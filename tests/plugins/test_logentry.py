"""What a log says of a session."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.plugins.logentry import MOST_NESTED, compile_entry

SESSION = {"remote_addr": "192.0.2.1", "remote_port": "5", "empty": ""}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"ip": "$remote_addr"}, {"ip": "192.0.2.1"}),
        ({"ip": "${remote_addr}"}, {"ip": "192.0.2.1"}),
        ({"ip": "$remote_addr:$remote_port"}, {"ip": "192.0.2.1:5"}),
        ({"ip": "from $nowhere"}, {"ip": "from "}),
        ({"gone": "$nowhere", "here": "$remote_port"}, {"here": "5"}),
        ({"empty": "$empty"}, {"empty": ""}),
        (
            {"text": "plain", "number": 5, "flag": True, "price": "$"},
            {"text": "plain", "number": 5, "flag": True, "price": "$"},
        ),
        ({"a": {"b": "$remote_port", "c": "$no"}, "d": ["$remote_port", 1]}, {"a": {"b": "5"}, "d": ["5", 1]}),
        ({"nothing": None}, {}),
        ({}, {}),
    ],
)
def test_variables_are_replaced(written: dict[str, Any], said: dict[str, Any]) -> None:
    assert compile_entry(written)(SESSION.get) == said


def test_it_is_nested_so_deep_and_no_deeper() -> None:
    written: dict[str, Any] = {"ip": "$remote_addr"}
    for _ in range(MOST_NESTED - 1):
        written = {"inner": written}
    compile_entry(written)
    for outer in ({"inner": written}, {"inner": [written]}):
        with pytest.raises(ValueError, match="nested more than"):
            compile_entry(outer)


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["$remote_addr", "${", "$a$b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(st.dictionaries(st.text(max_size=3), values, max_size=4))
def test_whatever_is_written_is_an_entry_or_refused(written: dict[str, Any]) -> None:
    try:
        entry = compile_entry(written)
    except ValueError:
        return
    assert set(entry(SESSION.get)) <= set(written)
