"""What is said when it starts."""

from __future__ import annotations

from attrs import evolve

from streamproxy.control.greeting import Credentials, greeting
from streamproxy.model import (
    Address,
    AdminSettings,
    Config,
    ListenAddress,
    Listener,
    ListenerState,
    ListenerStatus,
    Match,
    Node,
    Order,
    PluginUse,
    Route,
    Routing,
    Snapshot,
    Transport,
    Upstream,
)

CONFIG = Config("/etc/streamproxy.yaml", admin=AdminSettings(listen=Address("127.0.0.1", 9180)))
LISTENER = Listener(ListenAddress(Transport.TCP, "0.0.0.0", 9100), "r", "stream_proxy.tcp[0]")
STATUS = ListenerStatus(LISTENER, ListenerState.LISTENING, 9100)
TO_ADMIN = Route("1", Match(), "u")


def said(route: Route, config: Config = CONFIG) -> list[str]:
    snapshot = Snapshot(
        listeners=(LISTENER,),
        routings={"r": Routing("r", Order.FIRST, (route,))},
        upstreams={"u": Upstream("u", (Node("127.0.0.1", 9180),))},
    )
    return greeting(config, [STATUS], snapshot, Credentials("the-key", ""))


def test_it_says_what_there_is_and_what_to_try() -> None:
    assert [line.split() for line in said(TO_ADMIN)[1:4]] == [
        ["tcp", "0.0.0.0:9100", "stream_proxy.tcp[0]"],
        ["Admin", "API", "http://127.0.0.1:9180/"],
        ["X-API-KEY:", "the-key", "(generated,", "good", "until", "this", "process", "ends)"],
    ]
    assert said(TO_ADMIN)[4].split() == ["web", "UI", "http://127.0.0.1:9180/ui/"]
    assert said(TO_ADMIN)[-1] == "Try:  curl http://127.0.0.1:9100/streamproxy/v1/status"


def test_it_says_that_nobody_is_asked_for_a_key() -> None:
    config = evolve(CONFIG, admin=AdminSettings(listen=Address("127.0.0.1", 9180), require_key=False))
    lines = said(TO_ADMIN, config)
    assert lines[3].strip() == "asks nobody for a key: whoever reaches it may change everything"
    assert not any("X-API-KEY" in line for line in lines)


def test_a_route_whose_upstream_a_plugin_names_leads_nowhere_that_could_be_tried() -> None:
    route = evolve(TO_ADMIN, upstream="", plugins=(PluginUse("traffic-split", 966, {}),))
    assert said(route)[-1] == "Try:  curl http://127.0.0.1:9180/streamproxy/v1/status"


def test_without_an_admin_api_there_is_nothing_to_try() -> None:
    lines = said(TO_ADMIN, Config("/etc/streamproxy.yaml", admin=None))
    assert not any("Admin" in line or "Try:" in line for line in lines)
