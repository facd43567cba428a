"""The difference between what is served and what should be, as steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from attrs import field, frozen

from ..model import Limits, ListenAddress, Listener, Routing, Snapshot, Upstream


@frozen(eq=False)
class Served:
    """Everything a listener's behaviour follows from. What is equal here needs no step."""

    listener: Listener
    routing: Routing
    upstreams: tuple[Upstream, ...]
    limits: Limits = field(default=Limits())

    def same_as(self, other: Served) -> bool:
        """
        Would serving the other change nothing? Values that are one object are not compared: thousands of listeners may
        share a routing of thousands of routes.
        """
        return (
            _same(self.routing, other.routing)
            and self.listener == other.listener
            and self.limits == other.limits
            and _same_upstreams(self.upstreams, other.upstreams)
        )


@frozen
class Unbind:
    """Cease to listen."""

    listener: Listener


@frozen
class Swap:
    """Serve new connections of a bound listener differently."""

    listener: Listener


@frozen
class Bind:
    """Begin to listen."""

    listener: Listener


Step: TypeAlias = Unbind | Swap | Bind


def served(snapshot: Snapshot, listener: Listener) -> Served:
    """What ``listener``, one of the snapshot's, is served with."""
    routing = snapshot.routings[listener.routing]
    ids = dict.fromkeys(route.upstream for route in routing.routes)
    return Served(listener, routing, tuple(snapshot.upstreams[name] for name in ids), snapshot.limits)


def plan(running: Mapping[ListenAddress, Served], desired: Snapshot) -> tuple[Step, ...]:
    """
    The steps from what runs to what is desired: first what goes, so that its address is free, then what changes, then
    what comes. Each group is in the order of addresses. No difference, no step.
    """
    wanted = {listener.address: listener for listener in desired.listeners}
    steps: list[Step] = [
        Unbind(running[address].listener) for address in sorted(running.keys() - wanted.keys(), key=_order)
    ]
    shared: dict[str, Served] = {}
    for address in sorted(running.keys() & wanted.keys(), key=_order):
        listener = wanted[address]
        # Listeners of one routing share its upstreams: they are gathered once.
        known = shared.get(listener.routing)
        new = served(desired, listener) if known is None else Served(listener, known.routing, known.upstreams, known.limits)
        shared[listener.routing] = new
        if not running[address].same_as(new):
            steps.append(Swap(listener))
    steps += [Bind(wanted[address]) for address in sorted(wanted.keys() - running.keys(), key=_order)]
    return tuple(steps)


def _order(address: ListenAddress) -> tuple[str, str, int]:
    return address.transport.value, address.interface, address.port


def _same(one: Routing, other: Routing) -> bool:
    return one is other or one == other


def _same_upstreams(some: tuple[Upstream, ...], others: tuple[Upstream, ...]) -> bool:
    return len(some) == len(others) and all(a is b or a == b for a, b in zip(some, others, strict=True))
