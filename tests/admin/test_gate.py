from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from streamproxy.model import Address, AdminSettings

from .api import SETTINGS, Api, service

ROUTE = "/api/tcp/services"
VIEWER = {"X-API-KEY": "watcher-key"}


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def logged() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as events:
        yield events


def lines(events: Sequence[LogEvent]) -> list[str]:
    return [str(formatEvent(event)) for event in events]


def test_no_credentials_no_answer(api: Api) -> None:
    reply = api.get(ROUTE, auth=None)

    assert reply.code == 401
    assert reply.headers["www-authenticate"].startswith("Basic ")


def test_a_script_in_a_browser_is_asked_for_no_password(api: Api) -> None:
    scripted = api.get(ROUTE, auth=None, headers={"Sec-Fetch-Mode": "cors"})
    typed = api.get(ROUTE, auth=None, headers={"Sec-Fetch-Mode": "navigate"})

    assert "www-authenticate" not in scripted.headers
    assert "www-authenticate" in typed.headers


def test_nobody_is_configured() -> None:
    assert Api(settings=AdminSettings()).get(ROUTE, auth=("", "")).code == 401


@pytest.mark.parametrize("path", ["/", "/streamproxy/v1/status", "/streamproxy/v1/live", "/streamproxy/v1/ready"])
def test_what_needs_no_credentials(api: Api, path: str) -> None:
    assert api.get(path, auth=None).code == 200
    assert api.call("POST", path, auth=None).code == 401
    assert api.call("HEAD", path, auth=None).data == b""


@pytest.mark.parametrize(
    "path",
    ["/streamproxy/v1/listeners", "/streamproxy/v1/problems", "/streamproxy/v1/sessions/recent", "/nothing", "//"],
)
def test_everything_else_does(api: Api, path: str) -> None:
    assert api.get(path, auth=None).code == 401


def test_a_viewer_reads(api: Api) -> None:
    assert api.get(ROUTE, auth=None, headers=VIEWER).code == 200
    assert api.call("HEAD", ROUTE, auth=None, headers=VIEWER).code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_viewer_writes_nothing(api: Api, method: str) -> None:
    reply = api.call(method, f"{ROUTE}/a", service("a"), auth=None, headers=VIEWER)

    assert reply.code == 403
    assert reply.json == {"error": "forbidden", "error_description": "You're not allowed to do this !"}


def test_only_known_methods(api: Api) -> None:
    reply = api.call("TRACE", ROUTE)

    assert reply.code == 405
    assert "PATCH" in reply.headers["allow"]


def test_a_method_that_is_not_for_this_path(api: Api) -> None:
    reply = api.call("PATCH", ROUTE)

    assert reply.code == 405
    assert reply.headers["allow"] == "GET, HEAD, POST"
    assert reply.json["error"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/streamproxy/v1/x", "/apis/x", "/api/tcp/services/"])
def test_there_is_nothing_here(api: Api, path: str) -> None:
    reply = api.get(path)

    assert (reply.code, reply.json["error"]) == (404, "not_found")


def test_callers_from_elsewhere() -> None:
    elsewhere = Api(settings=evolve(SETTINGS, allow=(ip_network("10.0.0.0/8"),)))
    here = Api(settings=evolve(SETTINGS, allow=(ip_network("127.0.0.0/8"),)))

    assert elsewhere.get(ROUTE).code == 403
    assert elsewhere.get("/streamproxy/v1/live").code == 403
    assert here.get(ROUTE).code == 200


@pytest.mark.parametrize(
    ("host", "code"), [("localhost:9180", 200), ("[::1]", 200), ("attacker.example", 403), ("a..b", 403), ("a b", 400)]
)
def test_the_host_that_was_asked_for(api: Api, host: str, code: int) -> None:
    """A page whose name points at us is stopped, credentials or not."""
    assert api.get(ROUTE, headers={"Host": host}).code == code


def test_any_host_where_everybody_may_come() -> None:
    api = Api(settings=evolve(SETTINGS, listen=Address("0.0.0.0", 9180)))

    # The last one is no name that could be in DNS, which must not upset the router.
    for host in ("proxy.example", "x" * 64, "a..b"):
        assert api.get(ROUTE, headers={"Host": host}).code == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://attacker.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_another_site_changes_nothing(api: Api, headers: dict[str, str]) -> None:
    assert api.call("POST", ROUTE, service("a"), headers=headers).code == 403
    assert api.get(ROUTE, headers=headers).json == []


def test_a_page_of_ours_may(api: Api) -> None:
    headers = {"Origin": "http://localhost:9180", "Host": "localhost:9180", "Sec-Fetch-Site": "same-origin"}

    assert api.call("POST", ROUTE, service("a"), headers=headers).code == 201


def test_a_path_that_is_not_utf_8(api: Api) -> None:
    assert api.get(f"{ROUTE}/%ff").code == 400


@pytest.mark.parametrize("path", ["/", ROUTE, "/nothing"])
def test_answers_are_data_and_nothing_else(api: Api, path: str) -> None:
    reply = api.get(path)
    headers = reply.headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["server"] == "streamproxy"
    assert reply.length == len(reply.data)


def test_every_write_leaves_a_line(api: Api, logged: Sequence[LogEvent]) -> None:
    api.call("POST", ROUTE, service("a"))
    api.call("DELETE", f"{ROUTE}/x%1b[31m")
    api.call("DELETE", f"{ROUTE}/a", auth=None, headers=VIEWER)
    api.get(ROUTE)

    audit = [line for line in lines(logged) if line.startswith("audit")]

    assert audit == [
        "audit: admin-api-apikey-id from 127.0.0.1: POST /api/tcp/services: 201",
        "audit: admin-api-apikey-id from 127.0.0.1: DELETE /api/tcp/services/x%1b%5B31m: 404",
        "audit: watcher from 127.0.0.1 may not DELETE /api/tcp/services/a",
    ]


def test_who_leaves_before_the_answer(api: Api, logged: Sequence[LogEvent], monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: Deferred[Any] = Deferred()
    monkeypatch.setattr(api.configuration, "change", lambda *_, **__: waiting)
    sent = api.start("POST", ROUTE, service("a"))
    sent.addErrback(lambda _: None)

    sent.cancel()
    api.treq.flush()

    assert "audit: admin-api-apikey-id from 127.0.0.1: POST /api/tcp/services: left before the answer" in lines(logged)
    assert not waiting.called, "the write was given up"
    assert not [event for event in logged if event.get("log_level") is LogLevel.critical]


def test_failed_logins_are_counted_and_told_now_and_then(api: Api, logged: Sequence[LogEvent]) -> None:
    for _ in range(3):
        api.get(ROUTE, auth=("id", "the wrong secret"))
    api.clock.now += 61
    api.get(ROUTE, auth=None)

    assert api.app.failed_logins == 4
    assert [line for line in lines(logged) if "failed" in line] == [
        "failed login to the admin API from 127.0.0.1 (1 since the start)",
        "failed login to the admin API from 127.0.0.1 (4 since the start)",
    ]
    assert "wrong secret" not in repr(logged)
