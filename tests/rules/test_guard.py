"""Who may come in."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from streamproxy.model import Access
from streamproxy.rules.guard import Guard


def access(allow: str = "", deny: str = "") -> Access:
    return Access(tuple(map(ip_network, allow.split())), tuple(map(ip_network, deny.split())))


@pytest.mark.parametrize(
    ("lists", "host", "admitted"),
    [
        ([access("10.0.0.0/8")], "10.1.2.3", True),
        ([access("10.0.0.0/8")], "192.0.2.1", False),
        ([access("10.0.0.0/8")], "::ffff:10.1.2.3", True),
        ([access("10.0.0.0/8", "10.1.0.0/16")], "10.1.2.3", False),
        ([access("10.0.0.0/8", "10.1.0.0/16")], "10.2.2.3", True),
        ([access("", "2001:db8::/32")], "2001:db8::1", False),
        ([access("", "2001:db8::/32")], "192.0.2.1", True),
        ([access("10.0.0.0/8"), access("10.1.0.0/16")], "10.2.0.1", False),
        ([access("10.0.0.0/8"), access("10.1.0.0/16")], "10.1.0.1", True),
        ([access("10.0.0.0/8"), access("", "10.1.0.0/16")], "10.1.0.1", False),
        ([access("0.0.0.0/0 ::/0")], "", False),
        ([access("", "0.0.0.0/0 ::/0")], "unix", True),
    ],
)
def test_everybody_has_to_let_a_client_in(lists: list[Access], host: str, admitted: bool) -> None:
    guard = Guard.of(lists)

    assert guard is not None
    assert guard.admits(host) is admitted


@pytest.mark.parametrize("lists", [[], [Access()], [Access(), Access()]])
def test_without_a_list_there_is_nobody_to_ask(lists: list[Access]) -> None:
    assert Guard.of(lists) is None
