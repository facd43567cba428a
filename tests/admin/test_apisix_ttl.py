"""Documents that delete themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock as VirtualClock

from streamproxy.control.configuration import LiveConfiguration
from streamproxy.control.expiry import INTERVAL, Expiry
from streamproxy.control.store.sqlite import SqliteStore
from streamproxy.model import Config, Key, Put

from .api import result_of
from .apisix_kit import Apisix, roundrobin


class Stopped(VirtualClock):
    """A reactor before it runs, so that everything is done at once."""

    running = False

    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> None:  # noqa: A002
        raise AssertionError("there are no threads")


U1 = Key("apisix", "upstreams", "1")


@pytest.fixture
def api() -> Apisix:
    return Apisix()


def expires(api: Apisix) -> Any:
    document = api.configuration.get(U1)
    assert document is not None
    return None if document.expires is None else document.expires - api.clock.now


def test_each_write_says_anew_how_long(api: Apisix) -> None:
    api.put("/upstreams/1?ttl=5", roundrobin())
    assert expires(api) == 5
    api.put("/upstreams/1?ttl=1e12", roundrobin())
    assert expires(api) == 1e9
    api.patch("/upstreams/1?ttl=2.5", {"desc": "x"})
    assert expires(api) == 2.5
    api.patch("/upstreams/1", {"desc": "x"})
    assert expires(api) is None
    id = api.post("/upstreams?ttl=7", roundrobin()).json["value"]["id"]  # noqa: A001
    document = api.configuration.get(Key("apisix", "upstreams", id))
    assert document is not None
    assert document.expires == api.clock.now + 7


def test_it_is_gone_when_its_time_is_over_though_something_leads_to_it(api: Apisix) -> None:
    reactor = VirtualClock()
    expiry = Expiry(reactor, api.configuration, api.clock)
    expiry.start()
    api.put("/upstreams/1?ttl=3", roundrobin())
    api.put("/stream_routes/1", {"upstream_id": "1"})
    for _ in range(2):
        api.clock.now += INTERVAL
        reactor.advance(INTERVAL)
        assert api.get("/upstreams/1").code == 200

    api.clock.now += INTERVAL
    reactor.advance(INTERVAL)

    assert api.get("/upstreams/1").code == 404
    (newest, *_) = result_of(api.store.revisions())
    assert (newest.author, newest.reason) == ("streamproxy", "expired")
    expiry.stop()
    assert reactor.getDelayedCalls() == []


def test_a_restart_forgets_no_time(tmp_path: Path) -> None:
    reactor, now = Stopped(), 100.0

    def opened() -> tuple[SqliteStore, LiveConfiguration]:
        store = SqliteStore(str(tmp_path / "store.db"), reactor, clock=lambda: now)
        configuration = LiveConfiguration(store, Config(path="test.yaml"), lambda _: None)
        result_of(configuration.start())
        return store, configuration

    store, configuration = opened()
    result_of(configuration.change([Put(U1, roundrobin(), expires=105.0)], author="me"))
    result_of(store.close())

    store, configuration = opened()
    found = configuration.get(U1)
    assert found is not None
    assert found.expires == 105.0
    assert (configuration.expired(104.9), configuration.expired(105.0)) == ((), (U1,))
    (revision,) = result_of(store.revisions())
    assert revision.changes[0][1] == found

    result_of(configuration.change([Put(U1, roundrobin())], author="me"))
    result_of(store.close())
    _, configuration = opened()
    assert configuration.expired(1e12) == ()
