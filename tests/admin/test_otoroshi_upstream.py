"""
Otoroshi's own test of this API (``TcpServiceApiSpec`` through ``ApiTester``), step by step: what it sends, what it
compares. Its three bulk entities differ by port here, since several services cannot have one port.
"""

from __future__ import annotations

from typing import Any

import pytest

from .api import Api, Reply

ROUTE = "/api/tcp/services"


@pytest.fixture
def api() -> Api:
    return Api()


def template(api: Api, **over: Any) -> dict[str, Any]:
    entity: dict[str, Any] = api.get("/api/tcp/_template").json
    return {**entity, **over}


def created(api: Api) -> dict[str, Any]:
    entity = template(api)
    assert api.call("POST", ROUTE, entity).code == 201
    return entity


def bulk_created(api: Api) -> list[dict[str, Any]]:
    entities = [template(api, port=port) for port in (4200, 4201, 4202)]
    assert_has_all_ids(entities, api.lines("POST", f"{ROUTE}/_bulk", entities))
    return entities


def updated(entity: dict[str, Any]) -> dict[str, Any]:
    return {**entity, "name": entity["name"] + " - updated"}


def patched(entity: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    name = entity["name"] + " - patched"
    return {**entity, "name": name}, [{"op": "replace", "path": "/name", "value": name}]


def assert_has_all_ids(entities: list[dict[str, Any]], reply: Reply) -> None:
    assert reply.code == 200, reply.data
    statuses = {line["id"]: line["status"] for line in reply.lines}
    for entity in entities:
        assert statuses.get(entity["id"]) in (200, 201), reply.data


def assert_listed(api: Api, entities: list[dict[str, Any]]) -> None:
    listed = api.get(ROUTE).json
    for entity in entities:
        assert entity in listed


def test_case_a1_create(api: Api) -> None:
    entity = template(api)

    reply = api.call("POST", ROUTE, entity)

    assert reply.code in (200, 201)
    assert reply.json == entity
    assert api.get(f"{ROUTE}/{entity['id']}").json == entity


def test_case_a2_find_all(api: Api) -> None:
    assert_listed(api, [created(api)])


def test_case_a3_find_by_id(api: Api) -> None:
    entity = created(api)

    reply = api.get(f"{ROUTE}/{entity['id']}")

    assert reply.code == 200
    assert reply.json == entity


def test_case_a4_update(api: Api) -> None:
    entity = updated(created(api))

    reply = api.call("PUT", f"{ROUTE}/{entity['id']}", entity)

    assert reply.code == 200
    assert reply.json == entity
    assert api.get(f"{ROUTE}/{entity['id']}").json == entity


def test_case_a5_patch(api: Api) -> None:
    entity, patch = patched(created(api))

    reply = api.call("PATCH", f"{ROUTE}/{entity['id']}", patch)

    assert reply.code in (200, 201)
    assert reply.json == entity
    assert api.get(f"{ROUTE}/{entity['id']}").json == entity


def test_case_a6_delete(api: Api) -> None:
    entity = created(api)

    reply = api.call("DELETE", f"{ROUTE}/{entity['id']}")

    assert reply.code in (200, 201)
    assert reply.json == {"deleted": True}
    assert api.get(f"{ROUTE}/{entity['id']}").code != 200


def test_case_a7_create_bulk(api: Api) -> None:
    assert_listed(api, bulk_created(api))


def test_case_a8_update_bulk(api: Api) -> None:
    entities = [updated(entity) for entity in bulk_created(api)]

    assert_has_all_ids(entities, api.lines("PUT", f"{ROUTE}/_bulk", entities))

    assert_listed(api, entities)


def test_case_a9_patch_bulk(api: Api) -> None:
    pairs = [patched(entity) for entity in bulk_created(api)]

    reply = api.lines("PATCH", f"{ROUTE}/_bulk", [{"id": entity["id"], "patch": patch} for entity, patch in pairs])

    assert_has_all_ids([entity for entity, _ in pairs], reply)
    assert_listed(api, [entity for entity, _ in pairs])


def test_case_a10_delete_bulk(api: Api) -> None:
    entities = bulk_created(api)

    # The client of the original cannot set the Content-Type of a DELETE.
    reply = api.lines(
        "DELETE",
        f"{ROUTE}/_bulk",
        [{"id": entity["id"]} for entity in entities],
        headers={"Content-Type": "text/plain", "X-Content-Type": "application/x-ndjson"},
    )

    assert_has_all_ids(entities, reply)
    assert api.get(ROUTE).json == []
