from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.admin.bodies import checked
from streamproxy.admin.patching import MOST_OPERATIONS, PatchError, apply_patch, apply_paths, read_paths
from streamproxy.model import Json

from .api import patient

DOCUMENT: Json = {"name": "pg", "port": 5432, "tags": ["a", "b"], "sni": {"enabled": False}}


@pytest.mark.parametrize(
    ("operation", "changed"),
    [
        ({"op": "replace", "path": "/name", "value": "x"}, {"name": "x"}),
        ({"op": "add", "path": "/tags/-", "value": "c"}, {"tags": ["a", "b", "c"]}),
        ({"op": "add", "path": "/sni/enabled", "value": True}, {"sni": {"enabled": True}}),
        ({"op": "remove", "path": "/tags/0"}, {"tags": ["b"]}),
        ({"op": "copy", "from": "/tags/0", "path": "/name"}, {"name": "a"}),
        ({"op": "move", "from": "/tags/1", "path": "/tags/0"}, {"tags": ["b", "a"]}),
        ({"op": "test", "path": "/port", "value": 5432}, {}),
    ],
)
def test_rfc_6902(operation: dict[str, Json], changed: dict[str, Json]) -> None:
    before = copy.deepcopy(DOCUMENT)

    assert isinstance(DOCUMENT, dict)
    assert apply_patch(DOCUMENT, [operation]) == {**DOCUMENT, **changed}
    assert before == DOCUMENT, "the document itself was touched"


def test_the_patch_is_not_touched_either() -> None:
    patch: list[Json] = [
        {"op": "add", "path": "/rules", "value": []},
        {"op": "add", "path": "/rules/-", "value": {"domain": "*"}},
    ]
    before = copy.deepcopy(patch)
    pairs: list[tuple[str, Json]] = [("rules", []), ("rules.0", {})]

    assert apply_patch(DOCUMENT, patch) == apply_patch(DOCUMENT, patch)
    assert apply_paths(DOCUMENT, pairs) == apply_paths(DOCUMENT, pairs)
    assert patch == before
    assert pairs == [("rules", []), ("rules.0", {})]


def test_the_whole_may_be_replaced() -> None:
    assert apply_patch(DOCUMENT, [{"op": "replace", "path": "", "value": [1]}]) == [1]


@pytest.mark.parametrize(
    "patch",
    [
        {},
        "text",
        [1],
        [{}],
        [{"op": "append", "path": "/name", "value": "x"}],
        [{"op": ["add"], "path": "/name"}],
        [{"op": "add", "path": "/name"}],
        [{"op": "add", "value": 1}],
        [{"op": "add", "path": 5, "value": 1}],
        [{"op": "add", "path": "name", "value": 1}],
        [{"op": "add", "path": "/name/x/y", "value": 1}],
        [{"op": "add", "path": "/tags/x", "value": 1}],
        [{"op": "add", "path": "/tags/" + "9" * 5000, "value": 1}],
        [{"op": "add", "path": "/a~2", "value": 1}],
        [{"op": "remove", "path": "/nothing"}],
        [{"op": "remove", "path": ""}],
        [{"op": "replace", "path": "/nothing", "value": 1}],
        [{"op": "copy", "path": "/name"}],
        [{"op": "copy", "from": "/nothing", "path": "/name"}],
        [{"op": "copy", "from": 7, "path": "/name"}],
        [{"op": "move", "from": "/sni", "path": "/sni/enabled"}],
        [{"op": "test", "path": "/port", "value": "5432"}],
        [{"op": "test", "path": "/nothing", "value": None}],
        [{"op": "test", "path": "/port", "value": 5432}] * (MOST_OPERATIONS + 1),
    ],
)
def test_a_patch_that_does_not_apply(patch: Any) -> None:
    with pytest.raises(PatchError) as caught:
        apply_patch(DOCUMENT, patch)

    assert str(caught.value)


def test_copies_of_copies_do_not_fill_the_memory() -> None:
    patch: list[Json] = [{"op": "copy", "from": "", "path": f"/c{number}"} for number in range(60)]

    with pytest.raises(PatchError, match="too much"):
        apply_patch({"a": list(range(100))}, patch)


def test_a_path_may_not_lead_deeper_than_a_document_can_be() -> None:
    with pytest.raises(PatchError, match="deep"):
        apply_patch({}, [{"op": "add", "path": "/a" * 100_000, "value": {}}])


@pytest.mark.parametrize("op", ["copy", "move"])
def test_a_patch_may_not_nest_without_end(op: str) -> None:
    """Each operation puts what there is sixty levels further down."""
    document: Any = {}
    for _ in range(60):
        document = {"k": document}
    patch: list[Json] = []
    for number in range(400):
        old, new = f"k{number}", f"k{number + 1}"
        rest = "".join(f"/{new}" for _ in range(59))
        patch += [{"op": "add", "path": f"/{new}", "value": document["k"]}] if not number else []
        patch += [
            {"op": "add", "path": f"/{new}", "value": _nested(new, 58)},
            {"op": op, "from": f"/{old}" if number else "/k", "path": f"/{new}{rest}"},
        ]

    with pytest.raises(PatchError):
        apply_patch(document, patch)


def _nested(key: str, depth: int) -> Json:
    value: Json = {}
    for _ in range(depth):
        value = {key: value}
    return value


OPERATION = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])},
    optional={
        "path": st.sampled_from(["", "/", "/name", "/tags/0", "/tags/-", "/tags/7", "/sni/enabled", "/a~1b", "x"])
        | st.text()
        | st.none(),
        "from": st.sampled_from(["", "/name", "/tags", "/sni", "/nothing"]) | st.integers(),
        "value": st.none() | st.integers() | st.text() | st.just({"a": [1]}) | st.floats(),
    },
)


@patient
@given(st.lists(OPERATION, max_size=6))
def test_any_patch_applies_or_is_refused(patch: list[Any]) -> None:
    with suppress(PatchError):
        checked(apply_patch(DOCUMENT, patch))


@pytest.mark.parametrize(
    ("pairs", "changed"),
    [
        ([("name", "x")], {"name": "x"}),
        ([("port", "80")], {"port": 80}),
        ([("port", 80)], {"port": 80}),
        ([("sni.enabled", "true")], {"sni": {"enabled": True}}),
        ([("sni.forwardsTo.host", "h")], {"sni": {"enabled": False, "forwardsTo": {"host": "h"}}}),
        ([("tags.0", "z")], {"tags": ["z", "b"]}),
        ([("tags.2", "z")], {"tags": ["a", "b", "z"]}),
        ([("tags", '["q"]')], {"tags": ["q"]}),
        ([("name", "null")], {"name": None}),
        ([("name", "[")], {"name": "["}),
        ([("rules", "[{}]"), ("rules.0.domain", "*")], {"rules": [{"domain": "*"}]}),
    ],
)
def test_dotted_paths(pairs: list[tuple[str, Json]], changed: dict[str, Json]) -> None:
    assert isinstance(DOCUMENT, dict)
    assert apply_paths(DOCUMENT, pairs) == {**DOCUMENT, **changed}


@pytest.mark.parametrize("path", ["", "a..b", ".a", "name.x", "tags.x", "tags.9", "tags.9.x", "tags.0.x", "port.a.b"])
def test_a_dotted_path_that_leads_nowhere(path: str) -> None:
    with pytest.raises(PatchError, match=r"path|there is no"):
        apply_paths(DOCUMENT, [(path, 1)])


def test_a_dotted_path_may_not_nest_without_end() -> None:
    with pytest.raises(PatchError, match="path"):
        apply_paths({}, [(".".join("a" * 100_000), 1)])
    with pytest.raises(PatchError, match="deep"):
        apply_paths({}, [(".".join("a" * 60), "[" * 60 + "]" * 60)])


def test_pairs_of_a_patch() -> None:
    assert read_paths([{"path": "a.b", "value": None}]) == [("a.b", None)]


@pytest.mark.parametrize(
    "body", [{}, [1], [{"path": "a"}], [{"value": 1}], [{"path": 1, "value": 1}], [{"path": "a", "value": 1}] * 1001]
)
def test_what_is_no_list_of_pairs(body: Any) -> None:
    with pytest.raises(PatchError, match="path and value"):
        read_paths(body)
