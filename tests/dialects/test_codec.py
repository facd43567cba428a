from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.codec import MOST_PROBLEMS, MOST_SHOWN, Port, Via, bounded, kind_of, member, shown, structure
from streamproxy.errors import InvalidConfiguration, Problem

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = "Red"
    BLUE = "Blue"


def _even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value


def _no_twins(values: tuple[str, ...]) -> tuple[str, ...]:
    twins = [index for index, value in enumerate(values) if value in values[:index]]
    if twins:
        raise InvalidConfiguration(tuple(Problem(f"[{index}]", "conflict", "twice") for index in twins))
    return values


@frozen
class Inner:
    host: str
    port: Port = 80


@frozen
class Range:
    low: int
    high: int

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


@frozen
class Outer:
    name: str
    inners: tuple[Inner, ...] = ()
    inner: Inner | None = None
    colour: Colour = Colour.RED
    size: Literal["small", "large"] = "small"
    on: bool = field(default=False, alias="isOn")
    ratio: float = 1.0
    even: Annotated[int, Via(int, _even)] = 0
    words: Annotated[tuple[str, ...], Via(tuple[str, ...], _no_twins)] = ()
    labels: Mapping[str, str] = field(factory=dict)
    by_name: Mapping[str, Inner] = field(factory=dict)
    range: Range | None = None
    anything: Any = None


def _broken(value: int) -> int:
    return value // 0


@frozen
class Broken:
    field: Annotated[int, Via(int, _broken)]


def problems(value: object, **options: bool) -> set[tuple[str, str, str]]:
    result, found = structure(value, Outer, **options)
    assert result is None
    return {(problem.path, problem.code, problem.message) for problem in found}


def test_takes_what_is_right() -> None:
    value = {
        "name": "n",
        "inners": [{"host": "a"}, {"host": "b", "port": 65535}],
        "inner": {"host": "c"},
        "colour": "Blue",
        "size": "large",
        "isOn": True,
        "ratio": 2,
        "even": 4,
        "words": ["a", "b"],
        "labels": {"k": "v"},
        "by_name": {"x": {"host": "d"}},
        "range": {"low": 1, "high": 2},
        "anything": [{}],
    }
    outer = Outer(
        name="n",
        inners=(Inner("a"), Inner("b", 65535)),
        inner=Inner("c"),
        colour=Colour.BLUE,
        size="large",
        isOn=True,
        ratio=2.0,
        even=4,
        words=("a", "b"),
        labels={"k": "v"},
        by_name={"x": Inner("d")},
        range=Range(1, 2),
        anything=[{}],
    )
    assert structure(value, Outer, forbid_extra=True) == (outer, ())


def test_finds_every_problem_at_once_with_its_path() -> None:
    value = {
        "inners": [{"host": "a", "port": "80"}, {"port": 0}, {"host": 1, "port": True}],
        "inner": 5,
        "colour": "Green",
        "size": "medium",
        "isOn": 1,
        "ratio": "1",
        "even": 3,
        "words": ["a", "a"],
        "labels": {"a.b": None, 'q"': []},
        "by_name": {"x": {}},
        "range": {"low": 2, "high": 1},
    }
    assert problems(value) == {
        ("name", "missing", "is required"),
        ("inners[0].port", "wrong_type", "expected an integer, got a string"),
        ("inners[1].host", "missing", "is required"),
        ("inners[1].port", "bad_value", "expected 1 to 65535, got 0"),
        ("inners[2].host", "wrong_type", "expected a string, got an integer"),
        ("inners[2].port", "wrong_type", "expected an integer, got a boolean"),
        ("inner", "wrong_type", "expected an object, got an integer"),
        ("colour", "bad_value", 'expected one of Red, Blue, got "Green"'),
        ("size", "bad_value", 'expected one of small, large, got "medium"'),
        ("isOn", "wrong_type", "expected a boolean, got an integer"),
        ("ratio", "wrong_type", "expected a number, got a string"),
        ("even", "bad_value", "3 is odd"),
        ("words[1]", "conflict", "twice"),
        ('labels["a.b"]', "wrong_type", "expected a string, got null"),
        ('labels["q\\""]', "wrong_type", "expected a string, got a list"),
        ("by_name.x.host", "missing", "is required"),
        ("range", "bad_value", "low is above high"),
    }


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "expected an object, got a list"),
        ("text", "expected an object, got a string"),
        (None, "expected an object, got null"),
        ({"name": "n", "inners": {}}, "inners: expected a list, got an object"),
        ({"name": "n", "inners": "ab"}, "inners: expected a list, got a string"),
        ({"name": "n", "labels": []}, "labels: expected an object, got a list"),
        ({"name": "n", "labels": {1: "x"}}, "labels: expected strings for keys, got an integer"),
        ({"name": "n", "colour": 1}, "colour: expected a string, got an integer"),
        ({"name": "n", "ratio": True}, "ratio: expected a number, got a boolean"),
        ({"name": "n", "ratio": float("nan")}, "ratio: expected a finite number"),
        ({"name": "n", "ratio": float("inf")}, "ratio: expected a finite number"),
        ({"name": "n", "ratio": 10**400}, "ratio: expected a finite number"),
        ({"name": "n", "even": 2.0}, "even: expected an integer, got a number"),
        ({"name": "\ud800"}, "name: half of a surrogate pair is no text"),
        (
            {"name": "n", "labels": {"\udfff": "x"}},
            'labels: the key "\\\\udfff" holds half of a surrogate pair, which is no text',
        ),
        (
            {"name": "n", "inner": {"host": "h", "port": 10**5000}},
            "inner.port: expected 1 to 65535, got a far larger number",
        ),
    ],
)
def test_says_what_it_expected(value: object, problem: str) -> None:
    _, found = structure(value, Outer)
    assert [str(one) for one in found] == [problem]


def test_unknown_keys_are_ignored_or_refused_as_asked() -> None:
    value: dict[Any, Any] = {"name": "n", "inner": {"host": "h", "prot": 1}, "ison": True, 3: 4}
    assert structure(value, Outer) == (Outer("n", inner=Inner("h")), ())
    assert problems(value, forbid_extra=True) == {
        ("inner.prot", "unknown_key", "is not known here: did you mean port?"),
        ("ison", "unknown_key", "is not known here: did you mean isOn?"),
        ("3", "unknown_key", "is not known here"),
    }


def test_null_is_a_value_or_absent_as_asked() -> None:
    value: dict[str, Any] = {"name": "n", "ratio": None, "inners": [{"host": "h", "port": None}]}
    assert structure(value, Outer, null_is_absent=True) == (Outer("n", inners=(Inner("h"),)), ())
    assert {path for path, _, _ in problems(value)} == {"ratio", "inners[0].port"}
    assert problems({"name": None}, null_is_absent=True) == {("name", "missing", "is required")}


def test_an_error_nobody_meant_is_not_taken_for_the_users() -> None:
    with pytest.raises(ZeroDivisionError):
        structure({"field": 1}, Broken)


def test_a_message_is_bounded() -> None:
    def refuse(text: str) -> str:
        raise ValueError(text)

    _, (problem,) = structure("x" * 100_000, Annotated[str, Via(str, refuse)])  # type: ignore[arg-type]
    assert len(problem.message) < 1000


def test_the_number_of_problems_is_bounded() -> None:
    _, found = structure({"name": "n", **{f"k{index}": 1 for index in range(1000)}}, Outer, forbid_extra=True)
    assert len(found) == MOST_PROBLEMS + 1
    assert found[-1].message == f"more than {MOST_PROBLEMS} problems: the rest is not shown"
    few = (Problem("a", "missing", "is required"),)
    assert bounded(few) == few


def test_text_is_shown_short_and_printable() -> None:
    assert shown('a"b') == '"a\\"b"'
    assert shown("bü\n") == '"bü\\n"'
    assert len(shown("x" * 5000)) == MOST_SHOWN + 3
    shown("\ud800").encode()


@pytest.mark.parametrize(
    ("path", "key", "joined"),
    [("", "a", "a"), ("a", "b", "a.b"), ("a[0]", "b", "a[0].b"), ("a", "b.c", 'a["b.c"]'), ("", "", '[""]')],
)
def test_paths(path: str, key: str, joined: str) -> None:
    assert member(path, key) == joined


def test_everything_has_a_name_in_messages() -> None:
    assert kind_of(b"") == "a bytes"
    assert [kind_of(one) for one in (True, 1, 1.5, dict[str, str]())] == [
        "a boolean",
        "an integer",
        "a number",
        "an object",
    ]


@given(json_values, st.booleans(), st.booleans())
def test_any_value_is_taken_or_refused(value: Any, forbid_extra: bool, null_is_absent: bool) -> None:
    result, found = structure(value, Outer, forbid_extra=forbid_extra, null_is_absent=null_is_absent)
    assert (result is None) == bool(found)
    str(found).encode()


FIELDS = ("name", "inners", "inner", "isOn", "ratio", "even", "words", "labels", "by_name", "range")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, json_values)))
def test_any_fields_are_taken_or_refused(value: dict[str, Any]) -> None:
    result, found = structure(value, Outer, forbid_extra=True)
    assert (result is None) == bool(found)
