"""Who uses an upstream."""

from __future__ import annotations

from streamproxy.control.users import users_of
from streamproxy.model import Key, Match, Order, PluginUse, Route, Routing, Snapshot

SPLIT = PluginUse("traffic-split", 966, {}, upstreams={"rules[0]": "v"})


def test_documents_that_lead_to_it_once_each_and_in_order() -> None:
    one, two = Key("apisix", "stream_routes", "1"), Key("apisix", "stream_routes", "2")
    routes = (
        Route("r1", Match(), "u", document=one),
        Route("r2", Match(), "v", document=two),
        Route("r3", Match(), "u", (SPLIT,), document=one),
        Route("r4", Match(), "u"),
    )
    snapshot = Snapshot(routings={"table": Routing("table", Order.FIRST, routes)})
    assert users_of(snapshot) == {
        "u": ("apisix:stream_routes/1", "r4"),
        "v": ("apisix:stream_routes/2", "apisix:stream_routes/1"),
    }
