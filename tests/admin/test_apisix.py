"""Paths, methods and shapes of APISIX's Admin API, and what it does beside the numbered cases."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import fail

from streamproxy.admin.apisix import Target
from streamproxy.admin.apisix_kinds import HTTP_KINDS, KINDS
from streamproxy.errors import RevisionConflict, StoreError
from streamproxy.model import Document, Key

from .apisix_kit import CERT, PRIVATE, Apisix, error, roundrobin, undated

ROUTE = {"upstream": roundrobin()}


@pytest.fixture
def api() -> Apisix:
    return Apisix()


@pytest.fixture
def v2() -> Apisix:
    return Apisix(settings={"api_version": "v2"})


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("upstreams", Target("upstreams", "", "")),
        ("upstreams/", Target("upstreams", "", "")),
        ("upstreams/1", Target("upstreams", "1", "")),
        ("upstreams/1/", Target("upstreams", "1", "")),
        ("upstreams/1/nodes/a:1", Target("upstreams", "1", "nodes/a:1")),
        ("schema/plugins/syslog", Target("plugins", "syslog", "")),
        ("schema/upstream", Target("schema", "upstream", "")),
        ("consumers/jack/credentials", Target("credentials", "", "")),
        ("consumers/jack/credentials/c1", Target("credentials", "c1", "")),
        ("consumers/jack", Target("consumers", "jack", "")),
        ("secrets", Target("secrets", "", "")),
        ("secrets/vault", Target("secrets", "", "")),
        ("secrets/vault/1/uri", Target("secrets", "vault/1", "uri")),
    ],
)
def test_what_a_path_names(path: str, target: Target) -> None:
    assert Target.of(path) == target


class TestIds:
    def test_a_body_keeps_the_type_of_its_id_where_the_path_has_none(self, api: Apisix) -> None:
        reply = api.put("/upstreams", {"id": 1, **roundrobin()})
        assert (reply.code, reply.json["key"], reply.json["value"]["id"]) == (201, "/apisix/upstreams/1", 1)
        assert api.get("/upstreams/1").json["value"]["id"] == 1

    def test_the_path_makes_it_text(self, api: Apisix) -> None:
        for written in (1, 1.0, "1"):
            assert api.put("/upstreams/1", {"id": written, **roundrobin()}).json["value"]["id"] == "1"

    def test_an_integer_may_be_written_with_a_point(self, api: Apisix) -> None:
        node = b'{"host":"127.0.0.1","port":8080.0,"weight":1e0}'
        reply = api.call("PUT", "/upstreams", data=b'{"id":7.0,"retries":2.0,"retry_timeout":0.5,"nodes":[%s]}' % node)
        assert (reply.code, reply.json["key"]) == (201, "/apisix/upstreams/7")
        assert b'"retries":2,"retry_timeout":0.5,"nodes":[{"host":"127.0.0.1","port":8080,"weight":1}]' in reply.data
        assert api.call("POST", "/configs/validate", data=b'{"upstreams":[{"nodes":[%s]}]}' % node).code == 200
        for wrong in (b"1.5", b"1e300", b"1e17"):
            body = b'{"nodes":[],"retries":%s}' % wrong
            assert error(api.call("PUT", "/upstreams/1", data=body)) == (
                'invalid configuration: property "retries" validation failed: wrong type: expected integer, got number'
            )

    @pytest.mark.parametrize(
        ("method", "path", "body", "why"),
        [
            ("PUT", "/upstreams", roundrobin(), "missing upstream id"),
            ("PUT", "/ssls", {"id": False}, "missing ssl id"),
            ("PUT", "/services/1", {"id": None}, "wrong service id"),
            ("PUT", "/services/1", {"id": []}, "wrong service id"),
            ("POST", "/stream_routes", {"id": "1", **ROUTE}, "wrong stream route id, do not need it"),
            ("DELETE", "/stream_routes", None, "missing stream route id"),
            ("PATCH", "/upstreams", {}, "missing upstream id"),
            ("PUT", "/upstreams/1", None, "missing configurations"),
            ("PUT", "/upstreams/1", False, "missing configurations"),
            ("POST", "/upstreams", None, "missing configurations"),
            ("PATCH", "/upstreams/1", None, "missing new configuration"),
            ("PATCH", "/upstreams/1", [1], "invalid configuration"),
            ("PUT", "/upstreams/1", "text", "invalid configuration: wrong type: expected object, got string"),
            ("PUT", "/upstreams/1", 5, "invalid configuration: wrong type: expected object, got number"),
            ("PUT", "/upstreams/1", [1], "invalid configuration: wrong type: expected object, got table"),
            ("PUT", "/plugin_metadata", {}, "missing plugin name"),
            ("PUT", "/plugin_metadata/nothing", {}, "invalid plugin name"),
            ("DELETE", "/plugin_metadata", None, "missing plugin_metadata id"),
            (
                "PUT",
                "/stream_routes/1",
                {"upstream": {**roundrobin(), "create_time": 1}},
                "the property is forbidden:  upstream.create_time",
            ),
            (
                "PUT",
                "/upstreams",
                {"id": {}, **roundrobin()},
                'invalid configuration: property "id" validation failed: object matches none of the required',
            ),
            ("PUT", "/upstreams/1?ttl=x", roundrobin(), "invalid argument ttl: should be a number"),
            ("PUT", "/upstreams/1?ttl=0", roundrobin(), "invalid argument ttl: should be a number"),
            ("GET", "/upstreams?ttl=1e999", None, "invalid argument ttl: should be a number"),
            ("DELETE", "/upstreams/1/nodes", None, "invalid sub-path: /nodes"),
        ],
    )
    def test_what_is_refused(self, api: Apisix, method: str, path: str, body: Any, why: str) -> None:
        data = None if body is None and method != "PUT" else b"null" if body is None else None
        if why.startswith("missing conf") and body is None:
            data = b""
        reply = api.call(method, path, body, data=data)
        assert (reply.code, error(reply)) == (400, why)

    def test_an_id_that_was_taken_by_hand_is_not_given_again(self, api: Apisix) -> None:
        api.put("/upstreams/00000000000000000002", roundrobin())
        assert api.post("/upstreams", roundrobin()).json["value"]["id"] == "00000000000000000003"

    def test_what_cannot_be_posted_or_patched(self, api: Apisix) -> None:
        for method, path, body in (
            ("PATCH", "/stream_routes/1", "not supported `PATCH` method for stream route"),
            ("POST", "/plugin_metadata", "not supported `POST` method for plugin_metadata"),
            ("PATCH", "/plugin_metadata/syslog", "not supported `PATCH` method for plugin_metadata"),
        ):
            reply = api.call(method, path, {})
            assert (reply.code, error(reply)) == (405, body)


class TestPatch:
    def test_a_part_is_merged(self, api: Apisix) -> None:
        api.put("/upstreams/1", {**roundrobin(), "desc": "old", "labels": {"a": "b"}})
        api.clock.now += 10
        reply = api.patch("/upstreams/1/", {"desc": None, "labels": {"c": "d"}, "nodes": {"127.0.0.1:81": 2}})
        assert (reply.code, list(reply.json)) == (200, ["key", "value"])
        value = reply.json["value"]
        assert (value["create_time"], value["update_time"]) == (1704164645, 1704164655)
        assert undated(value) == {
            "id": "1",
            "type": "roundrobin",
            "labels": {"a": "b", "c": "d"},
            "nodes": {"127.0.0.1:8080": 1, "127.0.0.1:81": 2},
        }

    def test_it_may_say_the_times(self, api: Apisix) -> None:
        api.put("/upstreams/1", roundrobin())
        value = api.patch("/upstreams/1", {"create_time": 5, "update_time": 6}).json["value"]
        assert (value["create_time"], value["update_time"]) == (5, 6)

    def test_what_is_at_a_path_is_replaced(self, api: Apisix) -> None:
        api.put("/upstreams/1", roundrobin())
        api.clock.now += 10
        nodes = [{"host": "127.0.0.1", "port": 80, "weight": 1}]
        value = api.patch("/upstreams/1/nodes", nodes).json["value"]
        assert (value["nodes"], value["update_time"]) == (nodes, 1704164655)
        assert api.patch("/upstreams/1/labels/a", "b").json["value"]["labels"] == {"a": "b"}
        assert "labels" not in api.patch("/upstreams/1/labels", None, data=b"null").json["value"]

    def test_a_key_is_sealed_and_the_one_before_stays_usable(self, api: Apisix) -> None:
        api.put("/ssls/1", {"cert": CERT, "key": PRIVATE, "sni": "test.com"})
        for path, body in (("", {"desc": "x"}), ("", {"key": PRIVATE}), ("/key", PRIVATE), ("/sni", "a.test.com")):
            reply = api.patch(f"/ssls/1{path}", body)
            assert reply.code == 200, reply.data
            assert b"PRIVATE KEY" not in reply.data

    @pytest.mark.parametrize(
        ("path", "body", "why"),
        [
            ("/1/type/x/y", 1, "invalid sub-path: /type"),
            ("/1/id", "2", "wrong upstream id"),
            ("/1", {"id": 2}, "wrong upstream id"),
            ("/1/retries", -1, None),
            ("/1/" + "a/" * 80 + "b", 1, None),
        ],
    )
    def test_what_is_refused(self, api: Apisix, path: str, body: Any, why: str | None) -> None:
        before = api.put("/upstreams/1", roundrobin()).json["value"]
        reply = api.patch(f"/upstreams{path}", body)
        assert reply.code == 400
        assert why in (None, error(reply))
        assert api.get("/upstreams/1").json["value"] == before

    def test_there_is_nothing_to_patch(self, api: Apisix) -> None:
        assert api.patch("/upstreams/1", {}).json == {"message": "Key not found"}


class TestDeletion:
    def test_what_is_in_use_stays_unless_forced(self, api: Apisix) -> None:
        api.put("/services/1", {"upstream": roundrobin()})
        api.put("/stream_routes/r", {"service_id": 1})
        reply = api.delete("/services/1?force=1")
        assert (reply.code, error(reply)) == (
            400,
            "can not delete this service directly, stream_route [r] is still using it now",
        )
        assert api.delete("/services/1?force=true").code == 200
        assert api.get("/services/1").code == 404

    def test_a_stream_route_does_not_hold_its_upstream(self, api: Apisix) -> None:
        api.put("/upstreams/1", roundrobin())
        api.put("/stream_routes/r", {"upstream_id": 1})
        assert api.delete("/upstreams/1").json == {"deleted": "1", "key": "/apisix/upstreams/1"}
        assert list(map(str, api.configuration.problems())) == [
            "apisix:stream_routes/r.upstream_id: failed to fetch upstream info by upstream id [1], response code: 404"
        ]

    def test_an_upstream_does_not_hold_the_certificate_it_shows(self, api: Apisix) -> None:
        api.put("/ssls/1", {"type": "client", "cert": CERT, "key": PRIVATE})
        api.put("/upstreams/1", {**roundrobin(), "scheme": "tls", "tls": {"client_cert_id": 1}})
        assert api.delete("/ssls/1").code == 200
        (problem,) = api.configuration.problems()
        assert problem.path == "apisix:upstreams/1.tls.client_cert_id"

    def test_metadata(self, api: Apisix) -> None:
        put = api.put("/plugin_metadata/syslog", {"log_format": {"host": "$host"}})
        assert (put.code, put.json) == (
            201,
            {
                "key": "/apisix/plugin_metadata/syslog",
                "value": {"log_format": {"host": "$host"}, "id": "syslog"},
            },
        )
        assert api.get("/plugin_metadata").json["total"] == 1
        assert api.delete("/plugin_metadata/syslog").code == 200


class TestHttpKinds:
    @pytest.mark.parametrize("kind", HTTP_KINDS)
    def test_there_are_none_and_never_will_be(self, api: Apisix, kind: str) -> None:
        path = f"/{'secrets/vault' if kind == 'secrets' else kind}"
        assert api.get(f"/{kind}").json == {"list": [], "total": 0}
        assert api.get(f"{path}/1").json == {"message": "Key not found"}
        assert api.delete(f"{path}/1").code == 404
        reply = api.put(f"{path}/1", {"uri": "/"})
        assert reply.code == 400
        assert f"layer-4 proxy, which has no {kind}: of APISIX's kinds it has {', '.join(KINDS)}" in error(reply)

    def test_credentials_of_a_consumer(self, api: Apisix) -> None:
        assert api.get("/consumers/jack/credentials").json["list"] == []
        assert api.get("/consumers/jack/credentials/1").code == 404


class TestPaths:
    def test_is_somebody_there(self, api: Apisix) -> None:
        assert (api.call("HEAD", "", headers={}).code, api.call("HEAD", "/", headers={}).code) == (200, 200)

    @pytest.mark.parametrize(
        ("method", "path"),
        [("HEAD", "/upstreams"), ("OPTIONS", "/upstreams"), ("TRACE", "/upstreams"), ("GET", ""), ("GET", "/")],
    )
    def test_nginx_answers(self, api: Apisix, method: str, path: str) -> None:
        reply = api.call(method, path)
        assert (reply.code, reply.headers["content-type"]) == (404, "text/html; charset=utf-8")

    def test_what_there_is_not(self, api: Apisix) -> None:
        for method, path, why in (
            ("GET", "/nothing/1", "Unsupported resource type: nothing"),
            ("GET", "/configs", "Unsupported resource type: configs"),
            ("PUT", "/schema/upstream", "not found"),
            ("DELETE", "/plugins/syslog", "not found"),
        ):
            reply = api.call(method, path)
            assert (reply.code, error(reply)) == (404, why)
            assert "x-api-version" not in reply.headers

    def test_the_gate_of_streams_comes_before_everything_but_the_key(self) -> None:
        api = Apisix(stream_enabled=False)
        assert api.call("PUT", "/stream_routes/1", data=b"{", headers={}).code == 401
        assert error(api.call("PUT", "/stream_routes/1", data=b"{")).startswith("stream mode")

    def test_a_body_that_is_no_json(self, api: Apisix) -> None:
        reply = api.call("PUT", "/upstreams/1", data=b"{\xff" + b"x" * 5000)
        assert reply.code == 400
        assert reply.json["error_msg"].startswith("invalid request body: ")
        assert reply.json["req_body"].startswith("{\ufffdx")
        assert len(reply.json["req_body"]) == 2000

    def test_a_query_that_is_none(self, api: Apisix) -> None:
        reply = api.get("/upstreams?name=%ff")
        assert (reply.code, error(reply)[:23]) == (400, "the query cannot be rea")

    @pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "nonsense"])
    def test_nobody_looks_at_the_type_of_a_body(self, api: Apisix, kind: str) -> None:
        headers = {"X-API-KEY": "root-key", "Content-Type": kind}
        assert api.put("/upstreams/1", roundrobin(), headers=headers).code == 201

    def test_php_says_array_for_object(self, api: Apisix) -> None:
        assert api.put("/stream_routes/1", []).code == 201
        assert api.put("/upstreams/1", {**roundrobin(), "labels": []}).code == 201

    def test_plugins_are_reloaded_by_put(self, api: Apisix) -> None:
        assert (api.call("PUT", "/plugins/reload").data, api.call("PUT", "/plugins/reload").code) == (b"done", 200)
        reply = api.get("/plugins/reload")
        assert (reply.code, error(reply)) == (
            405,
            "please use PUT method to reload the plugins, GET method is not allowed.",
        )


class TestDocumentsOfFiles:
    @pytest.fixture
    def api(self) -> Apisix:
        body = {"id": "f", **roundrobin()}
        return Apisix(resources=[Document(Key("apisix", "upstreams", "f"), body, origin="/etc/proxy.yaml")])

    def test_they_are_shown(self, api: Apisix) -> None:
        found = api.get("/upstreams/f").json
        assert (found["value"], found["createdIndex"]) == ({"id": "f", **roundrobin()}, 0)

    def test_they_are_changed_there(self, api: Apisix) -> None:
        for reply in (
            api.put("/upstreams/f", roundrobin()),
            api.patch("/upstreams/f", {"desc": "x"}),
            api.delete("/upstreams/f"),
        ):
            assert reply.code == 409
            assert error(reply) == "apisix:upstreams/f is declared in /etc/proxy.yaml: change it there"


class TestVersion2:
    def test_everything_is_a_node(self, v2: Apisix) -> None:
        put = v2.put("/upstreams/1", roundrobin())
        assert (put.code, put.json["action"], list(put.json["node"])) == (201, "set", ["key", "value"])
        assert v2.post("/upstreams", roundrobin()).json["action"] == "create"
        assert v2.patch("/upstreams/1", {"desc": "x"}).json["action"] == "compareAndSwap"
        assert v2.get("/upstreams/1").json["action"] == "get"
        listed = v2.get("/upstreams?page=1&page_size=10").json
        assert (listed["count"], listed["node"]["dir"], listed["node"]["key"]) == (2, True, "/apisix/upstreams")
        assert list(listed["node"]["nodes"][0]) == ["key", "value", "createdIndex", "modifiedIndex"]
        assert v2.delete("/upstreams/1").json == {
            "action": "delete",
            "deleted": "1",
            "key": "/apisix/upstreams/1",
            "node": {},
        }


class TestTrouble:
    @pytest.mark.parametrize(
        ("trouble", "why"),
        [
            (RevisionConflict(1, 2), "value changed before overwritten"),
            (StoreError("the disk is full"), "the disk is full"),
        ],
    )
    def test_what_the_store_says(
        self, api: Apisix, monkeypatch: pytest.MonkeyPatch, trouble: Exception, why: str
    ) -> None:
        monkeypatch.setattr(api.configuration, "change", lambda *_, **__: fail(trouble))
        reply = api.put("/upstreams/1", roundrobin())
        assert (reply.code, error(reply)) == (503, why)

    def test_what_only_the_whole_shows_to_be_wrong(self, api: Apisix, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("streamproxy.admin.apisix_resource.refusal", lambda *_, **__: None)
        reply = api.put("/stream_routes/1", {"upstream_id": "nope"})
        assert (reply.code, error(reply)[:37]) == (400, "invalid configuration: upstream_id: f")
        many = api.put("/upstreams/1", {"nodes": {}, **{f"odd{number}": 1 for number in range(15)}})
        assert error(many).endswith("; and 5 more")

    def test_what_is_stored_though_it_cannot_be_served(self, api: Apisix) -> None:
        reply = api.put("/stream_routes/1", {})
        assert (reply.code, undated(reply.json["value"])) == (201, {"id": "1"})
        nowhere = "upstream: missing upstream configuration: write upstream, upstream_id or service_id"
        assert reply.headers["x-streamproxy-problems"] == nowhere
        assert list(map(str, api.configuration.problems())) == [f"apisix:stream_routes/1.{nowhere}"]
        assert "x-streamproxy-problems" not in api.put("/stream_routes/1", {"upstream": roundrobin()}).headers
        assert api.configuration.problems() == ()

        many = api.post("/upstreams", {"nodes": {f"hōst{number}": 1 for number in range(100)}})
        assert many.code == 201
        told = many.headers["x-streamproxy-problems"]
        assert (told[:11], told[-3:], told.isascii(), len(told)) == ('nodes["h?st', "...", True, 1003)

    def test_what_a_service_loses_its_routes_lose(self, api: Apisix) -> None:
        api.put("/services/1", {"upstream": roundrobin()})
        api.put("/stream_routes/1", {"service_id": "1"})
        assert api.put("/services/1", {}).code == 200
        (problem,) = api.configuration.problems()
        assert str(problem).endswith("service_id: missing upstream configuration in Route or Service")

    def test_a_caller_may_insist_on_what_it_saw(self, api: Apisix) -> None:
        api.put("/upstreams/1", roundrobin())
        api.put("/upstreams/2", roundrobin())
        headers = {"X-API-KEY": "root-key", "If-Match": '"1"'}
        assert api.put("/upstreams/1", {**roundrobin(), "desc": "x"}, headers=headers).code == 200
        assert api.put("/upstreams/1", {**roundrobin(), "desc": "y"}, headers=headers).code == 412
