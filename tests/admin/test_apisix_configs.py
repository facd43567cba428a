"""Whole configurations: looked at, and in the standalone mode replaced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from streamproxy.model import Document, Key

from .api import Reply
from .apisix_kit import CERT, KEY, PRIVATE, Apisix, error, roundrobin

UPSTREAM = {"id": "u1", "modifiedIndex": 5, **roundrobin()}
ROUTE = {"id": "r1", "modifiedIndex": 7, "upstream_id": "u1"}
CONFIG = {"upstreams": [UPSTREAM], "stream_routes": [ROUTE]}


@pytest.fixture
def api() -> Apisix:
    return Apisix(is_standalone=True)


def put(api: Apisix, config: Any, digest: str | None = "d1", query: str = "", **headers: str) -> Reply:
    given = {**KEY, **headers, **({} if digest is None else {"X-Digest": digest})}
    data = config if isinstance(config, bytes) else json.dumps(config).encode()
    return api.call("PUT", f"/configs{query}", data=data, headers=given)


def metadata(reply: Reply) -> tuple[str | None, str | None]:
    return reply.headers.get("x-digest"), reply.headers.get("x-last-modified")


class TestStandalone:
    def test_in_the_beginning(self, api: Apisix) -> None:
        reply = api.get("/configs")
        assert (reply.code, metadata(reply)) == (200, (None, None))
        assert len(reply.json) == 13
        assert set(reply.json.values()) == {0}
        head = api.call("HEAD", "/configs")
        assert (head.code, head.data, metadata(head)) == (200, b"", (None, None))

    def test_everything_is_replaced(self, api: Apisix) -> None:
        first = put(api, CONFIG)
        assert (first.code, first.data, metadata(first)) == (202, b"", ("d1", "1704164645"))
        found = api.get("/configs")
        assert (found.json["upstreams"], found.json["stream_routes"]) == ([UPSTREAM], [ROUTE])
        assert (found.json["routes_conf_version"], found.json["upstreams_conf_version"]) == (1, 1)
        assert (found.json["X-Digest"], found.json["X-Last-Modified"]) == ("d1", 1704164645)
        assert metadata(found) == metadata(api.call("HEAD", "/configs")) == ("d1", "1704164645")
        revision = api.configuration.revision()

        second = put(api, {"upstreams": [{"id": "u2", **roundrobin()}]}, "d2", "?wait=1000")
        assert second.code == 200
        assert [document.key.id for document in api.configuration.list("apisix", "upstreams")] == ["u2"]
        assert api.configuration.list("apisix", "stream_routes") == ()
        assert api.configuration.revision() == revision + 1
        assert api.get("/configs").json["upstreams_conf_version"] == 2

    def test_in_the_order_it_was_sent_in_without_ids_of_ours(self, api: Apisix) -> None:
        items = [{"id": number, **roundrobin()} for number in (3, 1, 2)]
        put(api, {"upstreams": items})
        put(api, {"upstreams": [items[2], *items[:2], roundrobin()]}, "d2")
        assert api.get("/configs").json["upstreams"] == [items[2], *items[:2], roundrobin()]
        assert api.get("/upstreams/arr_4").json["value"]["id"] == "arr_4"

    def test_the_same_digest_is_the_same(self, api: Apisix) -> None:
        put(api, CONFIG)
        again = put(api, {"upstreams": []})
        assert (again.code, again.data) == (204, b"")
        assert len(api.configuration.list("apisix", "upstreams")) == 1

    def test_the_same_version_is_the_same(self, api: Apisix) -> None:
        put(api, {**CONFIG, "upstreams_conf_version": 1062})
        kept = put(api, {"upstreams": [], "stream_routes": [], "upstreams_conf_version": 1062}, "d2")
        assert kept.code == 202
        assert (api.get("/configs").json["upstreams"], api.configuration.list("apisix", "stream_routes")) == (
            [UPSTREAM],
            (),
        )
        lower = put(api, {"upstreams_conf_version": 1061.5}, "d3")
        assert (lower.code, error(lower)) == (400, "upstreams_conf_version must be greater than or equal to (1062)")
        assert api.get("/configs").json["X-Digest"] == "d2"

    def test_versions_of_what_there_is_not(self, api: Apisix) -> None:
        put(api, {"routes_conf_version": 15})
        found = api.get("/configs").json
        assert (found["routes_conf_version"], found["ssls_conf_version"]) == (15, 1)

    def test_private_keys_are_sealed_and_can_be_sent_back(self, api: Apisix) -> None:
        put(api, {"ssls": [{"id": "1", "cert": CERT, "key": PRIVATE, "sni": "test.com"}]})
        found = api.get("/configs")
        assert b"PRIVATE KEY" not in found.data
        back = put(api, {"ssls": found.json["ssls"]}, "d2")
        assert back.code == 202, back.data

    def test_yaml(self, api: Apisix) -> None:
        reply = put(api, yaml.safe_dump(CONFIG).encode(), **{"Content-Type": "application/yaml; charset=utf-8"})
        assert reply.code == 202, reply.data
        found = api.get("/configs", headers={**KEY, "Accept": "application/yaml"})
        assert (found.headers["content-type"], metadata(found)[0]) == ("application/yaml", "d1")
        assert yaml.safe_load(found.data) == api.get("/configs").json

    @pytest.mark.parametrize(
        ("config", "digest", "why"),
        [
            (CONFIG, None, "missing digest header"),
            (CONFIG, "x" * 300, "invalid digest header: expected at most 256 printable ASCII characters"),
            (b"", "d1", "invalid request body: empty request body"),
            (b"[1]", "d1", "invalid request body: expected an object"),
            ({"routes_conf_version": "adc"}, "d1", "routes_conf_version must be a number"),
            ({"routes_conf_version": True}, "d1", "routes_conf_version must be a number"),
            ({"upstreams": [UPSTREAM, UPSTREAM]}, "d1", "found duplicate id u1 in upstreams"),
            (
                {"services": [{"id": "s1", "plugins": {"invalid-plugin": {}}}]},
                "d1",
                "invalid services at index 0, err: unknown plugin [invalid-plugin]",
            ),
            (
                {"upstreams": [UPSTREAM, {**UPSTREAM, "id": "u2", "retries": -1}]},
                "d1",
                (
                    'invalid upstreams at index 1, err: invalid configuration: property "retries" validation failed:'
                    " expected -1 to be at least 0"
                ),
            ),
            (
                {"upstreams": [{**UPSTREAM, "modifiedIndex": "x"}]},
                "d1",
                (
                    'invalid upstreams at index 0, err: invalid configuration: property "modifiedIndex" validation'
                    " failed: wrong type: expected integer, got string"
                ),
            ),
            (
                {"upstreams": [5]},
                "d1",
                "invalid upstreams at index 0, err: invalid configuration: wrong type: expected object, got number",
            ),
            ({"upstreams": {"a": 1}}, "d1", "upstreams must be an array, got table"),
            (
                {"plugins": [{"name": "syslog", "stream": True}]},
                "d1",
                (
                    "invalid plugins at index 0, err: the plugins are those that the configuration file names"
                    " (stream_plugins)"
                ),
            ),
        ],
    )
    def test_what_is_refused(self, api: Apisix, config: Any, digest: str | None, why: str) -> None:
        reply = put(api, config, digest)
        assert (reply.code, error(reply)) == (400, why)
        assert api.configuration.revision() == 0

    def test_what_leads_nowhere_is_refused(self, api: Apisix) -> None:
        put(api, {"stream_routes": [{"id": "old"}], "upstreams": [{"id": "old", **roundrobin()}]}, "d0")
        reply = put(api, {"stream_routes": [{"id": "r0", "upstream": roundrobin()}, ROUTE]})
        why = "failed to fetch upstream info by upstream id [u1], response code: 404"
        assert (reply.code, error(reply)) == (400, f"invalid stream_routes at index 1, err: {why}")

    def test_what_the_configuration_says_beside_its_kinds_is_no_item(self, api: Apisix) -> None:
        put(api, CONFIG, "d0")
        reply = put(api, {"stream_routes_conf_version": 1, "configs": "x"})
        assert (reply.code, "invalid configs" in error(reply)) == (400, False)

    def test_what_what_stays_leads_to_is_not_taken_away(self, api: Apisix) -> None:
        put(api, CONFIG, "d0")
        reply = put(api, {"stream_routes_conf_version": 1})
        assert reply.code == 400
        assert "failed to fetch upstream info by upstream id [u1], response code: 404" in error(reply)

    def test_what_is_not_text(self, api: Apisix) -> None:
        assert put(api, CONFIG, "\u20ac").code == 400
        assert put(api, b"\xff").code == 400

    def test_nothing_is_written_but_everything(self, api: Apisix) -> None:
        for method in ("PUT", "POST", "PATCH", "DELETE"):
            reply = api.call(method, "/upstreams/1", roundrobin())
            assert (reply.code, error(reply)) == (404, "not found")
        assert api.call("POST", "/configs", {}).code == 404
        put(api, CONFIG)
        assert api.get("/upstreams").json["total"] == 1

    def test_what_a_file_declares_stays(self) -> None:
        body = {"id": "f", **roundrobin()}
        document = Document(Key("apisix", "upstreams", "f"), body, origin="/etc/proxy.yaml")
        api = Apisix(is_standalone=True, resources=[document])
        assert put(api, CONFIG).code == 202
        assert [item["id"] for item in api.get("/configs").json["upstreams"]] == ["f", "u1"]
        assert put(api, {"upstreams": [body]}, "d2").code == 409


class TestValidation:
    def faults(self, config: Any, **options: Any) -> Any:
        reply = Apisix().post("/configs/validate", config, **options)
        if reply.code == 200:
            assert reply.json == {}
            return []
        assert (reply.code, reply.json["error_msg"]) == (400, "Configuration validation failed")
        return reply.json["errors"]

    @pytest.mark.parametrize(
        "config",
        [
            {},
            [],
            CONFIG,
            {"stream_routes": [ROUTE], "stream_routes_conf_version": 1.5},
            {"upstreams": [roundrobin(), roundrobin()], "services": [], "routes": None},
            {"upstreams": [{**roundrobin(), "tls": {"client_cert_id": "elsewhere"}}]},
            {"plugin_metadata": [{"id": "syslog", "log_format": {}}]},
            {"something": "else"},
        ],
    )
    def test_nothing_is_wrong(self, config: Any) -> None:
        assert self.faults(config) == []

    def test_nothing_is_stored(self) -> None:
        api = Apisix()
        assert api.post("/configs/validate", CONFIG).code == 200
        assert api.configuration.revision() == 0

    def test_all_that_is_wrong(self) -> None:
        config = {
            "upstreams": [{"id": "bad", **roundrobin(), "retries": "x"}, UPSTREAM, UPSTREAM],
            "services_conf_version": "x",
            "routes": [{"id": "r", "uri": "/"}],
            "consumers": [{"username": "jack"}, {"username": "jack"}],
            "ssls": [{"sni": "a"}],
        }
        found = self.faults(config)
        assert {fault["resource_type"] for fault in found} == {"upstreams", "services", "routes", "consumers", "ssls"}
        upstreams = [fault for fault in found if fault["resource_type"] == "upstreams"]
        assert [(fault["resource_id"], fault["index"]) for fault in upstreams] == [("bad", 0), ("u1", 2)]
        assert upstreams[0]["error"].startswith("invalid upstreams at index 0, err: invalid configuration: ")
        assert upstreams[1]["error"] == "found duplicate id u1 in upstreams"
        assert {"resource_type": "services", "error": "services_conf_version must be a number"} in found
        assert "found duplicate username jack in consumers" in [fault["error"] for fault in found]
        (ssl,) = (fault for fault in found if fault["resource_type"] == "ssls")
        assert "resource_id" not in ssl

    def test_the_id_of_one_without_an_id_may_be_taken(self) -> None:
        items = [{"id": "arr_2", **roundrobin()}, roundrobin()]
        assert [fault["error"] for fault in self.faults({"upstreams": items})] == [
            "found duplicate id arr_2 in upstreams"
        ]

    def test_what_is_in_it_has_to_fit(self) -> None:
        config = {
            "ssls": [{"id": "1", "cert": CERT, "key": PRIVATE, "sni": "test.com"}],
            "upstreams": [{**roundrobin(), "tls": {"client_cert_id": "1"}}],
        }
        (fault,) = self.faults(config)
        assert "wrong ssl type" in fault["error"]

    def test_no_more_than_anybody_reads(self) -> None:
        assert len(self.faults({"upstreams": [5] * 1000})) == 100

    def test_yaml(self) -> None:
        headers = {**KEY, "Content-Type": "application/yaml"}
        assert self.faults(None, data=b"upstreams: [{nodes: {}, type: roundrobin}]", headers=headers) == []
        for data in (b"invalid: yaml: [", b"text"):
            reply = Apisix().post("/configs/validate", None, data=data, headers=headers)
            assert (reply.code, error(reply)[:22]) == (400, "invalid request body: ")

    @pytest.mark.parametrize("data", [b"", b"{", b"5", b"\xff"])
    def test_what_cannot_be_read(self, data: bytes) -> None:
        reply = Apisix().call("POST", "/configs/validate", data=data)
        assert (reply.code, error(reply)[:22]) == (400, "invalid request body: ")


class TestIntrospection:
    @pytest.fixture
    def api(self) -> Apisix:
        return Apisix()

    def test_names(self, api: Apisix) -> None:
        assert api.get("/plugins/list").json == api.get("/plugins/list?subsystem=stream").json
        assert api.get("/plugins/list?subsystem=http").json == []
        reply = api.get("/plugins/list?subsystem=x")
        assert (reply.code, reply.data) == (400, b"invalid subsystem passed")

    def test_plugins(self, api: Apisix) -> None:
        every = api.get("/plugins?all=true&subsystem=stream").json
        assert every["ip-restriction"]["priority"] == 3000
        assert set(every["syslog"]) == {"version", "priority", "schema", "metadata_schema"}
        assert api.get("/plugins").json == every
        assert api.get("/plugins?all=true&subsystem=http").json == {}
        for path in ("/plugins/syslog?subsystem=stream", "/plugins/syslog", "/schema/plugins/syslog"):
            assert api.get(path).json == every["syslog"]["schema"]
        assert api.get("/schema/plugins/syslog?schema_type=metadata").json == every["syslog"]["metadata_schema"]

    @pytest.mark.parametrize(
        ("path", "code", "why"),
        [
            ("/plugins/nothing", 404, "plugin not found in subsystem http"),
            ("/plugins/syslog?subsystem=http", 404, "plugin not found in subsystem http"),
            ("/plugins/syslog?schema_type=consumer", 400, "not found schema"),
            ("/schema", 400, "not found schema: "),
        ],
    )
    def test_what_there_is_not(self, api: Apisix, path: str, code: int, why: str) -> None:
        reply = api.get(path)
        assert (reply.code, error(reply)) == (code, why)

    @pytest.mark.parametrize("name", ["stream_route", "upstream", "service", "ssl"])
    def test_schemas(self, api: Apisix, name: str) -> None:
        assert api.get(f"/schema/{name}").json["type"] == "object"

    def test_documents_against_schemas(self, api: Apisix) -> None:
        right = api.post("/schema/validate/upstreams", roundrobin())
        assert (right.code, right.data) == (200, b"")
        dangling = api.post("/schema/validate/stream_routes/", {"upstream_id": "nope"})
        assert dangling.code == 200

    @pytest.mark.parametrize(
        ("kind", "data", "code", "why"),
        [
            ("upstreams", b'{"nodes":{},"retries":-1}', 400, 'property "retries" validation failed: expected -1'),
            ("upstreams", b"", 400, "wrong type: expected object, got nil"),
            ("upstreams", b"5", 400, "wrong type: expected object, got number"),
            ("upstreams", b"{", 400, "invalid request body: "),
            ("routes", b"{}", 400, "this is a layer-4 proxy, which has no routes"),
            ("nothing", b"{}", 404, "Unsupported resource type: nothing"),
        ],
    )
    def test_what_a_schema_has_against_it(self, api: Apisix, kind: str, data: bytes, code: int, why: str) -> None:
        reply = api.call("POST", f"/schema/validate/{kind}", data=data)
        assert (reply.code, reply.json["error_msg"][: len(why)]) == (code, why)
        assert "invalid configuration" not in reply.json["error_msg"]


def test_nobody_else_has_standalone_configurations() -> None:
    api = Apisix()
    for method in ("GET", "PUT", "HEAD"):
        assert api.call(method, "/configs", {} if method == "PUT" else None).code == 404


def test_a_state_somebody_else_wrote_is_no_document_that_routes(api: Apisix) -> None:
    put(api, CONFIG)
    problems: Mapping[str, Any] = {str(problem): problem for problem in api.configuration.problems()}
    assert not [text for text in problems if "configs" in text]
