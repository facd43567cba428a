"""A write, as a function."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.control.store.changeset import MAX_DEPTH, body_text, revise
from streamproxy.errors import RevisionConflict, StoreError
from streamproxy.model import Change, Delete, Document, Json, Key, Put

PG = Key("otoroshi", "tcp-services", "pg")

keys = st.builds(Key, st.sampled_from(["otoroshi", "apisix"]), st.just("things"), st.sampled_from(["a", "b", "c"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
bodies = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from([1, True, 1.0, None]), max_size=2)
changes = st.lists(st.builds(Put, keys, bodies) | st.builds(Delete, keys), max_size=5)


def spelled(documents: Mapping[Key, Document]) -> list[tuple[Key, str]]:
    return [(key, body_text(key, document.body)) for key, document in documents.items()]


@given(st.lists(changes, max_size=6))
def test_documents_are_what_the_last_change_of_each_made_them(writes: list[list[Change]]) -> None:
    documents: Mapping[Key, Document] = {}
    expected: dict[Key, str] = {}
    latest = 0
    for write in writes:
        before = dict(documents)
        documents, revision = revise(documents, write, latest=latest, time=latest + 0.5, author="ops")
        for change in write:
            if isinstance(change, Put):
                expected[change.key] = body_text(change.key, change.body)
            else:
                expected.pop(change.key, None)
        assert dict(spelled(documents)) == expected

        if revision is None:
            assert documents == before
            continue
        latest = revision.number
        undone = dict(documents)
        for was, is_now in revision.changes:
            assert was != is_now or body_text(PG, was.body) != body_text(PG, is_now.body)  # type: ignore[union-attr]
            key = (was or is_now).key  # type: ignore[union-attr]
            assert undone.get(key) is is_now
            if was is None:
                del undone[key]
            else:
                undone[key] = was
        assert undone == before, "taking the revision back gives what was there"
        assert sorted(spelled(undone)) == sorted(spelled(before))


@given(st.dictionaries(st.text(), json_values))
def test_a_body_is_what_json_makes_of_it(body: dict[str, Json]) -> None:
    documents, _ = revise({}, [Put(PG, body)], latest=0, time=1.0, author="ops")
    assert documents[PG].body == body
    assert json.loads(body_text(PG, body)) == body
    assert body_text(PG, body).isascii()


def test_the_last_of_several_changes_to_one_document_counts() -> None:
    documents, revision = revise({}, [Put(PG, {"a": 1}), Delete(PG)], latest=4, time=1.0, author="ops")
    assert (documents, revision) == ({}, None)

    documents, _ = revise({}, [Put(PG, {"a": 1})], latest=0, time=1.0, author="ops")
    documents, revision = revise(documents, [Delete(PG), Put(PG, {"a": 2})], latest=1, time=2.0, author="ops")
    assert documents == {PG: Document(PG, {"a": 2}, 1, 2, 1.0, 2.0)}
    assert revision is not None
    assert revision.number == 2


def test_another_order_of_keys_is_another_document() -> None:
    documents, _ = revise({}, [Put(PG, {"a": 1, "b": 2})], latest=0, time=1.0, author="ops")
    documents, revision = revise(documents, [Put(PG, {"b": 2, "a": 1})], latest=1, time=1.0, author="ops")
    assert revision is not None
    assert list(documents[PG].body) == ["b", "a"]


def test_what_was_given_is_not_changed() -> None:
    before = {PG: Document(PG, {"a": 1}, 1, 1, 1.0, 1.0)}
    revise(before, [Delete(PG)], latest=1, time=2.0, author="ops")
    assert list(before) == [PG]


def test_the_expected_revision_is_compared_before_anything_else() -> None:
    with pytest.raises(RevisionConflict, match="at revision 7, not 6"):
        revise({}, [], latest=7, time=1.0, author="ops", expect=6)


def nested(levels: int) -> dict[str, Json]:
    value: Json = 1
    for _ in range(levels):
        value = [value]
    return {"a": value}


def test_the_deepest_body_that_is_kept() -> None:
    documents, _ = revise({}, [Put(PG, nested(MAX_DEPTH - 1))], latest=0, time=1.0, author="ops")
    assert documents[PG].body == nested(MAX_DEPTH - 1)


@pytest.mark.parametrize("levels", [MAX_DEPTH, sys.getrecursionlimit() * 2])
def test_a_body_nested_too_deep_is_refused(levels: int) -> None:
    with pytest.raises(StoreError, match="otoroshi:tcp-services/pg cannot be kept"):
        revise({}, [Put(PG, nested(levels))], latest=0, time=1.0, author="ops")


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 10**5000], ids=["nan", "-inf", "huge"])
def test_a_number_json_cannot_say_is_refused(value: Json) -> None:
    with pytest.raises(StoreError, match="cannot be kept as JSON"):
        revise({}, [Put(PG, {"a": value})], latest=0, time=1.0, author="ops")


def test_a_later_end_is_a_change() -> None:
    documents, _ = revise({}, [Put(PG, {"a": 1}, expires=5.0)], latest=0, time=1.0, author="ops")
    assert documents[PG].expires == 5.0
    same, revision = revise(documents, [Put(PG, {"a": 1}, expires=5.0)], latest=1, time=2.0, author="ops")
    assert (same, revision) == (documents, None)
    for_good, _ = revise(documents, [Put(PG, {"a": 1})], latest=1, time=2.0, author="ops")
    assert (for_good[PG].expires, for_good[PG].revision) == (None, 2)
