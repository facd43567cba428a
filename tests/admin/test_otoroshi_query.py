from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.admin.otoroshi_query import ListQuery, QueryError, parse, parse_path, project, resolve

from .api import patient

KNOWN = ("id", "name", "port", "enabled", "tags", "sni", "metadata", "ip", "ratio")
A = {"id": "a", "name": "Alpha", "port": 9, "enabled": True, "tags": ["prod", "eu-west"], "sni": {"enabled": False}}
B = {"id": "b", "name": "beta", "port": 10, "enabled": False, "tags": [], "sni": {"enabled": True}, "ip": None}
C = {"id": "c", "name": "Gamma", "port": 10, "enabled": True, "metadata": {"team": "db", "a.b": "x"}, "ratio": 0.5}
ENTITIES: list[Any] = [A, B, C]


def ids(**query: str) -> list[Any]:
    listing = parse({name.replace("__", "."): [value] for name, value in query.items()}, KNOWN).select(ENTITIES)
    return [entity["id"] for entity in listing.items]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "abc"),
        ({"filter.name": "beta"}, "b"),
        ({"filter.name": "Beta"}, ""),
        ({"filter.name": "bet"}, ""),
        ({"filter.enabled": "true"}, "ac"),
        ({"filter.enabled": "FALSE"}, "b"),
        ({"filter.enabled": "1"}, ""),
        ({"filter.port": "10"}, "bc"),
        ({"filter.port": "10.0"}, "bc"),
        ({"filter.port": "ten"}, ""),
        ({"filter.ratio": "0.5"}, "c"),
        ({"filter.tags": "prod"}, "a"),
        ({"filter.tags": "eu"}, "a"),
        ({"filter.tags.0": "prod"}, "a"),
        ({"filter.tags.7": "prod"}, ""),
        ({"filter.sni.enabled": "true"}, "b"),
        ({"filter./sni/enabled": "true"}, "b"),
        ({"filter./metadata/a.b": "x"}, "c"),
        ({"filter.metadata.team": "db"}, "c"),
        ({"filter.ip": "null"}, ""),
        ({"filter.sni": "x"}, ""),
        ({"filter.port": "10", "filter.enabled": "true"}, "c"),
        ({"filtered": "name:A"}, "abc"),
        ({"filtered": "name:alp"}, "a"),
        ({"filtered": "name:alp|BET"}, "ab"),
        ({"filtered": "name:a,enabled:true"}, "ac"),
        ({"filtered": "port:1"}, ""),
        ({"filtered": "port:10"}, "bc"),
        ({"filtered": "tags:west"}, "a"),
        ({"filtered": "nothing:x"}, ""),
        ({"filtered": "metadata.team:D"}, "c"),
        ({"filtered": ""}, "abc"),
        ({"sorted": "name:false"}, "abc"),
        ({"sorted": "name:true"}, "cba"),
        ({"sorted": "port:false,name:true"}, "acb"),
        ({"sorted": "port:true,name:true"}, "cba"),
        ({"sorted": "enabled:false"}, "bac"),
        ({"sorted": "metadata.team:false"}, "cab"),
        ({"sorted": "sni:false"}, "abc"),
        ({"pageSize": "2"}, "ab"),
        ({"page": "2", "pageSize": "2"}, "c"),
        ({"page": "9", "pageSize": "2"}, ""),
        ({"page": "2"}, ""),
        ({"sorted": "id:true", "page": "1", "pageSize": "1"}, "c"),
    ],
)
def test_lists(query: dict[str, str], found: str) -> None:
    listing = parse({name: [value] for name, value in query.items()}, KNOWN).select(ENTITIES)

    assert "".join(str(entity["id"]) for entity in listing.items) == found
    assert listing.total == 3


def test_one_filter_given_twice_has_to_hold_twice() -> None:
    query = parse({"filter.tags": ["prod", "eu-west"]}, KNOWN)

    assert [entity["id"] for entity in query.select(ENTITIES).items] == ["a"]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"filter.nothing": "1"}, "no such field"),
        ({"filter.": "1"}, "no path"),
        ({"filter.a..b": "1"}, "no path"),
        ({"filter.$.name": "1"}, "JSONPath"),
        ({"filtered": "name"}, "field:text"),
        ({"sorted": "name"}, "field:true"),
        ({"sorted": "name:up"}, "field:true"),
        ({"sorted": ":true"}, "field:true"),
        ({"fields": "a..b"}, "no path"),
        ({"page": "abc"}, "number"),
        ({"page": "0"}, "number"),
        ({"page": "-1"}, "number"),
        ({"page": "9" * 5000}, "number"),
        ({"pageSize": "1.5"}, "number"),
        ({"pageSize": "٣"}, "number"),
        ({"pageSize": ""}, "number"),
    ],
)
def test_queries_that_cannot_be_understood(query: dict[str, str], why: str) -> None:
    with pytest.raises(QueryError, match=why) as caught:
        parse({name: [value] for name, value in query.items()}, KNOWN)

    assert str(caught.value) == caught.value.why


@pytest.mark.parametrize(("size", "pages"), [(None, -1), (1, 3), (2, 2), (3, 1), (4, 1)])
def test_pages(size: int | None, pages: int) -> None:
    assert ListQuery(page_size=size).pages(3) == pages


def test_no_page_of_nothing() -> None:
    assert ListQuery(page_size=5).pages(0) == 0


def test_a_projection_keeps_fields_where_they_were() -> None:
    entity: Any = {"id": "a", "sni": {"enabled": True, "forwardsTo": {"port": 1, "host": "h"}}, "tags": ["x", "y"]}
    paths = [parse_path(path) for path in ("id", "sni.enabled", "sni.forwardsTo.port", "tags.1", "nothing", "/id")]

    assert project(entity, paths) == {
        "id": "a",
        "sni": {"enabled": True, "forwardsTo": {"port": 1}},
        "tags": {"1": "y"},
    }


def test_a_projection_does_not_touch_what_it_projects() -> None:
    entity: Any = {"sni": {"enabled": True}, "id": "a"}

    project(entity, [("sni",), ("sni", "enabled")])

    assert entity == {"sni": {"enabled": True}, "id": "a"}


def test_a_pointer_may_escape() -> None:
    assert resolve({"a/b": {"~": 1}}, parse_path("/a~1b/~0")) == 1


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.just({"x": 1})


@patient
@given(
    entities=st.lists(st.dictionaries(st.sampled_from(KNOWN), VALUES)),
    query=st.dictionaries(
        st.sampled_from(["filter.name", "filter.sni.x", "filtered", "sorted", "fields", "page", "pageSize"]),
        st.lists(st.text(st.sampled_from("namesixport:true|false,./10")), min_size=1, max_size=2),
    ),
)
def test_any_query_is_understood_or_refused(entities: list[Any], query: dict[str, list[str]]) -> None:
    try:
        understood = parse(query, KNOWN)
    except QueryError:
        return
    listing = understood.select(entities)
    assert len(listing.items) <= listing.found <= listing.total == len(entities)
    if understood.page_size is not None:
        assert len(listing.items) <= understood.page_size


@patient
@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_the_pages_together_are_the_whole(ports: list[int], size: int) -> None:
    entities: list[Any] = [{"id": str(number), "port": port} for number, port in enumerate(ports)]
    whole = parse({"sorted": ["port:false"]}, KNOWN).select(entities)
    pages = ListQuery(page_size=size).pages(whole.found)
    paged = [
        entity
        for page in range(1, pages + 1)
        for entity in parse({"sorted": ["port:false"], "page": [str(page)], "pageSize": [str(size)]}, KNOWN)
        .select(entities)
        .items
    ]

    assert paged == list(whole.items)
    assert [entity["port"] for entity in paged] == sorted(ports)
