"""The cases that an implementation of APISIX's Admin API has to meet, by their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from twisted.logger import LogLevel, capturedLogs, formatEvent

from .apisix_kit import (
    CERT,
    ECC_CERT,
    ECC_PRIVATE,
    KEY,
    PRIVATE,
    VIEWER,
    Apisix,
    Verbs,
    error,
    roundrobin,
    undated,
    without,
)

MQTT = {"mqtt-proxy": {"protocol_name": "MQTT", "protocol_level": 4}}
MQTT_UPSTREAM = {"type": "chash", "key": "mqtt_client_id", "nodes": [{"host": "127.0.0.1", "port": 1980, "weight": 1}]}
ROUTE = {"remote_addr": "127.0.0.1", "upstream": roundrobin()}


@pytest.fixture
def api() -> Apisix:
    return Apisix()


def token(why: str) -> Mapping[str, str]:
    return {"error_msg": "failed to check token", "description": why}


class TestEnvelope:
    def test_c01_auth(self, api: Verbs) -> None:
        missing = api.put("/stream_routes/1", ROUTE, headers={})
        assert (missing.code, missing.json) == (401, token("missing apikey"))
        wrong = api.put("/stream_routes/1", ROUTE, headers={"X-API-KEY": "guessed"})
        assert (wrong.code, wrong.json) == (401, token("wrong apikey"))
        viewer = api.put("/stream_routes/1", ROUTE, headers=VIEWER)
        assert (viewer.code, viewer.json) == (401, token("invalid method for role viewer"))

        assert api.put("/stream_routes/1?api_key=root-key", ROUTE, headers={}).code == 201
        assert api.put("/stream_routes/1", ROUTE, headers={"Cookie": "a=b; x_api_key=root-key"}).code == 200
        assert api.put("/stream_routes/1", ROUTE).code == 200
        assert api.get("/stream_routes/1", headers=VIEWER).code == 200

    def test_c05_lists(self, api: Verbs) -> None:
        assert api.get("/upstreams").json == {"list": [], "total": 0}
        api.put("/upstreams/1", roundrobin())

        found = api.get("/upstreams").json
        assert (list(found), found["total"]) == (["list", "total"], 1)
        assert list(found["list"][0]) == ["key", "value", "createdIndex", "modifiedIndex"]
        assert found["list"][0]["key"] == "/apisix/upstreams/1"

    def test_c06_paging(self, api: Verbs) -> None:
        for number in range(1, 12):
            api.put(f"/upstreams/{number}", roundrobin())

        refused = api.get("/upstreams/?page=1&page_size=2")
        assert (refused.code, refused.data) == (400, b"page_size must be between 10 and 500")
        assert len(api.get("/upstreams?page=-1&page_size=10").json["list"]) == 10
        first = api.get("/upstreams?page=1&page_size=10").json
        assert (first["total"], len(first["list"])) == (11, 10)
        assert api.get("/upstreams?page=10&page_size=10").json == {"list": [], "total": 11}
        assert api.get("/upstreams?label=").json == {"list": [], "total": 0}


class TestSettings:
    def test_c02_auth_off(self) -> None:
        with capturedLogs() as events:
            api = Apisix(settings={"require_key": False})

        assert [api.get("/routes", headers=headers).code for headers in (KEY, {"X-API-KEY": "x"}, {})] == [200] * 3
        assert api.put("/stream_routes/1", ROUTE, headers=VIEWER).code == 201
        (line,) = [str(formatEvent(event)) for event in events if event["log_level"] is LogLevel.warn]
        assert line.startswith("Admin key is bypassed!")

    @pytest.mark.parametrize(("setting", "version"), [("v3", "v3"), ("v2", "v2")])
    def test_c03_headers(self, setting: str, version: str) -> None:
        api = Apisix(settings={"api_version": setting})
        reply = api.get("/routes")
        assert (reply.headers["server"], reply.headers["x-api-version"]) == ("APISIX/3.18.0", version)
        refused = api.get("/routes", headers={})
        assert refused.headers["server"] == "APISIX/3.18.0"
        assert "x-api-version" not in refused.headers

    @pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
    def test_c04_stream_disabled(self, method: str) -> None:
        api = Apisix(stream_enabled=False)
        reply = api.call(method, "/stream_routes/1", {**ROUTE, "desc": "new route"})
        assert reply.code == 400
        assert error(reply) == "stream mode is disabled, can not add stream routes"
        assert api.put("/upstreams/1", roundrobin()).code == 201


class TestStreamRoutes:
    def test_c08_put_body(self, api: Verbs) -> None:
        reply = api.put("/stream_routes/1", ROUTE)
        assert (reply.code, list(reply.json), reply.data[-1:]) == (201, ["key", "value"], b"\n")
        value = reply.json["value"]
        assert value["create_time"] == value["update_time"]
        assert api.is_now(value["create_time"])
        assert reply.json["key"] == "/apisix/stream_routes/1"
        assert undated(value) == {"id": "1", **ROUTE}

    def test_c09_get_body(self, api: Verbs) -> None:
        put = api.put("/stream_routes/1", ROUTE).json
        reply = api.get("/stream_routes/1")
        assert reply.code == 200
        index = reply.json["createdIndex"]
        assert index > 0
        assert reply.json == {**put, "createdIndex": index, "modifiedIndex": index}

    def test_c10_delete(self, api: Verbs) -> None:
        api.put("/stream_routes/1", ROUTE)
        reply = api.delete("/stream_routes/1")
        assert (reply.code, reply.json) == (200, {"deleted": "1", "key": "/apisix/stream_routes/1"})
        missing = api.delete("/upstreams/not_found")
        assert (missing.code, missing.json) == (404, {"message": "Key not found"})

    def test_c11_post(self, api: Verbs) -> None:
        reply = api.post("/stream_routes", ROUTE)
        assert reply.code == 201
        id = reply.json["value"]["id"]  # noqa: A001
        assert (len(id), id.isdecimal()) == (20, True)
        assert reply.json["key"] == f"/apisix/stream_routes/{id}"
        assert without(undated(reply.json["value"]), "id") == ROUTE
        assert api.delete(f"/stream_routes/{id}").code == 200

    def test_c12_ids(self, api: Verbs) -> None:
        assert api.put("/stream_routes/a-b-c-ABC_0123", ROUTE).code == 201
        assert api.put("/stream_routes/*invalid", ROUTE).code == 400

    @pytest.mark.parametrize(
        "fields",
        [
            {"remote_addr": "127.0.0.1"},
            {"remote_addr": "127.0.0.1", "server_addr": "127.0.0.1", "server_port": 1982},
            {"remote_addr": "::1", "server_addr": "::1", "server_port": 1982},
        ],
    )
    def test_c13_accepted_shapes(self, api: Verbs, fields: Mapping[str, Any]) -> None:
        reply = api.put("/stream_routes/1", {**fields, "plugins": MQTT, "upstream": MQTT_UPSTREAM})
        assert reply.code == 201, reply.data

    @pytest.mark.parametrize(
        ("plugins", "why"),
        [
            ({"mqttt-proxy": {}}, "unknown plugin [mqttt-proxy]"),
            (
                {"ip-restriction": {}},
                (
                    "failed to check the configuration of stream plugin [ip-restriction]: value should match only one"
                    " schema, but matches none"
                ),
            ),
            (
                {"mqtt-proxy": {"protocol_name": "MQTT"}},
                (
                    "failed to check the configuration of stream plugin [mqtt-proxy]:"
                    ' property "protocol_level" is required'
                ),
            ),
        ],
    )
    def test_c14_plugin_validation(self, api: Verbs, plugins: Mapping[str, Any], why: str) -> None:
        api.put("/upstreams/1", roundrobin())
        reply = api.put("/stream_routes/1", {"plugins": plugins, "upstream_id": "1"})
        assert (reply.code, error(reply)) == (400, why)
        good = {"plugins": {"mqtt-proxy": {"protocol_level": 4}}, "upstream_id": "1"}
        assert api.put("/stream_routes/1", good).code == 201

    def test_c15_protocol(self, api: Verbs) -> None:
        reply = api.put("/stream_routes/1", {"protocol": {"name": "xxx"}, "upstream": roundrobin()})
        assert (reply.code, error(reply)) == (400, "unknown protocol [xxx]")

    def test_c16_key_at_rest(self, api: Verbs) -> None:
        tls = {"client_cert": CERT, "client_key": PRIVATE}
        reply = api.put("/stream_routes/enc", {**ROUTE, "upstream": {**roundrobin(), "scheme": "tls", "tls": tls}})
        assert reply.code == 201, reply.data
        assert "client_key" in api.at_rest()
        assert "PRIVATE KEY" not in f"{api.at_rest()} {api.get('/stream_routes/enc').data!r} {reply.data!r}"

    @pytest.mark.parametrize("place", ["upstream_id", "service_id"])
    def test_c18_bad_cidr(self, api: Verbs, place: str) -> None:
        api.put("/upstreams/1", roundrobin())
        api.put("/services/1", {"upstream": roundrobin()})
        reply = api.put("/stream_routes/1", {"remote_addr": ":/8", place: "1"})
        assert (reply.code, reply.json) == (400, {"error_msg": "invalid remote_addr: :/8"})


class TestUpstreams:
    def test_c19_id_conflicts(self, api: Verbs) -> None:
        other = api.put("/upstreams/1", {"id": 3, **roundrobin()})
        assert (other.code, error(other)) == (400, "wrong upstream id")
        posted = api.post("/upstreams/1", roundrobin())
        assert (posted.code, error(posted)) == (400, "wrong upstream id, do not need it")

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({}, "missing key"),
            (
                {"key": "not_support", "desc": "new upstream"},
                (
                    "invalid configuration: failed to match pattern"
                    ' "^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname'
                    '|mqtt_client_id)|arg_[0-9a-zA-z_-]+)$" with "not_support"'
                ),
            ),
            (
                {"key": "dsadas", "hash_on": "aabbcc", "desc": "new chash upstream"},
                'invalid configuration: property "hash_on" validation failed: matches none of the enum values',
            ),
        ],
    )
    def test_c21_chash_key(self, api: Verbs, fields: Mapping[str, Any], why: str) -> None:
        reply = api.put("/upstreams/1", {**roundrobin(), "type": "chash", **fields})
        assert (reply.code, error(reply)) == (400, why)

    def test_c22_tls_and_ipv6(self, api: Verbs) -> None:
        missing = api.post("/upstreams", {**roundrobin(), "tls": {"client_cert_id": 9999999}})
        assert error(missing) == "failed to fetch ssl info by ssl id [9999999], response code: 404"
        api.put("/ssls/1", {"cert": CERT, "key": PRIVATE, "sni": "test.com"})
        wrong = api.post("/upstreams", {**roundrobin(), "tls": {"client_cert_id": 1}})
        assert error(wrong) == "failed to fetch ssl info by ssl id [1], wrong ssl type"
        bare = api.post("/upstreams", {"nodes": [{"host": "::1", "port": 80, "weight": 1}], "type": "roundrobin"})
        assert error(bare) == "invalid configuration: IPv6 address must be enclosed with '[' and ']'"

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            (
                {"timeout": {"connect": 0, "send": 0, "read": 0}},
                (
                    'property "timeout" validation failed: property "connect" validation failed:'
                    " expected 0 to be greater than 0"
                ),
            ),
            ({"retry_timeout": -1}, 'property "retry_timeout" validation failed: expected -1 to be at least 0'),
            ({"retries": -1}, 'property "retries" validation failed: expected -1 to be at least 0'),
        ],
    )
    def test_c23_numeric_limits(self, api: Verbs, fields: Mapping[str, Any], why: str) -> None:
        reply = api.put("/upstreams/1", {**roundrobin(), **fields})
        assert (reply.code, error(reply)) == (400, f"invalid configuration: {why}")
        assert api.put("/upstreams/1", {**roundrobin(), "retries": 0}).code == 201

    def test_c25_server_managed_times(self, api: Verbs) -> None:
        times = {"create_time": 1602883670, "update_time": 1602893670}
        refused = api.put("/upstreams/up", {**roundrobin(), **times})
        assert (refused.code, error(refused)) == (400, "the property is forbidden:  create_time")

        before = api.put("/upstreams/up", roundrobin()).json["value"]
        api.wait()
        after = api.put("/upstreams/up", roundrobin()).json["value"]
        assert after["create_time"] == before["create_time"]
        assert after["update_time"] > before["update_time"]

    def test_c27_references_on_create(self, api: Verbs) -> None:
        upstream = api.put("/stream_routes/9", {"upstream_id": "nope"})
        assert error(upstream) == "failed to fetch upstream info by upstream id [nope], response code: 404"
        service = api.put("/stream_routes/9", {"service_id": "nope"})
        assert error(service) == "failed to fetch service info by service id [nope], response code: 404"


class TestSsls:
    @pytest.mark.parametrize(
        "body",
        [
            {"sni": "foo.com"},
            {"cert": CERT, "key": PRIVATE},
            {"sni": "test.com", "certs": [ECC_CERT], "keys": []},
        ],
    )
    def test_c28_conditional_schema(self, api: Verbs, body: Mapping[str, Any]) -> None:
        reply = api.put("/ssls/1", body)
        assert (reply.code, error(reply)) == (400, "invalid configuration: then clause did not match")
        assert api.put("/ssls/1", {"type": "client", "cert": CERT, "key": PRIVATE}).code == 201

    def test_c29_secrets_hidden(self, api: Verbs) -> None:
        body = {"cert": CERT, "key": PRIVATE, "sni": "test.com", "certs": [ECC_CERT], "keys": [ECC_PRIVATE]}
        put = api.put("/ssls/1", body)
        value = put.json["value"]
        assert put.code == 201, put.data
        assert without(undated(value), "key", "keys") == {"id": "1", **without(body, "key", "keys")}
        assert b"PRIVATE KEY" not in put.data
        assert value["key"]

        one = api.get("/ssls/1").json["value"]
        assert one == without(value, "key", "keys")
        assert [item["value"] for item in api.get("/ssls").json["list"]] == [one]

    def test_c30_bad_material(self, api: Verbs) -> None:
        good = {"cert": CERT, "key": PRIVATE, "sni": "test.com"}
        cut = api.put("/ssls/1", {**good, "cert": CERT[:300]})
        assert (cut.code, error(cut)) == (400, "failed to parse cert: PEM_read_bio_X509_AUX() failed")
        empty = api.put("/ssls/1", {**without(good, "sni"), "snis": []})
        assert error(empty) == (
            'invalid configuration: property "snis" validation failed: expect array to have at least 1 items'
        )
        old = api.put("/ssls/1", {**good, "ssl_protocols": ["TLSv1.0", "TLSv1.2"]})
        assert error(old) == (
            'invalid configuration: property "ssl_protocols" validation failed: failed to validate item 1:'
            " matches none of the enum values"
        )


class TestIntrospection:
    def test_c31_plugins(self, api: Verbs) -> None:
        bad = api.get("/plugins?subsystem=asdf")
        assert (bad.code, error(bad)) == (400, "unsupported subsystem: asdf")
        unknown = api.get("/plugins/http-logger?subsystem=stream")
        assert (unknown.code, error(unknown)) == (404, "plugin not found in subsystem stream")
        assert api.get("/plugins/list?subsystem=stream").json == [
            "ip-restriction",
            "limit-conn",
            "mqtt-proxy",
            "traffic-split",
            "prometheus",
            "syslog",
        ]

    def test_c31_the_schema_of_a_plugin_has_what_all_of_them_have(self, api: Verbs) -> None:
        found = api.get("/plugins?all=true&subsystem=stream").json["limit-conn"]
        meta = found["schema"]["properties"].pop("_meta")
        # A mark that APISIX's own suite reads word by word.
        assert found == {
            "priority": 1003,
            "version": 0.1,
            "schema": {
                "$comment": "this is a mark for our injected plugin schema",
                "type": "object",
                "properties": {
                    "burst": {"type": "integer", "minimum": 0},
                    "conn": {"type": "integer", "exclusiveMinimum": 0},
                    "default_conn_delay": {"type": "number", "exclusiveMinimum": 0},
                    "key": {"type": "string"},
                    "key_type": {"type": "string", "enum": ["var", "var_combination"], "default": "var"},
                    "only_use_default_delay": {"type": "boolean", "default": False},
                },
                "required": ["conn", "burst", "default_conn_delay", "key"],
            },
        }
        assert meta["additionalProperties"] is False
        assert sorted(meta["properties"]) == ["disable", "error_response", "filter", "pre_function", "priority"]
        one = api.get("/plugins/limit-conn?subsystem=stream").json
        assert one["properties"].pop("_meta") == meta
        assert one == found["schema"]

    def test_c31_schemas(self, api: Verbs) -> None:
        reply = api.get("/schema/stream_route")
        assert reply.code == 200
        assert b'"create_time":{"type":"integer"}' in reply.data
        assert "update_time" in reply.json["properties"]
        unknown = api.get("/schema/noexits")
        assert (unknown.code, error(unknown)) == (400, "not found schema: noexits")


class TestBeyondTheCases:
    """What APISIX's own suites ask of lists, patches and nodes, in so far as no case says it already."""

    def test_lists_by_name_and_label(self, api: Verbs) -> None:
        there: Mapping[str, Any] = {"web": {"env": "prod"}, "web-2": {}, "db": {"env": "dev", "x": "y"}}
        for number, (name, labels) in enumerate(there.items(), 1):
            api.put(f"/upstreams/{number}", {**roundrobin(), "name": name, "labels": labels})

        def found(query: str) -> list[str]:
            return [item["value"]["id"] for item in api.get(f"/upstreams?{query}").json["list"]]

        assert found("name=web") == ["1", "2"]
        assert found("name=%5Eweb%24") == ["1"]
        assert found("label=env") == ["1", "3"]
        assert found("name=web&label=env") == ["1"]
        assert found("name=nobody") == []
        assert api.get("/upstreams?page=1&page_size=10&label=x").json["total"] == 1

    def test_lists_by_what_routes_lead_to(self, api: Verbs) -> None:
        for number in (1, 2):
            api.put(f"/upstreams/{number}", roundrobin())
            api.put(f"/services/{number}", {"upstream": roundrobin()})
        first, second = {"upstream_id": "1"}, {"service_id": "1"}
        for number, body in enumerate((first, second, {**first, **second}, {"upstream_id": "2"}), 1):
            api.put(f"/stream_routes/{number}", body)

        def found(query: str) -> list[str]:
            return [item["value"]["id"] for item in api.get(f"/stream_routes?filter={query}").json["list"]]

        assert found("service_id%3D1%26upstream_id%3D1") == ["3"]
        assert found("upstream_id%3D1") == ["1", "3"]
        assert found("service_id%3D1") == ["2", "3"]
        assert found("upstream_id%3D9") == []
        assert found("desc%3Dx") == ["1", "2", "3", "4"]

    def test_patches_of_everything_and_of_parts(self, api: Verbs) -> None:
        api.put("/upstreams/1", {**roundrobin(), "desc": "new upstream"})
        patched = api.patch("/upstreams/1", {"desc": "new 2", "nodes": {"127.0.0.1:8081": 2}})
        assert patched.code == 200
        assert patched.json["value"]["nodes"] == {"127.0.0.1:8080": 1, "127.0.0.1:8081": 2}
        assert api.patch("/upstreams/1", {"nodes": {"127.0.0.1:8081": None}}).json["value"]["nodes"] == {
            "127.0.0.1:8080": 1
        }
        assert api.patch("/upstreams/1/desc", "new 21 upstream").json["value"]["desc"] == "new 21 upstream"
        nodes = {"127.0.0.1:8081": 3, "127.0.0.1:8082": 0}
        assert api.patch("/upstreams/1/nodes", nodes).json["value"]["nodes"] == nodes
        assert api.patch("/upstreams/1/nodes", []).json["value"]["nodes"] == []
        array = [{"host": "127.0.0.1", "port": 8083, "weight": 1}]
        assert api.patch("/upstreams/1", {"nodes": array}).json["value"]["nodes"] == array
        assert api.patch("/upstreams/1/", {"nodes": nodes}).json["value"]["nodes"] == nodes
        wrong = api.patch("/upstreams/1/nodes", {"127.0.0.1:8081": -1})
        assert (wrong.code, error(wrong)) == (
            400,
            'invalid configuration: property "nodes" validation failed: object matches none of the required',
        )
        assert api.get("/upstreams/1").json["value"]["nodes"] == nodes
        assert api.patch("/upstreams/2/nodes", nodes).code == 404

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"_service_name": "xyz"}, "additional properties forbidden, found _service_name"),
            (
                {"labels": {"env": ["production", "release"]}},
                (
                    'property "labels" validation failed: failed to validate env (matching ".*"):'
                    " wrong type: expected string, got table"
                ),
            ),
            ({"name": ""}, 'property "name" validation failed: string too short, expected at least 1, got 0'),
            ({"type": 1}, 'property "type" validation failed: wrong type: expected string, got number'),
            ({"scheme": "ftp"}, 'property "scheme" validation failed: matches none of the enum values'),
            (
                {"nodes": [{"host": "127.0.0.1", "port": 65536, "weight": 1}]},
                'property "nodes" validation failed: object matches none of the required',
            ),
            (
                {"nodes": [{"port": 80, "weight": 1}]},
                'property "nodes" validation failed: object matches none of the required',
            ),
        ],
    )
    def test_what_an_upstream_cannot_say(self, api: Verbs, fields: Mapping[str, Any], why: str) -> None:
        reply = api.put("/upstreams/1", {**roundrobin(), **fields})
        assert (reply.code, error(reply)) == (400, f"invalid configuration: {why}")
        assert api.get("/upstreams/1").code == 404

    @pytest.mark.parametrize("nodes", [{}, [], {"127.0.0.1:8080": 0}, {"[::1]:80": 1}, [{"host": "a", "weight": 1}]])
    def test_what_it_can(self, api: Verbs, nodes: Any) -> None:
        reply = api.put("/upstreams/1", {"nodes": nodes, "type": "roundrobin"})
        assert (reply.code, reply.json["value"]["nodes"]) == (201, nodes)

    def test_ids_in_bodies(self, api: Verbs) -> None:
        reply = api.put("/upstreams", {"id": 1, **roundrobin()})
        assert (reply.code, reply.json["key"], reply.json["value"]["id"]) == (201, "/apisix/upstreams/1", 1)
        assert api.put("/upstreams", {"id": "not-found.x_1", **roundrobin()}).code == 201
        assert api.put("/upstreams/1", {"id": "1", **roundrobin()}).code == 200
        for odd in ("*invalid", "", "a b", 0, -1, 1.5, "a" * 65):
            assert api.put("/upstreams", {"id": odd, **roundrobin()}).code == 400, odd
        assert error(api.put("/upstreams", roundrobin())) == "missing upstream id"
        assert error(api.delete("/upstreams")) == "missing upstream id"

    def test_deleting_with_force_is_spelled_so_and_no_other_way(self, api: Verbs) -> None:
        api.put("/upstreams/1", roundrobin())
        api.put("/services/1", {"upstream_id": "1"})
        for spelling in ("", "?force=anyvalue", "?force=True", "?force=1"):
            reply = api.delete(f"/upstreams/1{spelling}")
            assert (reply.code, error(reply)) == (
                400,
                "can not delete this upstream, service [1] is still using it now",
            )
        assert api.delete("/upstreams/1?force=true").json == {"deleted": "1", "key": "/apisix/upstreams/1"}
