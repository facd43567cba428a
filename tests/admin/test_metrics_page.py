"""The page that Prometheus scrapes."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.core import Metric
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.web.test.requesthelper import DummyRequest
from zope.interface import implementer

from streamproxy.admin.metrics_page import MetricsPage
from streamproxy.observe.metrics import Page
from tests.observe.numbers import World, numbers_in, status

from .open import Caller

PATH = "/apisix/prometheus/metrics"


def page(world: World | None = None) -> Caller:
    made = (world or World([status()])).ready()
    return Caller(MetricsPage(made.metrics, PATH, maybeDeferred))


@pytest.mark.parametrize("path", [PATH, "/metrics", "/metrics?name=up"])
def test_it_is_at_two_places(path: str) -> None:
    reply = page().get(path)
    assert reply.code == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.length == len(reply.data)
    assert numbers_in(reply.data.decode())["apisix_stream_active_connections"] == {"0.0.0.0:1985": 0}


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metrics/x", "/apisix/prometheus", "/%00"])
def test_it_is_nowhere_else(path: str) -> None:
    assert page().get(path).code == 404


def test_it_can_only_be_read() -> None:
    refused = page().call("POST", "/metrics")
    assert (refused.code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert refused.json == {"error_msg": "only GET, HEAD here"}
    head = page().call("HEAD", "/metrics")
    assert (head.code, head.data) == (200, b"")


def test_it_is_compressed_for_those_who_ask() -> None:
    reply = page().get("/metrics", Accept_Encoding="br, gzip;q=0.5")
    assert reply.headers["content-encoding"] == "gzip"
    assert numbers_in(gzip.decompress(reply.data).decode())["streamproxy_config_revision"] == {"": 42}
    for refused in ("gzip;q=0", "br", "identity"):
        assert "content-encoding" not in page().get("/metrics", Accept_Encoding=refused).headers


def test_openmetrics_for_those_who_ask() -> None:
    reply = page().get("/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.1")
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert numbers_in(reply.data.decode(), openmetrics=True)["streamproxy_config_revision"] == {"": 42}


class Broken:
    """A plugin's metrics, with a mistake."""

    def collect(self) -> Iterator[Metric]:
        raise RuntimeError("the plugin's secret")


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        lines.append(f"{event.get('log_failure')}")

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def test_a_mistake_in_a_plugin_is_told_to_the_log_only(logged: list[str]) -> None:
    world = World()
    caller = page(world)
    world.metrics.registry.register(Broken())
    reply = caller.get("/metrics")
    assert reply.code == 500
    assert b"secret" not in reply.data
    assert "the plugin's secret" in "".join(logged)


def test_so_is_one_that_shows_when_it_is_written_down(logged: list[str]) -> None:
    def aside(write: Callable[[], Page]) -> Deferred[Page]:
        return fail(ZeroDivisionError("by nothing"))

    reply = Caller(MetricsPage(World().ready().metrics, PATH, aside)).get("/metrics")
    assert reply.code == 500
    assert "ZeroDivisionError" in "".join(logged)


@pytest.mark.parametrize("fails", [False, True])
def test_who_has_left_gets_nothing(fails: bool) -> None:
    waiting: Deferred[Page] = Deferred()
    resource = MetricsPage(World().ready().metrics, PATH, lambda _: waiting)
    request: Any = DummyRequest([b"metrics"])
    request.path = b"/metrics"
    resource.render_GET(request)
    request.processingFailed(ValueError("gone"))
    if fails:
        waiting.errback(ValueError("late"))
    else:
        waiting.callback(Page("text/plain", b"late"))
    assert request.written == []
