from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.admin.apisix_answer import ApisixError
from streamproxy.admin.apisix_patch import merged, replaced

from .api import patient

KEYS = st.text("ab/", max_size=3)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)
OBJECTS: st.SearchStrategy[Any] = st.dictionaries(KEYS, JSON, max_size=3)


@pytest.mark.parametrize(
    ("value", "patch", "result"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3}),
        ({"a": 1}, {"a": None, "b": None}, {}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": None, "z": 3}}, {"a": {"x": 1, "z": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": [1]}, {"a": [1]}),
        ({"a": [1]}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 1}}),
        ({}, {"a": {"b": {"c": None, "d": 1}}}, {"a": {"b": {"d": 1}}}),
    ],
)
def test_objects_are_merged(value: Any, patch: Any, result: Any) -> None:
    assert merged(value, patch) == result


@patient
@given(OBJECTS, OBJECTS)
def test_nothing_is_changed_in_place_and_twice_is_once(value: Any, patch: Any) -> None:
    before = copy.deepcopy((value, patch))
    once = merged(value, patch)
    assert (value, patch) == before
    assert merged(once, patch) == once


@pytest.mark.parametrize(
    ("value", "path", "new", "result"),
    [
        ({"a": 1}, "a", {"b": 2}, {"a": {"b": 2}}),
        ({"a": {"b": 1}}, "a", {"c": 2}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, "a/b", None, {"a": {}}),
        ({}, "a/b/c", [1], {"a": {"b": {"c": [1]}}}),
        ({}, "a", None, {}),
        ({"nodes": {"127.0.0.1:80": 1}}, "nodes/127.0.0.1:80", 5, {"nodes": {"127.0.0.1:80": 5}}),
    ],
)
def test_what_is_at_a_path_is_replaced(value: Any, path: str, new: Any, result: Any) -> None:
    assert replaced(value, path, new) == result


@pytest.mark.parametrize(
    ("value", "path", "why"),
    [
        ({"a": 1}, "a/b", "invalid sub-path: /a"),
        ({"a": [1]}, "a/0", "invalid sub-path: /a"),
        ({"a": {"b": "x"}}, "a/b/c/d", "invalid sub-path: /a/b"),
        ({}, "a/" * 65, "invalid sub-path: /" + "a/" * 65),
        ({}, "/".join("a" * 60), "invalid configuration: nested more than 64 deep"),
    ],
)
def test_paths_that_lead_nowhere(value: Any, path: str, why: str) -> None:
    deep: Any = 1
    for _ in range(10):
        deep = {"x": deep}
    with pytest.raises(ApisixError) as caught:
        replaced(value, path, deep)
    assert caught.value.description == why


@patient
@given(OBJECTS, st.text("ab/", max_size=10), JSON)
def test_any_path_is_answered(value: Any, path: str, new: Any) -> None:
    before = copy.deepcopy(value)
    with suppress(ApisixError):
        assert isinstance(replaced(value, path, new), dict)
    assert value == before
