"""Names of services."""

from __future__ import annotations

import pytest

from streamproxy.model import Node, is_service_name


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("_mysql._tcp.db.example", True),
        ("_dns._UDP.example.", True),
        ("mysql._tcp.db.example", False),
        ("_mysql.tcp.db.example", False),
        ("_mysql._sctp.db.example", False),
        ("_mysql._tcp", False),
        ("_mysql._tcp.", False),
        ("_._tcp.x", False),
        ("_dmarc.example", False),
        ("", False),
    ],
)
def test_which_names_are(name: str, is_one: bool) -> None:
    assert is_service_name(name) is is_one


@pytest.mark.parametrize(
    ("node", "label"),
    [
        (Node("a.example", 1), "a.example:1"),
        (Node("a.example", 1, ip="10.0.0.1"), "a.example/10.0.0.1:1"),
        (Node("a.example", 1, ip="a.example."), "a.example:1"),
        (Node("::1", 1), "[::1]:1"),
    ],
)
def test_what_a_node_is_called(node: Node, label: str) -> None:
    assert node.label == label
