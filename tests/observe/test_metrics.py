"""What Prometheus gets to read."""

from __future__ import annotations

import gzip
import math
import time

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Counter

from streamproxy.errors import Problem
from streamproxy.model import (
    CertificateStatus,
    Ending,
    ListenAddress,
    ListenerState,
    NodeHealth,
    NodeStatus,
    TlsFacts,
    Transport,
    UpstreamStatus,
)
from streamproxy.observe import metrics_ended
from streamproxy.observe.metrics import Metrics, is_zero
from streamproxy.observe.metrics_ended import EndedSessions, Histogram

from .numbers import DNS, WEB, Open, World, numbers_in, status
from .records import record

# Sessions that are over


def test_a_good_session() -> None:
    world = World([status()]).ready()
    world.metrics.ended(record(listener=WEB, node="127.0.0.1:1995"))
    numbers = world.numbers()
    assert numbers["apisix_stream_status"] == {"200 0.0.0.0:1985 127.0.0.1:1995": 1}
    assert numbers["streamproxy_sessions_ended_total"] == {"0.0.0.0:1985 client_closed tcp": 1}
    assert '\napisix_stream_status{code="200",listen_addr="0.0.0.0:1985",node="127.0.0.1:1995"} 1.0\n' in world.text()


def test_one_that_was_rejected_has_its_plugin_s_code_and_no_node() -> None:
    world = World([status()]).ready()
    for _ in range(2):
        world.metrics.ended(record(listener=WEB, ending=Ending.REJECTED, code=403, node=None))
    assert world.numbers()["apisix_stream_status"] == {"403 0.0.0.0:1985 ": 2}


def test_how_long_things_took() -> None:
    world = World([status()]).ready()
    ended = world.metrics.ended
    ended(record(listener=WEB, sniff_time=0.002, connect_time=0.0005, duration=70.0))
    ended(record(listener=WEB, sniff_time=0.2, connect_time=None, duration=0.01, handshake=TlsFacts("a", "b")))
    ended(record(listener=DNS, sniff_time=None, connect_time=0.3, duration=1e9))
    numbers = world.numbers()
    assert numbers["streamproxy_sniff_seconds_count"] == {"tcp": 1}
    assert numbers["streamproxy_handshake_seconds_sum"] == {"tcp": 0.2}
    assert numbers["streamproxy_connect_seconds_bucket"]["0.0005 tcp"] == 1
    assert numbers["streamproxy_connect_seconds_bucket"]["0.25 udp"] == 0
    assert numbers["streamproxy_session_seconds_bucket"]["0.01 tcp"] == 1
    assert numbers["streamproxy_session_seconds_bucket"]["60.0 tcp"] == 1
    assert numbers["streamproxy_session_seconds_bucket"]["300.0 tcp"] == 2
    assert numbers["streamproxy_session_seconds_bucket"]["86400.0 udp"] == 0
    assert numbers["streamproxy_session_seconds_bucket"]["+Inf udp"] == 1


@given(st.lists(st.floats(0, 100), max_size=30))
def test_a_histogram_counts_what_is_at_most_so_much(values: list[float]) -> None:
    from prometheus_client.core import HistogramMetricFamily

    bounds = (0.0, 1.0, 50.0)
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    family = HistogramMetricFamily("h", "")
    histogram.add_to(family, ())
    found = {sample.labels["le"]: sample.value for sample in family.samples if "le" in sample.labels}
    expected = {bound: sum(value <= bound for value in values) for bound in (*bounds, math.inf)}
    assert {float(bound): count for bound, count in found.items()} == expected


def test_what_changes_for_years_takes_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_ended, "MOST_LISTENERS", 2)
    monkeypatch.setattr(metrics_ended, "MOST_STATUSES", 3)
    world = World().ready()
    for port in range(1, 6):
        world.metrics.ended(record(listener=ListenAddress(Transport.TCP, "::", port), node=f"n:{port}"))
    numbers = world.numbers()
    assert set(numbers["streamproxy_sessions_ended_total"]) == {
        "[::]:4 client_closed tcp",
        "[::]:5 client_closed tcp",
    }
    assert set(numbers["apisix_stream_status"]) == {f"200 [::]:{port} n:{port}" for port in (3, 4, 5)}


def test_counting_a_session_costs_next_to_nothing() -> None:
    """The bound is five microseconds on a quiet machine; this is for what would be wrong by an order of magnitude."""
    ended, over = EndedSessions(), record()
    started = time.perf_counter()
    for _ in range(2000):
        ended(over)
    assert (time.perf_counter() - started) / 2000 < 100e-6


# What is open


def test_open_sessions_and_their_bytes_are_there_while_they_go_on() -> None:
    world = World([status()]).ready()
    assert world.numbers()["apisix_stream_active_connections"] == {"0.0.0.0:1985": 0}
    world.open = [Open(bytes_in=10, bytes_out=100), Open(bytes_in=5)]
    world.metrics.ended(record(listener=WEB, bytes_in=1, bytes_out=2))
    numbers = world.numbers()
    assert numbers["apisix_stream_active_connections"] == {"0.0.0.0:1985": 2}
    assert numbers["streamproxy_sessions"] == {"0.0.0.0:1985 tcp": 2}
    assert numbers["apisix_stream_bandwidth"] == {
        "0.0.0.0:1985 downstream ingress": 16,
        "0.0.0.0:1985 upstream egress": 16,
        "0.0.0.0:1985 upstream ingress": 102,
        "0.0.0.0:1985 downstream egress": 102,
    }
    assert numbers["streamproxy_bytes_total"] == {"in 0.0.0.0:1985 tcp": 16, "out 0.0.0.0:1985 tcp": 102}


def test_bytes_only_grow_when_a_session_ends() -> None:
    world = World([status()], open=[Open(bytes_in=10)]).ready()
    before = world.numbers()["streamproxy_bytes_total"]
    world.open = []
    world.metrics.ended(record(listener=WEB, bytes_in=10, bytes_out=0))
    assert world.numbers()["streamproxy_bytes_total"] == before


def test_sessions_may_outlive_their_listener() -> None:
    world = World(open=[Open(bytes_out=7)]).ready()
    world.metrics.ended(record(listener=WEB, bytes_in=0, bytes_out=3))
    assert world.numbers()["apisix_stream_active_connections"] == {"0.0.0.0:1985": 1}
    assert world.numbers()["streamproxy_bytes_total"]["out 0.0.0.0:1985 tcp"] == 10
    world.open = []
    assert world.numbers().get("apisix_stream_active_connections", {}) == {}


def test_tcp_and_udp_of_one_address_are_one_to_apisix() -> None:
    udp = status(DNS, sessions=3, bytes_in=30, bytes_out=300, datagrams_in=4, datagrams_out=5)
    world = World([status(), udp], open=[Open(bytes_in=1)]).ready()
    world.metrics.ended(record(listener=DNS, bytes_in=9, bytes_out=9))
    numbers = world.numbers()
    assert numbers["apisix_stream_active_connections"] == {"0.0.0.0:1985": 4}
    assert numbers["apisix_stream_bandwidth"]["0.0.0.0:1985 downstream ingress"] == 31
    assert numbers["streamproxy_sessions"] == {"0.0.0.0:1985 tcp": 1, "0.0.0.0:1985 udp": 3}
    assert numbers["streamproxy_udp_datagrams_total"] == {"in 0.0.0.0:1985": 4, "out 0.0.0.0:1985": 5}


def test_what_was_turned_away() -> None:
    tcp = status(accepted=9, ended=(("client_closed", 2), ("refused:max_sessions", 5), ("accept_paused", 1)))
    udp = status(DNS, ended=(("idle_timeout", 1), ("dropped_no_route", 6), ("icmp_errors", 7)))
    numbers = World([tcp, udp]).ready().numbers()
    assert numbers["streamproxy_sessions_accepted_total"] == {"0.0.0.0:1985 tcp": 9, "0.0.0.0:1985 udp": 0}
    assert numbers["streamproxy_sessions_refused_total"] == {"max_sessions 0.0.0.0:1985 tcp": 5}
    assert numbers["streamproxy_accept_pauses_total"] == {"0.0.0.0:1985 tcp": 1}
    assert numbers["streamproxy_udp_dropped_total"] == {"0.0.0.0:1985 no_route": 6, "0.0.0.0:1985 icmp_errors": 7}


# What is configured


def test_a_listener_that_cannot_listen_and_a_problem() -> None:
    world = World([status(state=ListenerState.FAILED, error="busy")], wrong=(Problem("a", "b", "c"),)).ready()
    numbers = world.numbers()
    assert numbers["streamproxy_listener_up"] == {"0.0.0.0:1985 stream_proxy.tcp[0] tcp": 0}
    assert numbers["streamproxy_config_problems"] == {"": 1}
    assert numbers["streamproxy_config_revision"] == {"": 42}


def test_nodes_that_somebody_asks_or_uses() -> None:
    well = NodeStatus("a:1", "a", 1, 1, 0, sessions=2, latency=0.5)
    ill = NodeStatus("b:1", "b", 1, 1, 0, NodeHealth.UNHEALTHY, ip="10.0.0.2")
    asked = UpstreamStatus("apisix:upstreams/1", "roundrobin", (well, ill), checked=True)
    unasked = UpstreamStatus("apisix:upstreams/2", "roundrobin", (well, ill))
    numbers = World(nodes=(asked, unasked)).ready().numbers()
    assert numbers["apisix_upstream_status"] == {"a /apisix/upstreams/1 1": 1, "10.0.0.2 /apisix/upstreams/1 1": 0}
    assert numbers["streamproxy_upstream_node_healthy"] == {"a:1 apisix:upstreams/1": 1, "b:1 apisix:upstreams/1": 0}
    assert numbers["streamproxy_upstream_node_sessions"] == {
        "a:1 apisix:upstreams/1": 2,
        "b:1 apisix:upstreams/1": 0,
        "a:1 apisix:upstreams/2": 2,
    }
    assert numbers["streamproxy_upstream_node_latency_seconds"]["a:1 apisix:upstreams/1"] == 0.5


def test_nodes_of_one_label_are_one() -> None:
    node = NodeStatus("a:1", "a", 1, 1, 0, sessions=2)
    world = World(nodes=(UpstreamStatus("u", "roundrobin", (node, node), checked=True),)).ready()
    assert world.numbers()["streamproxy_upstream_node_sessions"] == {"a:1 u": 4}


def test_certificates_say_when_they_expire() -> None:
    served = CertificateStatus("apisix:ssls/1", ("a.example.com", "b.example.com"), (), 0.0, 1.7e9)
    nameless = evolve(served, id="file:/x.pem", names=())
    numbers = World(served=(served, nameless)).ready().numbers()
    assert numbers["streamproxy_certificate_not_after_timestamp_seconds"] == {
        "apisix:ssls/1 a.example.com": 1.7e9,
        "file:/x.pem ": 1.7e9,
    }


def test_what_runs_here() -> None:
    further = {"gauges": {"timers": ("", lambda: 3)}, "totals": {"lost": ("", lambda: 4)}}
    numbers = World().ready(**further).numbers()
    assert numbers["streamproxy_build_info"] == {"3.11 1.2.3": 1}
    assert numbers["apisix_node_info"] == {"here 1.2.3": 1}
    assert (numbers["timers"], numbers["lost_total"]) == ({"": 3}, {"": 4})
    assert numbers["process_resident_memory_bytes"][""] > 1e6
    assert {"process_open_fds", "process_cpu_seconds_total", "python_gc_collections_total"} <= set(numbers)


# How it is written


def full(world: World) -> World:
    """One with something of each kind."""
    world.statuses = [status(accepted=1, ended=(("refused:max_sessions", 1),)), status(DNS)]
    world.open = [Open(bytes_in=1)]
    world.ready()
    world.metrics.ended(record(listener=WEB))
    Counter("apisix_stream_connection", "", ["route"], registry=world.metrics.registry).labels("mqtt").inc()
    return world


def test_types_are_apisix_s() -> None:
    text = full(World()).text()
    for name, kind in (
        ("apisix_stream_status", "counter"),
        ("apisix_stream_bandwidth", "counter"),
        ("apisix_stream_active_connections", "gauge"),
        ("apisix_stream_connection_total", "counter"),
        ("streamproxy_connect_seconds", "histogram"),
    ):
        assert f"\n# TYPE {name} {kind}\n" in text, name
    assert "untyped" not in text


def test_openmetrics_has_the_same_numbers() -> None:
    scrape = full(World()).metrics.scrape()
    page = scrape.page("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5")
    assert page.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert page.body.endswith(b"# EOF\n")
    open_numbers = numbers_in(page.body.decode(), openmetrics=True)
    plain = numbers_in(scrape.page().body.decode())
    assert {name: of for name, of in open_numbers.items() if not name.endswith("_created")} == {
        name: of for name, of in plain.items() if not name.endswith("_created")
    }


@pytest.mark.parametrize("accept", ["", "text/plain", "*/*", "application/openmetrics-text;q=0", ",;,", "text/html"])
def test_without_a_wish_it_is_plain_text(accept: str) -> None:
    page = World().ready().metrics.scrape().page(accept)
    assert page.content_type == "text/plain; version=0.0.4; charset=utf-8"


def test_it_can_be_compressed() -> None:
    scrape = World().ready().metrics.scrape()
    assert gzip.decompress(scrape.page(compress=True).body) == scrape.page().body


@pytest.mark.parametrize("prefix", ["", "mine_"])
def test_apisix_s_prefix_can_be_another(prefix: str) -> None:
    text = full(World(metrics=Metrics(prefix))).text()
    numbers = numbers_in(text)
    assert numbers[f"{prefix}stream_connection_total"] == {"mqtt": 1}
    assert f"{prefix}stream_status" in numbers
    assert f"# TYPE {prefix}stream_bandwidth counter\n" in text
    assert "streamproxy_sessions" in numbers
    assert not [name for name in numbers if name.startswith("apisix_")]


@pytest.mark.parametrize("prefix", ["apisix_", "mine_"])
def test_labels_stand_in_apisix_s_order(prefix: str) -> None:
    """Scripts look for whole lines."""
    node = NodeStatus('a"\\b', 'a"\\b', 1, 1, 0)
    asked = UpstreamStatus("apisix:upstreams/1", "roundrobin", (node,), checked=True)
    lines = World([status()], nodes=(asked,), metrics=Metrics(prefix)).ready().text().splitlines()
    assert f'{prefix}stream_bandwidth{{listen_addr="0.0.0.0:1985",type="ingress",side="downstream"}} 0.0' in lines
    assert f'{prefix}upstream_status{{name="/apisix/upstreams/1",ip="a\\"\\\\b",port="1"}} 1.0' in lines


@given(st.text(), st.text())
def test_no_label_can_break_a_line(node: str, owner: str) -> None:
    listening = status()
    world = World([evolve(listening, listener=evolve(listening.listener, owner=owner))]).ready()
    world.metrics.ended(record(listener=WEB, node=node))
    numbers = world.numbers()
    assert sum(numbers["apisix_stream_status"].values()) == 1
    assert sum(numbers["streamproxy_listener_up"].values()) == 1


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_what_is_no_text_hides_no_other_number(accept: str) -> None:
    world = World([status()]).ready()
    world.metrics.ended(record(listener=WEB, node="a\udc80b"))
    text = world.metrics.scrape().page(accept).body.decode()
    assert 'node="a?b"} 1.0' in text
    assert "streamproxy_listener_up{" in text


@pytest.mark.parametrize(
    ("parameter", "zero"),
    [("q=0", True), ("q = 0.000", True), ("q=0.", True), ("q=0.1", False), ("q=1", False), ("q=", False), ("", False)],
)
def test_a_quality_of_zero_is_a_no(parameter: str, zero: bool) -> None:
    assert is_zero(parameter) is zero
