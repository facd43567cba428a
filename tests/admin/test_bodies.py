from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.admin.bodies import (
    DEPTH,
    YAML_CHARACTERS,
    YAML_VALUES,
    BodyError,
    checked,
    parse_form,
    parse_json,
    parse_lines,
    parse_yaml,
)
from streamproxy.admin.respond import to_yaml
from streamproxy.model import Json as JsonValue

from .api import patient

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@patient
@given(JSON)
def test_json_comes_out_as_it_went_in(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@patient
@given(st.binary())
def test_any_bytes_are_json_or_a_body_error(data: bytes) -> None:
    for parse in (parse_json, parse_yaml, parse_form):
        with suppress(BodyError):
            json.dumps(parse(data), allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "Expecting value at line 1, column 1"),
        (b'{"a":\n 1,}', "line 2"),
        (b"\xff", "UTF-8"),
        (b"NaN", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"-Infinity", "Infinity"),
        (b"1e999", "too large"),
        (b"9" * 21, "20 digits"),
        (b"9" * 5000, "20 digits"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b"[" * 1_000_000, "deep"),
        (b'{"a":' * 300_000, "deep"),
        (b"[" * (DEPTH + 2) + b"]" * (DEPTH + 2), "deep"),
    ],
)
def test_what_is_not_json(data: bytes, why: str) -> None:
    with pytest.raises(BodyError, match=why):
        parse_json(data)


def test_json_may_be_nested_as_deep_as_it_says() -> None:
    depth = DEPTH + 1
    value = parse_json(b"[" * depth + b"]" * depth)

    for _ in range(DEPTH):
        assert isinstance(value, list)
        value = value[0]
    assert value == []


def test_of_a_key_given_twice_the_last_counts() -> None:
    assert parse_json(b'{"a": 1, "a": 2}') == {"a": 2}


def test_a_byte_order_mark_is_none_of_the_content() -> None:
    assert parse_json(b"\xef\xbb\xbf{}") == {}


@patient
@given(JSON)
def test_yaml_comes_out_as_it_went_in(value: Any) -> None:
    assert parse_yaml(to_yaml(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "1e5",
        "yes",
        "2020-01-01",
        "010",
        "null",
        "<<",
        "~",
        "",
        "true",
        "5",
        "a: b",
        "\x85",
        "0o17",
        "0x1f",
        "- a",
        "é\n",
    ],
)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert parse_yaml(to_yaml({text: text})) == {text: text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("yes", "yes"),
        ("TRUE", True),
        ("2020-01-01", "2020-01-01"),
        ("+5", 5),
        ("-1.5e3", -1500.0),
        ("'5'", "5"),
        ("{a: [1, b]}", {"a": [1, "b"]}),
        ("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}", {"base": {"x": 1, "y": 2}, "use": {"x": 1, "y": 3}}),
        ("- &a x\n- *a", ["x", "x"]),
        ("- " + "x" * 1000 + "\n", ["x" * 1000]),
    ],
)
def test_yaml_means_what_it_means_in_the_configuration_file(text: str, value: Any) -> None:
    assert parse_yaml(text.encode()) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: b: c", "line 1, column 5"),
        ("a: 1\n---\nb: 2", "document"),
        ("{1: 2}", "text"),
        ("a: 1\na: 2", "second time"),
        ("!!python/object/apply:os.system [ls]", "tag"),
        ("!!binary aGk=", "tag"),
        ("\x00", "YAML"),
        ("\xff\x00", "YAML"),
        ('"\\ud800"', "surrogate|character"),
        ("a: *nothing", "nothing"),
        ("&a [*a]", "&a"),
        ("<<: 1", "<<"),
        ("[" * 100_000, "values|deep"),
        ("[" * 1000, "deep"),
        ("- a\n" * (YAML_VALUES + 1), "values"),
        ("x" * (YAML_CHARACTERS + 1), "characters"),
    ],
)
def test_what_is_not_yaml(text: str, why: str) -> None:
    with pytest.raises(BodyError, match=why):
        parse_yaml(text.encode())


@pytest.mark.parametrize("use", ["[{}]", "{{<<: [{}]}}"])
def test_few_bytes_may_not_stand_for_a_billion_values(use: str) -> None:
    lines = ["a0: &a0 {k1: 1, k2: 2, k3: 3}"]
    lines += [f"a{number}: &a{number} " + use.format(", ".join([f"*a{number - 1}"] * 10)) for number in range(1, 10)]

    with pytest.raises(BodyError, match="values"):
        parse_yaml("\n".join(lines).encode())


def test_lines_are_numbered_and_blank_ones_skipped() -> None:
    lines = list(parse_lines(b'{"a": 1}\n\n  \r\n[\n2\n'))

    assert lines[0] == (1, {"a": 1})
    assert lines[2] == (5, 2)
    number, error = lines[1]
    assert number == 4
    assert isinstance(error, BodyError)


def test_a_form() -> None:
    assert parse_form(b"a.b=1&c=%C3%A9&d=") == (("a.b", "1"), ("c", "é"), ("d", ""))


@pytest.mark.parametrize("data", [b"a=%ff", b"\xff=1", b"&".join([b"a=1"] * 1001)])
def test_what_is_no_form(data: bytes) -> None:
    with pytest.raises(BodyError):
        parse_form(data)


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": "\ud800"}, {"\udfff": 1}])
def test_what_is_no_json_value(value: JsonValue) -> None:
    with pytest.raises(BodyError):
        checked(value)
