"""What every store promises."""

from __future__ import annotations

import math
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs

from streamproxy.errors import RevisionConflict, StoreError
from streamproxy.interfaces import ConfigStore, Loaded, Pending
from streamproxy.model import Delete, Document, Json, Key, Put

from .conftest import Bench

PG = Key("otoroshi", "tcp-services", "pg")
MYSQL = Key("otoroshi", "tcp-services", "mysql")
ROUTE = Key("apisix", "stream_routes", "pg")


@pytest.fixture
def store(bench: Bench) -> ConfigStore:
    return bench.open()


def ids(loaded: Loaded) -> list[str]:
    return [document.key.id for document in loaded.documents]


def test_a_new_store_is_empty(bench: Bench, store: ConfigStore) -> None:
    assert bench.reactor.result_of(store.load()) == Loaded(0, ())
    assert bench.reactor.result_of(store.revisions()) == ()


def test_what_was_put_is_held_as_it_was_written(bench: Bench, store: ConfigStore) -> None:
    body: dict[str, Json] = {"z": 1, "a": [1.5, True, None, "\u00e9\U0001f600\x00"], "n": {"y": {}, "b": 10**30}}

    loaded = bench.reactor.result_of(store.commit([Put(PG, body)], author="ops"))

    assert loaded == Loaded(1, (Document(PG, body, 1, 1, bench.time, bench.time),))
    assert list(loaded.documents[0].body) == ["z", "a", "n"], "the order of the author's keys is part of the document"
    assert bench.reactor.result_of(store.load()) == loaded


def test_true_is_not_one(bench: Bench, store: ConfigStore) -> None:
    bench.reactor.result_of(store.commit([Put(PG, {"enabled": 1})], author="ops"))
    loaded = bench.reactor.result_of(store.commit([Put(PG, {"enabled": True})], author="ops"))
    assert loaded.revision == 2
    assert loaded.documents[0].body["enabled"] is True


def test_a_document_remembers_its_first_and_its_last_write(bench: Bench, store: ConfigStore) -> None:
    bench.time = 100.25
    bench.reactor.result_of(store.commit([Put(PG, {"port": 1})], author="ops"))
    bench.time = 200.5
    loaded = bench.reactor.result_of(store.commit([Put(PG, {"port": 2})], author="ops"))
    assert loaded.documents == (Document(PG, {"port": 2}, 1, 2, 100.25, 200.5),)


def test_documents_stand_in_order_of_creation(bench: Bench, store: ConfigStore) -> None:
    result_of = bench.reactor.result_of
    result_of(store.commit([Put(PG, {}), Put(MYSQL, {})], author="ops"))
    result_of(store.commit([Put(ROUTE, {})], author="ops"))

    replaced = result_of(store.commit([Put(PG, {"port": 1})], author="ops"))
    assert [document.key for document in replaced.documents] == [PG, MYSQL, ROUTE]

    result_of(store.commit([Delete(PG)], author="ops"))
    made_again = result_of(store.commit([Put(PG, {"port": 1})], author="ops"))
    assert [document.key for document in made_again.documents] == [MYSQL, ROUTE, PG]
    assert made_again.documents[-1].created_revision == 5


def test_a_document_is_named_by_dialect_kind_and_id_together(bench: Bench, store: ConfigStore) -> None:
    bench.reactor.result_of(store.commit([Put(PG, {"a": 1}), Put(ROUTE, {"b": 1})], author="ops"))
    loaded = bench.reactor.result_of(store.commit([Delete(PG)], author="ops"))
    assert [document.key for document in loaded.documents] == [ROUTE]


def test_changes_that_change_nothing_make_no_revision(bench: Bench, store: ConfigStore) -> None:
    before = bench.reactor.result_of(store.commit([Put(PG, {"port": 1})], author="ops"))
    bench.time += 10

    after = bench.reactor.result_of(store.commit([Put(PG, {"port": 1}), Delete(MYSQL)], author="ops"))

    assert after == before
    assert len(bench.reactor.result_of(store.revisions())) == 1


def test_the_writer_s_later_edits_of_its_own_dict_are_not_ours(bench: Bench, store: ConfigStore) -> None:
    inner: dict[str, Json] = {"host": "a"}
    loaded = bench.reactor.result_of(store.commit([Put(PG, {"target": inner})], author="ops"))
    inner["host"] = "b"
    assert loaded.documents[0].body == {"target": {"host": "a"}}
    assert bench.reactor.result_of(store.load()) == loaded


def test_a_writer_that_saw_another_revision_is_refused(bench: Bench, store: ConfigStore) -> None:
    bench.reactor.result_of(store.commit([Put(PG, {})], author="ops", expect=0))

    error = bench.reactor.failure_of(store.commit([Put(MYSQL, {})], author="ops", expect=0))

    assert isinstance(error, RevisionConflict)
    assert (error.expected, error.found) == (0, 1)
    assert ids(bench.reactor.result_of(store.load())) == ["pg"]


def test_all_changes_are_made_or_none(bench: Bench, store: ConfigStore) -> None:
    bench.reactor.result_of(store.commit([Put(PG, {"port": 1})], author="ops"))

    error = bench.reactor.failure_of(
        store.commit([Put(PG, {"port": 2}), Put(MYSQL, {"weight": math.nan})], author="ops")
    )

    assert isinstance(error, StoreError)
    assert "otoroshi:tcp-services/mysql cannot be kept as JSON" in str(error)
    loaded = bench.reactor.result_of(store.load())
    assert (loaded.revision, ids(loaded), loaded.documents[0].body) == (1, ["pg"], {"port": 1})


def test_text_that_is_not_unicode_is_kept_in_bodies_and_reasons_and_refused_in_names(
    bench: Bench, store: ConfigStore
) -> None:
    lone = "\ud800"
    loaded = bench.reactor.result_of(store.commit([Put(PG, {lone: lone})], author=f"o{lone}", reason=f"r{lone}"))
    assert loaded.documents[0].body == {lone: lone}
    (revision,) = bench.reactor.result_of(store.revisions())
    assert (revision.author, revision.reason) == ("o\\ud800", "r\\ud800")

    error = bench.reactor.failure_of(store.commit([Put(Key("otoroshi", "tcp-services", lone), {})], author="ops"))
    assert str(error) == "otoroshi:tcp-services/\\ud800 cannot be a name: it is not Unicode text"


def test_deleting_a_name_nobody_could_give_is_no_change(bench: Bench, store: ConfigStore) -> None:
    loaded = bench.reactor.result_of(store.commit([Delete(Key("otoroshi", "tcp-services", "\ud800"))], author="ops"))
    assert loaded.revision == 0


def test_a_revision_says_who_when_why_and_what(bench: Bench, store: ConfigStore) -> None:
    bench.time = 100.5
    first = bench.reactor.result_of(store.commit([Put(PG, {"port": 1})], author="ann", reason="new"))
    bench.time = 200.5
    second = bench.reactor.result_of(store.commit([Put(MYSQL, {}), Put(PG, {"port": 2})], author="bob"))
    third = bench.reactor.result_of(store.commit([Delete(PG)], author="eve", reason="gone"))

    newest, middle, oldest = bench.reactor.result_of(store.revisions())

    assert (oldest.number, oldest.time, oldest.author, oldest.reason) == (1, 100.5, "ann", "new")
    assert oldest.changes == ((None, first.documents[0]),)
    assert (middle.number, middle.time, middle.author, middle.reason) == (2, 200.5, "bob", "")
    assert middle.changes == ((None, second.documents[1]), (first.documents[0], second.documents[0]))
    assert newest.number == third.revision == 3
    assert newest.changes == ((second.documents[0], None),)


def test_revisions_can_be_paged_through(bench: Bench, store: ConfigStore) -> None:
    for port in range(4):
        bench.reactor.result_of(store.commit([Put(PG, {"port": port})], author="ops"))

    def numbers(**paging: Any) -> list[int]:
        return [revision.number for revision in bench.reactor.result_of(store.revisions(**paging))]

    assert numbers(limit=2) == [4, 3]
    assert numbers(limit=2, before=3) == [2, 1]
    assert numbers(before=1) == []
    assert numbers(limit=0) == numbers(limit=-1) == []
    assert numbers(limit=10**30, before=10**30) == [4, 3, 2, 1]
    assert numbers(before=-(10**30)) == []


def test_only_the_last_revisions_are_kept(bench: Bench, store: ConfigStore) -> None:
    for port in range(8):
        bench.reactor.result_of(store.commit([Put(PG, {"port": port})], author="ops"))
    kept = [revision.number for revision in bench.reactor.result_of(store.revisions())]
    assert kept == [8, 7, 6, 5, 4]
    assert bench.reactor.result_of(store.load()).revision == 8


def test_a_watcher_is_told_the_full_set_after_each_change(bench: Bench, store: ConfigStore) -> None:
    bench.reactor.result_of(store.load())
    told: list[Loaded] = []
    store.watch(told.append)

    first = bench.reactor.result_of(store.commit([Put(PG, {})], author="ops"))
    bench.reactor.result_of(store.commit([Put(PG, {})], author="ops"))
    second = bench.reactor.result_of(store.commit([Put(MYSQL, {})], author="ops"))

    assert told == [first, second]


def test_a_watcher_that_was_there_before_the_first_load_is_told_of_changes_only(
    bench: Bench, store: ConfigStore
) -> None:
    told: list[Loaded] = []
    store.watch(told.append)
    bench.reactor.result_of(store.load())
    assert told == []
    loaded = bench.reactor.result_of(store.commit([Put(PG, {})], author="ops"))
    assert told == [loaded]


def test_a_watcher_that_fails_is_logged_and_harms_nobody(bench: Bench, store: ConfigStore) -> None:
    told: list[Loaded] = []

    def broken(_: Loaded) -> None:
        raise ZeroDivisionError("in a watcher")

    store.watch(broken)
    store.watch(told.append)
    with capturedLogs() as events:
        loaded = bench.reactor.result_of(store.commit([Put(PG, {})], author="ops"))

    assert told == [loaded]
    (event,) = [event for event in events if event["log_level"] is LogLevel.critical]
    assert event["log_failure"].type is ZeroDivisionError
    assert event["revision"] == 1


def test_a_watcher_that_writes_does_not_make_the_others_see_the_past_last(bench: Bench, store: ConfigStore) -> None:
    told: list[int] = []
    writes: list[Deferred[Loaded]] = []

    def follow_up(loaded: Loaded) -> None:
        if loaded.revision == 1:
            writes.append(store.commit([Put(MYSQL, {})], author="watcher"))

    store.watch(follow_up)
    store.watch(lambda loaded: told.append(loaded.revision))

    bench.reactor.result_of(store.commit([Put(PG, {})], author="ops"))
    bench.reactor.result_of(writes[0])

    assert told == [1, 2]


def test_a_writer_that_goes_away_does_not_keep_watchers_from_being_told(bench: Bench, store: ConfigStore) -> None:
    told: list[Loaded] = []
    store.watch(told.append)
    writing = store.commit([Put(PG, {})], author="ops")
    writing.addErrback(lambda _: None)
    writing.cancel()
    bench.reactor.result_of(store.load())
    assert [ids(loaded) for loaded in told] == [["pg"]]


def test_a_closed_store_refuses_and_closes_again(bench: Bench, store: ConfigStore) -> None:
    told: list[Loaded] = []
    store.watch(told.append)
    bench.reactor.result_of(store.load())
    bench.reactor.result_of(store.close())
    bench.reactor.result_of(store.close())

    for refused in (store.load(), store.revisions(), store.commit([Put(PG, {})], author="ops")):
        error = bench.reactor.failure_of(refused)
        assert isinstance(error, StoreError)
        assert "the store is closed" in str(error)
    assert told == []
    assert bench.reactor.getDelayedCalls() == []


def test_a_store_that_was_never_used_can_be_closed(bench: Bench, store: ConfigStore) -> None:
    bench.reactor.result_of(store.close())


def test_a_revision_that_waits_to_be_confirmed(bench: Bench, store: ConfigStore) -> None:
    result_of = bench.reactor.result_of
    assert result_of(store.pending()) == ()

    result_of(store.commit([Put(PG, {"port": 1})], author="ops"))
    result_of(store.commit([Put(PG, {"port": 2})], author="ops", confirm_by=500.5))
    result_of(store.commit([Put(PG, {"port": 3})], author="ops", confirm_by=600.5))

    assert result_of(store.pending()) == (Pending(2, 500.5), Pending(3, 600.5))

    result_of(store.commit([], author="ops", settles=[2]))
    assert result_of(store.pending()) == (Pending(3, 600.5),)
    assert result_of(store.load()).revision == 3, "to confirm is no revision"

    taken_back = result_of(store.commit([Put(PG, {"port": 2})], author="nobody", settles=[3, 99]))
    assert (taken_back.revision, result_of(store.pending())) == (4, ())


def test_what_changes_nothing_does_not_have_to_be_confirmed(bench: Bench, store: ConfigStore) -> None:
    bench.reactor.result_of(store.commit([Delete(PG)], author="ops", confirm_by=500.5))
    assert bench.reactor.result_of(store.pending()) == ()


def test_what_waits_to_be_confirmed_is_not_forgotten(bench: Bench, store: ConfigStore) -> None:
    result_of = bench.reactor.result_of
    result_of(store.commit([Put(PG, {"port": 0})], author="ops", confirm_by=500.5))
    for port in range(1, 10):
        result_of(store.commit([Put(PG, {"port": port})], author="ops"))

    assert [revision.number for revision in result_of(store.revisions())] == [10, 9, 8, 7, 6, 1]

    result_of(store.commit([Put(PG, {"port": 10})], author="ops", settles=[1]))
    assert [revision.number for revision in result_of(store.revisions())] == [11, 10, 9, 8, 7]
