"""Bulk writes: each line as if it had been sent alone, and all good ones as one revision."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import Document, Key

from .api import Api, live, service

ROUTE = "/api/tcp/services"
BULK = f"{ROUTE}/_bulk"


@pytest.fixture
def api() -> Api:
    declared = Document(
        Key("otoroshi", "tcp-services", "declared"),
        {"name": "declared", "description": "d", "port": 7000},
        origin="/etc/streamproxy.yaml",
    )
    api = Api(live(resources=[declared]))
    for number, name in enumerate("ab"):
        assert api.call("POST", ROUTE, service(name, 5000 + number)).code == 201
    return api


def stored(api: Api) -> dict[str, int]:
    return {entity["id"]: entity["port"] for entity in api.get(ROUTE).json if entity["id"] != "declared"}


def test_outcomes_are_lines_without_a_newline_at_the_end(api: Api) -> None:
    reply = api.lines("POST", BULK, [service("c", 1), service("d", 2)])

    assert reply.code == 200
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.data == b'{"status":201,"created":true,"id":"c"}\n{"status":201,"created":true,"id":"d"}'


def test_all_good_lines_are_one_revision(api: Api) -> None:
    before = api.configuration.revision()

    api.lines("POST", BULK, [service(str(number), 6000 + number) for number in range(20)])

    assert api.configuration.revision() == before + 1


def test_create_overwrites_and_update_creates(api: Api) -> None:
    assert api.lines("POST", BULK, [service("a", 5500)]).lines == [{"status": 201, "created": True, "id": "a"}]
    assert api.lines("PUT", BULK, [service("z", 5600)]).lines == [{"status": 200, "updated": True, "id": "z"}]
    assert stored(api) == {"a": 5500, "b": 5001, "z": 5600}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("content_type", ["application/json", "", "application/x-ndjson-not"])
def test_only_lines_are_taken(api: Api, method: str, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    reply = api.call(method, BULK, data=b'{"id": "a"}', headers=headers)

    assert reply.code == 400
    assert reply.json == {"error": "bad_content_type", "error_description": "Unsupported content type"}
    assert stored(api) == {"a": 5000, "b": 5001}


def test_only_a_delete_may_say_it_by_another_header(api: Api) -> None:
    headers = {"Content-Type": "text/plain", "X-Content-Type": "application/x-ndjson"}

    assert api.call("POST", BULK, data=b"{}", headers=headers).code == 400
    assert api.call("DELETE", BULK, data=b'{"id": "a"}', headers=headers).code == 200


def test_nothing_is_nothing(api: Api) -> None:
    revision = api.configuration.revision()

    reply = api.call("POST", BULK, data=b"\n\n", headers={"Content-Type": "application/x-ndjson; charset=utf-8"})

    assert (reply.code, reply.data, api.configuration.revision()) == (200, b"", revision)


def test_each_line_has_its_own_outcome(api: Api) -> None:
    values: list[Any] = [service("c", 1), {"id": "d", "name": "d"}, {"name": "no id"}, [], service("e", 2)]
    reply = api.lines("POST", BULK, values)
    broken = api.call("POST", BULK, data=b"{not json", headers={"Content-Type": "application/x-ndjson"})

    assert [line["status"] for line in reply.lines] == [201, 400, 400, 400, 201]
    assert {problem["path"] for problem in reply.lines[1]["problems"]} == {"description", "port"}
    assert reply.lines[1]["id"] == "d"
    assert reply.lines[1]["entity"] == {"id": "d", "name": "d"}
    assert "line 3" in reply.lines[2]["error_description"]
    assert broken.lines[0]["error"] == "bad_format"
    assert stored(api) == {"a": 5000, "b": 5001, "c": 1, "e": 2}


def test_a_line_that_does_not_go_with_the_others_is_taken_out(api: Api) -> None:
    reply = api.lines("POST", BULK, [service("c", 1), service("d", 5000), service("e", 1), service("f", 2)])

    assert [line["status"] for line in reply.lines] == [201, 400, 400, 201]
    assert reply.lines[1]["problems"][0]["path"] == "port"
    assert "otoroshi:tcp-services/a" in reply.lines[1]["error_description"]
    assert stored(api) == {"a": 5000, "b": 5001, "c": 1, "f": 2}


def test_of_one_line_the_problems_are_its_own(api: Api) -> None:
    reply = api.lines("POST", BULK, [service("c", 5000)])

    assert [(line["status"], line["problems"][0]["path"]) for line in reply.lines] == [(400, "port")]


def test_lines_of_one_id_follow_each_other(api: Api) -> None:
    patch = [{"op": "add", "path": "/tags/-", "value": "t"}]
    reply = api.lines("PATCH", BULK, [{"id": "a", "patch": patch}, {"id": "a", "patch": patch}])

    assert [line["status"] for line in reply.lines] == [200, 200]
    assert api.get(f"{ROUTE}/a").json["tags"] == ["t", "t"]

    reply = api.lines("DELETE", BULK, [{"id": "a"}, {"id": "a"}])

    assert [line["status"] for line in reply.lines] == [200, 404]
    assert stored(api) == {"b": 5001}


def test_when_the_last_line_of_an_id_is_bad_the_one_before_it_counts(api: Api) -> None:
    reply = api.lines("PUT", BULK, [service("a", 5500), service("a", 5001)])

    assert [line["status"] for line in reply.lines] == [200, 400]
    assert stored(api) == {"a": 5500, "b": 5001}


def test_patches(api: Api) -> None:
    good = [{"op": "replace", "path": "/port", "value": 5500}]
    bad = [{"op": "replace", "path": "/port", "value": "x"}]
    reply = api.lines(
        "PATCH",
        BULK,
        [
            {"id": "a", "patch": good},
            {"id": "b", "patch": bad},
            {"id": "b", "patch": [{"op": "remove", "path": "/nothing"}]},
            {"id": "b"},
            {"id": "x", "patch": good},
        ],
    )

    assert [(line["status"], line.get("error")) for line in reply.lines] == [
        (200, None),
        (400, "bad_entity"),
        (400, "bad_patch"),
        (400, "bad_patch"),
        (404, "not_found"),
    ]
    assert reply.lines[0] == {"status": 200, "updated": True, "id": "a"}
    assert reply.lines[4]["error_description"] == "Entity not found"
    assert stored(api) == {"a": 5500, "b": 5001}


def test_deletes(api: Api) -> None:
    reply = api.lines("DELETE", BULK, [{"id": "a"}, {"id": "x"}, {"id": 5}])

    assert reply.lines[0] == {"status": 200, "deleted": True, "id": "a"}
    assert [line["status"] for line in reply.lines[1:]] == [404, 400]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_a_file_declares_is_read_only(api: Api, method: str) -> None:
    reply = api.lines(method, BULK, [service("declared", 1)])

    assert (reply.lines[0]["status"], reply.lines[0]["error"]) == (409, "read_only")
    assert "/etc/streamproxy.yaml" in reply.lines[0]["error_description"]


def test_a_bulk_may_expect_a_revision(api: Api) -> None:
    assert api.lines("DELETE", f"{BULK}?expect=1", [{"id": "a"}]).code == 409
    assert api.lines("DELETE", BULK, [{"id": "a"}], headers={"If-Match": '"1"'}).code == 412
    assert stored(api) == {"a": 5000, "b": 5001}


def refuse(api: Api, monkeypatch: pytest.MonkeyPatch, *problems: Problem) -> list[int]:
    asked: list[int] = []

    def change(changes: Any, **_: Any) -> Deferred[Any]:
        asked.append(len(changes))
        return fail(InvalidConfiguration(problems))

    monkeypatch.setattr(api.configuration, "change", change)
    return asked


def test_problems_that_are_of_no_line_are_of_all(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = refuse(api, monkeypatch, Problem("elsewhere", "conflict", "broken"))

    reply = api.lines("POST", BULK, [service("c", 1), service("d", 2)])

    assert [line["status"] for line in reply.lines] == [400, 400]
    assert reply.lines[0]["problems"][0]["path"] == "elsewhere"
    assert asked == [2]


def test_lines_that_never_fit_are_not_tried_for_ever(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = refuse(api, monkeypatch, Problem("[0].port", "conflict", "taken"), Problem("[99]", "conflict", "?"))

    reply = api.lines("POST", BULK, [service(str(number), number + 1) for number in range(20)])

    assert {line["status"] for line in reply.lines} == {400}
    assert len(asked) == 8
    assert "too many lines" in reply.lines[19]["error_description"]
    assert reply.lines[0]["problems"] == [{"path": "port", "code": "conflict", "message": "taken"}]


LINES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(5000, 5004)) | st.just(("declared", 1)), min_size=1, max_size=6
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(["POST", "PUT"]), lines=LINES)
def test_what_is_stored_is_what_the_outcomes_say(api: Api, method: str, lines: list[tuple[str, int]]) -> None:
    before = stored(api)

    reply = api.lines(method, BULK, [service(name, port) for name, port in lines])

    outcomes = reply.lines
    assert len(outcomes) == len(lines)
    expected = dict(before)
    for (name, port), outcome in zip(lines, outcomes, strict=True):
        assert outcome["id"] == name
        if outcome["status"] in (200, 201):
            expected[name] = port
    assert stored(api) == expected
    assert len(set(expected.values())) == len(expected), "two services have one port"
