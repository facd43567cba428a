"""From what runs to what should, in steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import define, evolve
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.control.plan import Bind, Served, Step, Swap, Unbind, plan, served
from streamproxy.model import (
    Limits,
    ListenAddress,
    Listener,
    Match,
    Node,
    Order,
    PluginUse,
    Route,
    Routing,
    Snapshot,
    TlsMode,
    Transport,
    Upstream,
)


def tcp(port: int, interface: str = "0.0.0.0") -> ListenAddress:
    return ListenAddress(Transport.TCP, interface, port)


def listener(address: ListenAddress, routing: str = "main", **more: Any) -> Listener:
    return Listener(address, routing, "stream_proxy.tcp[0]", **more)


def routing(name: str, *upstreams: str) -> Routing:
    return Routing(name, Order.FIRST, tuple(Route(f"r{i}", Match(), upstream) for i, upstream in enumerate(upstreams)))


def upstream(name: str, *hosts: str) -> Upstream:
    return Upstream(name, tuple(Node(host, 5432) for host in hosts))


def snapshot(*listeners: Listener, **more: Any) -> Snapshot:
    """Two routings, one upstream each, and these listeners."""
    whole = Snapshot(
        1,
        listeners,
        {"main": routing("main", "a"), "side": routing("side", "b")},
        {"a": upstream("a", "one"), "b": upstream("b", "two")},
    )
    return evolve(whole, **more)


def run(running: Mapping[ListenAddress, Served], steps: tuple[Step, ...]) -> dict[ListenAddress, Served]:
    """What runs after the steps, if the kernel lets each bind."""
    now = dict(running)
    for step in steps:
        address = step.listener.address
        if isinstance(step, Unbind):
            del now[address]
        elif isinstance(step, Swap):
            assert address in now, f"{address} is swapped and does not run"
            now[address] = step.served
        else:
            blocking = [other for other in now if other.overlaps(address)]
            assert not blocking, f"{address} is bound while {blocking[0]} is"
            now[address] = step.served
    return now


def served_by(desired: Snapshot) -> dict[ListenAddress, Served]:
    return {one.address: served(desired, one) for one in desired.listeners}


def test_at_the_start_everything_is_bound() -> None:
    desired = snapshot(listener(tcp(80)), listener(tcp(443), "side"))
    assert plan({}, desired) == (
        Bind(Served(desired.listeners[0], desired.routings["main"], (upstream("a", "one"),))),
        Bind(Served(desired.listeners[1], desired.routings["side"], (upstream("b", "two"),))),
    )


def test_what_is_as_it_should_be_needs_nothing() -> None:
    assert plan(served_by(snapshot(listener(tcp(80)))), snapshot(listener(tcp(80)), revision=2)) == ()


def test_what_nobody_wants_any_more_is_unbound() -> None:
    old = listener(tcp(80))
    assert plan(served_by(snapshot(old)), snapshot()) == (Unbind(old),)


CHANGES = {
    "the listener": snapshot(listener(tcp(80), tls=TlsMode.PASSTHROUGH)),
    "which routing it has": snapshot(listener(tcp(80), "side")),
    "its routing": snapshot(listener(tcp(80)), routings={"main": routing("main", "b", "a")}),
    "an upstream of its routing": snapshot(listener(tcp(80)), upstreams={"a": upstream("a", "two")}),
    "another one in an upstream's place": snapshot(listener(tcp(80)), upstreams={"a": upstream("a", "one", "two")}),
    "the limits": snapshot(listener(tcp(80)), limits=Limits(idle_timeout=1)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_bound_listener_is_swapped_when_what_it_follows_from_changed(what: str) -> None:
    running = served_by(snapshot(listener(tcp(80))))
    whole = snapshot()
    change = evolve(CHANGES[what], upstreams={**whole.upstreams, **CHANGES[what].upstreams})
    (step,) = plan(running, change)
    assert step == Swap(served(change, change.listeners[0]))
    assert step.listener is change.listeners[0]


def split(own: str, *others: str) -> Routing:
    """One route, whose plugin may lead to others."""
    use = PluginUse("traffic-split", 966, {}, upstreams={f"rules[{i}]": other for i, other in enumerate(others)})
    return Routing("main", Order.FIRST, (Route("r0", Match(), own, (use,)),))


@pytest.mark.parametrize("own", ["a", ""], ids=["beside its own", "in place of its own"])
def test_an_upstream_that_a_plugin_leads_to_is_followed(own: str) -> None:
    before = snapshot(listener(tcp(80)), routings={"main": split(own, "b")})
    (bind,) = plan({}, before)
    after = evolve(before, upstreams={**before.upstreams, "b": upstream("b", "three")})
    assert plan({tcp(80): served(before, before.listeners[0])}, after) == (Swap(served(after, after.listeners[0])),)
    assert bind == Bind(served(before, before.listeners[0]))


def test_a_change_elsewhere_is_no_concern_of_it() -> None:
    running = served_by(snapshot(listener(tcp(80))))
    elsewhere = snapshot(listener(tcp(80)), routings={"main": routing("main", "a"), "side": routing("side", "a", "b")})
    elsewhere = evolve(elsewhere, upstreams={**elsewhere.upstreams, "b": upstream("b", "three")})
    assert plan(running, elsewhere) == ()


def test_what_is_in_the_way_goes_first() -> None:
    everywhere, here = listener(tcp(80)), listener(tcp(80, "127.0.0.1"))
    running = served_by(snapshot(everywhere, listener(tcp(90))))
    desired = snapshot(here, listener(tcp(90), "side"), listener(tcp(70)))

    steps = plan(running, desired)

    assert [(type(step), step.listener.address) for step in steps] == [
        (Unbind, tcp(80)),
        (Swap, tcp(90)),
        (Bind, tcp(70)),
        (Bind, tcp(80, "127.0.0.1")),
    ]
    assert run(running, steps) == served_by(desired)


def test_the_order_does_not_hang_on_the_order_of_what_was_given() -> None:
    listeners = [listener(tcp(port, "::1")) for port in (3, 1, 2)]
    running = served_by(snapshot(*[listener(tcp(port)) for port in (6, 5)]))
    forward = plan(running, snapshot(*listeners))
    backward = plan(dict(reversed(running.items())), snapshot(*reversed(listeners)))
    assert forward == backward
    assert [step.listener.address.port for step in forward] == [5, 6, 1, 2, 3]


def test_tcp_and_udp_of_one_port_are_two_listeners() -> None:
    running = served_by(snapshot(listener(tcp(53))))
    (unbind, bind) = plan(running, snapshot(listener(ListenAddress(Transport.UDP, "0.0.0.0", 53))))
    assert isinstance(unbind, Unbind)
    assert isinstance(bind, Bind)


interfaces = st.sampled_from(["0.0.0.0", "127.0.0.1", "127.0.0.2", "::", "::1"])
addresses = st.builds(ListenAddress, st.sampled_from(Transport), interfaces, st.integers(1, 3))
names = st.sampled_from(["a", "b", "c"])


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    upstreams = {name: upstream(name, *draw(st.lists(names, max_size=2))) for name in "abc"}
    routings = {name: routing(name, *draw(st.lists(names, max_size=3))) for name in ("main", "side")}
    chosen: list[Listener] = []
    for address in draw(st.lists(addresses, max_size=6)):
        if not any(address.overlaps(other.address) for other in chosen):
            chosen.append(
                listener(address, draw(st.sampled_from(["main", "side"])), tls=draw(st.sampled_from(TlsMode)))
            )
    return Snapshot(
        draw(st.integers(0, 9)),
        tuple(chosen),
        routings,
        upstreams,
        draw(st.sampled_from([Limits(), Limits(idle_timeout=1)])),
    )


@given(st.lists(snapshots(), max_size=4))
def test_the_steps_lead_to_what_is_desired_and_then_there_are_none(wishes: list[Snapshot]) -> None:
    running: dict[ListenAddress, Served] = {}
    for desired in wishes:
        steps = plan(running, desired)
        for step in steps:
            if isinstance(step, Swap):
                assert running[step.listener.address] != step.served, "a swap for nothing"
        running = run(running, steps)
        assert running == served_by(desired)
        assert plan(running, desired) == ()


@define(eq=False)
class Counted:
    """A route that counts how often it is compared."""

    leads_to: tuple[str, ...]
    comparisons: list[Counted]

    def __eq__(self, other: object) -> bool:
        self.comparisons.append(self)
        return isinstance(other, Counted)

    __hash__ = None  # type: ignore[assignment]


def test_a_routing_that_many_listeners_share_is_compared_once_at_most() -> None:
    comparisons: list[Counted] = []

    def shared() -> Snapshot:
        routes: Any = tuple(Counted(("a",), comparisons) for _ in range(1000))
        listeners = tuple(listener(tcp(port)) for port in range(1, 51))
        return Snapshot(1, listeners, {"main": Routing("main", Order.FIRST, routes)}, {"a": upstream("a", "one")})

    first = shared()
    running = run({}, plan({}, first))

    assert plan(running, evolve(first, revision=2)) == ()
    assert comparisons == [], "one object needs no comparison with itself"

    assert plan(running, shared()) == ()
    assert len(comparisons) == 1000, "fifty listeners share one comparison of a thousand routes"
