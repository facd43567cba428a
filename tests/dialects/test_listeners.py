"""Listeners that are documents."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings

from streamproxy.dialects.assemble import assemble, canonical
from streamproxy.dialects.listeners import MOST_PORTS, ListenerDocument, decode_listener
from streamproxy.model import (
    Document,
    FactKind,
    Key,
    ListenAddress,
    ProxyAccept,
    StaticListener,
    TlsMode,
    Transport,
)

from .test_assemble import owners, problems, service
from .test_codec import json_values

KEY = Key("native", "listeners", "a")


def listener(id: str, addr: Any, revision: int = 0, **fields: Any) -> Document:  # noqa: A002
    return Document(Key("native", "listeners", id), {"addr": addr, **fields}, revision, revision)


def test_a_document_asks_for_a_listener_on_each_port() -> None:
    found, problems = decode_listener(KEY, {"addr": "[::1]:9100-9101", "tls": True})

    assert problems == ()
    assert found == ListenerDocument(
        KEY,
        tuple(
            StaticListener(ListenAddress(Transport.TCP, "::1", port), "native:listeners/a", tls=True)
            for port in (9100, 9101)
        ),
    )


def test_what_it_can_say() -> None:
    body = {
        "id": "a",
        "transport": "tcp",
        "addr": 9100,
        "tls": None,
        "tls_passthrough": True,
        "proxy_protocol": True,
        "proxy_protocol_to_upstream": 2,
        "name": "for mail",
        "labels": {"team": "a"},
    }

    found, problems = decode_listener(KEY, body)

    assert problems == ()
    assert found is not None
    assert found.listeners == (
        StaticListener(
            ListenAddress(Transport.TCP, "0.0.0.0", 9100),
            "native:listeners/a",
            proxy_protocol=True,
            proxy_protocol_to_upstream=2,
            tls_passthrough=True,
        ),
    )


@pytest.mark.parametrize(("written", "version"), [(True, 1), (False, 0), (1, 1), (2, 2)])
def test_the_version_of_the_proxy_protocol(written: Any, version: int) -> None:
    found, _ = decode_listener(KEY, {"addr": 9100, "proxy_protocol_to_upstream": written})

    assert found is not None
    assert found.listeners[0].proxy_protocol_to_upstream == version


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["addr: is required"]),
        ({"addr": 0}, ["addr: port out of range (1-65535): 0"]),
        ({"addr": 80.5}, ["addr: port must be an integer, got: 80.5"]),
        ({"addr": "1-2000"}, [f"addr: more than {MOST_PORTS} ports in one listener are too many"]),
        ({"addr": 1, "proxy_protocol_to_upstream": 1.0}, ["proxy_protocol_to_upstream: expected a boolean, 1 or 2"]),
        ({"addr": 1, "id": True}, ["id: expected 1 to 64 of the characters"]),
        ({"addr": 1, "id": "b"}, ['id: this listener is called "a"']),
        ({"addr": 1, "labels": {"a": " \n"}}, ['labels.a: expected 1 to 256 printable characters']),
        ({"addr": 1, "labels": {str(n): "x" for n in range(65)}}, ["labels: expected at most 64 labels"]),
        ({"addr": 1, "proto": "tcp"}, ["proto: is not known here"]),
        (
            {"addr": 1, "transport": "udp", "tls": True, "tls_passthrough": True},
            ["tls: is for TCP only", "tls_passthrough: is for TCP only"],
        ),
        (7, ["expected an object, got an integer"]),
    ],
)
def test_what_it_cannot_say(body: Any, expected: list[str]) -> None:
    found, problems = decode_listener(KEY, body)

    assert found is None
    assert len(problems) == len(expected)
    for problem, words in zip(problems, expected, strict=True):
        assert str(problem).startswith(words)


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 65, "a/b"])
def test_what_is_no_id(name: str) -> None:
    found, problems = decode_listener(Key("native", "listeners", name), {"addr": 1})

    assert found is None
    assert [problem.path for problem in problems] == ["id"]


def test_it_is_stored_with_its_id() -> None:
    assert canonical(KEY, {"addr": 9100, "name": None}) == ({"id": "a", "addr": 9100, "name": None}, ())
    assert canonical(KEY, {"addr": 0})[0] is None


@settings(deadline=None)
@given(json_values)
def test_whatever_it_holds(body: Any) -> None:
    found, problems = decode_listener(KEY, body)

    assert (found is None) is bool(problems)


# Among the others


def test_it_is_served_like_a_static_one() -> None:
    static = StaticListener(ListenAddress(Transport.TCP, "0.0.0.0", 9100), "stream_proxy.tcp[0]", tls=True)
    alike = listener("a", 9101, tls=True)

    assembled = assemble([alike], static=[static])

    assert problems(assembled) == []
    first, second = assembled.snapshot.listeners
    assert (first.routing, first.tls, first.sniff) == (second.routing, second.tls, second.sniff)
    assert (second.owner, second.documents) == ("native:listeners/a", (alike.key,))
    assert "apisix" in assembled.snapshot.routings


def test_without_a_route_it_closes_everything() -> None:
    assert assemble([listener("a", 9101)]).snapshot.routings["apisix"].routes == ()


def test_tls_that_passes_is_looked_into() -> None:
    (made,) = assemble([listener("a", 9101, tls_passthrough=True)]).snapshot.listeners

    assert (made.tls, made.sniff) == (TlsMode.PASSTHROUGH, frozenset({FactKind.SNI}))


def test_the_proxy_protocol_of_those_that_are_trusted() -> None:
    trusted = (ip_network("10.0.0.0/8"),)
    body = listener("a", 9101, proxy_protocol=True, proxy_protocol_to_upstream=2)

    (made,) = assemble([body], trusted_proxies=trusted).snapshot.listeners

    assert made.proxy_in == ProxyAccept(trusted, required=True)
    assert made.proxy_out == 2


def test_of_two_that_want_one_address_the_first_has_it() -> None:
    assembled = assemble([listener("later", 9101, 5), listener("first", "127.0.0.1:9100-9102", 3)])

    assert owners(assembled) == ["native:listeners/first"] * 3
    assert problems(assembled) == [
        (
            "native:listeners/later",
            "addr: port 9101 on 0.0.0.0 is already taken by native:listeners/first",
        )
    ]


@pytest.mark.parametrize(
    ("of_service", "of_listener", "winner"),
    [(1, 2, "otoroshi:tcp-services/pg"), (2, 1, "native:listeners/a"), (1, 1, "otoroshi:tcp-services/pg")],
)
def test_of_a_service_and_a_listener_the_first_has_it(of_service: int, of_listener: int, winner: str) -> None:
    documents = [listener("a", 5432, of_listener), service("pg", of_service), service("off", 0, enabled=False)]

    assembled = assemble(documents)

    assert owners(assembled) == [winner]
    assert len(assembled.problems) == 1


def test_a_range_is_had_as_a_whole_or_not_at_all() -> None:
    static = StaticListener(ListenAddress(Transport.TCP, "0.0.0.0", 9102), "stream_proxy.tcp[0]")

    assembled = assemble([listener("a", "9100-9105")], static=[static])

    assert owners(assembled) == ["stream_proxy.tcp[0]"]


def test_what_is_reserved_is_not_to_be_had() -> None:
    reserved = {ListenAddress(Transport.TCP, "127.0.0.1", 9180): "admin.listen"}

    assembled = assemble([listener("a", 9180), service("pg", port=9180), listener("b", 9181)], reserved=reserved)

    assert owners(assembled) == ["native:listeners/b"]
    assert [problem.partition("taken by ")[2] for _, problem in problems(assembled)] == ["admin.listen"] * 2
