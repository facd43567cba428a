"""Format strings."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import Address, Ended, Ending, PeerIdentity, TlsFacts
from streamproxy.observe.logformat import compile_format, record_variable

from .records import BARE, RECORD, record

APISIX_DEFAULT = "$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time"


@pytest.fixture(autouse=True)
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place that is not Greenwich."""
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def line(text: str, of: Ended = RECORD) -> str:
    return compile_format(text)(of)


def test_apisix_s_default() -> None:
    assert line(APISIX_DEFAULT) == "192.0.2.10 [14/Nov/2023:17:13:32 -0500] TCP 200 20 10 12.346"


@pytest.mark.parametrize(
    ("variable", "value", "of_a_bare_one"),
    [
        ("remote_addr", "192.0.2.10", "2001:db8::1"),
        ("remote_port", "51234", "1"),
        ("server_addr", "198.51.100.1", "2001:db8::2"),
        ("server_port", "443", "53"),
        ("protocol", "TCP", "UDP"),
        ("status", "200", "503"),
        ("bytes_sent", "20", "0"),
        ("bytes_received", "10", "0"),
        ("session_time", "12.346", "0.000"),
        ("time_local", "14/Nov/2023:17:13:32 -0500", "14/Nov/2023:17:13:20 -0500"),
        ("time_iso8601", "2023-11-14T17:13:32-05:00", "2023-11-14T17:13:20-05:00"),
        ("msec", "1700000012.469", "1700000000.000"),
        ("connection", "5f3a-17", "5f3a-18"),
        ("upstream_addr", "db/10.0.0.1:5432", "-"),
        ("upstream_bytes_sent", "10", "-"),
        ("upstream_bytes_received", "20", "-"),
        ("upstream_connect_time", "0.003", "-"),
        ("upstream_session_time", "12.345", "-"),
        ("ssl_server_name", "pg-read.example.com", "-"),
        ("ssl_preread_server_name", "pg-read.example.com", "-"),
        ("ssl_preread_alpn_protocols", "h2,http/1.1", "-"),
        ("attempts", "2", "0"),
        ("detail", "-", "-"),
        ("ending", "client_closed", "over_limit"),
        ("http_host", "-", "-"),
        ("listener", "tcp:0.0.0.0:443", "udp:[::]:53"),
        ("owner", "otoroshi:tcp-services/pg", "stream_proxy.udp[0]"),
        ("revision", "42", "0"),
        ("route", "otoroshi:tcp-services/pg rules[0]", "-"),
        ("sniff_time", "0.001", "-"),
        ("tls", "on", "-"),
        ("upstream", "otoroshi:tcp-services/pg rules[0]", "-"),
        ("session_id", "5f3a-17", "5f3a-18"),
        ("route_id", "pg", "-"),
        ("code", "200", "503"),
        ("handshake_time", "-", "-"),
        ("mqtt_client_id", "-", "-"),
        ("var_anything", "-", "-"),
        ("proxy_protocol_addr", "-", "-"),
        ("proxy_protocol_port", "-", "-"),
        ("realip_remote_addr", "192.0.2.10", "2001:db8::1"),
        ("realip_remote_port", "51234", "1"),
        ("ssl_protocol", "-", "-"),
        ("ssl_cipher", "-", "-"),
        ("ssl_client_verify", "-", "-"),
        ("pid", str(os.getpid()), str(os.getpid())),
        ("hostname", socket.gethostname(), socket.gethostname()),
    ],
)
def test_variables(variable: str, value: str, of_a_bare_one: str) -> None:
    assert line(f"${variable}") == value
    assert line(f"<${{{variable}}}x>", BARE) == f"<{of_a_bare_one}x>"


@pytest.mark.parametrize(
    ("variable", "value", "without_a_certificate"),
    [
        ("ssl_protocol", "TLSv1.3", "TLSv1.3"),
        ("ssl_cipher", "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
        ("ssl_alpn_protocol", "h2", "h2"),
        ("ssl_session_reused", "r", "r"),
        ("ssl_client_verify", "SUCCESS", "NONE"),
        ("ssl_client_s_dn", "CN=you", "-"),
        ("ssl_client_serial", "FF", "-"),
        ("ssl_client_fingerprint", "ab", "-"),
        ("ssl_client_san", "DNS:a,DNS:b", "-"),
        ("handshake_time", "0.001", "0.001"),
    ],
)
def test_variables_of_a_handshake(variable: str, value: str, without_a_certificate: str) -> None:
    client = PeerIdentity("CN=you", ("DNS:a", "DNS:b"), "ab", 255)
    handshake = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "h2", True, client)
    assert line(f"${variable}", record(handshake=handshake)) == value
    assert line(f"${variable}", record(handshake=evolve(handshake, client=None))) == without_a_certificate


def test_variables_of_a_proxy_header() -> None:
    behind = record(claimed=Address("203.0.113.5", 7), via=Address("10.0.0.1", 8))
    text = "$proxy_protocol_addr:$proxy_protocol_port $realip_remote_addr:$realip_remote_port"
    assert line(text, behind) == "203.0.113.5:7 10.0.0.1:8"
    behind = record(arrived=Address("10.0.0.2", 9100))
    assert line("$server_addr:$server_port", behind) == "10.0.0.2:9100"
    text = "$proxy_protocol_server_addr:$proxy_protocol_server_port"
    assert (line(text, behind), line(text, record())) == ("198.51.100.1:443", "-:-")


def test_every_node_that_was_tried_is_told() -> None:
    tried = record(earlier=("10.0.0.2:5432", "10.0.0.3:5432"), node="10.0.0.1:5432")
    assert line("$upstream_addr", tried) == "10.0.0.2:5432, 10.0.0.3:5432, 10.0.0.1:5432"


def test_variables_of_plugins() -> None:
    said = record(variables={"mqtt_client_id": "foo", "tenant": "a b"})
    assert line("$mqtt_client_id $var_mqtt_client_id $var_tenant", said) == "foo foo a b"


def test_the_id_of_a_route_is_that_of_its_document() -> None:
    assert line("$route_id", record(route="apisix:stream_routes/mqtt")) == "mqtt"
    assert line("$route_id", record(route="mine")) == "mine"


def test_escaped_for_json() -> None:
    text = '{"sni":"$ssl_preread_server_name","cipher":"$ssl_cipher","time":"$sniff_time"}'
    written = compile_format(text, None, "json")
    for said in ('a"b\\c', "a\nb\x00", "\u00e9"):
        assert json.loads(written(record(sni=said, sniff_time=None))) == {"sni": said, "cipher": "", "time": ""}


def test_one_variable_as_it_is() -> None:
    said = record(sni='a"b', variables={"tenant": "x"})
    assert record_variable("ssl_preread_server_name", said) == 'a"b'
    assert record_variable("bytes_sent", said) == "20"
    assert record_variable("var_tenant", said) == "x"
    assert [record_variable(name, said) for name in ("ssl_cipher", "no_such")] == [None, None]


def test_text_around_them_stays_as_it_is() -> None:
    assert line('100% "$bytes_sent%s$bytes_received" \u00e9{}\n') == '100% "20%s10" \u00e9{}'


def test_every_ending_has_a_status() -> None:
    statuses = {ending: line("$status", record(ending=ending)) for ending in Ending}
    assert statuses[Ending.NO_ROUTE] == "001"
    assert statuses[Ending.CONNECT_FAILED] == "502"
    assert {status for status in statuses.values() if not re.fullmatch(r"\d{3}", status)} == set()


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ('a"b', "a\\x22b"),
        ("a\\b", "a\\x5Cb"),
        ("a\nb\x00\x1f\x7f", "a\\x0Ab\\x00\\x1F\\x7F"),
        ("\u00e9", "\\xC3\\xA9"),
        ("\udc80", "\\xED\\xB2\\x80"),
        ("a b~'", "a b~'"),
        ("", "-"),
    ],
)
def test_what_a_client_says_is_escaped(said: str, written: str) -> None:
    assert line("$ssl_preread_server_name", record(sni=said)) == written


@given(st.text())
def test_no_client_can_end_a_line_or_a_quotation(said: str) -> None:
    written = line(
        '"$detail" "$http_host" "$ssl_preread_alpn_protocols"', record(detail=said, http_host=said, alpn=(said,))
    )
    assert written.isascii()
    assert written.isprintable()
    assert written.count('"') == 6


def test_a_variable_there_is_not_is_named_and_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"^no variable \$remote_adr; there are \$attempts, \$bytes_received, "):
        compile_format("$remote_addr $remote_adr")


@pytest.mark.parametrize("text", ["$", "a $ b", "${}", "${remote_addr", "$ssl_ciphers", "$var_", "$\u00e9"])
def test_a_dollar_sign_begins_a_variable(text: str) -> None:
    with pytest.raises(ValueError, match="no variable"):
        compile_format(text)


@pytest.mark.parametrize("text", ["", "jsn", "\n"])
def test_text_without_a_variable_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither json nor otoroshi nor has it a \$variable"):
        compile_format(text)


@pytest.mark.parametrize("text", ["$detail\n$owner", "$detail\r$owner"])
def test_a_session_is_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        compile_format(text)


def test_formats_by_name() -> None:
    assert json.loads(line("json"))["id"] == "5f3a-17"
    with_service = compile_format("otoroshi", lambda _: {"id": "pg"})
    assert json.loads(with_service(RECORD))["service"] == {"id": "pg"}
    assert json.loads(line("otoroshi"))["@type"] == "TcpEvent"
