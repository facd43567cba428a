"""Times, counts, rates, amounts of bytes and networks, as people write them."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects import quantities
from streamproxy.errors import InvalidConfiguration
from streamproxy.model import Rate

from .native.reading import patient


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
    found = quantities.duration(value)

    assert (type(found), found) == (float, seconds)


@pytest.mark.parametrize("value", [True, None, [], {}, "", "s", "3 s", "-3s", "3S", "3d", "1e3", "٣s", "3s3s"])
def test_what_is_no_duration(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a number of seconds, or a text like 3s, 500ms, 10m, 1h"):
        quantities.duration(value)


@pytest.mark.parametrize("value", [0, -1, 0.0001, "0s", "0.5ms", "8785h", 10**400, float("inf"), float("nan")])
def test_a_duration_is_positive_and_bounded(value: Any) -> None:
    with pytest.raises(ValueError, match="expected 1ms to 8784h"):
        quantities.duration(value)


@patient
@given(st.floats(0.001, 1e6))
def test_every_way_to_write_a_duration_means_the_same(seconds: float) -> None:
    text = f"{seconds:.9f}"

    assert quantities.duration(text) == quantities.duration(f"{text}s") == float(text)


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
    assert quantities.network(text) == ip_network(canonical)


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0.0/33", "10.0.0", "[::1]", "10.0.0.0-10.0.0.9"])
def test_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected an IP address or a network like 10\.0\.0\.0/8, got "):
        quantities.network(text)


@pytest.mark.parametrize(
    ("value", "size"),
    [(1000, 1000), ("65536", 65536), ("64k", 65536), ("64K", 65536), ("10m", 10 << 20), ("1g", 1 << 30)],
)
def test_a_bandwidth_is_bytes_a_second(value: Any, size: int) -> None:
    assert quantities.bandwidth(value) == size


@pytest.mark.parametrize("value", [True, None, 1e6, "", "k", "1kb", "1.5m", "-1k", "1 m", [], {}])
def test_what_is_no_bandwidth(value: Any) -> None:
    with pytest.raises(ValueError, match="expected bytes a second"):
        quantities.bandwidth(value)


@pytest.mark.parametrize("value", [0, 999, -5, "0", "2000g", 1 << 41])
def test_a_bandwidth_is_bounded(value: Any) -> None:
    with pytest.raises(ValueError, match="expected 1000 to 1099511627776 bytes a second"):
        quantities.bandwidth(value)


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        (10, Rate(10, 10)),
        (0.5, Rate(0.5, 1)),
        (2.5, Rate(2.5, 3)),
        ({"rate": 10}, Rate(10, 10)),
        ({"rate": 10, "burst": 100}, Rate(10, 100)),
    ],
)
def test_a_rate_allows_a_second_at_once_unless_told_otherwise(value: Any, rate: Rate) -> None:
    assert quantities.rate(value) == rate


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (0, "expected 0.001 to 10000000 a second"),
        (1e8, "expected 0.001 to 10000000 a second"),
        ("10", "expected a number a second, or {rate, burst}"),
        (None, "expected a number a second, or {rate, burst}"),
        ({}, "is required"),
        ({"rate": 1, "burst": 0}, "expected 1 to 10000000, got 0"),
        ({"rate": 1, "brust": 5}, "did you mean burst?"),
    ],
)
def test_what_is_no_rate(value: Any, why: str) -> None:
    with pytest.raises((ValueError, InvalidConfiguration)) as caught:
        quantities.rate(value)

    assert why in str(caught.value)


@pytest.mark.parametrize("convert", [quantities.network, quantities.duration, quantities.bandwidth, quantities.rate])
@patient
@given(text=st.text())
def test_text_is_understood_or_refused(convert: Any, text: str) -> None:
    with suppress(ValueError):
        assert convert(text) is not None
