"""Who is let into APISIX's API, and how everybody else is turned away."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import pytest
from twisted.internet.task import Clock as VirtualClock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from streamproxy.model import Address

from .api import CLIENT, SETTINGS
from .apisix_kit import KEY, Apisix, error, roundrobin
from .test_site import HOST, Caller, length

FOREIGN = {"Origin": "https://evil.example"}
WIRE_KEY = b"X-API-KEY: root-key\r\n"


@pytest.fixture
def api() -> Apisix:
    return Apisix()


class TestKeys:
    def test_the_query_comes_before_the_header_before_the_cookie(self, api: Apisix) -> None:
        right, wrong = {"X-API-KEY": "root-key"}, {"X-API-KEY": "x"}
        cookie = {"Cookie": "x_api_key=root-key"}
        assert api.get("/upstreams?api_key=x", headers=right).code == 401
        assert api.get("/upstreams?api_key=root%2Dkey", headers=wrong).code == 200
        assert api.get("/upstreams", headers={**wrong, **cookie}).code == 401
        assert api.get("/upstreams?api_key=", headers=right).json["description"] == "wrong apikey"

    def test_a_malformed_query_hides_no_key(self, api: Apisix) -> None:
        assert api.get("/routes?%ff&=&&x&api_key=root-key", headers={}).code == 400
        assert api.get("/routes?%ff&api_key=%ff", headers={}).json["description"] == "wrong apikey"

    def test_other_credentials_are_as_good(self, api: Apisix) -> None:
        assert api.get("/upstreams", headers={}, auth=CLIENT).code == 200

    def test_the_other_apis_read_no_key_from_a_query_or_a_cookie(self, api: Apisix) -> None:
        for path, headers in (
            ("/api/tcp/services?api_key=root-key", {}),
            ("/streamproxy/v1/listeners", {"Cookie": "x_api_key=root-key"}),
            ("/apisix/administrator?api_key=root-key", {}),
        ):
            assert api.api.get(path, headers=headers, auth=None).code == 401

    def test_failures_are_counted(self, api: Apisix) -> None:
        api.get("/upstreams", headers={})
        api.get("/upstreams", headers={"X-API-KEY": "x"})
        assert api.api.app.failed_logins == 2


class TestOpenDoors:
    @pytest.mark.parametrize(("host", "shouts"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True)])
    def test_an_open_door_to_the_network_is_shouted_about(self, host: str, shouts: bool) -> None:
        with capturedLogs() as events:
            Apisix(settings={"require_key": False, "listen": Address(host, 9180)})
        lines = [str(formatEvent(event)) for event in events if event["log_level"] is LogLevel.critical]
        assert [line.startswith(f"{host}:9180 IS OPEN TO THE NETWORK") for line in lines] == [True] * shouts

    def test_nothing_is_said_of_a_closed_one(self) -> None:
        with capturedLogs() as events:
            Apisix()
        assert events == []

    def test_pages_of_other_sites_still_change_nothing(self) -> None:
        api = Apisix(settings={"require_key": False, "cors": True})
        reply = api.put("/upstreams/1", roundrobin(), headers=FOREIGN)
        assert reply.code == 403
        assert "access-control-allow-origin" not in api.get("/upstreams", headers=FOREIGN).headers

    def test_the_other_apis_are_open_too(self) -> None:
        api = Apisix(settings={"require_key": False})
        assert api.api.get("/api/tcp/services", auth=None).code == 200
        assert api.api.call("DELETE", "/api/tcp/services/x", auth=None).code == 404


class TestOtherSites:
    @pytest.fixture
    def api(self) -> Apisix:
        return Apisix(settings={"cors": True})

    def test_they_may_ask_what_they_may(self, api: Apisix) -> None:
        reply = api.call("OPTIONS", "/upstreams/1", headers={**FOREIGN, "Access-Control-Request-Method": "PUT"})
        assert (reply.code, reply.data) == (200, b"")
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-methods"] == "POST, GET, PUT, OPTIONS, DELETE, PATCH"
        assert reply.headers["access-control-allow-headers"] == "*"

    def test_they_read_with_a_key(self, api: Apisix) -> None:
        assert api.get("/upstreams", headers=FOREIGN).code == 401
        reply = api.get("/upstreams", headers={**FOREIGN, **KEY})
        assert (reply.code, reply.headers["access-control-allow-origin"]) == (200, "*")

    def test_they_change_nothing(self, api: Apisix) -> None:
        assert api.put("/upstreams/1", roundrobin(), headers={**FOREIGN, **KEY}).code == 403

    def test_where_nobody_allows_it_they_are_told_nothing(self) -> None:
        api = Apisix()
        assert api.call("OPTIONS", "/upstreams", headers=FOREIGN).code == 403
        assert "access-control-allow-origin" not in api.get("/upstreams").headers


class TestRefusals:
    def test_from_elsewhere(self) -> None:
        api = Apisix(settings={"allow": (ip_network("10.0.0.0/8"),)})
        reply = api.get("/upstreams")
        assert (reply.code, reply.headers["content-type"]) == (403, "text/html; charset=utf-8")
        assert b"<title>403 Forbidden</title>" in reply.data

    def test_by_a_name_that_is_not_ours(self, api: Apisix) -> None:
        reply = api.get("/upstreams", headers={**KEY, "Host": "evil.example"})
        assert reply.code == 403

    @pytest.mark.parametrize(("settings", "server"), [({}, "APISIX/3.18.0"), ({"server_tokens": False}, "APISIX")])
    def test_it_says_who_it_is(self, settings: Mapping[str, Any], server: str) -> None:
        api = Apisix(settings=settings)
        for reply in (api.get("/upstreams"), api.get("/upstreams", headers={}), api.get("/nothing")):
            assert reply.headers["server"] == server
        assert api.api.get("/").headers["server"] == "streamproxy"

    def test_a_path_that_is_no_text(self, api: Apisix) -> None:
        reply = api.get("/upstreams/%ff")
        assert (reply.code, error(reply)) == (400, "the path is not UTF-8")


class TestBodies:
    """Over a connection: in memory nothing is bounded."""

    MOST = SETTINGS.max_body

    @pytest.fixture
    def caller(self, api: Apisix) -> Caller:
        return Caller(api.api.app.site(VirtualClock()))

    @pytest.mark.parametrize("target", [b"/apisix/admin/upstreams/1", b"/apisix/admin/nothing"])
    def test_too_large(self, caller: Caller, target: bytes) -> None:
        size = self.MOST + 1
        caller.send(b"PUT " + target + b" HTTP/1.1\r\n" + HOST + WIRE_KEY + length(size) + b"\r\n" + b"x" * size)
        assert caller.codes() == [400]
        why = f"request size {size} is greater than the maximum size {self.MOST} allowed"
        assert caller.json() == {"error_msg": f"invalid request body: {why}"}

    def test_far_too_large_is_answered_before_it_comes(self, caller: Caller) -> None:
        caller.send(b"PUT /apisix/admin/upstreams/1 HTTP/1.1\r\n" + HOST + WIRE_KEY + length(10**12) + b"\r\n")
        assert (caller.codes(), caller.closed) == ([400], True)
        assert caller.json()["error_msg"].startswith("invalid request body: request size 1000000000000 is greater")
        assert b"Server: APISIX/3.18.0\r\n" in caller.wire.value()

    def test_a_stranger_is_told_that_he_is_one(self, caller: Caller) -> None:
        caller.send(b"PUT /apisix/admin/upstreams/1 HTTP/1.1\r\n" + HOST + length(10**12) + b"\r\n")
        assert caller.codes() == [401]
        assert caller.json()["description"] == "missing apikey"

    def test_a_key_in_the_query_is_enough_for_a_body(self, caller: Caller) -> None:
        body = b'{"nodes":{},"type":"roundrobin"}'
        head = b"PUT /apisix/admin/upstreams/1?api_key=root-key HTTP/1.1\r\n" + HOST + length(len(body)) + b"\r\n"
        caller.send(head, body)
        assert caller.codes() == [201]

    def test_in_chunks(self, caller: Caller) -> None:
        head = b"PUT /apisix/admin/upstreams/1 HTTP/1.1\r\n" + HOST + WIRE_KEY + b"Transfer-Encoding: chunked\r\n\r\n"
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        caller.send(head, *[chunk] * 4, b"0\r\n\r\n")
        assert caller.json()["error_msg"].startswith("invalid request body: request size 262144 is greater than")
