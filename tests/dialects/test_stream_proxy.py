"""``stream_proxy`` entries: what listens where, and APISIX's words for what does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamproxy.dialects.claims import Claims
from streamproxy.dialects.codec import MOST_PROBLEMS
from streamproxy.dialects.stream_proxy import MOST_LISTENERS, expand
from streamproxy.errors import Problem
from streamproxy.model import ListenAddress, StaticListener, Transport

# How long an example takes is no part of any answer.
patient = settings(deadline=None)


def tcp(*entries: Any, **options: Any) -> tuple[tuple[StaticListener, ...], tuple[Problem, ...]]:
    return expand(list(entries), Transport.TCP, "stream_proxy.tcp", **options)


def udp(*entries: Any, **options: Any) -> tuple[tuple[StaticListener, ...], tuple[Problem, ...]]:
    return expand(list(entries), Transport.UDP, "stream_proxy.udp", **options)


def places(listeners: tuple[StaticListener, ...]) -> list[tuple[str, int]]:
    return [(listener.address.interface, listener.address.port) for listener in listeners]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (9100, [("0.0.0.0", 9100)]),
        ("9100", [("0.0.0.0", 9100)]),
        ("127.0.0.1:9101", [("127.0.0.1", 9101)]),
        ("localhost:9101", [("127.0.0.1", 9101)]),
        ("*:9101", [("0.0.0.0", 9101)]),
        ("[::]:9100", [("::", 9100)]),
        ("[0:0::1]:9100", [("::1", 9100)]),
        ("2000-2002", [("0.0.0.0", 2000), ("0.0.0.0", 2001), ("0.0.0.0", 2002)]),
        ("127.0.0.1:4000-4001", [("127.0.0.1", 4000), ("127.0.0.1", 4001)]),
        ("[::1]:5000-5000", [("::1", 5000)]),
        ({"addr": 9102}, [("0.0.0.0", 9102)]),
        ({"addr": "[::1]:9102-9103"}, [("::1", 9102), ("::1", 9103)]),
    ],
)
def test_an_entry_says_where_to_listen(entry: object, expected: list[tuple[str, int]]) -> None:
    listeners, problems = tcp(entry)

    assert problems == ()
    assert places(listeners) == expected


def test_a_listener_knows_its_entry_and_what_it_asks_for() -> None:
    listeners, problems = tcp(9100, {"addr": "9101-9102", "tls": True}, {"addr": 9103, "proxy_protocol": True})

    assert problems == ()
    assert listeners == (
        StaticListener(ListenAddress(Transport.TCP, "0.0.0.0", 9100), "stream_proxy.tcp[0]"),
        StaticListener(ListenAddress(Transport.TCP, "0.0.0.0", 9101), "stream_proxy.tcp[1]", tls=True),
        StaticListener(ListenAddress(Transport.TCP, "0.0.0.0", 9102), "stream_proxy.tcp[1]", tls=True),
        StaticListener(ListenAddress(Transport.TCP, "0.0.0.0", 9103), "stream_proxy.tcp[2]", proxy_protocol=True),
    )


@pytest.mark.parametrize("tls", [False, True])
def test_tls_ends_there_or_passes_or_the_route_decides(tls: bool) -> None:
    (listener,), problems = tcp({"addr": 9100, "tls": tls, "tls_passthrough": True})
    assert (listener.tls, listener.tls_passthrough, problems) == (tls, True, ())


@pytest.mark.parametrize(("written", "version"), [(True, 1), (False, 0), (1, 1), (2, 2)])
def test_the_version_of_the_proxy_protocol_for_targets(written: Any, version: int) -> None:
    (listener,), _ = tcp({"addr": 9100, "proxy_protocol_to_upstream": written})

    assert listener.proxy_protocol_to_upstream == version


@pytest.mark.parametrize("written", [0, 3, "v1", 1.0, [], -1])
def test_a_version_of_the_proxy_protocol_that_there_is_not(written: Any) -> None:
    _, problems = tcp({"addr": 9100, "proxy_protocol_to_upstream": written})

    assert [problem.path for problem in problems] == ["stream_proxy.tcp[0].proxy_protocol_to_upstream"]


def test_entries_that_do_not_speak_of_the_proxy_protocol_follow_the_default() -> None:
    silent, outspoken = tcp(
        9100,
        {"addr": 9101, "proxy_protocol": False, "proxy_protocol_to_upstream": False},
        proxy_protocol=True,
        proxy_protocol_to_upstream=True,
    )[0]

    assert (silent.proxy_protocol, silent.proxy_protocol_to_upstream) == (True, True)
    assert (outspoken.proxy_protocol, outspoken.proxy_protocol_to_upstream) == (False, False)


def test_the_proxy_protocol_is_for_tcp_alone() -> None:
    (listener,), _ = udp(9200, proxy_protocol=True, proxy_protocol_to_upstream=True)

    assert (listener.proxy_protocol, listener.proxy_protocol_to_upstream) == (False, False)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (0, "port out of range (1-65535): 0"),
        (-1, "port out of range (1-65535): -1"),
        (65536, "port out of range (1-65535): 65536"),
        (10**30, "port out of range (1-65535): a far larger number"),
        ("0", "port out of range (1-65535): 0"),
        ("127.0.0.1:65536", "port out of range (1-65535): 65536"),
        ("1-65536", "port out of range (1-65535): 65536"),
        (80.5, "port must be an integer, got: 80.5"),
        ("80.5", "port must be an integer, got: 80.5"),
        (True, "invalid port value type: boolean"),
        (None, "invalid port value type: nil"),
        ([9100], "invalid port value type: table"),
        ("3000-2000", "invalid port range (start > end): 3000-2000"),
        ("127.0.0.1:3000-2000", "invalid port range (start > end): 127.0.0.1:3000-2000"),
        ("", "missing port: "),
        ("127.0.0.1:", "missing port: 127.0.0.1:"),
        ("[::]:", "missing port: [::]:"),
        ("[::]", "invalid port format: [::]"),
        ("::1:9100", "invalid port format: ::1:9100"),
        (":9100", "invalid port format: :9100"),
        ("example.com:9100", "invalid port format: example.com:9100"),
        ("[localhost]:9100", "invalid port format: [localhost]:9100"),
        ("9100 udp", "invalid port format: 9100 udp"),
        ("9100-", "invalid port format: 9100-"),
        ("٩١٠٠", "invalid port format: ٩١٠٠"),
        ("unix:/run/it.sock", "invalid port format: unix:/run/it.sock"),
        ("9" * 9000, "invalid port format: " + "9" * 80 + "…"),
    ],
)
def test_what_makes_no_sense_is_refused_in_apisix_words(entry: object, words: str) -> None:
    assert tcp(entry) == (
        (),
        (Problem("stream_proxy.tcp[0]", "bad_value", f"invalid stream_proxy.tcp entry: {words}"),),
    )


def test_a_number_too_large_to_be_written_is_only_out_of_range() -> None:
    (problem,) = tcp(10**5000)[1]

    assert problem.message.endswith("port out of range (1-65535): a far larger number")


def test_udp_has_its_own_prefix_and_no_objects() -> None:
    _, problems = udp(9200, 0, {"addr": 9201})

    assert [str(problem) for problem in problems] == [
        "stream_proxy.udp[1]: invalid stream_proxy.udp entry: port out of range (1-65535): 0",
        "stream_proxy.udp[2]: invalid stream_proxy.udp entry: invalid port value type: table",
    ]


def test_every_problem_of_an_object_is_told_with_its_path() -> None:
    _, problems = tcp({"tls": True}, {"addr": "80.5", "tls": "yes", "proxy_protocl": True})

    assert sorted(str(problem) for problem in problems) == [
        "stream_proxy.tcp[0].addr: is required",
        "stream_proxy.tcp[1].addr: invalid stream_proxy.tcp entry: port must be an integer, got: 80.5",
        "stream_proxy.tcp[1].proxy_protocl: is not known here: did you mean proxy_protocol?",
        "stream_proxy.tcp[1].tls: expected a boolean, got a string",
    ]


def test_the_good_entries_are_there_beside_the_bad_ones() -> None:
    listeners, problems = tcp(0, 9100)

    assert places(listeners) == [("0.0.0.0", 9100)]
    assert [problem.path for problem in problems] == ["stream_proxy.tcp[0]"]


@pytest.mark.parametrize("second", [9100, "9100", "127.0.0.1:9100", "9090-9110", {"addr": "9100"}])
def test_an_address_is_given_once(second: object) -> None:
    listeners, problems = tcp(9100, second)

    assert places(listeners) == [("0.0.0.0", 9100)]
    (problem,) = problems
    assert (problem.path, problem.code) == ("stream_proxy.tcp[1]", "conflict")
    assert problem.message.startswith("port 9100 on ")
    assert problem.message.endswith(" is already taken by stream_proxy.tcp[0]")


def test_neighbours_families_and_transports_do_not_collide() -> None:
    claims = Claims()
    first, first_problems = tcp("127.0.0.1:9100", "127.0.0.2:9100", "[::]:9100", claims=claims)
    second, second_problems = udp(9100, claims=claims)

    assert first_problems == second_problems == ()
    assert len(first + second) == 4


def test_an_address_that_somebody_else_has_is_not_given_again() -> None:
    claims = Claims()
    claims.take(ListenAddress(Transport.TCP, "127.0.0.1", 9180), "admin.listen")

    assert tcp(9180, claims=claims)[1] == (
        Problem("stream_proxy.tcp[0]", "conflict", "port 9180 on 0.0.0.0 is already taken by admin.listen"),
    )


def test_there_is_a_bound_for_all_entries_together() -> None:
    fits, no_problems = tcp(f"1-{MOST_LISTENERS}")
    rest, problems = tcp(f"1-{MOST_LISTENERS - 1}", "60000-60001", 65000, "1-65535")

    assert (len(fits), no_problems) == (MOST_LISTENERS, ())
    assert len(rest) == MOST_LISTENERS
    assert [str(problem) for problem in problems] == [
        "stream_proxy.tcp[1]: more than 10000 listeners are too many",
        "stream_proxy.tcp[3]: more than 10000 listeners are too many",
    ]


def test_nobody_reads_more_problems_than_a_few_hundred() -> None:
    _, problems = tcp(*["1-65535"] * 100_000)

    assert len(problems) == MOST_PROBLEMS + 1
    assert problems[-1].message == "more than 200 problems: the rest is not shown"


@pytest.mark.parametrize(("entries", "kind"), [("9100", "a string"), ({}, "an object"), (9100, "an integer")])
def test_the_entries_are_a_list(entries: object, kind: str) -> None:
    assert expand(entries, Transport.TCP, "stream_proxy.tcp") == (
        (),
        (Problem("stream_proxy.tcp", "wrong_type", f"expected a list, got {kind}"),),
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("addr"), inner, max_size=3),
    max_leaves=8,
)
addresses = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "127.0.0.1:", "[::1]:", "*:", "localhost:", "a.b:", "[", ":"]),
    st.integers(-2, 70000),
    st.sampled_from(["", "-1", "-70000", "-9", "x", ".5"]),
)


@patient
@given(st.lists(json_values | addresses, max_size=4), st.sampled_from(Transport))
def test_anything_is_a_listener_or_a_problem(entries: list[Any], transport: Transport) -> None:
    listeners, problems = expand(entries, transport, "p")
    served = {listener.path for listener in listeners}
    refused = {f"{problem.path.partition(']')[0]}]" for problem in problems}

    assert served | refused == {f"p[{index}]" for index in range(len(entries))}
    assert not served & refused
    for index, listener in enumerate(listeners):
        assert not any(listener.address.overlaps(other.address) for other in listeners[index + 1 :][:20])


@patient
@given(st.integers(1, 65535), st.integers(0, 50), st.sampled_from(["", "127.0.0.1:", "[::1]:"]))
def test_a_range_is_each_of_its_ports(first: int, more: int, prefix: str) -> None:
    last = min(first + more, 65535)

    listeners, problems = tcp(f"{prefix}{first}-{last}")

    assert problems == ()
    assert [listener.address.port for listener in listeners] == list(range(first, last + 1))
