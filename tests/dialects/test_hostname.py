from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.hostname import a_labels, canonical_host


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("localhost", "localhost"),
        ("DB-1.Example.com", "db-1.example.com"),
        ("my_service", "my_service"),
        ("example.com.", "example.com."),
        ("bücher.example", "xn--bcher-kva.example"),
        ("does-not-resolve.invalid", "does-not-resolve.invalid"),
    ],
)
def test_hosts(written: str, canonical: str) -> None:
    assert canonical_host(written) == canonical


@pytest.mark.parametrize(
    "written",
    [
        "",
        ".",
        "a b",
        "localhost:80",
        "http://localhost",
        "*.example.com",
        "-a.example",
        "a..b",
        "10.0.0.256",
        "127.1",
        "[localhost]",
        "[::1",
        "x" * 64,
        "a." * 200 + "b",
        "ü" * 300,
        "ü" * 64 + ".example",
        "xn--\udfff",
        "a\n",
    ],
)
def test_what_is_no_host(written: str) -> None:
    with pytest.raises(ValueError, match=r"expected a host name or an IP address|no name that DNS could know"):
        canonical_host(written)


def test_ascii_labels_are_not_looked_into() -> None:
    assert a_labels("A_b.-.BÜcher") == "a_b.-.xn--bcher-kva"


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_a_host_is_canonical_or_refused(text: str) -> None:
    try:
        canonical = canonical_host(text)
    except ValueError as error:
        str(error).encode()
    else:
        assert canonical_host(canonical) == canonical
        assert canonical.isascii()
