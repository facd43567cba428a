"""References to the environment."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.native.environment import substitute
from streamproxy.errors import Problem

from .reading import patient

ENVIRON = {"PORT": "9100", "HOST": "db.example.com", "ON": "true", "EMPTY": "", "RATIO": "0.5", "ODD": "a: [b, ${HOST}"}


def replaced(value: Any) -> Any:
    """``value`` with its references replaced, when nothing is wrong with them."""
    result, problems = substitute(value, ENVIRON)
    assert problems == ()
    return result


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${HOST}", "db.example.com"),
        ("${{HOST}}", "db.example.com"),
        ("${{ HOST }}", "db.example.com"),
        ("${HOST}:${PORT}", "db.example.com:9100"),
        ("${{HOST}}:${{PORT}}", "db.example.com:9100"),
        ("${GONE:=here}", "here"),
        ("${{GONE:=here}}", "here"),
        ("${{ GONE := over there }}", "over there"),
        ("${HOST:=elsewhere}", "db.example.com"),
        ("${GONE:=}", ""),
        ("${{GONE:=}}", ""),
        ("${EMPTY:=default}", ""),
        ("${GONE:=a:=b}", "a:=b"),
        ("${{GONE:=a}b}}", "a}b"),
        ("${{GONE:=x}} and ${{GONE:=y}}", "x and y"),
        ("no references: $HOST, $$, {HOST}, $ {HOST}", "no references: $HOST, $$, {HOST}, $ {HOST}"),
    ],
)
def test_a_reference_is_replaced(written: str, expected: str) -> None:
    assert replaced(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [("$${HOST}", "${HOST}"), ("$${{HOST}}", "${{HOST}}"), ("$$${HOST}", "$${HOST}"), ("$${", "${"), ("$$", "$$")],
)
def test_two_dollars_before_a_brace_are_the_text_itself(written: str, expected: str) -> None:
    assert replaced(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [("${PORT}", 9100), ("${{PORT}}", 9100), ("${ON}", True), ("${RATIO}", 0.5), ("${GONE:=17}", 17)],
)
def test_a_value_that_is_one_reference_may_be_a_number_or_a_boolean(written: str, expected: object) -> None:
    found = replaced({"port": written})["port"]

    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize("written", ["0${PORT}", "${PORT} ", "${PORT}${PORT}", "$${PORT}"])
def test_more_than_one_reference_is_text(written: str) -> None:
    assert isinstance(replaced(written), str)


@pytest.mark.parametrize("key", ["id", "key", "name", "secret"])
def test_what_is_text_by_its_nature_stays_text(key: str) -> None:
    assert replaced({key: "${PORT}"}) == {key: "9100"}


def test_null_and_nothing_stay_text() -> None:
    assert replaced(["${EMPTY}", "${GONE:=null}", "${GONE:=~}"]) == ["", "null", "~"]


def test_what_comes_in_is_never_read_again() -> None:
    assert replaced({"a": "${ODD}"}) == {"a": "a: [b, ${HOST}"}


def test_replacing_goes_everywhere_but_into_keys() -> None:
    tree: dict[str, Any] = {"a": [{"b": "${HOST}"}, 1, None, True, 0.5], "${HOST}": "x"}

    assert replaced(tree) == {"a": [{"b": "db.example.com"}, 1, None, True, 0.5], "${HOST}": "x"}
    assert tree["a"][0] == {"b": "${HOST}"}, "the tree that came in was changed"


def test_a_variable_that_is_not_set_is_a_problem_that_names_it() -> None:
    value, problems = substitute({"admin": {"keys": [{"key": "${GONE}"}, {"key": "${{AWAY}}"}]}}, ENVIRON)

    assert value == {"admin": {"keys": [{"key": "${GONE}"}, {"key": "${{AWAY}}"}]}}
    assert problems == (
        Problem(
            "admin.keys[0].key",
            "bad_value",
            "the environment variable GONE is not set (${GONE:=...} gives it a default)",
        ),
        Problem(
            "admin.keys[1].key",
            "bad_value",
            "the environment variable AWAY is not set (${AWAY:=...} gives it a default)",
        ),
    )


@pytest.mark.parametrize(
    "written", ["${", "${}", "${1ST}", "${HOST", "${HOST-x}", "${HOST:-x}", "${{HOST}", "${{HOST", "a ${ b", "${É}"]
)
def test_half_a_reference_is_a_problem_that_repeats_nothing_of_it(written: str) -> None:
    _, problems = substitute({"secret": f"hush{written}"}, ENVIRON)

    assert [problem.path for problem in problems] == ["secret"]
    assert "hush" not in str(problems)
    assert "$${ stands for ${ itself" in problems[0].message


def test_a_variable_that_holds_no_text_is_a_problem() -> None:
    _, problems = substitute("${RAW}", {"RAW": b"\xff".decode("utf-8", "surrogateescape")})

    assert [str(problem) for problem in problems] == ["the environment variable RAW holds bytes that are no UTF-8 text"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@patient
@given(json_values)
def test_values_without_references_are_left_alone(value: Any) -> None:
    if "${" not in repr(value):
        assert substitute(value, {}) == (value, ())


@patient
@given(st.text(alphabet="${}:=A a9"), st.dictionaries(st.sampled_from(["A", "AA", "A9"]), st.text(alphabet="${}A9.")))
def test_any_text_is_replaced_or_a_problem(text: str, environ: dict[str, str]) -> None:
    value, problems = substitute({"x": text}, environ)

    assert isinstance(value, dict)
    assert len(problems) <= 1
    if problems:
        assert value["x"] == text
        assert problems[0].path == "x"


@patient
@given(st.text())
def test_a_value_survives_being_escaped(text: str) -> None:
    assert substitute(text.replace("${", "$${"), {}) == (text, ())
