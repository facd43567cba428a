"""The metrics of several processes as those of one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streamproxy.observe.metrics import Metrics, Scrape
from streamproxy.observe.metrics_merge import merged, plain


def process(sessions: int, revision: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("streamproxy_sessions", "Open.", ["listener"], registry=registry).labels("a").set(sessions)
    Gauge("streamproxy_config_revision", "Asked.", registry=registry).set(revision)
    Histogram("seconds", "Took.", buckets=(1, 2), registry=registry).observe(1.5)
    return registry


def test_what_was_counted_is_added_up_and_what_is_the_same_is_not() -> None:
    other = process(5, 7)
    Counter("only_there", "Of a plugin.", registry=other).inc(3)
    Gauge("streamproxy_sessions2", "Other.", ["listener"], registry=other).labels("b").set(1)
    text = Scrape(merged(tuple(process(2, 8).collect()), [plain(other.collect()), plain(other.collect())]), "x").page()
    lines = text.body.decode().splitlines()
    assert 'streamproxy_sessions{listener="a"} 12.0' in lines
    assert "streamproxy_config_revision 8.0" in lines
    assert "seconds_count 3.0" in lines
    assert 'seconds_bucket{le="2.0"} 3.0' in lines
    assert "only_there_total 6.0" in lines


def test_a_scrape_takes_others_in() -> None:
    metrics = Metrics()
    more = plain(process(4, 1).collect())
    assert b'streamproxy_sessions{listener="a"} 4.0' in metrics.scrape().plus([more]).page().body
