"""Settings that are no plain text, number or quantity."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

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
        fields.secret,
        fields.identifier,
        fields.client_id,
        fields.server_name,
        fields.path,
        fields.log_path,
        fields.log_format,
    ],
)
@patient
@given(text=st.text())
def test_text_is_understood_or_refused(convert: Callable[[str], object], text: str) -> None:
    with suppress(ValueError):
        assert convert(text) is not None
