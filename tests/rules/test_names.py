"""The index over names: right, and at a cost that does not depend on how many there are."""

from __future__ import annotations

from attrs import evolve

from streamproxy.model import Order
from streamproxy.rules.names import NameIndex, key_of
from streamproxy.rules.networks import NEVER, Group

from .worlds import match, pattern, routing


class Counted(dict[str, Group]):
    """A dictionary that counts how often it is asked."""

    asked = 0

    def get(self, key: str, default: Group | None = None) -> Group | None:  # type: ignore[override]
        self.asked += 1
        return super().get(key, default)


def index_of(*names: str) -> NameIndex:
    return NameIndex.compile(routing(Order.FIRST, *(match(name) for name in names)).routes)


def test_groups_come_from_the_most_to_the_least_specific() -> None:
    index = index_of("*", "*.com", "*.a.com", "b.a.com", "*com", "*x.com")

    assert list(index.find("b.a.com")) == [3, 2, 1, 4, 0]


def test_nothing_found_is_nobody() -> None:
    assert list(index_of("a.com", "*.org").find("b.com")) == [NEVER]


def test_a_suffix_leaves_something_for_the_wildcard() -> None:
    index = index_of("*x.com")

    assert list(index.find("foox.com")) == [0, NEVER]
    assert list(index.find("x.com")) == [NEVER]
    assert list(index.find("com")) == [NEVER]


def test_routes_of_one_name_are_one_group_of_the_first() -> None:
    index = index_of("a.com", "A.com", "/a.*/", "/a.*/")

    assert list(index.find("a.com")) == [0, NEVER]
    assert list(index.find_regexes("a.com")) == [2]
    assert index.first_regex == 2


def test_expressions_that_differ_in_case_only_are_two() -> None:
    index = index_of(r"/\s/", r"/\S/")

    assert list(index.find_regexes("a")) == [1]


def test_a_lower_case_name_is_kept_once() -> None:
    wanted = pattern("a.com")

    assert key_of(wanted) is wanted.text
    assert key_of(pattern("A.com")) == "a.com"


def test_a_lookup_probes_once_for_each_length_of_suffixes_however_many_there_are() -> None:
    names = [f"h{number}.com" for number in range(100_000)]
    suffixes = [f"*.s{number:05}.com" for number in range(10_000)] + ["*.com", "*.s00001.net.com"]
    index = index_of(*names, *suffixes)
    index = evolve(index, exact=Counted(index.exact), suffixes=Counted(index.suffixes))

    found = list(index.find("some.where.s00001.com"))

    assert found == [100_001, 110_000, NEVER]
    assert isinstance(index.exact, Counted)
    assert isinstance(index.suffixes, Counted)
    assert index.exact.asked == 1
    assert index.suffixes.asked == len(index.lengths) == 3
