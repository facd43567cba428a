from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest

from streamproxy.admin.apisix_answer import ApisixError, ApisixText
from streamproxy.admin.apisix_kinds import KINDS
from streamproxy.admin.apisix_list import listed
from streamproxy.model import Document, Key

from .apisix_kit import Apisix, roundrobin

ROUTES = KINDS["stream_routes"]


def documents(*bodies: Mapping[str, Any]) -> list[Any]:
    """Made in this order."""
    return [
        ROUTES.item(Document(Key("apisix", "stream_routes", str(body["id"])), body, number, number))
        for number, body in enumerate(bodies, start=1)
    ]


def ids(query: Mapping[str, str], *bodies: Mapping[str, Any]) -> list[str]:
    page = listed(ROUTES, documents(*bodies), {name: (value,) for name, value in query.items()})
    return [item.document.key.id for item in page.items]


@pytest.fixture
def named() -> list[dict[str, Any]]:
    return [{"id": "2", "name": "web-a"}, {"id": "10", "name": "web-b"}, {"id": "1"}, {"id": "3", "name": 5}]


def test_by_key_and_pages_by_age(named: list[dict[str, Any]]) -> None:
    assert ids({}, *named) == ["1", "10", "2", "3"]
    assert ids({"page": "1", "page_size": "10"}, *named) == ["2", "10", "1", "3"]


@pytest.mark.parametrize(
    "query",
    [
        {"page": "x", "page_size": "10"},
        {"page": "1", "page_size": ""},
        {"page": "1"},
        {"page_size": "1"},
        {"page": "nan", "page_size": "10"},
    ],
)
def test_without_two_numbers_there_are_no_pages(query: Mapping[str, str]) -> None:
    assert ids(query, *({"id": number} for number in range(20))) == sorted(map(str, range(20)))


@pytest.mark.parametrize(
    ("page", "found"),
    [("0", 10), ("-1e99", 10), ("2", 2), ("2.9", 2), (" 2 ", 2), ("3", 0), ("1e99", 0), (".5", 10)],
)
def test_pages(page: str, found: int) -> None:
    assert len(ids({"page": page, "page_size": "10"}, *({"id": number} for number in range(12)))) == found


@pytest.mark.parametrize("size", ["9", "501", "-1", "1e9"])
def test_sizes_of_pages(size: str) -> None:
    with pytest.raises(ApisixText, match="page_size must be between 10 and 500"):
        ids({"page": "1", "page_size": size})


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("web", ["10", "2"]), ("a$", ["2"]), ("", ["10", "2"]), ("WEB", []), ("^web-[ab]$", ["10", "2"])],
)
def test_names_are_searched(named: list[dict[str, Any]], pattern: str, found: list[str]) -> None:
    assert ids({"name": pattern}, *named) == found


@pytest.mark.parametrize("pattern", ["(", "(?=a)", "a" * 5000, "\\1"])
def test_what_is_no_expression(pattern: str) -> None:
    for name in ("name", "uri"):
        with pytest.raises(ApisixError, match=f"invalid argument {name}: "):
            ids({name: pattern})


def test_labels() -> None:
    bodies: list[dict[str, Any]] = [
        {"id": "1", "labels": {"env": "x"}},
        {"id": "2", "labels": {}},
        {"id": "3"},
        {"id": "4", "labels": "env"},
    ]
    assert ids({"label": "env"}, *bodies) == ["1"]
    assert ids({"label": ""}, *bodies) == []


def test_nothing_here_has_a_uri(named: list[dict[str, Any]]) -> None:
    assert ids({"uri": ".*"}, *named) == []


def test_filters() -> None:
    bodies: list[dict[str, Any]] = [
        {"id": "1", "service_id": "1", "upstream_id": "1"},
        {"id": "2", "service_id": "1"},
        {"id": "3", "service_id": 1},
    ]
    assert ids({"filter": "service_id=1"}, *bodies) == ["1", "2"]
    assert ids({"filter": "service_id=1&upstream_id=1"}, *bodies) == ["1"]
    assert ids({"filter": "colour=blue&nothing"}, *bodies) == ["1", "2", "3"]
    with pytest.raises(ApisixError, match="invalid argument filter"):
        ids({"filter": "a=1&" * 200})


def test_only_stream_routes_have_filters() -> None:
    api = Apisix()
    api.put("/services/1", {"upstream": roundrobin()})
    for number in range(1, 5):
        api.put(
            f"/stream_routes/{number}",
            {"service_id": "1", "server_port": number} if number % 2 else {"upstream": roundrobin()},
        )
    found = api.get(f"/stream_routes?filter={quote('service_id=1')}").json
    assert ([item["value"]["id"] for item in found["list"]], found["total"]) == (["1", "3"], 2)
    assert api.get(f"/services?filter={quote('service_id=7')}").json["total"] == 1
