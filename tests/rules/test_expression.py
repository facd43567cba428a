"""Expressions over variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamproxy.rules.expression import MAX_DEPTH, MAX_PARTS, MAX_REGEXES, Expression, compile_expression
from streamproxy.rules.regex import MAX_LENGTH

from .worlds import patient

SESSION: Mapping[str, str] = {
    "remote_addr": "10.1.2.3",
    "server_port": "1995",
    "ssl_server_name": "Pg.example.com",
    "ssl_preread_alpn_protocols": "h2, http/1.1,5",
    "hex": "0x10",
    "word": "v",
    "empty": "",
    "odd": "\ud800",
}


def holds(*source: Any) -> bool:
    return compile_expression(list(source)).holds(SESSION.get)


def refusal(*source: Any) -> str:
    with pytest.raises(ValueError) as caught:
        compile_expression(list(source))
    return str(caught.value)


TRUE, FALSE = ["word", "==", "v"], ["word", "==", "w"]


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (["word", "==", "v"], True),
        (["word", "v"], True),
        (["word", "V"], False),
        (["word", "==", "V"], False),
        (["missing", "==", "v"], False),
        (["word", "~=", "v"], False),
        (["word", "~=", "w"], True),
        (["missing", "~=", "v"], True),
        # Numbers
        (["server_port", "==", 1995], True),
        (["server_port", 1995], True),
        (["server_port", "==", 1995.0], True),
        (["server_port", "==", "1995"], True),
        (["server_port", "==", "1995.0"], False),
        (["word", "==", 5], False),
        (["missing", "==", 5], False),
        (["hex", "==", 16], True),
        (["server_port", "~=", 1995], False),
        (["word", "~=", 1995], True),
        (["missing", "~=", 1995], True),
        (["server_port", ">", 1994], True),
        (["server_port", ">", "1994"], True),
        (["server_port", ">", 1995], False),
        (["server_port", ">=", 1995], True),
        (["server_port", "<", 1995], False),
        (["server_port", "<", 1995.5], True),
        (["server_port", "<=", 1995], True),
        (["word", ">", 0], False),
        (["missing", "<", 5], False),
        # Nothing at all
        (["missing", "==", None], True),
        (["word", "==", None], False),
        (["missing", "~=", None], False),
        (["word", "~=", None], True),
        (["word", "~="], True),
        # Regular expressions
        (["ssl_server_name", "~~", "example"], True),
        (["ssl_server_name", "~~", "^pg"], False),
        (["ssl_server_name", "~*", "^pg"], True),
        (["ssl_server_name", "~*", "^PG\\.[a-z]+\\.COM$"], True),
        (["missing", "~~", ".*"], False),
        (["empty", "~~", "^$"], True),
        (["odd", "~~", ".*"], False),
        # Members
        (["word", "in", ["u", "v"]], True),
        (["word", "in", ["u"]], False),
        (["word", "in", []], False),
        (["missing", "in", ["u"]], False),
        (["missing", "in", ["u", None]], True),
        (["server_port", "in", [1, 1995]], True),
        (["server_port", "IN", ["1995"]], True),
        (["ssl_preread_alpn_protocols", "has", "h2"], True),
        (["ssl_preread_alpn_protocols", "has", "http/1.1"], True),
        (["ssl_preread_alpn_protocols", "has", 5], True),
        (["ssl_preread_alpn_protocols", "has", "h"], False),
        (["missing", "has", "h2"], False),
        # Addresses
        (["remote_addr", "ipmatch", "10.0.0.0/8"], True),
        (["remote_addr", "ipmatch", ["192.0.2.0/24", "10.1.2.3"]], True),
        (["remote_addr", "ipmatch", ["192.0.2.0/24", "::/0"]], False),
        (["word", "ipmatch", "0.0.0.0/0"], False),
        (["missing", "ipmatch", "0.0.0.0/0"], False),
        # The opposite
        (["server_port", "!", ">", 2000], True),
        (["missing", "!", "==", "v"], True),
        (["word", "!", "in", ["v"]], False),
    ],
)
def test_a_comparison(comparison: list[Any], expected: bool) -> None:
    assert holds(comparison) is expected


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ([], True),
        ([TRUE], True),
        ([TRUE, FALSE], False),
        ([TRUE, TRUE], True),
        (["AND", TRUE, FALSE], False),
        (["and", TRUE, TRUE], True),
        (["OR", FALSE, TRUE], True),
        (["OR", FALSE, FALSE], False),
        (["!AND", TRUE, FALSE], True),
        (["!AND", TRUE, TRUE], False),
        (["!or", FALSE, FALSE], True),
        (["!OR", FALSE, TRUE], False),
        ([TRUE, ["OR", FALSE, ["!AND", TRUE, FALSE]]], True),
        ([[TRUE, FALSE]], False),
        (["OR", [TRUE, FALSE], [TRUE, TRUE]], True),
    ],
)
def test_a_group(group: list[Any], expected: bool) -> None:
    assert compile_expression(group).holds(SESSION.get) is expected
    assert compile_expression(tuple(group)).holds(SESSION.get) is expected


@pytest.mark.parametrize(
    ("text", "number"),
    [("10", 10), (" 10\t", 10), ("1e1", 10), ("+1.0E+1", 10), (".5", 0.5), ("5.", 5), ("-0xF", -15), ("0X1f", 31)],
)
def test_what_lua_takes_for_a_number(text: str, number: float) -> None:
    assert compile_expression([["x", "==", number]]).holds(lambda _: text)


@pytest.mark.parametrize("text", ["", " ", "1 0", "1_0", "0x", "inf", "nan", "1e", "--1", "0b1", "٣", "1" * 65])
def test_what_it_does_not(text: str) -> None:
    assert not compile_expression([["x", "<=", 10**100]]).holds(lambda _: text)
    assert not compile_expression([["x", ">=", -(10**100)]]).holds(lambda _: text)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        # In lua-resty-expr's words
        (["arg_k", "==", "v"], "rule should be wrapped inside brackets"),
        ([["arg_k", "=", "v"]], "invalid operator '='"),
        ([["arg_k", "invalid", 10]], "invalid operator 'invalid'"),
        ([["arg_k"]], "invalid expression"),
        ([[]], "rule too short"),
        ([["!", "arg_k", "==", "1"]], "bad 'not' expression"),
        (["OR", TRUE], "rule too short"),
        (["OR", TRUE, ["AND"]], "rule too short"),
        (["OR", TRUE, ["AND", TRUE]], "rule too short"),
        ([["remote_addr", "ipmatch", None]], "invalid ip address"),
        ([["remote_addr", "ipmatch"]], "invalid ip address"),
        ([["remote_addr", "ipmatch", ""]], "invalid ip address"),
        ([["remote_addr", "ipmatch", []]], "invalid ip address"),
        ([["remote_addr", "ipmatch", ["10.0.0.0/99"]]], "invalid ip address: 10.0.0.0/99"),
        # In ours
        ([["remote_addr", "ipmatch", [5]]], "invalid ip address"),
        ([["arg_k", 5, 10]], "invalid operator '5'"),
        ([["arg_k", "\n", 10]], r"invalid operator '\n'"),
        ([["arg_k", None]], "invalid expression"),
        ([[5, "==", 5]], "invalid expression"),
        ([["arg_k", "!", "==", "a", "b"]], "invalid expression"),
        ([TRUE, 5], "invalid expression: it is no array"),
        ([["a", "==", True]], "a variable can be compared with text, a number or null"),
        ([["a", "==", {}]], "a variable can be compared with text, a number or null"),
        ([["a", "in", "text"]], "in wants an array"),
        ([["a", ">", "ten"]], "less and greater are for numbers"),
        ([["a", ">"]], "less and greater are for numbers"),
        ([["a", "<", True]], "less and greater are for numbers"),
        ([["a", "==", 10**400]], "the number is too large"),
        ([["a", ">", float("inf")]], "the number is too large"),
        ([["a", "==", float("nan")]], "the number is too large"),
        ([["a", "~~", 5]], f"a regular expression is text of at most {MAX_LENGTH} characters"),
        ([["a", "~~", "("]], "the regular expression '(' cannot be used: missing ): ("),
        ([["a", "~~", "\ud800"]], "the regular expression '\\ud800' cannot be used: it is no text"),
    ],
)
def test_what_is_wrong_is_said(source: list[Any], why: str) -> None:
    assert refusal(*source) == why


def test_an_expression_is_an_array() -> None:
    for source in (5, "a", None, {"a": 1}):
        with pytest.raises(ValueError, match="no array"):
            compile_expression(source)
    assert compile_expression({}).holds(SESSION.get), "for Lua, an empty object is an empty array"


def test_arrays_are_nested_so_deep_and_no_deeper() -> None:
    source: list[Any] = TRUE
    for _ in range(MAX_DEPTH - 1):
        source = [source]
    assert holds(*source)
    assert refusal(source) == f"the expression is nested more than {MAX_DEPTH} deep"
    for _ in range(100_000):
        source = [source]
    assert refusal(source) == f"the expression is nested more than {MAX_DEPTH} deep"


def test_there_is_an_end_to_its_parts() -> None:
    assert refusal(*[TRUE] * (MAX_PARTS // 4)) == f"the expression has more than {MAX_PARTS} parts"
    assert refusal(["word", "in", ["v"] * MAX_PARTS]) == f"the expression has more than {MAX_PARTS} parts"


def test_there_is_an_end_to_its_regular_expressions() -> None:
    one = ["word", "~~", "v"]
    assert holds(*[one] * MAX_REGEXES)
    assert refusal(*[one] * (MAX_REGEXES + 1)) == f"the expression has more than {MAX_REGEXES} regular expressions"
    assert "at most" in refusal(["word", "~~", "v" * (MAX_LENGTH + 1)])
    assert "pattern too large" in refusal(["word", "~~", "(a{900}b)" * 100])


def test_a_regular_expression_that_others_choke_on_is_answered() -> None:
    expression = compile_expression([["word", "~~", "^(a+)+$"]])
    assert not expression.holds(lambda _: "a" * 100_000 + "b")


def test_only_what_is_needed_is_looked_up() -> None:
    asked: list[str] = []

    def lookup(name: str) -> str | None:
        asked.append(name)
        return "v"

    assert compile_expression(["OR", ["one", "==", "v"], ["other", "==", "v"]]).holds(lookup)
    assert asked == ["one"]


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
words = st.sampled_from(
    ["AND", "or", "!AND", "!OR", "!", "==", "~=", ">", "<", "~~", "~*", "in", "has", "ipmatch", "word"]
)
json: st.SearchStrategy[Any] = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=25,
)
operators = st.sampled_from(["==", "~=", ">", ">=", "<", "<=", "~~", "~*", "in", "has", "ipmatch"])
comparisons = st.builds(lambda operator, value: ["x", operator, value], operators, json)


@patient
@example([["x", "~~", "\udfff"]], "a")
@given(json | st.lists(comparisons), st.none() | st.text())
def test_whatever_is_written_and_said_there_is_an_answer(source: Any, text: str | None) -> None:
    try:
        expression = compile_expression(source)
    except ValueError:
        return
    assert isinstance(expression, Expression)
    assert expression.holds(lambda _: text) in (True, False)


@patient
@given(comparisons, st.none() | st.text())
def test_an_exclamation_mark_is_the_opposite(comparison: list[Any], text: str | None) -> None:
    try:
        plain = compile_expression([comparison])
    except ValueError:
        return
    name, operator, value = comparison
    assert compile_expression([[name, "!", operator, value]]).holds(lambda _: text) is not plain.holds(lambda _: text)
