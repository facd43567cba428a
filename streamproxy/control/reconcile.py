"""The reconciler: makes what runs follow what is desired, one listener at a time."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ..model import ListenAddress, Listener, ListenerState, ListenerStatus, Routing, Snapshot
from ..relay.engine import Engine
from ..relay.serving import Serving
from ..rules import Table
from .estate import Held
from .plan import Bind, Served, Swap, Unbind, plan

# Seconds until a bind that failed is tried again: doubled each time, up to the last.
RETRY_FIRST = 1.0
RETRY_LAST = 30.0


class Lent(Protocol):
    """What accepts for somebody else."""

    def close(self) -> None: ...


class BoundPort(Protocol):
    """A listener that is bound."""

    @property
    def port(self) -> int: ...

    @property
    def descriptor(self) -> int:
        """That of its socket."""
        ...

    def start(self) -> None:
        """Take what comes."""
        ...

    def lend(self, sock: socket.socket) -> Lent | None:
        """
        Accept from another socket of the same address as well, until what is answered is closed. It belongs to the
        listener from now on, which ends it with itself. ``None``: it does not.
        """
        ...

    def swap(self, serving: Serving) -> None:
        """New sessions are served by this from now on."""
        ...

    def close(self) -> None:
        """Cease to listen; sessions live on."""
        ...

    def cede(self) -> None:
        """The same, where another process goes on to listen on the socket."""
        ...

    def status(self) -> ListenerStatus: ...


# Binds a listener and serves on it. Raises OSError.
Binder = Callable[[Serving], BoundPort]


@define
class _Slot:
    """What became of one desired listener."""

    running: Served
    serving: Serving
    bound: BoundPort | None = None
    error: str = ""
    delay: float = RETRY_FIRST
    retry: IDelayedCall | None = None
    retry_at: float = 0.0


@define
class Reconciler:
    """
    Holds the bound ports. A port that cannot be bound is a status, tried again by itself; nothing else is disturbed.
    """

    engine: Engine
    bind: Binder
    changed: Callable[[], None] = field(default=lambda: None, init=False)
    """Is called when a listener is bound that could not be at first."""
    _slots: dict[ListenAddress, _Slot] = field(factory=dict, init=False)
    _tables: dict[str, tuple[Routing, Table]] = field(factory=dict, init=False)
    _closed: bool = field(default=False, init=False)
    _log = Logger()

    def apply(self, snapshot: Snapshot) -> None:
        """Make it so."""
        if self._closed:
            return
        steps = plan({address: slot.running for address, slot in self._slots.items()}, snapshot)
        for step in steps:
            if isinstance(step, Unbind):
                self._unbind(step.listener.address)
            elif isinstance(step, Swap):
                self._swap(step.served, snapshot)
            elif isinstance(step, Bind):
                self._bind(step.served, snapshot)
        self._tables = {name: self._tables[name] for name in snapshot.routings.keys() & self._tables.keys()}
        self.engine.pools.keep(snapshot.upstreams)
        self.engine.plugin_metadata = snapshot.plugin_metadata
        self.engine.gates.keep(route for routing in snapshot.routings.values() for route in routing.routes)

    def status(self) -> tuple[ListenerStatus, ...]:
        """Every desired listener, by address."""
        return tuple(
            self._status(slot)
            for _, slot in sorted(
                self._slots.items(), key=lambda item: (item[0].transport.value, item[0].port, item[0].interface)
            )
        )

    def close(self) -> None:
        """Unbind everything, for good. Sessions live on."""
        self._closed = True
        for address in tuple(self._slots):
            self._unbind(address)

    # Several processes

    def lend(self, address: ListenAddress, sock: socket.socket) -> Lent | None:
        """Have the listener of the address accept from ``sock``, too."""
        slot = self._slots.get(address)
        if slot is None or slot.bound is None:
            sock.close()
            return None
        return slot.bound.lend(sock)

    def retry(self) -> None:
        """Try at once what could not be bound."""
        for slot in tuple(self._slots.values()):
            if slot.retry is not None:
                slot.retry.cancel()
                self._try_bind(slot)

    def held(self) -> tuple[Held, ...]:
        """The sockets of everything that is bound."""
        return tuple(
            Held(address, slot.bound.descriptor) for address, slot in self._slots.items() if slot.bound is not None
        )

    def start(self) -> None:
        """What was bound without being started is from now on."""
        for slot in self._slots.values():
            if slot.bound is not None:
                slot.bound.start()

    def cede(self) -> None:
        """Another process listens on all of these sockets: cease to, for good."""
        self._closed = True
        slots = tuple(self._slots.values())
        self._slots.clear()
        for slot in slots:
            if slot.retry is not None:
                slot.retry.cancel()
            if slot.bound is not None:
                slot.bound.cede()

    # The steps

    def _bind(self, served: Served, snapshot: Snapshot) -> None:
        slot = _Slot(served, self._serving(served.listener, snapshot))
        self._slots[served.listener.address] = slot
        self._try_bind(slot)

    def _try_bind(self, slot: _Slot) -> None:
        slot.retry = None
        listener = slot.serving.listener
        try:
            slot.bound = self.bind(slot.serving)
        except OSError as error:
            slot.error = f"cannot listen on {listener.address}: {error.strerror or error}"
            reactor = self.engine.reactor
            slot.retry = reactor.callLater(slot.delay, self._try_bind, slot)
            slot.retry_at = reactor.seconds() + slot.delay
            self._log.error(
                "{error}; {owner} is tried again in {delay:g} s",
                error=slot.error,
                owner=listener.owner,
                delay=slot.delay,
            )
            slot.delay = min(slot.delay * 2, RETRY_LAST)
        else:
            if slot.error:
                self.changed()
            slot.error = ""
            slot.delay = RETRY_FIRST
            self._log.info("{address} listens for {owner}", address=str(listener.address), owner=listener.owner)

    def _swap(self, served: Served, snapshot: Snapshot) -> None:
        slot = self._slots[served.listener.address]
        slot.running = served
        slot.serving = self._serving(served.listener, snapshot)
        if slot.bound is not None:
            slot.bound.swap(slot.serving)

    def _unbind(self, address: ListenAddress) -> None:
        slot = self._slots.pop(address)
        if slot.retry is not None:
            slot.retry.cancel()
        if slot.bound is not None:
            slot.bound.close()
            self._log.info("{address} no longer listens", address=str(address))

    def _serving(self, listener: Listener, snapshot: Snapshot) -> Serving:
        routing = snapshot.routings[listener.routing]
        known = self._tables.get(routing.name)
        if known is not None and (known[0] is routing or known[0] == routing):
            table = known[1]
        else:
            table = Table.compile(routing)
        self._tables[routing.name] = (routing, table)
        return Serving.of(snapshot, listener, table)

    def _status(self, slot: _Slot) -> ListenerStatus:
        if slot.bound is not None:
            return slot.bound.status()
        return ListenerStatus(
            slot.serving.listener,
            ListenerState.FAILED,
            0,
            error=slot.error,
            retry_in=round(max(0.0, slot.retry_at - self.engine.reactor.seconds()), 1),
            revision=slot.serving.revision,
        )
