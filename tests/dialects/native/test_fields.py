"""Settings that are no plain text or number."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.native import fields
from streamproxy.model import Address

from .reading import patient


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9180", "127.0.0.1", 9180),
        ("localhost:9180", "127.0.0.1", 9180),
        ("[::1]:9180", "::1", 9180),
        ("[0:0::1]:9180", "::1", 9180),
        (":9180", "0.0.0.0", 9180),
        ("*:9180", "0.0.0.0", 9180),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("127.0.0.1:65535", "127.0.0.1", 65535),
    ],
)
def test_an_address_to_listen_at(text: str, host: str, port: int) -> None:
    assert fields.listen_address(text) == Address(host, port)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected host:port"),
        ("9180", "expected host:port"),
        ("127.0.0.1", "expected host:port"),
        ("::1:9180", "in brackets, as in [::1]:9180"),
        ("::", "in brackets"),
        ("127.0.0.1:", "expected a port from 0 to 65535"),
        ("127.0.0.1:65536", "expected a port from 0 to 65535"),
        ("127.0.0.1:-1", "expected a port from 0 to 65535"),
        ("127.0.0.1:http", "expected a port from 0 to 65535"),
        ("127.0.0.1:٣", "expected a port from 0 to 65535"),
        ("example.com:9180", "expected an IP address or localhost"),
        ("[localhost]:9180", "expected an IP address or localhost"),
        ("127.1:9180", "expected an IP address or localhost"),
    ],
)
def test_no_address_to_listen_at(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        fields.listen_address(text)

    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (3, 3.0),
        (0.5, 0.5),
        ("3", 3.0),
        ("0.25", 0.25),
        ("3s", 3.0),
        ("500ms", 0.5),
        ("1.5m", 90.0),
        ("10m", 600.0),
        ("1h", 3600.0),
        ("1ms", 0.001),
        ("8784h", 366 * 86400.0),
    ],
)
def test_a_duration_is_seconds(value: Any, seconds: float) -> None:
    found = fields.duration(value)

    assert (type(found), found) == (float, seconds)


@pytest.mark.parametrize("value", [True, None, [], {}, "", "s", "3 s", "-3s", "3S", "3d", "1e3", "٣s", "3s3s"])
def test_what_is_no_duration(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a number of seconds, or a text like 3s, 500ms, 10m, 1h"):
        fields.duration(value)


@pytest.mark.parametrize("value", [0, -1, 0.0001, "0s", "0.5ms", "8785h", 10**400, float("inf"), float("nan")])
def test_a_duration_is_positive_and_bounded(value: Any) -> None:
    with pytest.raises(ValueError, match="expected 1ms to 8784h"):
        fields.duration(value)


@patient
@given(st.floats(0.001, 1e6))
def test_every_way_to_write_a_duration_means_the_same(seconds: float) -> None:
    text = f"{seconds:.9f}"

    assert fields.duration(text) == fields.duration(f"{text}s") == float(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("::1", "::1/128"),
        ("fd00::/8", "fd00::/8"),
    ],
)
def test_a_network(text: str, canonical: str) -> None:
    assert fields.network(text) == ip_network(canonical)


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0.0/33", "10.0.0", "[::1]", "10.0.0.0-10.0.0.9"])
def test_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected an IP address or a network like 10\.0\.0\.0/8, got "):
        fields.network(text)


def test_a_secret_is_kept_to_itself() -> None:
    secret = fields.secret("correct horse")

    assert secret.value == "correct horse"
    assert "horse" not in f"{secret} {secret!r}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected 8 to 1000 characters, got 0"),
        ("hushhus", "expected 8 to 1000 characters, got 7"),
        ("hush" * 251, "expected 8 to 1000 characters, got 1004"),
        ("hushhush\n", "printable ASCII"),
        (" hushhush", "printable ASCII"),
        ("hushhüsh", "printable ASCII"),
    ],
)
def test_a_secret_that_could_not_be_sent_or_could_be_guessed(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        fields.secret(text)

    assert why in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a\nb", "x" * 1001])
def test_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="printable characters"):
        fields.identifier(text)


def test_a_client_id_has_no_colon() -> None:
    assert fields.client_id("admin-api-apikey-id") == "admin-api-apikey-id"
    with pytest.raises(ValueError, match="expected no colon"):
        fields.client_id("a:b")


def test_a_server_name_is_canonical() -> None:
    assert fields.server_name("Bücher.Example.") == "xn--bcher-kva.example"
    with pytest.raises(ValueError, match="expected a host name"):
        fields.server_name("a b")


@pytest.mark.parametrize("text", ["", "a\0b"])
def test_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        fields.path(text)


@pytest.mark.parametrize(
    "convert",
    [
        fields.listen_address,
        fields.interface,
        fields.network,
        fields.secret,
        fields.identifier,
        fields.client_id,
        fields.server_name,
        fields.path,
        fields.log_path,
        fields.log_format,
        fields.duration,
    ],
)
@patient
@given(text=st.text())
def test_text_is_understood_or_refused(convert: Callable[[str], object], text: str) -> None:
    with suppress(ValueError):
        assert convert(text) is not None
