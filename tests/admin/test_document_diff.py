from __future__ import annotations

from typing import Any

import pytest

from streamproxy.admin.document_diff import MOST, MOST_DEPTH, changes_json, differences
from streamproxy.model import Document, Key

ROUTE = Key("apisix", "stream_routes", "1")


def places(before: Any, after: Any) -> list[tuple[str, str]]:
    return [(each["path"], each["action"]) for each in differences(before, after)]


def test_every_place_that_is_not_the_same() -> None:
    before = {"a": 1, "b": [1, 2], "c": {"d.e": 1}, "gone": None, "flag": 1}
    after = {"a": 2, "b": [1, 3, 4], "c": {"d.e": 2}, "new": [], "flag": True}
    assert places(before, after) == [
        ("a", "changed"),
        ("b[1]", "changed"),
        ("b[2]", "added"),
        ('c["d.e"]', "changed"),
        ("gone", "removed"),
        ("flag", "changed"),
        ("new", "added"),
    ]
    assert places([1, 2], [1]) == [("[1]", "removed")]
    assert places(before, before) == []


def test_what_is_very_deep_or_very_long_is_cut_short() -> None:
    deep: Any = 1
    other: Any = 2
    for _ in range(MOST_DEPTH + 10):
        deep, other = {"x": deep}, {"x": other}
    ((path, _),) = places(deep, other)
    assert path.count("x") == MOST_DEPTH
    document = Document(ROUTE, {"numbers": list(range(MOST + 50))})
    changed = document.with_body({"numbers": list(range(1, MOST + 51))})
    (change,) = changes_json([(document, changed)], dict)
    assert len(change["diff"]) == MOST + 1
    assert change["diff"][-1]["action"] == "more"


def test_what_plugins_keep_secret_and_keys_anywhere_are_hidden() -> None:
    def body(word: str) -> dict[str, Any]:
        key = f"-----BEGIN PRIVATE KEY-----{word}"
        plugins = {"safe": {"inner": {"password": word}, "shown": "this", "reference": "$env://X"}}
        return {"plugins": plugins, "labels": {"oops": key, "list": [key]}}

    document = Document(ROUTE, body("hush"))
    secret = {"safe": ("inner.password", "reference")}
    (change,) = changes_json([(document, document.with_body(body("hushhush")))], lambda: secret)
    assert "hush" not in str(change)
    assert change["after"]["plugins"]["safe"]["reference"] == "$env://X"
    assert [each["path"] for each in change["diff"]] == [
        "plugins.safe.inner.password",
        "labels.oops",
        "labels.list[0]",
    ], "that they changed can be seen"


def test_nothing_is_no_change() -> None:
    with pytest.raises(ValueError, match="no document"):
        changes_json([(None, None)], dict)
