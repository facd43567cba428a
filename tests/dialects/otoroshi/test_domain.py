from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.otoroshi.domain import MOST_CHARACTERS, name_pattern
from streamproxy.model import NamePattern, PatternKind

EXACT, SUFFIX, REGEX, ANY = PatternKind.EXACT, PatternKind.SUFFIX, PatternKind.REGEX, PatternKind.ANY


def matches(pattern: NamePattern, name: str) -> bool:
    """What the model says a pattern means."""
    options = re2.Options()
    options.case_sensitive = False
    return {
        EXACT: lambda: name == pattern.text,
        SUFFIX: lambda: name.endswith(pattern.text) and len(name) > len(pattern.text),
        REGEX: lambda: re2.fullmatch(pattern.text, name, options) is not None,
        ANY: lambda: True,
    }[pattern.kind]()


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        ("*", ANY, "*"),
        ("a.example.com", EXACT, "a.example.com"),
        ("A.Example.COM.", EXACT, "a.example.com"),
        ("db_1.example.com", EXACT, "db_1.example.com"),
        ("*.example.com", SUFFIX, ".example.com"),
        ("*.Example.com.", SUFFIX, ".example.com"),
        ("**.example.com", SUFFIX, ".example.com"),
        ("*example.com", REGEX, r".*example\.com"),
        ("*read*", REGEX, ".*read.*"),
        ("*.read*", REGEX, r".*\.read.*"),
        ("a*", REGEX, "a.*"),
        (".*read.*", REGEX, ".*read.*"),
        ("(a|b).example.com", REGEX, "(a|b).example.com"),
        ("[a-z]+.example.com", REGEX, "[a-z]+.example.com"),
        (r"\S+\.Example\.com", REGEX, r"\S+\.Example\.com"),
        ("Regex(a.example.com)", REGEX, "a.example.com"),
        ("Regex(*)", None, ""),
        ("Wildcard(a.*)", REGEX, r"a\..*"),
        ("Wildcard(*)", ANY, "*"),
        ("Wildcard(a.b)", EXACT, "a.b"),
        ("Wildcard((a|b))", None, ""),
        ("bücher.example", EXACT, "xn--bcher-kva.example"),
        ("*.BÜCHER.example", SUFFIX, ".xn--bcher-kva.example"),
        ("*bü.example", None, ""),
        ("[", None, ""),
        ("(?=a)b", None, ""),
        ("*.*.example.com", None, ""),
        ("", None, ""),
        (".", None, ""),
        ("Regex()", None, ""),
        ("Wildcard()", None, ""),
        ("(\ud800)", None, ""),
        (r"(\pL{1,100}){1,9}", None, ""),
        ("a" * (MOST_CHARACTERS + 1), None, ""),
    ],
)
def test_what_a_domain_is_read_as(source: str, kind: PatternKind | None, text: str) -> None:
    if kind is None:
        with pytest.raises(ValueError, match=r".") as caught:
            name_pattern(source)
        str(caught.value).encode()
    else:
        assert name_pattern(source) == NamePattern(kind, text, source)


def test_the_refusal_of_an_expression_says_why() -> None:
    with pytest.raises(ValueError, match=r'"\[" is neither a wildcard nor a regular expression: missing \]: \['):
        name_pattern("[")


@pytest.mark.parametrize(
    ("source", "hits", "misses"),
    [
        ("*", ["a", "a.example.com"], []),
        ("*.example.com", ["a.example.com", "a.b.example.com"], ["example.com", "axexample.com"]),
        ("example", ["example"], ["a.example.com", "example.com"]),
        ("a.example.com", ["a.example.com"], ["axexample.com"]),
        ("*example.com", ["example.com", "fooexample.com", "a.example.com"], ["example.org"]),
        ("*read*", ["pg-read.example.com", "read"], ["pg.example.com"]),
        (".*read.*", ["pg-read.example.com", "read"], ["pg.example.com"]),
        ("(a|b).example.com", ["a.example.com", "b.example.com"], ["c.example.com"]),
        ("[a-z]+.example.com", ["abc.example.com"], ["123.example.com"]),
        ("^[A-Z]+$", ["abc"], ["a.b"]),
    ],
)
def test_what_a_domain_matches(source: str, hits: list[str], misses: list[str]) -> None:
    pattern = name_pattern(source)
    assert [name for name in hits + misses if matches(pattern, name)] == hits


@given(
    st.from_regex(r"[a-z.*]{1,12}", fullmatch=True).filter(lambda text: ".*" not in text),
    st.from_regex("[a-z.]{1,12}", fullmatch=True)
)
def test_a_wildcard_is_a_run_of_anything_for_each_star(source: str, name: str) -> None:
    name = name.strip(".\n") or "a"
    transformed = source.removesuffix(".").replace(".", r"\.").replace("*", ".*")
    try:
        pattern = name_pattern(source)
    except ValueError:
        assert not transformed
    else:
        assert matches(pattern, name) == (re2.fullmatch(transformed, name) is not None)


@given(st.text(st.characters(exclude_categories=()), max_size=40) | st.text("a.*[]()|\\Q{}1,?^$", max_size=20))
def test_any_text_is_a_pattern_or_refused(source: str) -> None:
    try:
        pattern = name_pattern(source)
    except ValueError as error:
        str(error).encode()
    else:
        assert pattern.source == source
        matches(pattern, "a.example.com")
