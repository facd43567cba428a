"""From files to plain values."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.native import composer, source
from streamproxy.dialects.native.source import parse, read
from streamproxy.errors import InvalidConfiguration, Problem

from .reading import patient


def read_yaml(text: str) -> Any:
    """The value of ``text``, with which nothing is wrong."""
    value, problems = parse(text, is_json=False)
    assert problems == ()
    return value


def read_json(text: str) -> Any:
    value, problems = parse(text, is_json=True)
    assert problems == ()
    return value


def refusal(text: str, *, is_json: bool = False) -> str:
    with pytest.raises(InvalidConfiguration) as caught:
        parse(text, is_json=is_json)
    (problem,) = caught.value.problems
    assert problem.path == ""
    return problem.message


# Files


def test_a_file_is_read_as_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("\ufeffname: Ünïcode".encode())

    assert read(tmp_path / "a.yaml") == "name: Ünïcode"


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        read(tmp_path / "none.yaml")

    assert caught.value.problems == (
        Problem("", "missing", f"{tmp_path / 'none.yaml'} cannot be read: No such file or directory"),
    )


@pytest.mark.parametrize("path", ["/", "/etc/\0"])
def test_what_is_no_file_is_a_problem(path: str) -> None:
    with pytest.raises(InvalidConfiguration, match="cannot be read"):
        read(Path(path))


def test_a_file_that_is_no_text_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"name: \xff")

    with pytest.raises(InvalidConfiguration, match=r"a\.yaml is no UTF-8 text: byte 6 is wrong"):
        read(tmp_path / "a.yaml")


def test_a_file_without_end_is_a_problem() -> None:
    with pytest.raises(InvalidConfiguration, match=r"^/dev/zero is larger than 16 MiB$"):
        read(Path("/dev/zero"))


# YAML


def test_yaml_is_plain_values() -> None:
    text = """
        # a comment
        map: {a: 1, "b": "1", 'c': '1', d: !!str 1, e: ! 1}
        list: [1.5, true, null, ~, yes, text]
        block: |
          one
          two
        dates: [2001-01-01, 12:30]
        tagged: [!!map {}, !!seq []]
        ? asked
        : answered
    """

    assert read_yaml(text) == {
        "map": {"a": 1, "b": "1", "c": "1", "d": "1", "e": "1"},
        "list": [1.5, True, None, None, "yes", "text"],
        "block": "one\ntwo\n",
        "dates": ["2001-01-01", "12:30"],
        "tagged": [{}, []],
        "asked": "answered",
    }


@pytest.mark.parametrize("text", ["", "   \n", "# nothing\n", "---\n...\n", "--- ~"])
def test_nothing_is_none(text: str) -> None:
    assert read_yaml(text) is None


def test_anchors_repeat_a_value() -> None:
    assert read_yaml("{a: &x {b: [1]}, c: *x, d: [*x, *x]}") == {
        "a": {"b": [1]},
        "c": {"b": [1]},
        "d": [{"b": [1]}, {"b": [1]}],
    }
    assert read_yaml("[&x 1, &x 2, *x]") == [1, 2, 2]


def test_merging_gives_what_is_not_there() -> None:
    text = """
        base: &base {a: 1, b: 1}
        other: &other {b: 2, c: 2}
        one: {<<: *base, a: 9}
        both: {d: 3, <<: [*other, *base]}
        quoted: {"<<": 1}
    """

    assert read_yaml(text) == {
        "base": {"a": 1, "b": 1},
        "other": {"b": 2, "c": 2},
        "one": {"a": 9, "b": 1},
        "both": {"a": 1, "b": 2, "c": 2, "d": 3},
        "quoted": {"<<": 1},
    }


@pytest.mark.parametrize("merged", ["1", "[1]", "[{}, x]"])
def test_only_objects_can_be_merged(merged: str) -> None:
    _, problems = parse(f"a:\n  <<: {merged}", is_json=False)

    assert problems == (Problem("a", "wrong_type", "line 2: << takes an object or a list of objects"),)


def test_a_key_that_stands_twice_is_a_problem_with_its_line() -> None:
    value, problems = parse("a:\n  - b: 1\n    c: 2\n    b: 3\na: 4", is_json=False)

    assert value == {"a": [{"b": 1, "c": 2}]}
    assert problems == (
        Problem("a[0].b", "conflict", "stands a second time in line 4"),
        Problem("a", "conflict", "stands a second time in line 5"),
    )


@pytest.mark.parametrize("key", ["1", "true", "~", "[a]", "{a: b}", "1.5"])
def test_a_key_is_text(key: str) -> None:
    value, problems = parse(f"a:\n  ? {key}\n  : 1\n  b: 2", is_json=False)

    assert value == {"a": {"b": 2}}
    assert problems == (Problem("a", "wrong_type", "line 2: a key has to be text: put it in quotes"),)


def test_tags_have_no_meaning() -> None:
    _, problems = parse("- !!python/object/apply:os.system [ls]\n- !!binary aGk=\n- !!int '1'\n- !env A", is_json=False)

    assert [str(problem) for problem in problems] == [
        '[0]: line 1: the tag "tag:yaml.org,2002:python/object/apply:os.system" has no meaning here',
        '[1]: line 2: the tag "tag:yaml.org,2002:binary" has no meaning here',
        '[2]: line 3: the tag "tag:yaml.org,2002:int" has no meaning here',
        '[3]: line 4: the tag "!env" has no meaning here',
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: b: c", "line 1, column 5: this is no YAML: "),
        ("a: 1\n\tb: 2", "line 2, column "),
        ("a: [1, 2", "line "),
        ("key: 'open", "line "),
        ("a: \x00", "this is no YAML: "),
        ("a: *b", "line 1, column 4: no value before this one is called &b"),
        ("a: &b [*b]", "line 1, column 8: no value before this one is called &b"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document begins here, and one file holds one"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(text: str, where: str) -> None:
    assert refusal(text).startswith(where)


def test_a_refusal_repeats_nothing_of_the_file() -> None:
    assert "hush" not in refusal("key: hush: [hush")


@pytest.mark.parametrize("text", ["[" * 100, "- " * 100 + "x", "{a: " * 100, "? " * 100 + "x"])
def test_nesting_has_a_bound(text: str) -> None:
    assert refusal(text).endswith(f"objects and lists stand deeper than {composer.MOST_DEPTH} within one another")


def test_nesting_has_the_same_bound_through_aliases() -> None:
    deep = "[" * 40 + "]" * 40

    read_yaml(f"[&a {deep}]")
    assert "deeper than" in refusal(f"[&a {deep}, {'[' * 40}*a{']' * 40}]")


def test_aliases_of_aliases_have_a_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    assert refusal("\n".join(lines)).endswith("more than 2000000 values (aliases repeat theirs) are too many")


def test_merges_of_merges_have_a_bound() -> None:
    lines = ["a0: &a0 {a: 1, b: 2, c: 3, d: 4}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)]

    assert "are too many" in refusal("\n".join(lines))


def test_the_slower_parser_of_pyyaml_does_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_Loader", yaml.SafeLoader)

    assert read_yaml('a: {b: [1, "x", &c d, *c]}') == {"a": {"b": [1, "x", "d", "d"]}}
    assert refusal("a: b: c").startswith("line 1, column 5: this is no YAML: ")
    assert refusal("a: \x00") == "this is no YAML: special characters are not allowed"
    _, problems = parse(r'a: ["\ud800"]', is_json=False)
    assert problems == (Problem("a[0]", "bad_value", r'"\\ud800" holds half of a surrogate pair, which is no text'),)


# JSON


def test_json_is_plain_values() -> None:
    assert read_json('{"a": [1, -2.5e3, "x", true, null, {}], "\\u00e9": "\\ud83d\\ude00"}') == {
        "a": [1, -2500.0, "x", True, None, {}],
        "é": "😀",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: this is no JSON: Expecting value"),
        ('{"a": 1,\n  b}', "line 2, column 3: this is no JSON: "),
        ("[1] [2]", "line 1, column 5: this is no JSON: Extra data"),
        ("[NaN]", "this is no JSON: NaN is no finite number"),
        ("[-Infinity]", "this is no JSON: -Infinity is no finite number"),
        ("[1e999]", "this is no JSON: 1e999 is no finite number"),
        ("9" * 5000, "this is no JSON: the number " + "9" * 40 + " does not fit into 64 bits"),
        ("[" * 70 + "]" * 70, "objects and lists stand deeper than 64 within one another"),
        ('{"a":' * 70 + "1" + "}" * 70, "objects and lists stand deeper than 64 within one another"),
        ("[" * 1_000_000, "objects and lists stand deeper than 64 within one another"),
    ],
)
def test_what_is_no_json_is_refused(text: str, message: str) -> None:
    assert refusal(text, is_json=True).startswith(message)


def test_a_key_that_stands_twice_in_one_object_is_a_problem() -> None:
    _, problems = parse('{"a": {"b": 1, "b": 2, "c": {"b": 3}}}', is_json=True)

    assert problems == (Problem("", "conflict", '"b" stands twice in one object'),)


def test_half_of_a_surrogate_pair_is_a_problem() -> None:
    _, problems = parse(r'{"a": ["\ud800"], "\udfff": 1, "ok": "\u00e9"}', is_json=True)

    assert [problem.path for problem in problems] == ["a[0]", ""]


# Both

# JSON escapes what is beyond as two halves, which YAML does not join.
texts = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    # YAML allows a key 1024 characters, as it is written.
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(texts.filter(lambda key: len(json.dumps(key)) < 1000), inner, max_size=4),
    max_leaves=12,
)


@patient
@given(json_values)
def test_json_is_read_as_what_it_is_as_yaml_too(value: Any) -> None:
    text = json.dumps(value)

    assert read_json(text) == read_yaml(text) == value


@pytest.mark.parametrize("is_json", [False, True])
@patient
@given(text=st.text() | st.text("{}[]:,-?&*!|>'\"#%@` \n\tab1<~\\u"))
def test_any_text_is_a_value_or_refused(text: str, is_json: bool) -> None:
    with suppress(InvalidConfiguration):
        value, _ = parse(text, is_json=is_json)
        assert json.loads(json.dumps(value)) == value


def test_deep_files_do_not_cost_the_process(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("[" * 300_000)

    assert "deeper than" in refusal(read(path))
