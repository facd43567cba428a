"""Addresses in many networks."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import Network
from streamproxy.rules.networkset import NetworkSet, parse_network

from .worlds import patient


def of(*texts: str) -> NetworkSet:
    return NetworkSet.of(map(parse_network, texts))


def test_an_address_is_in_a_network_of_its_family() -> None:
    networks = of("10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1")
    for inside in ("10.255.0.1", "192.0.2.7", "2001:db8:ffff::", "::1", "::ffff:10.0.0.1"):
        assert inside in networks
    for outside in ("11.0.0.0", "192.0.2.8", "2001:db9::", "::2", "::a00:1"):
        assert outside not in networks


def test_a_whole_family_can_be_named() -> None:
    assert "10.0.0.1" in of("0.0.0.0/0")
    assert "::1" not in of("0.0.0.0/0")
    assert "::1" in of("::/0")


def test_what_a_mapped_network_says_is_about_ipv4() -> None:
    assert "10.0.0.77" in of("::ffff:10.0.0.0/120")


@pytest.mark.parametrize("text", ["", "example.com", "10.0.0", "10.0.0.1/8", "\0", "\ud800", "1" * 100_000])
def test_what_is_no_address_is_nowhere(text: str) -> None:
    assert text not in of("0.0.0.0/0", "::/0")


def test_no_network_holds_nothing() -> None:
    assert "10.0.0.1" not in of()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "10.0.0",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/255.0.0.0",
        "fe80::1%eth0",
        "10.0.0.1/",
        "1\n",
        ":/8",
        "x" * 999,
    ],
)
def test_a_network_has_to_be_one(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_network(text)
    assert str(caught.value) == f"invalid ip address: {text[:80]}"


def networks_of(address: IPv4Address | IPv6Address) -> st.SearchStrategy[Network]:
    return st.integers(0, address.max_prefixlen).map(lambda length: ip_network((address, length), strict=False))


v4 = st.ip_addresses(v=4)
real_v6 = st.integers(2**48, 2**128 - 1).map(IPv6Address)


@patient
@given(st.lists(st.one_of(v4, real_v6).flatmap(networks_of), max_size=8), st.one_of(v4, real_v6))
def test_it_agrees_with_the_library(networks: list[Network], address: IPv4Address | IPv6Address) -> None:
    # What lies below ::ffff:0:0/96 is IPv4 here.
    networks = [network for network in networks if network.version == 4 or network.prefixlen > 96]
    expected = any(address.version == network.version and address in network for network in networks)
    assert (str(address) in NetworkSet.of(networks)) is expected
