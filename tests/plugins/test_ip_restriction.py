"""Who may connect, by address."""

from __future__ import annotations

from typing import Any

import pytest

from streamproxy.dialects.apisix.jsonschema import violations
from streamproxy.errors import Problem
from streamproxy.plugins import GO, Reject
from streamproxy.plugins.ip_restriction import ip_restriction

from .kit import PLACE, World, rejected, visit


def gate(**conf: Any) -> Any:
    return ip_restriction.gate(conf, PLACE, World().host)


def refusals(conf: dict[str, Any]) -> list[str]:
    return [found.text for found in violations(conf, ip_restriction.schema)]


def test_who_is_on_the_blacklist_is_turned_away() -> None:
    listed = gate(blacklist=["127.0.0.0/24", "2001:db8::/32"])
    assert listed.admit(visit("127.0.0.77")) == Reject(403, "Your IP address is not allowed")
    assert rejected(listed.admit(visit("2001:db8::5"))).code == 403
    assert listed.admit(visit("127.0.1.1")) is GO
    assert listed.admit(visit("2001:db9::5")) is GO


def test_who_is_not_on_the_whitelist_is_turned_away_in_words_of_your_own() -> None:
    listed = gate(whitelist=["127.0.0.1", "::1"], message="members only", response_code=404)
    assert listed.admit(visit("127.0.0.1")) is GO
    assert listed.admit(visit("::1")) is GO
    assert listed.admit(visit("127.0.0.2")) == Reject(404, "members only")


def test_an_ipv4_client_of_an_ipv6_socket_is_itself() -> None:
    assert rejected(gate(blacklist=["10.0.0.0/8"]).admit(visit("::ffff:10.1.2.3"))).code == 403


def test_one_list_is_wanted_and_not_both() -> None:
    assert refusals({}) == ["value should match only one schema, but matches none"]
    both = {"whitelist": ["::1"], "blacklist": ["::1"]}
    assert refusals(both) == ["value should match only one schema, but matches both schemas 1 and 2"]


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "255.255.255.255/32", "10.1.2.3/8", "::", "::1/128", "fe80::1/10", "::ffff:10.0.0.1/120"]
)
def test_addresses_and_networks_of_both_families_can_be_listed(address: str) -> None:
    conf = {"whitelist": [address]}
    assert refusals(conf) == []
    assert list(ip_restriction.problems(conf)) == []


@pytest.mark.parametrize("address", ["", "256.0.0.1", "1.2.3", "1.2.3.4/33", "example.com", "01.2.3.4", "1.2.3.4 "])
def test_what_is_no_address_is_refused_by_the_schema(address: str) -> None:
    expected = 'property "blacklist" validation failed: failed to validate item 1: object matches none of the required'
    assert refusals({"blacklist": [address]}) == [expected]


@pytest.mark.parametrize("address", [":/8", "::1/129", "1:2:3:4:5:6:7:8:9", ":::"])
def test_what_only_looks_like_one_is_refused_by_name(address: str) -> None:
    conf = {"blacklist": ["::1", address]}
    assert refusals(conf) == []
    problem = Problem("blacklist[1]", "bad_value", f"invalid ip address: {address}")
    assert list(ip_restriction.problems(conf)) == [problem]


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ({"whitelist": []}, 'property "whitelist" validation failed: expect array to have at least 1 items'),
        (
            {"whitelist": ["::1"], "message": ""},
            'property "message" validation failed: string too short, expected at least 1, got 0',
        ),
        (
            {"whitelist": ["::1"], "response_code": 405},
            'property "response_code" validation failed: expected 405 to be at most 404',
        ),
    ],
)
def test_what_the_schema_says(conf: dict[str, Any], text: str) -> None:
    assert text in refusals(conf)
