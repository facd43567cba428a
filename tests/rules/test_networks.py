"""Addresses: parsing them, and finding the routes that ask for them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import Match, Network
from streamproxy.rules.networks import NEVER, AddressIndex, Group, group, lowest, parse_ip, unmapped

from .worlds import facts, match, patient


class Counted(dict[int, int]):
    """A dictionary that counts how often it is asked."""

    asked = 0

    def get(self, key: int, default: int) -> int:  # type: ignore[override]
        self.asked += 1
        return super().get(key, default)


def grouped(*matches: Match) -> Group:
    return group(enumerate(matches))


def indexed(*matches: Match) -> AddressIndex:
    found = grouped(*matches)
    assert isinstance(found, AddressIndex)
    return found


@patient
@given(st.ip_addresses())
def test_a_literal_is_its_family_and_number(address: IPv4Address | IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None

    assert parse_ip(str(address)) == ((4, int(mapped)) if mapped else (address.version, int(address)))


@pytest.mark.parametrize(
    ("host", "number"),
    [
        ("10.0.0.1", (4, 0x0A000001)),
        ("::ffff:10.0.0.1", (4, 0x0A000001)),
        ("::FFFF:a00:1", (4, 0x0A000001)),
        ("::1", (6, 1)),
        ("::10.0.0.1", (6, 0x0A000001)),
        ("fe80::1%eth0", (6, 0xFE80 << 112 | 1)),
    ],
)
def test_mapped_addresses_are_ipv4_and_scopes_are_dropped(host: str, number: tuple[int, int]) -> None:
    assert parse_ip(host) == number


@patient
@given(st.text(alphabet="0123456789abcdef.:%\0 \ud800x", max_size=45))
def test_what_is_no_literal_is_in_no_network(host: str) -> None:
    try:
        known = IPv6Address(host.partition("%")[0]) if ":" in host else IPv4Address(host)
    except ValueError:
        assert parse_ip(host) == (0, 0), f"{host!r} is no address"
    else:
        assert parse_ip(host) == parse_ip(str(known)) != (0, 0), f"{host!r} is an address"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.0.0.1/128", "10.0.0.1/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:0:0/95", None),
        ("::/0", None),
        ("2001:db8::/112", None),
        ("10.0.0.0/8", None),
    ],
)
def test_a_condition_on_mapped_addresses_is_one_on_ipv4(written: str, meant: str | None) -> None:
    wanted = ip_network(written, strict=False)

    assert unmapped(wanted) == (wanted if meant is None else ip_network(meant))


class TestGroup:
    def test_without_conditions_it_is_just_the_first(self) -> None:
        assert grouped(match(), match(remote="10.0.0.0/8"), match()) == 0

    def test_of_nobody_is_never(self) -> None:
        assert grouped() == NEVER

    def test_keeps_nothing_that_cannot_win(self) -> None:
        index = indexed(match(server_port=1), match(server_port=1), match(), match(server_port=2))

        assert [shape.routes for shape in index.shapes] == [{1: 0}]
        assert index.otherwise == 2

    def test_port_zero_is_not_any_port(self) -> None:
        index = indexed(match(server_port=0), match(server_port=443))

        assert index.lowest(facts(port=443), NEVER) == 1
        assert index.lowest(facts(port=444), NEVER) == NEVER

    def test_a_condition_on_all_addresses_of_a_family_is_one(self) -> None:
        index = indexed(match(remote="::/0"), match(remote="0.0.0.0/0"))

        assert index.lowest(facts(peer="::1"), NEVER) == 0
        assert index.lowest(facts(peer="1.2.3.4"), NEVER) == 1
        assert index.lowest(facts(peer="::ffff:1.2.3.4"), NEVER) == 1
        assert index.lowest(facts(peer=""), NEVER) == NEVER

    def test_client_and_server_are_not_mixed_up(self) -> None:
        index = indexed(match(remote="10.0.0.1/32"), match(server="10.0.0.1/32"), match(server="10.0.0.2/32"))

        assert index.lowest(facts(peer="10.0.0.1", local="10.0.0.2"), NEVER) == 0
        assert index.lowest(facts(peer="10.0.0.2", local="10.0.0.1"), NEVER) == 1

    def test_tells_only_what_is_lower(self) -> None:
        index = indexed(match(remote="10.0.0.0/8"), match(server_port=443), match())

        assert index.lowest(facts(), 9) == 1
        assert index.lowest(facts(), 1) == 1
        assert index.lowest(facts(port=1), 9) == 2
        assert index.lowest(facts(peer="10.0.0.1"), 0) == 0

    def test_the_lowest_of_many_groups(self) -> None:
        index = indexed(match(remote="10.0.0.0/8"))

        assert lowest([5, index, 3], facts(), NEVER) == 3
        assert lowest([5, index, 3], facts(peer="10.0.0.1"), NEVER) == 0
        assert lowest([5, 3], facts(), 2) == 2


def test_a_lookup_probes_once_for_each_shape_however_many_networks_there_are() -> None:
    wanted: list[Network] = [IPv4Network((number << 12, 20)) for number in range(20_000)]
    wanted += [IPv6Network((number << 80, 48)) for number in range(20_000)]
    index = indexed(
        *(Match(remote=network) for network in wanted),
        *(Match(server=network) for network in wanted),
        *(Match(remote=network, server=network, server_port=443) for network in wanted),
    )
    counted = [Counted(shape.routes) for shape in index.shapes]
    index = evolve(index, shapes=tuple(s._replace(routes=c) for s, c in zip(index.shapes, counted, strict=True)))

    assert len(index.shapes) == 6
    assert index.lowest(facts(peer="203.0.113.1", local="203.0.113.1"), NEVER) == NEVER
    assert sorted(each.asked for each in counted) == [0, 0, 0, 1, 1, 1], "a family that is not asked for costs nothing"
    assert index.lowest(facts(peer="1.0.0.1", local="203.0.113.1"), NEVER) == 0x1000
    assert sorted(each.asked for each in counted) == [0, 0, 0, 1, 1, 2], "nothing after the winner is asked"
