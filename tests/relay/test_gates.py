"""Plugins at their routes: which gates there are, and one session's way past them."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from prometheus_client import CollectorRegistry

from streamproxy.model import (
    Address,
    Ended,
    Ending,
    Facts,
    Key,
    ListenAddress,
    Match,
    PluginUse,
    Route,
    Transport,
)
from streamproxy.plugins import Go, Host, More, Reject
from streamproxy.relay.gates import MOST_QUESTIONS, Admission, Admitted, Delayed, Gates, Progress, Rejected

from .plugin_kit import Scripted

FACTS = Facts(ListenAddress(Transport.TCP, "0.0.0.0", 9100), Address("10.0.0.9", 5000), Address("10.0.0.1", 9100))
RECORD = Ended("s-1", FACTS, "o", 1, Ending.CLIENT_CLOSED, 0.0, 1.0)


def host() -> Host:
    return Host(None, lambda: 0.0, lambda: 0.5, lambda name: {}, lambda level, text: None, CollectorRegistry())


def gates_of(*plugins: Scripted) -> Gates:
    return Gates({plugin.name: plugin for plugin in plugins}, host())


def route(*uses: PluginUse, id: str = "apisix:stream_routes/1") -> Route:  # noqa: A002
    return Route(id, Match(), "u", uses, Key("apisix", "stream_routes", "1"))


def go_through(
    gates: Gates, where: Route, window: bytes = b"", *, complete: bool = False
) -> tuple[Admission, Progress]:
    admission = Admission(FACTS, where, gates.of(where))
    return admission, admission.advance(window, complete=complete)


class TestGates:
    def test_a_route_without_plugins_has_none(self) -> None:
        assert gates_of().of(Route("r", Match(), "u")) == ()

    def test_they_know_their_place(self) -> None:
        plugin = Scripted("a")
        where = evolve(route(plugin.use()), name="mine", service="7")
        gates_of(plugin).of(where)
        (gate,) = plugin.gates
        assert (gate.place.route_id, gate.place.name, gate.place.service) == ("1", "mine", "7")

    @pytest.mark.parametrize("change", [{"name": "other"}, {"service": "8"}])
    def test_they_learn_of_a_change_of_it(self, change: dict[str, Any]) -> None:
        plugin = Scripted("a")
        gates = gates_of(plugin)
        where = evolve(route(plugin.use()), name="mine", service="7")
        gates.of(where)
        gates.of(evolve(where, **change))
        before, after = plugin.gates
        assert before.closed == 1
        assert after.place == evolve(before.place, **change)

    def test_they_live_through_changes_of_others(self) -> None:
        plugin = Scripted("a")
        gates = gates_of(plugin)
        first = gates.of(route(plugin.use(conn=1)))
        again = route(plugin.use(conn=1))
        gates.keep([again])
        assert gates.of(again)[0] is first[0], "an equal use of a plugin is the same gate"
        assert plugin.gates[0].closed == 0

    def test_another_configuration_is_another_gate(self) -> None:
        plugin = Scripted("a")
        gates = gates_of(plugin)
        gates.of(route(plugin.use(conn=1)))
        gates.of(route(plugin.use(conn=2)))
        assert [gate.closed for gate in plugin.gates] == [1, 0]

    def test_a_route_that_stands_in_the_table_twice_counts_once(self) -> None:
        plugin = Scripted("a")
        gates = gates_of(plugin)
        gates.of(route(plugin.use()))
        gates.of(route(plugin.use(), id="apisix:stream_routes/1 sni"))
        assert len(plugin.gates) == 1

    def test_those_of_routes_that_are_gone_are_closed(self) -> None:
        plugin = Scripted("a")
        gates = gates_of(plugin)
        gates.of(route(plugin.use()))
        gates.close()
        assert plugin.gates[0].closed == 1
        gates.of(route(plugin.use()))
        assert len(plugin.gates) == 2, "a closed gate is not used again"

    def test_nobody_passes_where_a_plugin_is_missing(self) -> None:
        _, progress = go_through(gates_of(), route(PluginUse("gone", 1, {})))
        assert progress == Rejected("gone", 500, "there is no plugin gone")

    def test_nobody_passes_where_a_plugin_cannot_be_made(self) -> None:
        plugin = Scripted("a")
        _, progress = go_through(gates_of(plugin), route(plugin.use(broken=True)))
        assert isinstance(progress, Rejected)


class TestAdmission:
    def test_all_say_go(self) -> None:
        first, second = Scripted("a", [Go(variables={"x": "1"})]), Scripted("b", [Go(upstream="other")])
        admission, progress = go_through(gates_of(first, second), route(first.use(), second.use()))
        assert progress == Admitted()
        assert (admission.variables, admission.upstream) == ({"x": "1"}, "other")
        assert second.gates[0].visits[0].variable("x") == "1", "what one found out the next can read"

    def test_one_says_no_and_the_next_is_not_asked(self) -> None:
        first, second = Scripted("a", [Reject(403, "not you")]), Scripted("b")
        admission, progress = go_through(gates_of(first, second), route(first.use(), second.use()))
        assert progress == Rejected("a", 403, "not you")
        assert admission.code == 403
        assert second.gates[0].visits == []

    def test_one_wants_more(self) -> None:
        plugin = Scripted("a", [More(4), Go()])
        gates, where = gates_of(plugin), route(plugin.use())
        admission, progress = go_through(gates, where, b"ab")
        assert progress == More(4)
        assert admission.advance(b"abcd", complete=False) == Admitted()
        assert [visit.window for visit in plugin.gates[0].visits] == [b"ab", b"abcd"]

    @pytest.mark.parametrize(("window", "complete"), [(b"ab", True), (b"abcd", False)])
    def test_more_than_there_can_be_is_a_no(self, window: bytes, complete: bool) -> None:
        plugin = Scripted("a", [More(4)])
        _, progress = go_through(gates_of(plugin), route(plugin.use()), window, complete=complete)
        assert isinstance(progress, Rejected)
        assert progress.code == 400

    def test_nobody_may_want_more_for_ever(self) -> None:
        plugin = Scripted("a", [lambda visit: More(len(visit.window) + 1)])
        admission, progress = go_through(gates_of(plugin), route(plugin.use()))
        size = 0
        while isinstance(progress, More):
            size += 1
            progress = admission.advance(bytes(size), complete=False)
        assert size == MOST_QUESTIONS

    def test_a_delay_is_taken_between_two(self) -> None:
        first, second = Scripted("a", [Go(delay=0.5)]), Scripted("b")
        admission, progress = go_through(gates_of(first, second), route(first.use(), second.use()))
        assert progress == Delayed(0.5)
        assert second.gates[0].visits == []
        assert admission.advance(b"", complete=False) == Admitted()
        assert len(first.gates[0].visits) == 1

    @pytest.mark.parametrize("answer", [RuntimeError("oh"), lambda visit: None])
    def test_a_plugin_that_fails_lets_nobody_pass(self, answer: Any) -> None:
        plugin = Scripted("a", [answer])
        _, progress = go_through(gates_of(plugin), route(plugin.use()))
        assert isinstance(progress, Rejected)
        assert progress.code == 500

    def test_what_is_held_is_given_back_once_and_all_are_told(self) -> None:
        given: list[str] = []

        def fails() -> None:
            given.append("b")
            raise RuntimeError("in the end")

        first = Scripted("a", [Go(release=lambda: given.append("a"))])
        second, third = Scripted("b", [Go(release=fails)]), Scripted("c", [Reject(503, "full")])
        last = Scripted("d")
        gates = gates_of(first, second, third, last)
        admission, _ = go_through(gates, route(first.use(), second.use(), third.use(), last.use()))
        admission.finish(RECORD)
        admission.finish(RECORD)
        assert given == ["a", "b"]
        assert [plugin.gates[0].records for plugin in (first, second, third, last)] == [
            [RECORD],
            [RECORD],
            [RECORD],
            [RECORD],
        ]

    def test_a_filter_that_does_not_hold_leaves_the_plugin_out(self) -> None:
        plugin = Scripted("a", [Reject(403, "no")])
        for address, passes in (("10.0.0.9", False), ("10.0.0.8", True)):
            use = evolve(plugin.use(), filter=(["remote_addr", "==", address],))
            _, progress = go_through(gates_of(plugin), route(use))
            assert isinstance(progress, Admitted) is passes, address

    def test_nor_is_it_told_of_the_end(self) -> None:
        first, second, third = Scripted("a", [Reject(403, "no")]), Scripted("b"), Scripted("c")
        left_out = evolve(second.use(), filter=(["remote_addr", "==", "10.0.0.8"],))
        admission, _ = go_through(gates_of(first, second, third), route(first.use(), left_out, third.use()))
        admission.finish(RECORD)
        assert [plugin.gates[0].records for plugin in (first, second, third)] == [[RECORD], [], [RECORD]]

    def test_a_filter_that_cannot_be_read_lets_nobody_pass(self) -> None:
        plugin = Scripted("a")
        _, progress = go_through(gates_of(plugin), route(evolve(plugin.use(), filter=(["a", "??", "b"],))))
        assert isinstance(progress, Rejected)
