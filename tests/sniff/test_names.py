"""Every spelling of a host name has one normal form, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.sniff import normalize_name

from .feeding import patient

LABEL = "a" * 63
LONGEST = ".".join([LABEL, LABEL, LABEL, "a" * 61])


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("example.com", "example.com"),
        (b"example.com", "example.com"),
        ("WWW.Example.COM", "www.example.com"),
        ("example.com.", "example.com"),
        ("localhost", "localhost"),
        ("x.y", "x.y"),
        ("db_1.Example.com", "db_1.example.com"),
        ("_sip._tcp.example.com", "_sip._tcp.example.com"),
        ("-odd-.example", "-odd-.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        (LONGEST, LONGEST),
        (LONGEST + ".", LONGEST),
    ],
)
def test_names_are_lower_case_without_trailing_dot(raw: str | bytes, name: str) -> None:
    assert normalize_name(raw) == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.Example.", "xn--bcher-kva.example"),
        ("bücher.example".encode(), "xn--bcher-kva.example"),
        ("faß.de", "xn--fa-hia.de"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("\uff25xample.com", "example.com"),
        ("bücher.my_host", "xn--bcher-kva.my_host"),
    ],
)
def test_international_names_become_a_labels(raw: str | bytes, name: str) -> None:
    assert normalize_name(raw) == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        (b"[2001:DB8:0:0:0:0:0:1]", "2001:db8::1"),
    ],
)
def test_ip_literals_are_names_too(raw: str | bytes, name: str) -> None:
    assert normalize_name(raw) == name


@pytest.mark.parametrize(
    "raw",
    [
        "",
        ".",
        "..",
        ".example.com",
        "example.com..",
        "a..b",
        "a b",
        "a\0b",
        "example.com\n",
        "user@example.com",
        "example.com:443",
        "*.example.com",
        "a/b",
        "a" * 64 + ".example",
        LONGEST + "a",
        "a." * 200,
        "a" * 5000,
        b"\xff\xfe.example",
        "bücher_1.example",
        "ü" * 64,
        "ü." * 127,
        "ü." * 500,
        "\u2603\u2044\u2100.example",
        "\ud800.example",
        "\u200d.example",
        "[example]",
        "[127.0.0.1]",
        "[::1",
        "::1]",
        "fe80::1%eth0",
        "1::2::3",
        ":",
        "[]",
    ],
)
def test_what_is_no_host_name_has_none(raw: str | bytes) -> None:
    assert normalize_name(raw) is None


@patient
@given(st.one_of(st.text(max_size=80), st.binary(max_size=80), st.from_regex(r"[a-zA-Z0-9.ü:\[\]_-]{1,40}")))
def test_a_normal_form_stays_as_it_is(raw: str | bytes) -> None:
    name = normalize_name(raw)
    if name is not None:
        assert normalize_name(name) == name
        assert normalize_name(name.encode()) == name
        assert 0 < len(name) <= 253
        assert name == name.lower()
        assert name.isascii()
