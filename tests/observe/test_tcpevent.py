"""A session as Otoroshi's TcpEvent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamproxy.model import Ended, Ending, Json
from streamproxy.observe.tcpevent import tcp_event_line

from .records import BARE, RECORD, record

SERVICE: dict[str, Json] = {
    "id": "pg", "name": "Postgres", "tls": "Enabled", "sni": {"enabled": True}, "rules": []
}  # fmt: skip


def event(of: Ended, service: dict[str, Json] | None = None) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(tcp_event_line(of, lambda _: service))
    return read


def test_the_event_of_a_session() -> None:
    assert event(RECORD, SERVICE) == {
        "@type": "TcpEvent",
        "@id": "5f3a-17",
        "@timestamp": 1_700_000_012_468,
        "reqId": "5f3a-17",
        "protocol": "Tcp/Tls",
        "port": 443,
        "to": {"host": "pg-read.example.com:443", "scheme": "Tcp/Tls", "uri": ""},
        "target": {"host": "db/10.0.0.1:5432", "scheme": "Tcp", "uri": ""},
        "remote": "/192.0.2.10:51234",
        "local": "/198.51.100.1:443",
        "duration": 12345,
        "overhead": 3,
        "data": {"dataIn": 10, "dataOut": 20},
        "gwError": None,
        "@serviceId": "pg",
        "@service": "Postgres",
        "service": SERVICE,
    }


def test_without_a_lookup_there_is_no_service() -> None:
    without = json.loads(tcp_event_line(RECORD))
    assert "service" not in without
    assert (without["@serviceId"], without["@service"], without["protocol"]) == ("pg", "pg", "Tcp")
    assert "scheme" not in without["target"]
    assert event(RECORD) == without, "nor with one that finds none"


def test_the_lookup_is_asked_about_the_record() -> None:
    asked: list[Ended] = []
    tcp_event_line(RECORD, asked.append)
    assert asked == [RECORD]


def test_of_services_that_share_a_listener_the_lookup_is_asked_about_the_one_that_won() -> None:
    asked: list[Ended] = []
    shared = "otoroshi:tcp-services/a+otoroshi:tcp-services/b"
    for owner, route in (
        (shared, "otoroshi:tcp-services/b sni.forwardsTo"),
        (shared, None),
        ("stream_proxy.tcp[0]", "apisix:stream_routes/1"),
    ):
        tcp_event_line(record(owner=owner, route=route), asked.append)
    assert [each.owner for each in asked] == [
        "otoroshi:tcp-services/b",
        "otoroshi:tcp-services/a",
        "stream_proxy.tcp[0]",
    ]


@pytest.mark.parametrize(
    ("node", "scheme"),
    [
        ("plain:5432", "Tcp"),
        ("db.example.com:5432", "Tcp/Tls"),
        ("db/10.0.0.1:8080", "Tcp/Tls"),
        ("[::1]:5432", "Tcp/Tls"),
        ("last:9", "Tcp/Tls"),
        ("gone:1", "Tcp"),
        (None, "Tcp"),
    ],
)
def test_whether_tls_is_spoken_to_the_target(node: str | None, scheme: str) -> None:
    targets: Json = [
        {"host": "plain", "port": 5432},
        {"host": "DB.example.com", "ip": None, "port": 5432, "tls": True},
        {"host": "db", "ip": "10.0.0.1", "tls": True},
        {"host": "[::1]", "port": 5432, "tls": True},
    ]
    service: dict[str, Json] = {
        "rules": [{"targets": None}, {"targets": targets}],
        "sni": {"forwardsTo": {"host": "last", "port": 9, "tls": True}},
    }
    assert event(record(node=node), service)["target"]["scheme"] == scheme


@pytest.mark.parametrize(
    ("owner", "route", "service_id"),
    [
        ("otoroshi:tcp-services/a+otoroshi:tcp-services/b", "otoroshi:tcp-services/b c rules[1]", "b c"),
        ("otoroshi:tcp-services/a+otoroshi:tcp-services/b", None, "a"),
        ("stream_proxy.tcp[0]", "apisix:stream_routes/1", "otoroshi"),
        ("stream_proxy.tcp[0]", None, "otoroshi"),
    ],
)
def test_whose_session_it_was(owner: str, route: str | None, service_id: str) -> None:
    read = event(record(owner=owner, route=route))
    assert (read["@serviceId"], read["@service"]) == (service_id, service_id)


@pytest.mark.parametrize(
    ("sni", "http_host", "service", "host"),
    [
        ("a.example.com", None, None, "a.example.com:443"),
        (None, "b.example.com", None, "b.example.com:443"),
        (None, None, None, "*"),
        (None, None, {"sni": {"enabled": False}}, "*"),
        (None, None, {"sni": "nonsense"}, "*"),
        (None, None, {"sni": {"enabled": True}}, "*"),
        (None, None, {"sni": {"enabled": True}, "tls": "Disabled"}, "*"),
        (None, None, {"sni": {"enabled": True}, "tls": "PassThrough"}, "no-sni"),
        (None, None, {"sni": {"enabled": True}, "tls": "enabled"}, "no-sni"),
        ("a.example.com", None, {"sni": {"enabled": True}, "tls": "Enabled"}, "a.example.com:443"),
        # Where names choose nothing, nobody is asked for by name.
        ("a.example.com", None, {"sni": {"enabled": False}, "tls": "Enabled"}, "*"),
    ],
)
def test_whom_it_was_for(sni: str | None, http_host: str | None, service: dict[str, Json] | None, host: str) -> None:
    assert event(record(sni=sni, http_host=http_host), service)["to"]["host"] == host


@pytest.mark.parametrize(
    ("tls", "protocol"), [("Enabled", "Tcp/Tls"), ("enabled", "Tcp/Tls"), ("PassThrough", "Tcp"), (None, "Tcp")]
)
def test_only_terminated_tls_is_tls(tls: Json, protocol: str) -> None:
    assert event(RECORD, {"tls": tls})["protocol"] == protocol


def test_a_service_that_names_itself_not() -> None:
    read = event(RECORD, {})
    assert (read["@serviceId"], read["@service"], read["service"]) == ("otoroshi", "otoroshi", {})


@pytest.mark.parametrize(
    ("ending", "detail", "error"),
    [
        (Ending.TARGET_CLOSED, "", None),
        (Ending.NO_ROUTE, "", "no_route"),
        (Ending.CONNECT_FAILED, "Connection refused", "connect_failed: Connection refused"),
    ],
)
def test_what_went_wrong(ending: Ending, detail: str, error: str | None) -> None:
    assert event(record(ending=ending, detail=detail))["gwError"] == error


def test_a_session_that_got_nowhere() -> None:
    read = event(BARE)
    assert read["target"]["host"] == "--"
    assert (read["overhead"], read["duration"]) == (0, 0)
    assert read["remote"] == "/[2001:db8::1]:1"


def test_it_is_one_line_whatever_the_client_says() -> None:
    line = tcp_event_line(record(sni='a"\n\u2028\ud800'))
    assert line.isascii()
    assert line.isprintable()
