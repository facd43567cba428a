"""Revisions, the ways back, and writes that are only tried."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock as ReactorClock

from streamproxy.control.configuration import LiveConfiguration
from streamproxy.control.store.memory import MemoryStore
from streamproxy.model import Address, Config, Ended, Facts, ListenAddress, StaticListener, Transport

from ..tls.pki import Authority
from .api import Api, Clock, result_of, service
from .sessions_kit import ended

PATH = "/streamproxy/v1/revisions"
VIEWER: dict[str, Any] = {"auth": None, "headers": {"X-API-KEY": "watcher-key"}}
SERVICES = "/api/tcp/services"


@pytest.fixture
def recent() -> list[Ended]:
    return []


@pytest.fixture
def api(recent: list[Ended]) -> Api:
    clock = Clock()
    configuration = LiveConfiguration(
        MemoryStore(clock=clock, history=20),
        Config(
            path="test.yaml",
            stream_proxy=(StaticListener(ListenAddress(Transport.TCP, "127.0.0.1", 9100), "stream_proxy.tcp[0]"),),
        ),
        lambda _: None,
        now=clock,
        recent=lambda: recent,
    )
    result_of(configuration.start())
    return Api(configuration)


@pytest.fixture
def written(api: Api) -> Api:
    """Three revisions."""
    assert api.call("POST", SERVICES, service("a", 1001), headers={"X-Reason": "the first\x1b[1m"}).code == 201
    assert api.call("PUT", f"{SERVICES}/a", service("a", 1002)).code == 200
    assert api.call("POST", SERVICES, service("b", 1003)).code == 201
    return api


def ports(api: Api) -> dict[str, int]:
    return {each["id"]: each["port"] for each in api.get(SERVICES).json}


def test_the_list(written: Api) -> None:
    reply = written.get(PATH, **VIEWER).json
    assert reply["revision"] == 3
    assert reply["next"] is None
    assert [each["number"] for each in reply["revisions"]] == [3, 2, 1]
    assert reply["revisions"][2] == {
        "number": 1,
        "time": written.clock.now,
        "author": "admin-api-apikey-id",
        "reason": "the first\\x1b[1m",
        "changes": 1,
        "names": ["otoroshi:tcp-services/a"],
        "pending": None,
    }
    assert reply["revisions"][1]["reason"] == "PUT /api/tcp/services/a"


def test_pages(written: Api) -> None:
    first = written.get(f"{PATH}?limit=2").json
    assert ([each["number"] for each in first["revisions"]], first["next"]) == ([3, 2], 2)
    second = written.get(f"{PATH}?limit=2&before={first['next']}").json
    assert ([each["number"] for each in second["revisions"]], second["next"]) == ([1], None)
    assert written.get(f"{PATH}?limit=0").json["revisions"] == []
    assert written.get(f"{PATH}?before=x").code == 400


def test_what_one_changed(written: Api) -> None:
    reply = written.get(f"{PATH}/2", **VIEWER).json
    (document,) = reply["documents"]
    assert (reply["number"], document["document"], document["action"]) == (2, "otoroshi:tcp-services/a", "changed")
    assert document["diff"] == [
        {"path": "port", "action": "changed", "before": 1001, "after": 1002},
        {"path": "rules[0].targets[0].port", "action": "changed", "before": 1001, "after": 1002},
    ]
    created = written.get(f"{PATH}/3").json["documents"][0]
    assert (created["action"], created["before"], created["after"]["port"], created["diff"]) == (
        "created",
        None,
        1003,
        [],
    )


def test_what_is_between_two(written: Api) -> None:
    documents = written.get(f"{PATH}/1..3", **VIEWER).json["documents"]
    assert [(each["id"], each["action"]) for each in documents] == [("a", "changed"), ("b", "created")]
    assert [each["action"] for each in written.get(f"{PATH}/3..0").json["documents"]] == ["deleted", "deleted"]


@pytest.mark.parametrize("which", ["0", "4", "x", "1..9", "1..", "-1", "1" * 30])
def test_what_there_is_not(written: Api, which: str) -> None:
    assert written.get(f"{PATH}/{which}").code == 404
    if ".." not in which and which != "0":
        assert written.call("POST", f"{PATH}/{which}/rollback").code == 404


def test_the_way_back(written: Api) -> None:
    reply = written.call("POST", f"{PATH}/1/rollback")
    assert (reply.code, reply.json) == (200, {"revision": 4, "restored": 1, "changes": 2})
    assert reply.headers["x-revision"] == "4"
    assert ports(written) == {"a": 1001}
    assert written.get(f"{PATH}/4").json["reason"] == "back to revision 1"
    assert written.call("POST", f"{PATH}/3/rollback", headers={"X-Reason": "forth"}).json["changes"] == 2
    assert ports(written) == {"a": 1002, "b": 1003}
    assert written.get(f"{PATH}/5").json["reason"] == "forth"
    assert written.call("POST", f"{PATH}/5/rollback").json == {"revision": 5, "restored": 5, "changes": 0}
    assert written.call("POST", f"{PATH}/0/rollback").json["changes"] == 2
    assert ports(written) == {}


def test_a_viewer_goes_nowhere(written: Api) -> None:
    for path in ("1/rollback", "3/confirm"):
        assert written.call("POST", f"{PATH}/{path}", **VIEWER).code == 403


def test_the_way_back_from_what_somebody_else_changed(written: Api) -> None:
    assert written.call("POST", f"{PATH}/1/rollback?expect=2").code == 409
    assert written.call("POST", f"{PATH}/1/rollback?expect=3").code == 200


def test_the_way_back_may_be_blocked(api: Api) -> None:
    api.call("POST", SERVICES, service("a", 1001))
    api.call("DELETE", f"{SERVICES}/a")
    api.call("POST", SERVICES, service("b", 1001))
    assert api.call("POST", f"{PATH}/1/rollback").code == 200, "who is in the way goes too"
    listener = {"id": "l", "addr": "127.0.0.1:1002"}
    assert api.call("POST", "/streamproxy/v1/listeners", listener).code == 201


def test_private_keys_are_never_shown(api: Api) -> None:
    root = Authority.root("r")
    for name in ("a.example.com", "a.example.com"):
        pair = root.issue(name)
        body = {"cert": pair.chain_pem.decode(), "key": pair.key_pem.decode(), "snis": [name]}
        reply = api.call("PUT", "/apisix/admin/ssls/1", body)
        assert reply.code in (200, 201), reply.data
    for path in (f"{PATH}/1", f"{PATH}/2", f"{PATH}/0..2"):
        text = api.get(path).data.decode()
        assert "PRIVATE" not in text
        sealed = str(api.configuration.list("apisix", "ssls")[0].body["key"])
        assert sealed[:40] not in text
        assert '"key":"*** ' in text
    changed = {each["path"] for each in api.get(f"{PATH}/2").json["documents"][0]["diff"]}
    assert {"cert", "key"} <= changed, "that it is another key can be seen"
    body = {"cert": pair.chain_pem.decode(), "key": pair.key_pem.decode(), "snis": ["b.example.com"]}
    rehearsed = api.call("PUT", "/apisix/admin/ssls/1?dry_run=true", body)
    assert "PRIVATE" not in rehearsed.data.decode()
    assert rehearsed.json["documents"][0]["after"]["key"].startswith("*** ")


# To be confirmed


def test_a_write_that_has_to_be_confirmed(api: Api) -> None:
    reply = api.call("POST", f"{SERVICES}?confirm_within=60s", service("a", 1001))
    assert (reply.code, reply.headers["x-revision"]) == (201, "1")
    pending = {"revision": 1, "deadline": api.clock.now + 60}
    assert api.get("/streamproxy/v1/status", auth=None).json["pending"] == [pending]
    assert api.get(f"{PATH}/1").json["pending"] == pending
    assert api.call("POST", f"{PATH}/1/confirm?dry_run=true").json == {"dry_run": True, "confirmed": [1]}
    assert api.call("POST", f"{PATH}/1/confirm").json == {"confirmed": [1]}
    assert api.get("/streamproxy/v1/status", auth=None).json["pending"] == []
    assert api.call("POST", f"{PATH}/1/confirm").code == 409


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/apis/proxy.otoroshi.io/v1/tcp-services", service("a", 1001)),
        ("PUT", "/apisix/admin/upstreams/1", {"nodes": {"127.0.0.1:1": 1}, "type": "roundrobin"}),
        ("PUT", "/streamproxy/v1/listeners/l", {"addr": "127.0.0.1:1001"}),
        ("POST", f"{PATH}/0/rollback", None),
    ],
)
def test_every_api_has_it(api: Api, method: str, path: str, body: Any) -> None:
    api.call("POST", SERVICES, service("z", 999))
    reply = api.call(method, f"{path}?confirm_within=1m", body, headers={"X-Reason": "for a test"})
    assert reply.code in (200, 201), reply.data
    assert [each.revision for each in api.configuration.pending()] == [2]
    assert api.get(f"{PATH}/2").json["reason"] == "for a test"


@pytest.mark.parametrize("within", ["soon", "0s", "8d", "999999h", "-1", "1e3"])
def test_no_time_to_confirm(api: Api, within: str) -> None:
    assert api.call("POST", f"{SERVICES}?confirm_within={within}", service("a")).code == 400
    assert ports(api) == {}


# Only tried

UPSTREAM = {"nodes": {"127.0.0.1:1": 1}, "type": "roundrobin"}
WRITES: list[tuple[str, str, Any]] = [
    ("POST", SERVICES, service("new", 1001)),
    ("PUT", f"{SERVICES}/old", service("old", 1002)),
    ("PATCH", f"{SERVICES}/old", [{"op": "replace", "path": "/port", "value": 1003}]),
    ("DELETE", f"{SERVICES}/old", None),
    ("POST", "/apis/proxy.otoroshi.io/v1/tcp-services", service("new", 1001)),
    ("PUT", "/apis/proxy.otoroshi.io/v1/tcp-services/old", service("old", 1001)),
    ("POST", "/apis/proxy.otoroshi.io/v1/tcp-services/old", service("old", 1001)),
    ("PATCH", "/apis/proxy.otoroshi.io/v1/tcp-services/old", [{"op": "replace", "path": "/port", "value": 1003}]),
    ("DELETE", "/apis/proxy.otoroshi.io/v1/tcp-services/old", None),
    ("DELETE", "/apis/proxy.otoroshi.io/v1/tcp-services", None),
    ("PUT", "/apisix/admin/upstreams/2", UPSTREAM),
    ("PUT", "/apisix/admin/upstreams/1", {**UPSTREAM, "type": "least_conn"}),
    ("POST", "/apisix/admin/upstreams", UPSTREAM),
    ("PATCH", "/apisix/admin/upstreams/1", {"type": "least_conn"}),
    ("DELETE", "/apisix/admin/upstreams/1", None),
    ("PUT", "/apisix/admin/stream_routes/1", {"upstream": UPSTREAM, "remote_addr": "10.0.0.1"}),
    ("POST", "/streamproxy/v1/listeners", {"addr": "127.0.0.1:1001"}),
    ("PUT", "/streamproxy/v1/listeners/l", {"addr": "127.0.0.1:1001"}),
    ("PATCH", "/streamproxy/v1/listeners/old", {"addr": "127.0.0.1:1001"}),
    ("DELETE", "/streamproxy/v1/listeners/old", None),
    ("POST", f"{PATH}/0/rollback", None),
]


@pytest.fixture
def old(api: Api) -> Api:
    api.call("POST", SERVICES, service("old", 1000))
    api.call("PUT", "/apisix/admin/upstreams/1", UPSTREAM)
    api.call("PUT", "/streamproxy/v1/listeners/old", {"addr": "127.0.0.1:900"})
    return api


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_dry_run_writes_nothing_and_says_what_it_would(old: Api, method: str, path: str, body: Any) -> None:
    before = old.configuration.revision()

    reply = old.call(method, f"{path}?dry_run=true", body)

    assert reply.code == 200, reply.data
    report = reply.json
    assert (report["dry_run"], report["valid"], report["problems"]) == (True, True, [])
    assert report["documents"], "it says which documents would change"
    assert old.configuration.revision() == before, "it was written all the same"

    assert old.call(method, path, body).code in (200, 201, 204)
    assert old.configuration.revision() == before + 1, "without it, it is written"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_dry_run_of_several(old: Api, method: str) -> None:
    before = old.configuration.revision()
    reply = old.lines(method, f"{SERVICES}/_bulk?dry_run=true", [service("x", 1001), service("y", 1002)])
    assert [each["id"] for each in reply.json["documents"]] == ["x", "y"]
    assert [each["what"] for each in reply.json["listeners"]] == ["begins", "begins"]
    assert old.configuration.revision() == before


def test_a_dry_run_of_what_would_be_refused(old: Api) -> None:
    """What only the whole shows to be wrong; the rest is refused in each API's own words."""
    reply = old.call("POST", f"{SERVICES}?dry_run=true", service("rival", 1000))
    assert reply.code == 400
    assert (reply.json["dry_run"], reply.json["valid"], reply.json["error"]) == (True, False, "bad_entity")
    assert [problem["path"] for problem in reply.json["problems"]] == ["port"]
    assert [each["id"] for each in reply.json["documents"]] == ["rival"]
    broken = old.call("POST", f"{SERVICES}?dry_run=true", service("x", 0))
    assert (broken.code, "dry_run" in broken.json) == (400, False)
    assert old.call("DELETE", f"{SERVICES}/nobody?dry_run=true").code == 404
    assert old.call("POST", f"{SERVICES}?dry_run=maybe", service("x", 1)).code == 400
    assert old.call("POST", f"{SERVICES}?dry_run=true", service("x", 1), **VIEWER).code == 403
    assert ports(old) == {"old": 1000}


def test_a_dry_run_says_which_sessions_would_go_elsewhere(api: Api, recent: list[Ended]) -> None:
    names = {"enabled": True, "forwardIfNoMatch": False}
    rules = [
        {"domain": "a.example.com", "targets": [{"host": "10.0.0.1", "port": 1}]},
        {"domain": "*.example.com", "targets": [{"host": "10.0.0.2", "port": 1}]},
    ]
    fields = {"tls": "PassThrough", "sni": {**service()["sni"], **names}}
    api.call("POST", SERVICES, service("pg", 443, **fields, rules=rules))
    address = ListenAddress(Transport.TCP, "127.0.0.1", 443)
    for name in ("a.example.com", "b.example.com", "b.example.com"):
        facts = Facts(address, Address("192.0.2.1", 1), Address("127.0.0.1", 443), True, name)
        recent.append(ended(f"s{len(recent)}", facts=facts))
    rules[0]["domain"] = "b.example.com"

    report = api.call("PUT", f"{SERVICES}/pg?dry_run=true", service("pg", 443, **fields, rules=rules)).json

    assert report["sessions"]["recent"] == 3
    assert report["sessions"]["elsewhere"] == 3
    assert report["sessions"]["examples"][0] == {
        "id": "s0",
        "client": "192.0.2.1:1",
        "listener": "tcp 127.0.0.1:443",
        "name": "a.example.com",
        "before": "otoroshi:tcp-services/pg rules[0] (10.0.0.1:1)",
        "after": "otoroshi:tcp-services/pg rules[1] (10.0.0.2:1)",
    }
    assert report["routes"] == [{"route": "otoroshi:tcp-services/pg rules[0]", "what": "changes"}]


def test_terms_do_not_leak_into_the_next_request(old: Api) -> None:
    """Two at once: only the first is a dry run."""
    first = old.start("POST", f"{SERVICES}?dry_run=true", service("x", 1001))
    second = old.start("POST", SERVICES, service("y", 1002))
    assert old.reply(first).json["dry_run"] is True
    assert old.reply(second).code == 201
    assert ports(old) == {"old": 1000, "y": 1002}


def test_reactor_clock_is_not_needed() -> None:
    assert Api(call_later=ReactorClock().callLater).get(PATH).json["revisions"] == []
