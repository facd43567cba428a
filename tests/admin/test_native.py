from __future__ import annotations

from typing import Any

import pytest

from streamproxy import __version__
from streamproxy.model import (
    Address,
    Ended,
    Ending,
    Facts,
    Key,
    ListenAddress,
    Listener,
    ListenerState,
    ListenerStatus,
    TlsMode,
    Transport,
)

from .api import Api, FakeRuntime, live, service

ADDRESS = ListenAddress(Transport.TCP, "::1", 5432)


def ended(number: int, **fields: Any) -> Ended:
    facts = Facts(ADDRESS, Address("::1", 40000 + number), Address("::1", 5432), sni="pg.example")
    return Ended(
        id=f"s{number}",
        facts=facts,
        owner="otoroshi:tcp-services/pg",
        revision=3,
        ending=Ending.CLIENT_CLOSED,
        started=1.5,
        duration=2.5,
        **fields,
    )


@pytest.fixture
def api() -> Api:
    listener = Listener(
        ADDRESS,
        "r",
        "otoroshi:tcp-services/pg",
        (Key("otoroshi", "tcp-services", "pg"),),
        tls=TlsMode.PASSTHROUGH,
    )
    return Api(
        runtime=FakeRuntime(
            statuses=(
                ListenerStatus(listener, ListenerState.LISTENING, 5432, sessions=2, ended=(("idle_timeout", 7),)),
                ListenerStatus(listener, ListenerState.FAILED, 0, error="Address already in use", retry_in=2.5),
            ),
            open=2,
            ended=[ended(1), ended(2, node="10.0.0.1:5432", bytes_in=10, detail="why")],
        )
    )


def test_status(api: Api) -> None:
    api.call("POST", "/api/tcp/services", service("a"))
    api.clock.now += 90

    assert api.get("/streamproxy/v1/status", auth=None).json == {
        "version": __version__,
        "ready": True,
        "revision": 1,
        "uptime": 90.0,
        "sessions": 2,
        "problems": 0,
        "pending": [],
    }


def test_a_clock_that_was_set_back(api: Api) -> None:
    api.clock.now -= 90

    assert api.get("/streamproxy/v1/status").json["uptime"] == 0


def test_live_and_ready() -> None:
    waiting = Api(ready=False)

    assert waiting.get("/streamproxy/v1/live", auth=None).json == {"live": True}
    for api, code in ((waiting, 503), (Api(), 200)):
        reply = api.get("/streamproxy/v1/ready", auth=None)
        assert (reply.code, reply.json) == (code, {"ready": code == 200})


def test_listeners(api: Api) -> None:
    first, second = api.get("/streamproxy/v1/listeners").json["listeners"]

    assert first == {
        "address": "tcp [::1]:5432",
        "transport": "tcp",
        "interface": "::1",
        "port": 5432,
        "bound_port": 5432,
        "owner": "otoroshi:tcp-services/pg",
        "documents": [{"dialect": "otoroshi", "kind": "tcp-services", "id": "pg"}],
        "tls": "PassThrough",
        "client_auth": "None",
        "state": "listening",
        "error": None,
        "retry_in": None,
        "revision": 0,
        "sessions": 2,
        "accepted": 0,
        "bytes_in": 0,
        "bytes_out": 0,
        "ended": {"idle_timeout": 7},
    }
    assert (second["state"], second["error"], second["retry_in"]) == ("failed", "Address already in use", 2.5)


def test_problems() -> None:
    from streamproxy.model import Document

    broken = Document(Key("otoroshi", "tcp-services", "x"), {"name": "x", "port": 1}, origin="/etc/s.yaml")
    api = Api(live(resources=[broken]))
    api.get("/nothing", auth=None)

    reply = api.get("/streamproxy/v1/problems").json

    assert [(problem["path"], problem["code"]) for problem in reply["problems"]] == [
        ("otoroshi:tcp-services/x.description", "bad_format")
    ]
    assert reply["failed_logins"] == 1
    assert api.get("/streamproxy/v1/status").json["problems"] == 1


def test_recent_sessions(api: Api) -> None:
    sessions = api.get("/streamproxy/v1/sessions/recent").json["sessions"]

    assert [session["id"] for session in sessions] == ["s2", "s1"]
    assert sessions[0] == {
        "id": "s2",
        "listener": "tcp [::1]:5432",
        "client": "[::1]:40002",
        "local": "[::1]:5432",
        "name": "pg.example",
        "owner": "otoroshi:tcp-services/pg",
        "revision": 3,
        "route": None,
        "upstream": None,
        "node": "10.0.0.1:5432",
        "ending": "client_closed",
        "detail": "why",
        "started": 1.5,
        "duration": 2.5,
        "sniff_time": None,
        "connect_time": None,
        "bytes_in": 10,
        "bytes_out": 0,
        "attempts": 0,
    }


@pytest.mark.parametrize(("limit", "count"), [("0", 0), ("1", 1), ("999999999", 2)])
def test_a_number_of_recent_sessions(api: Api, limit: str, count: int) -> None:
    assert len(api.get(f"/streamproxy/v1/sessions/recent?limit={limit}").json["sessions"]) == count


@pytest.mark.parametrize("limit", ["-1", "x", "", "9" * 5000, "%C2%B2"])
def test_what_is_no_number_of_sessions(api: Api, limit: str) -> None:
    assert api.get(f"/streamproxy/v1/sessions/recent?limit={limit}").code == 400
