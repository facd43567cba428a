from __future__ import annotations

from typing import Any

import pytest

from streamproxy.model import Address, Ending, ListenAddress, PeerIdentity, Phase, TlsFacts, Transport

from .api import Api, FakeRuntime
from .sessions_kit import AGREED, ended, facts, live

PATH = "/streamproxy/v1/sessions"
VIEWER: dict[str, Any] = {"auth": None, "headers": {"X-API-KEY": "watcher-key"}}
DNS = ListenAddress(Transport.UDP, "0.0.0.0", 53)


@pytest.fixture
def api() -> Api:
    return Api(
        runtime=FakeRuntime(
            going_on=[
                live("a-1", facts=facts(sni="pg.example.com", tls=True), bytes_in=10, started=101.0, route="r1"),
                live("a-2", facts=facts(peer=Address("2001:db8::1", 7)), phase=Phase.CONNECTING, started=102.0),
                live("a-3", facts=facts(listener=DNS, peer=Address("10.1.2.3", 7)), bytes_out=99, node="10.0.0.1:53"),
            ],
            ended=[
                ended("a-4", facts=facts(http_host="web.example.com"), sniff_time=0.5, ending=Ending.NO_ROUTE),
                ended("a-5", facts=facts(handshake=AGREED), sniff_time=0.25, detail="[why]", started=51.0),
            ],
            open=3,
        )
    )


def ids(api: Api, query: str) -> list[str]:
    reply = api.get(f"{PATH}?{query}")
    assert reply.code == 200, reply.data
    return [session["id"] for session in reply.json["sessions"]]


def test_all_the_newest_first(api: Api) -> None:
    reply = api.get(PATH, **VIEWER).json
    assert [session["id"] for session in reply["sessions"]] == ["a-2", "a-1", "a-3", "a-5", "a-4"]
    assert (reply["total"], reply["live"]) == (5, 3)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=live", ["a-2", "a-1", "a-3"]),
        ("state=ended", ["a-5", "a-4"]),
        ("state=ended&state=live&phase=connecting", ["a-2"]),
        ("peer=192.0.2.0/24&state=live", ["a-1"]),
        ("peer=192.0.2.1&peer=10.0.0.0/8&state=live", ["a-1", "a-3"]),
        ("peer=2001:db8::/32", ["a-2"]),
        ("sni=pg.example.com", ["a-1"]),
        ("sni=PG.*.com", ["a-1"]),
        ("name=*.example.com", ["a-1", "a-4"]),
        ("sni=pg.example.co%3F", []),
        ("sni=%5Ba-z%5D*", []),
        ("listener=443&state=live", ["a-2", "a-1"]),
        ("listener=:53", ["a-3"]),
        ("listener=udp%200.0.0.0:53", ["a-3"]),
        ("listener=0.0.0.0:53", ["a-3"]),
        ("listener=3", []),
        ("ending=no_route", ["a-4"]),
        ("detail=%5Bwhy*", ["a-5"]),
        ("transport=udp", ["a-3"]),
        ("route=r1", ["a-1"]),
        ("node=10.0.0.1:53", ["a-3"]),
        ("revision=3&id=a-5", ["a-5"]),
        ("min_bytes=50", ["a-3"]),
        ("min_sniff_time=0.3", ["a-4"]),
        ("q=WEB.", ["a-4"]),
        ("q=nowhere", []),
        ("sort=started", ["a-4", "a-5", "a-3", "a-1", "a-2"]),
        ("sort=-bytes&state=live", ["a-3", "a-1", "a-2"]),
        ("sort=route&state=live", ["a-1", "a-2", "a-3"]),
        ("sort=-route&state=live", ["a-1", "a-2", "a-3"]),
        ("sort=peer&state=live", ["a-3", "a-1", "a-2"]),
        ("sort=listener&state=live", ["a-1", "a-2", "a-3"]),
        ("sort=sniff_time&state=ended", ["a-5", "a-4"]),
        ("limit=2&offset=1", ["a-1", "a-3"]),
        ("limit=0", []),
    ],
)
def test_filtered_sorted_and_paged(api: Api, query: str, expected: list[str]) -> None:
    assert ids(api, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "state=dead",
        "peer=nobody",
        "colour=red",
        "sort=colour",
        "limit=-1",
        "min_bytes=x",
        f"sni={'x' * 300}",
        "sni=a&" * 21,
    ],
)
def test_what_cannot_be_asked(api: Api, query: str) -> None:
    reply = api.get(f"{PATH}?{query}")
    assert reply.code == 400
    assert reply.json["error"] == "bad_query"


def test_one_that_goes_on(api: Api) -> None:
    assert api.get(f"{PATH}/a-1", **VIEWER).json == {
        "id": "a-1",
        "state": "live",
        "phase": "relaying",
        "ending": None,
        "detail": None,
        "code": None,
        "transport": "tcp",
        "listener": "tcp 127.0.0.1:443",
        "client": "192.0.2.1:40000",
        "peer": "192.0.2.1",
        "local": "127.0.0.1:443",
        "via": None,
        "claimed": None,
        "tls": True,
        "name": "pg.example.com",
        "sni": "pg.example.com",
        "alpn": [],
        "http_host": None,
        "handshake": None,
        "owner": "otoroshi:tcp-services/pg",
        "revision": 3,
        "route": "r1",
        "upstream": None,
        "node": None,
        "attempts": 0,
        "started": 101.0,
        "duration": 5.0,
        "sniff_time": None,
        "handshake_time": None,
        "connect_time": None,
        "bytes_in": 10,
        "bytes_out": 0,
        "variables": {},
    }


def test_one_that_is_over(api: Api) -> None:
    client = PeerIdentity("CN=me", ("DNS:me",), "ff", 1)
    agreed = TlsFacts("TLSv1.3", "x", "h2", True, client)
    shown = facts(handshake=agreed, claimed=Address("::1", 1), via=Address("::2", 2))
    api.runtime.ended.append(ended("a-6", facts=shown, sniff_time=0.25, code=403, ending=Ending.REJECTED))
    session = api.get(f"{PATH}/a-6").json
    assert (session["state"], session["phase"], session["ending"], session["code"]) == ("ended", None, "rejected", 403)
    assert (session["sniff_time"], session["handshake_time"]) == (None, 0.25)
    assert session["handshake"]["client"] == {"subject": "CN=me", "sans": ["DNS:me"]}
    assert (session["claimed"], session["via"]) == ("[::1]:1", "[::2]:2")


@pytest.mark.parametrize(("method", "path"), [("GET", "x-1"), ("DELETE", "x-1"), ("GET", "x-1/why")])
def test_one_there_is_not(api: Api, method: str, path: str) -> None:
    assert api.call(method, f"{PATH}/{path}").code == 404


def test_kill(api: Api) -> None:
    reply = api.call("DELETE", f"{PATH}/a-1")
    assert (reply.code, reply.json) == (200, {"killed": ["a-1"]})
    assert api.runtime.killed == [("a-1", "by admin-api-apikey-id")]


def test_one_that_is_over_cannot_be_killed(api: Api) -> None:
    reply = api.call("DELETE", f"{PATH}/a-4")
    assert (reply.code, reply.json["error_description"]) == (409, "it is over: no_route")


@pytest.mark.parametrize("path", ["/a-1", "?state=live"])
def test_a_viewer_kills_nobody(api: Api, path: str) -> None:
    assert api.call("DELETE", PATH + path, **VIEWER).code == 403
    assert api.runtime.killed == []


def test_kill_those_that_a_filter_holds_for(api: Api) -> None:
    assert api.call("DELETE", f"{PATH}?peer=192.0.2.0/24").json == {"killed": ["a-1"]}
    assert api.call("DELETE", f"{PATH}?state=ended").json == {"killed": []}
    assert api.call("DELETE", PATH).code == 400, "nobody ends every session by leaving out what he meant"


def test_a_dry_run_kills_nobody(api: Api) -> None:
    assert api.call("DELETE", f"{PATH}?state=live&dry_run=true").json["killed"] == ["a-1", "a-2", "a-3"]
    assert api.call("DELETE", f"{PATH}/a-1?dry_run=true").json == {"dry_run": True, "killed": ["a-1"]}
    assert api.runtime.killed == []


def test_why(api: Api) -> None:
    assert api.get(f"{PATH}/a-4/why", **VIEWER).json == {"session": "a-4"}
    reply = api.get(f"{PATH}/a-4/why", headers={"Accept": "text/plain"})
    assert (reply.headers["content-type"], reply.data) == ("text/plain; charset=utf-8", b"because\n")


def test_explain_is_asked_with_post_and_viewers_may(api: Api) -> None:
    path = "/streamproxy/v1/explain"
    assert api.call("POST", path, {"port": 443}, **VIEWER).json == {"session": None}
    assert api.runtime.questions == [{"port": 443}]
    headers = {**VIEWER["headers"], "Accept": "text/plain"}
    assert api.call("POST", path, {}, auth=None, headers=headers).data == b"it would\n"
    assert api.call("POST", path, {}, auth=None).code == 401
    assert api.call("POST", path, data=b"{").code == 400
    assert api.get(path).code == 405
