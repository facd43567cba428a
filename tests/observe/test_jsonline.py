"""A session as a line of JSON."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import Address, Ended, Ending, Facts, PeerIdentity, TlsFacts
from streamproxy.observe.jsonline import TLV_BYTES, json_line, utc

from .records import BARE, RECORD, record


def test_everything_that_is_known_is_there() -> None:
    assert json.loads(json_line(RECORD)) == {
        "started": "2023-11-14T22:13:20.123Z",
        "duration": 12.345679,
        "id": "5f3a-17",
        "ending": "client_closed",
        "detail": "",
        "transport": "tcp",
        "listen_address": "0.0.0.0",
        "listen_port": 443,
        "client_address": "192.0.2.10",
        "client_port": 51234,
        "local_address": "198.51.100.1",
        "local_port": 443,
        "tls": True,
        "sni": "pg-read.example.com",
        "alpn": ["h2", "http/1.1"],
        "http_host": None,
        "assumed": None,
        "owner": "otoroshi:tcp-services/pg",
        "revision": 42,
        "route": "otoroshi:tcp-services/pg rules[0]",
        "upstream": "otoroshi:tcp-services/pg rules[0]",
        "node": "db/10.0.0.1:5432",
        "attempts": 2,
        "earlier": [],
        "sniff_time": 0.001,
        "connect_time": 0.0025,
        "bytes_in": 10,
        "bytes_out": 20,
        "handshake": None,
        "claimed": None,
        "via": None,
        "arrived": None,
        "tlvs": [],
        "code": None,
        "variables": {},
    }


def test_no_field_of_a_record_is_forgotten() -> None:
    line = json.loads(json_line(RECORD))
    renamed = {
        "listener": {"transport", "listen_address", "listen_port"},
        "peer": {"client_address", "client_port"},
        "local": {"local_address", "local_port"},
    }
    names = {field.name for of in (Ended, Facts) for field in fields(of)} - {"facts"}
    expected: set[str] = set().union(*(renamed.get(name, {name}) for name in names))
    assert set(line) == expected


def test_what_is_not_known_is_null() -> None:
    line = json.loads(json_line(BARE))
    assert {name for name, value in line.items() if value is None} == {
        "sni", "http_host", "route", "upstream", "node", "sniff_time", "connect_time", "handshake", "claimed", "via",
        "arrived", "code", "assumed"
    }  # fmt: skip
    assert (line["transport"], line["alpn"], line["tls"]) == ("udp", [], False)


def test_what_a_handshake_agreed_on() -> None:
    handshake = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "h2", resumed=True)
    line = json.loads(json_line(record(handshake=handshake)))
    agreed = {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "alpn": "h2", "resumed": True, "client": None}
    assert line["handshake"] == agreed
    client = PeerIdentity('CN="you"', ("DNS:a.example.com",), "ab" * 32, 1 << 150)
    line = json.loads(json_line(record(handshake=evolve(handshake, client=client))))
    assert line["handshake"]["client"] == {
        "subject": 'CN="you"',
        "sans": ["DNS:a.example.com"],
        "fingerprint": "ab" * 32,
        "serial": f"{1 << 150:x}",
    }


def test_what_a_proxy_in_front_said() -> None:
    claimed, via, arrived = Address("2001:db8::7", 4711), Address("10.0.0.1", 5), Address("10.0.0.2", 443)
    tlvs = ((2, b"a.example.com"), (0xE0, b"\xff" * 999))
    line = json.loads(json_line(record(claimed=claimed, via=via, arrived=arrived, tlvs=tlvs)))
    assert (line["claimed"], line["via"], line["arrived"]) == ("[2001:db8::7]:4711", "10.0.0.1:5", "10.0.0.2:443")
    assert line["tlvs"] == [[2, b"a.example.com".hex()], [0xE0, "ff" * TLV_BYTES]]


def test_nodes_that_were_tried_before() -> None:
    assert json.loads(json_line(record(earlier=('db"1:5432', "db2:5432"))))["earlier"] == ['db"1:5432', "db2:5432"]


def test_what_plugins_said() -> None:
    variables = {"mqtt_client_id": 'foo"\n', 'odd"name': "\u00e9"}
    line = json.loads(json_line(record(ending=Ending.REJECTED, code=503, variables=variables)))
    assert (line["ending"], line["code"], line["variables"]) == ("rejected", 503, variables)


@given(st.text(), st.lists(st.text(), max_size=3), st.sampled_from(Ending))
def test_whatever_a_client_says_stays_in_its_string(text: str, alpn: list[str], ending: Ending) -> None:
    line = json_line(record(sni=text, detail=text, node=text, earlier=(text,), alpn=tuple(alpn), ending=ending))
    assert line.isascii()
    assert line.isprintable()
    read = json.loads(line)
    assert (read["sni"], read["detail"], read["node"], read["alpn"]) == (text, text, text, alpn)
    assert read["ending"] == ending.value


def test_half_a_surrogate_pair_does_no_harm() -> None:
    assert '"sni":"\\udc80"' in json_line(record(sni="\udc80"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.0, "2023-11-14T22:13:20.000Z"),
        (1_700_000_000.9996, "2023-11-14T22:13:20.999Z"),
        (951_782_400.5, "2000-02-29T00:00:00.500Z"),
    ],
)
def test_moments(seconds: float, text: str) -> None:
    assert utc(seconds) == text


@given(st.integers(0, 4_000_000_000_000))
def test_a_moment_is_the_millisecond_it_is(milliseconds: int) -> None:
    read = datetime.strptime(utc(milliseconds / 1000 + 0.0001), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    assert round(read.timestamp() * 1000) == milliseconds
