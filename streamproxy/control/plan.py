"""The difference between what is served and what should be, as steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import define, field, frozen

from ..model import Limits, ListenAddress, Listener, Routing, Snapshot, Upstream


@frozen
class Served:
    """Everything a listener's behaviour follows from. Two that are equal behave alike."""

    listener: Listener
    routing: Routing
    upstreams: tuple[Upstream, ...]
    limits: Limits = Limits()


@frozen
class Unbind:
    """Cease to listen."""

    listener: Listener


@frozen
class Swap:
    """Serve new connections of a bound listener differently."""

    served: Served

    @property
    def listener(self) -> Listener:
        return self.served.listener


@frozen
class Bind:
    """Begin to listen."""

    served: Served

    @property
    def listener(self) -> Listener:
        return self.served.listener


Step: TypeAlias = Unbind | Swap | Bind


def served(snapshot: Snapshot, listener: Listener) -> Served:
    """What ``listener``, one of the snapshot's, is served with."""
    return _Gathering(snapshot).served(listener)


def plan(running: Mapping[ListenAddress, Served], desired: Snapshot) -> tuple[Step, ...]:
    """
    The steps from what runs to what is desired: first what goes, so that its address is free, then what changes, then
    what comes. Each group is in the order of addresses. No difference, no step.

    ``Bind`` and ``Swap`` carry what is to be in ``running`` for the next plan. It is best taken from them: listeners
    of one routing then share their values, and what they share is compared once.
    """
    gathering = _Gathering(desired)
    comparison = _Comparison()
    wanted = {listener.address: listener for listener in desired.listeners}
    unbinds = [Unbind(running[address].listener) for address in _in_order(running.keys() - wanted.keys())]
    kept = [
        (running[address], gathering.served(wanted[address])) for address in _in_order(running.keys() & wanted.keys())
    ]
    swaps = [Swap(new) for old, new in kept if not comparison.same_served(old, new)]
    binds = [Bind(gathering.served(wanted[address])) for address in _in_order(wanted.keys() - running.keys())]
    return (*unbinds, *swaps, *binds)


def _in_order(addresses: set[ListenAddress]) -> list[ListenAddress]:
    return sorted(addresses, key=lambda address: (address.transport.value, address.interface, address.port))


@define
class _Gathering:
    """The upstreams of each routing, looked up once however many listeners share it."""

    snapshot: Snapshot
    _upstreams: dict[str, tuple[Upstream, ...]] = field(factory=dict)

    def served(self, listener: Listener) -> Served:
        routing = self.snapshot.routings[listener.routing]
        upstreams = self._upstreams.get(routing.name)
        if upstreams is None:
            names = dict.fromkeys(name for route in routing.routes for name in route.leads_to)
            upstreams = tuple(self.snapshot.upstreams[name] for name in names)
            self._upstreams[routing.name] = upstreams
        return Served(listener, routing, upstreams, self.snapshot.limits)


@define
class _Comparison:
    """
    Compares any two values once, and one object with itself never: a hundred listeners may share a routing of ten
    thousand routes. Whoever uses it keeps the values alive meanwhile.
    """

    _known: dict[tuple[int, int], bool] = field(factory=dict)

    def same_served(self, one: Served, other: Served) -> bool:
        return (
            one.listener == other.listener
            and self.same(one.routing, other.routing)
            and self.same(one.upstreams, other.upstreams)
            and one.limits == other.limits
        )

    def same(self, one: Any, other: Any) -> bool:
        if one is other:
            return True
        pair = (id(one), id(other))
        known = self._known.get(pair)
        if known is None:
            # Tuples of one routing's upstreams may be many objects that hold the same ones.
            if isinstance(one, tuple):
                known = len(one) == len(other) and all(map(self.same, one, other))
            else:
                known = one == other
            self._known[pair] = known
        return known
