from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from streamproxy.control.history import History, becoming, net, same, undoing
from streamproxy.control.store.memory import MemoryStore
from streamproxy.errors import UnknownRevision
from streamproxy.interfaces import Revision
from streamproxy.model import Change, Delete, Document, Key, Put

from ..admin.api import Clock, result_of


def key(name: str) -> Key:
    return Key("otoroshi", "tcp-services", name)


def store(*writes: Sequence[Change], history: int = 1000) -> MemoryStore:
    made = MemoryStore(clock=Clock(), history=history)
    for changes in writes:
        result_of(made.commit(changes, author="ops"))
    return made


WRITES: list[list[Change]] = [
    [Put(key("a"), {"port": 1}), Put(key("b"), {"port": 2})],
    [Put(key("a"), {"port": 11})],
    [Delete(key("b")), Put(key("c"), {"port": 3})],
    [Delete(key("c"))],
]


def bodies(pairs: Any) -> list[tuple[str, Any, Any]]:
    def body(document: Document | None) -> Any:
        return None if document is None else document.body["port"]

    return [((after or before).key.id, body(before), body(after)) for before, after in pairs]


def test_one_revision() -> None:
    history = History(store(*WRITES))
    assert bodies(result_of(history.at(2)).changes) == [("a", 1, 11)]


@pytest.mark.parametrize("number", [0, 5, 99])
def test_a_revision_there_never_was(number: int) -> None:
    with pytest.raises(UnknownRevision, match=f"there is no revision {number}"):
        result_of(History(store(*WRITES)).at(number))


def test_a_revision_that_is_forgotten() -> None:
    history = History(store(*WRITES, history=2))
    questions: list[Deferred[Any]] = [history.at(1), history.between(1, 4), history.restoring(0)]
    for asking in questions:
        with pytest.raises(UnknownRevision, match="is forgotten: the history begins with"):
            result_of(asking)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, 1, [("a", None, 1), ("b", None, 2)]),
        (1, 2, [("a", 1, 11)]),
        (0, 4, [("a", None, 11)]),
        (1, 4, [("a", 1, 11), ("b", 2, None)]),
        (4, 1, [("a", 11, 1), ("b", None, 2)]),
        (2, 2, []),
        (4, 0, [("a", 11, None)]),
    ],
)
def test_what_is_between_two(first: int, last: int, expected: list[tuple[str, Any, Any]]) -> None:
    assert bodies(result_of(History(store(*WRITES)).between(first, last))) == expected


@pytest.mark.parametrize(("first", "last"), [(0, 5), (7, 1)])
def test_between_what_there_never_was(first: int, last: int) -> None:
    with pytest.raises(UnknownRevision, match="no revision"):
        result_of(History(store(*WRITES)).between(first, last))


def test_far_back() -> None:
    """Farther than one look into the store goes."""
    made = store(*([Put(key("a"), {"port": port})] for port in range(350)))
    assert bodies(result_of(History(made).between(1, 350))) == [("a", 0, 349)]
    latest, changes = result_of(History(made).restoring(3))
    assert (latest, changes) == (350, (Put(key("a"), {"port": 2}),))


def test_of_nothing() -> None:
    history = History(store())
    assert result_of(history.between(0, 0)) == ()
    assert result_of(history.restoring(0)) == (0, ())
    with pytest.raises(UnknownRevision):
        result_of(history.at(1))


def test_the_way_back_and_what_was_there() -> None:
    made = store(*WRITES)
    history = History(made)
    loaded = result_of(made.load())
    documents = result_of(history.documents_at(1, loaded.revision, loaded.documents))
    assert [(each.key.id, each.body["port"]) for each in documents] == [("a", 1), ("b", 2)]

    _, changes = result_of(history.restoring(1))
    restored = result_of(made.commit(changes, author="ops"))
    assert {each.key.id: each.body["port"] for each in restored.documents} == {"a": 1, "b": 2}


names = st.sampled_from("abc")
changes = st.lists(
    st.one_of(
        st.builds(lambda name, port: Put(key(name), {"port": port}), names, st.integers(1, 3)),
        st.builds(lambda name: Delete(key(name)), names),
    ),
    min_size=1,
    max_size=3,
)


@given(st.lists(changes, max_size=8), st.data())
def test_going_back_leads_to_what_was(writes: list[list[Change]], data: st.DataObject) -> None:
    made = MemoryStore(clock=Clock())
    states: dict[int, Mapping[Key, Any]] = {0: {}}
    for write in writes:
        loaded = result_of(made.commit(write, author="ops"))
        states[loaded.revision] = {each.key: each.body for each in loaded.documents}
    number = data.draw(st.sampled_from(sorted(states)))
    _, back = result_of(History(made).restoring(number))
    loaded = result_of(made.commit(back, author="ops"))
    assert {each.key: each.body for each in loaded.documents} == states[number]


def test_what_somebody_wrote_since_is_not_undone() -> None:
    made = store(WRITES[0], [Put(key("a"), {"port": 5}), Delete(key("b")), Put(key("c"), {"port": 3})])
    revision = result_of(History(made).at(2))
    loaded = result_of(made.commit([Put(key("a"), {"port": 6})], author="somebody else"))
    documents = {each.key: each for each in loaded.documents}
    assert undoing(revision, documents) == (Put(key("b"), {"port": 2}), Delete(key("c")))


def test_what_is_the_same() -> None:
    document = Document(key("a"), {"port": 1}, 1, 1)
    assert same(None, None)
    assert not same(None, document)
    assert same(document, Document(key("a"), {"port": 1}, 1, 7, 5.0, 6.0))
    assert not same(document, Document(key("a"), {"port": 1}, 1, 1, expires=5.0))
    with pytest.raises(ValueError, match="nothing"):
        becoming(None, None)
    assert net([Revision(1, 0.0, "", "", ((None, None),))]) == ()
