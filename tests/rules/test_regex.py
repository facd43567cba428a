"""Expressions: one by one, and many at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.rules import check_regex
from streamproxy.rules.regex import MAX_LENGTH, RegexSet, matches

from .worlds import patient

PIECES = [
    *(
        "a",
        "b",
        "X",
        ".",
        ".*",
        ".*",
        ".*?",
        ".+",
        "a*",
        r"\.",
        r"\\",
        "\\",
        "|",
        "(",
        ")",
        "(?:",
        "(?i)",
        "(?-s)",
        "(?U)",
    ),
    *("[ab]", "[.*", "[^a]", "]", "^", "$", r"\b", r"\A", r"\z", r"\Q", r"\E", "{2}", "{", "?", "+", "*", r"\S", "é"),
]
expressions = st.lists(st.sampled_from(PIECES), max_size=7).map("".join)
subjects = st.text(alphabet="abx.*\\Q{\n", max_size=7)


class TestCheck:
    @pytest.mark.parametrize("text", [".*read.*", "(a|b).example.com", "[a-z]+.example.com", "^a$", "", r"\Qa.b", "é"])
    def test_is_silent_about_what_is_fine(self, text: str) -> None:
        assert check_regex(text) is None

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("[", "missing ]: ["),
            ("a)(b", "unexpected ): a)(b"),
            (r"(a)\1", r"invalid escape sequence: \1"),
            ("(?=a)", "invalid perl operator: (?="),
            ("a{1001}", "invalid repetition size: {1001}"),
            (r"(\pL{90}){9}", "pattern too large - compile failed"),
            ("\ud800", "the expression holds half of a surrogate pair"),
            ("a" * (MAX_LENGTH + 1), "the expression has 4097 characters, more than 4096"),
        ],
    )
    def test_says_what_is_wrong(self, text: str, error: str) -> None:
        assert check_regex(text) == error

    @patient
    @given(st.text(st.characters(exclude_categories=()), max_size=30))
    def test_never_raises(self, text: str) -> None:
        assert check_regex(text) != ""


class TestOne:
    def test_matches_the_whole_name_whatever_the_case(self) -> None:
        assert matches("A.C", "abc")
        assert not matches("A.C", "abcd")

    def test_does_not_match_what_is_no_text(self) -> None:
        assert not matches(".*", "\ud800")

    def test_refuses_what_is_no_expression(self) -> None:
        with pytest.raises(ValueError, match="surrogates"):
            matches("\ud800", "a")
        with pytest.raises(ValueError, match=r"'\[': missing \]"):
            matches("[", "a")


class TestMany:
    @patient
    @given(st.lists(expressions, max_size=6), subjects)
    def test_match_as_each_does_alone(self, texts: list[str], name: str) -> None:
        texts = [text for text in texts if check_regex(text) is None]

        found = RegexSet.compile(texts).match(name)

        assert sorted(found) == [position for position, text in enumerate(texts) if matches(text, name)]

    @pytest.mark.parametrize(
        ("text", "hits", "misses"),
        [
            (".*", ["", "a", "\n"], []),
            ("a.b", ["axb", "a\nb"], ["ab"]),
            (".*a.*", ["a", "bab"], ["b"]),
            (".*a|b", ["a", "xa", "b"], ["xb"]),
            ("b|a.*", ["a", "ax", "b"], ["bx"]),
            ("a(?-s).*", ["a", "ax"], ["a\n"]),
            (".*?a", ["a", "xa"], ["ax"]),
            (".*{a", ["{a", "x{a"], ["a"]),
            (r"a\.*", ["a", "a.."], ["ax"]),
            (r"a\\.*", ["a\\", r"a\x"], ["a", "a."]),
            (r"\Qa.*", ["a.*"], ["a", "ax", "a."]),
            (r"\Q.*\Ea", [".*a"], ["a", "xa"]),
            (r".*\Q.a", [".a", "x.a"], ["xa"]),
            (r"\\Qa", [r"\Qa"], ["a"]),
        ],
    )
    def test_match_the_whole_name_each(self, text: str, hits: list[str], misses: list[str]) -> None:
        many = RegexSet.compile(["before", text, "behind"])

        assert [name for name in hits + misses if many.match(name) == [1]] == hits

    @patient
    @given(expressions)
    def test_take_just_what_the_check_passes(self, text: str) -> None:
        if check_regex(text) is None:
            assert RegexSet.compile([text]).parts
        else:
            with pytest.raises(ValueError, match=r"^'"):
                RegexSet.compile([text])

    def test_none_match_nothing(self) -> None:
        assert RegexSet.compile([]).match("a") == []

    def test_nothing_matches_what_is_no_text(self) -> None:
        assert RegexSet.compile([".*"]).match("\ud800") == []

    def test_a_surrogate_is_refused(self) -> None:
        with pytest.raises(ValueError, match="surrogate"):
            RegexSet.compile(["a", "\ud800"])

    def test_a_thousand_are_one_set(self) -> None:
        many = RegexSet.compile([f"[a-z0-9-]+[.]svc{number}[.]example[.]com" for number in range(1000)])

        assert len(many.parts) == 1
        assert many.match("web-1.svc77.example.com") == [77]

    def test_what_does_not_fit_into_one_set_is_split(self) -> None:
        many = RegexSet.compile([f"[a-z]+{number}" for number in range(1000)], max_mem=256 * 1024)

        assert len(many.parts) > 1
        assert [start for start, _ in many.parts] == sorted(start for start, _ in many.parts)
        for number in (0, 1, 499, 500, 999):
            assert many.match(f"x{number}") == [number]

    def test_one_that_fits_nowhere_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"'\.\{900\}': too large"):
            RegexSet.compile(["a", ".{900}", "b"], max_mem=16 * 1024)
