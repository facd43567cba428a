"""``/apis``, as somebody who knows Otoroshi's generic API would call it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamproxy import __version__
from streamproxy.model import Document, Key

from .api import NOW, Api, live, service

ROUTE = "/apis/proxy.otoroshi.io/v1/tcp-services"
KIND = "tcp-services.proxy.otoroshi.io/v1"
THEN = "2024-01-02T03:04:05.678Z"


def of_kind(entity: dict[str, Any], **metadata: str) -> dict[str, Any]:
    return {**entity, "metadata": {**entity["metadata"], **metadata}, "kind": KIND}


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def filled(api: Api) -> Api:
    for number, name in enumerate("abc"):
        assert api.call("POST", "/api/tcp/services", service(name, 5000 + number)).code == 201
    return api


def test_a_resource_is_created_read_and_deleted(api: Api) -> None:
    created = api.call("POST", ROUTE, service("a"))

    assert api.clock.now == NOW
    assert (created.code, created.json) == (201, of_kind(service("a"), created_at=THEN))
    assert api.get(f"{ROUTE}/a").json == created.json
    assert api.call("DELETE", f"{ROUTE}/a").json == created.json
    assert api.get(f"{ROUTE}/a").json == {"error": "not_found", "error_description": "resource not found"}


def test_an_id_is_made_where_there_is_none(api: Api) -> None:
    body = {"name": "a", "description": "b", "port": 1}

    assert api.call("POST", ROUTE, body).json["id"] == "tcp-service_u1"


@pytest.mark.parametrize("group", ["proxy.otoroshi.io", "any", "all"])
@pytest.mark.parametrize("version", ["v1", "any", "all"])
@pytest.mark.parametrize("entity", ["tcp-services", "tcp-service", "TcpService", "tcpservice"])
def test_what_the_resource_may_be_called(filled: Api, group: str, version: str, entity: str) -> None:
    assert len(filled.get(f"/apis/{group}/{version}/{entity}").json) == 3


@pytest.mark.parametrize(
    "path", ["proxy.otoroshi.io/v1/routes", "proxy.otoroshi.io/v2/tcp-services", "x/v1/tcp-services"]
)
@pytest.mark.parametrize(
    ("method", "rest"),
    [("GET", ""), ("POST", ""), ("DELETE", ""), ("GET", "/a"), ("PUT", "/a"), ("GET", "/_count"), ("POST", "/_bulk")],
)
def test_other_resources(filled: Api, path: str, method: str, rest: str) -> None:
    reply = filled.call(method, f"/apis/{path}{rest}", {})

    assert (reply.code, reply.json) == (404, {"error": "not_found", "error_description": "resource not found"})
    assert len(filled.get(ROUTE).json) == 3


def test_a_list(filled: Api) -> None:
    whole = filled.get(ROUTE)
    page = filled.get(f"{ROUTE}?sorted=port:true&page=2&pageSize=2&fields=id&filter.enabled=true")

    assert whole.json[0] == of_kind(service("a", 5000))
    assert (whole.headers["x-pages"], whole.headers["x-count"]) == ("-1", "3")
    assert page.json == [{"id": "a", "kind": KIND}]
    assert page.headers["x-pages"] == "2"


def test_how_json_looks(filled: Api) -> None:
    assert filled.get(f"{ROUTE}/a?fields=id").data.startswith(b'{\n  "id": "a"')
    assert filled.get(f"{ROUTE}/a?fields=id&pretty=false").data == b'{"id":"a","kind":"%s"}' % KIND.encode()
    assert filled.get(f"{ROUTE}/a?fields=id&envelope=true").json == {"data": {"id": "a", "kind": KIND}}
    assert filled.get(f"{ROUTE}?fields=id&envelope").json["data"][2] == {"id": "c", "kind": KIND}
    assert filled.get(f"{ROUTE}?pretty=maybe").code == 400


def test_count(filled: Api) -> None:
    assert filled.get(f"{ROUTE}/_count").json == {"count": 3}


def test_template(api: Api) -> None:
    reply = api.get(f"{ROUTE}/_template?name=x")

    assert (reply.code, reply.json["name"], reply.json["port"]) == (200, "x", 4200)


def test_template_looks_as_anything_else(api: Api) -> None:
    compact = api.get(f"{ROUTE}/_template?pretty=false&envelope=true")
    in_yaml = api.get(f"{ROUTE}/_template", headers={"Accept": "application/yaml"})

    assert b"\n" not in compact.data
    assert compact.json["data"].keys() == service().keys()
    assert in_yaml.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(in_yaml.data)["port"] == 4200


def test_schema(api: Api) -> None:
    schema = api.get(f"{ROUTE}/_schema").json

    assert schema["required"] == ["name", "description", "port"]


def test_catalog(api: Api) -> None:
    full, light = api.get("/apis/entities").json, api.get("/apis/entities?schema=false").json

    assert full["version"] == __version__
    assert full["resources"][0]["version"].pop("schema")["title"] == "TcpService"
    assert full == light
    assert light["resources"] == [
        {
            "kind": "TcpService",
            "plural_name": "tcp-services",
            "singular_name": "tcp-service",
            "group": "proxy.otoroshi.io",
            "version": {"name": "v1", "served": True, "deprecated": False, "storage": True},
        }
    ]


# Errors: never 401 for what has nothing to do with credentials


def test_what_exists_already(filled: Api) -> None:
    reply = filled.call("POST", ROUTE, service("a"))

    assert reply.code == 400
    assert reply.json == {"error": "already_exists", "error_description": "resource already exists"}


@pytest.mark.parametrize(
    ("method", "body", "words"),
    [
        ("GET", None, "resource not found"),
        ("PUT", service("x"), "resource does not exists"),
        ("PATCH", [], "resource not found"),
        ("DELETE", None, "resource not found"),
    ],
)
def test_what_does_not_exist(filled: Api, method: str, body: Any, words: str) -> None:
    reply = filled.call(method, f"{ROUTE}/x", body)

    assert (reply.code, reply.json) == (404, {"error": "not_found", "error_description": words})


def test_a_resource_that_cannot_work(filled: Api) -> None:
    reply = filled.call("POST", ROUTE, {"name": 1, "port": 5000})

    assert reply.code == 400
    assert reply.json["error"] == "bad_request"
    assert len(reply.json["error_description"]) == len(reply.json["problems"]) == 2
    conflicting = filled.call("POST", ROUTE, service("d", 5000))
    assert [problem["path"] for problem in conflicting.json["problems"]] == ["port"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", ""])
@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("PUT", "/a"), ("PATCH", "/a"), ("POST", "/a")])
def test_a_content_type_nobody_can_read(filled: Api, method: str, path: str, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    reply = filled.call(method, f"{ROUTE}{path}", data=b"{}", headers=headers)

    assert (reply.code, reply.json["error"]) == (400, "bad_content_type")


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/json", b"{"),
        ("application/yaml", b"a: b: c"),
        ("application/json+oto-patch", b"{}"),
        ("application/x-www-form-urlencoded", b"..=1"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("PATCH", "/a")])
def test_a_body_nobody_can_read(filled: Api, method: str, path: str, content_type: str, data: bytes) -> None:
    reply = filled.call(method, f"{ROUTE}{path}", data=data, headers={"Content-Type": content_type})

    assert (reply.code, reply.json["error"]) == (400, "bad_request")


def test_a_bad_query(filled: Api) -> None:
    assert filled.get(f"{ROUTE}?page=0").json["error"] == "bad_request"


def test_what_a_file_declares() -> None:
    declared = Document(
        Key("otoroshi", "tcp-services", "d"), {"name": "d", "description": "", "port": 1}, origin="/etc/s.yaml"
    )
    api = Api(live(resources=[declared]))

    assert api.get(f"{ROUTE}/d").json["interface"] == "0.0.0.0"
    for reply in (api.call("POST", f"{ROUTE}/d", service("d", 2)), api.call("DELETE", ROUTE)):
        assert reply.code == 409
        assert "/etc/s.yaml" in reply.json["error_description"]


# YAML


def test_yaml_in_and_out(api: Api) -> None:
    data = yaml.safe_dump(service("a")).encode()
    headers = {"Content-Type": "application/yaml", "Accept": "application/yaml"}

    created = api.call("POST", ROUTE, data=data, headers=headers)

    assert created.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(created.data) == of_kind(service("a"), created_at=THEN)
    assert yaml.safe_load(api.get(ROUTE, headers={"Accept": "text/yaml"}).data) == [yaml.safe_load(created.data)]


def test_yaml_as_for_kubernetes(filled: Api) -> None:
    exported = filled.get(f"{ROUTE}/a", headers={"Accept": "application/yaml+k8s"})
    all_of_them = filled.get(ROUTE, headers={"Accept": "application/yml+k8s"})

    document = yaml.safe_load(exported.data)
    assert document == {
        "apiVersion": "proxy.otoroshi.io/v1",
        "kind": "TcpService",
        "metadata": {"name": "the a"},
        "spec": service("a", 5000),
    }
    assert [item["spec"]["id"] for item in yaml.safe_load_all(all_of_them.data)] == ["a", "b", "c"]

    filled.call("DELETE", f"{ROUTE}/a")
    imported = filled.call("POST", ROUTE, data=exported.data, headers={"Content-Type": "application/yaml"})

    assert imported.json == of_kind(service("a", 5000), created_at=THEN)


def test_the_name_of_a_kubernetes_resource_is_the_name(api: Api) -> None:
    spec = {"description": "", "port": 1}
    body = {"apiVersion": "proxy.otoroshi.io/v1", "kind": "TcpService", "metadata": {"name": "n"}, "spec": spec}

    assert api.call("POST", ROUTE, body).json["name"] == "n"
    assert api.call("POST", ROUTE, {**body, "spec": {**spec, "port": 2, "name": "own"}}).json["name"] == "own"
    assert api.call("POST", ROUTE, {**body, "metadata": None}).code == 400


def test_lines(filled: Api) -> None:
    reply = filled.get(f"{ROUTE}?fields=id", headers={"Accept": "application/x-ndjson"})

    assert reply.lines == [{"id": name, "kind": KIND} for name in "abc"]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("application/yaml;q=0, application/json", "application/json"),
        ("application/json, application/yaml", "application/json"),
        ("text/html, application/yml;q=0.5, */*", "application/yml"),
    ],
)
def test_the_first_type_that_there_is(filled: Api, accept: str, content_type: str) -> None:
    assert filled.get(f"{ROUTE}/a", headers={"Accept": accept}).headers["content-type"] == content_type


def test_a_schema_in_yaml_has_no_aliases(api: Api) -> None:
    data = api.get(f"{ROUTE}/_schema", headers={"Accept": "application/yaml"}).data

    assert b"&id" not in data
    assert yaml.safe_load(data)["title"] == "TcpService"


# Writing


def test_replace(filled: Api) -> None:
    reply = filled.call("PUT", f"{ROUTE}/a", service("other", 6000, metadata={"team": "db"}))

    assert (reply.code, reply.json["id"], reply.json["port"]) == (200, "a", 6000)
    assert reply.json["metadata"] == {"team": "db", "updated_at": THEN}


def test_metadata_that_is_none_is_refused_as_any_other_field(filled: Api) -> None:
    reply = filled.call("PUT", f"{ROUTE}/a", service("a", metadata=[1]))

    assert [problem["path"] for problem in reply.json["problems"]] == ["metadata"]


def test_upsert(api: Api) -> None:
    created = api.call("POST", f"{ROUTE}/a", {**service("a", 1), "id": "x"})
    again = api.call("POST", f"{ROUTE}/a", service("a", 1))
    revision = api.configuration.revision()
    api.clock.now += 60
    changed = api.call("POST", f"{ROUTE}/a", service("a", 2))

    assert [reply.code for reply in (created, again, changed)] == [201, 200, 200]
    told = [reply.headers["otoroshi-entity-updated"] for reply in (created, again, changed)]
    assert told == ["true", "false", "true"]
    assert again.json == created.json == of_kind(service("a", 1), created_at=THEN)
    assert changed.json["metadata"] == {"updated_at": "2024-01-02T03:05:05.678Z"}
    assert api.configuration.revision() == revision + 1, "writing what is there already made a revision"


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        (
            "application/json",
            b'[{"op":"replace","path":"/sni/enabled","value":true},{"op":"add","path":"/tags/-","value":"t"}]',
        ),
        ("application/yaml", b"- {op: replace, path: /sni/enabled, value: true}\n- {op: add, path: /tags/-, value: t}"),
        ("application/json+oto-patch", b'[{"path":"sni.enabled","value":"true"},{"path":"tags.0","value":"t"}]'),
        ("application/x-www-form-urlencoded", b"sni.enabled=true&tags.0=t"),
    ],
)
def test_patches(filled: Api, content_type: str, data: bytes) -> None:
    reply = filled.call("PATCH", f"{ROUTE}/a", data=data, headers={"Content-Type": content_type})

    assert reply.code == 200, reply.data
    assert reply.json["sni"]["enabled"] is True
    assert reply.json["tags"] == ["t"]
    assert reply.json["metadata"] == {"updated_at": THEN}
    assert filled.get(f"{ROUTE}/a").json == reply.json


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/x-www-form-urlencoded", b"name=n&description=d&port=9&sni.enabled=true"),
        (
            "application/json+oto-patch",
            json.dumps(
                [
                    {"path": "name", "value": "n"},
                    {"path": "description", "value": "d"},
                    {"path": "port", "value": "9"},
                    {"path": "sni.enabled", "value": True},
                ]
            ).encode(),
        ),
    ],
)
def test_created_from_paths(api: Api, content_type: str, data: bytes) -> None:
    reply = api.call("POST", ROUTE, data=data, headers={"Content-Type": content_type})

    assert reply.code == 201, reply.data
    assert (reply.json["name"], reply.json["port"], reply.json["sni"]["enabled"]) == ("n", 9, True)


def test_delete_all(filled: Api) -> None:
    reply = filled.call("DELETE", ROUTE)

    assert (reply.code, reply.data) == (204, b"")
    assert filled.get(ROUTE).json == []
    assert filled.call("DELETE", ROUTE).code == 204


def test_delete_all_that_a_filter_keeps(filled: Api) -> None:
    assert filled.call("DELETE", f"{ROUTE}?filter.name=the%20b").code == 204

    assert [entity["id"] for entity in filled.get(ROUTE).json] == ["a", "c"]


def test_delete_all_of_what_was_seen(filled: Api) -> None:
    assert filled.call("DELETE", f"{ROUTE}?expect=1").code == 409
    assert filled.call("DELETE", ROUTE, headers={"If-Match": '"1"'}).code == 412
    assert filled.call("DELETE", ROUTE, headers={"If-Match": f'"{filled.configuration.revision()}"'}).code == 204


def test_bulk(filled: Api) -> None:
    reply = filled.lines("POST", f"{ROUTE}/_bulk", [service("d", 6000), service("a", 6001)])

    assert reply.lines[0] == {"status": 201, "created": True, "id": "d", "id_field": "id"}
    assert (reply.lines[1]["status"], reply.lines[1]["error_description"]) == (400, "entity already exists")
    assert filled.get(f"{ROUTE}/d").json["metadata"] == {"created_at": THEN}

    reply = filled.lines("PUT", f"{ROUTE}/_bulk", [service("d", 6002), service("e", 6003)])

    assert reply.lines[0] == {"status": 200, "updated": True, "id": "d", "id_field": "id"}
    assert (reply.lines[1]["status"], reply.lines[1]["error_description"]) == (404, "Entity does not exists")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]),
    path=st.sampled_from(["", "/a", "/_bulk", "/x"]),
    data=st.binary(max_size=200)
    | st.sampled_from([b"a: {b: [c]}", b"name=a&port=1&description=", b"a.b.c=1&a=2"])
    | st.just(json.dumps(service("a")).encode()),
    media=st.sampled_from(
        [
            "application/json",
            "application/yaml",
            "application/x-ndjson",
            "application/json+oto-patch",
            "application/x-www-form-urlencoded",
        ]
    ),
)
def test_no_body_is_an_internal_error(filled: Api, method: str, path: str, data: bytes, media: str) -> None:
    reply = filled.call(method, f"{ROUTE}{path}", data=data, headers={"Content-Type": media})

    assert reply.code < 500, reply.data
