"""A target that begins in plain text is brought to where its client is."""

from __future__ import annotations

import socket
from collections.abc import Callable

from ..sniff import Need
from ..sniff.starttls import MAX_PREAMBLE, Ask, Done, Refuse
from .deadlines import Deadlines
from .seams import Reactor
from .socket_leg import SocketLeg

# Told with the socket and what was read beyond, or with ``None`` and why not.
Asked = Callable[["socket.socket | None", bytes, str], None]


class TargetAsk:
    """One conversation with a target, within ``deadlines``. ``asked`` is told once, unless it is cancelled."""

    __slots__ = ("_ask", "_asked", "_deadlines", "_leg", "_window")

    def __init__(
        self, reactor: Reactor, sock: socket.socket, ask: Ask, deadlines: Deadlines[TargetAsk], asked: Asked
    ) -> None:
        self._leg = SocketLeg(reactor, sock)
        self._ask = ask
        self._deadlines = deadlines
        self._asked: Asked | None = asked
        self._window = b""

    def begin(self) -> None:
        """Say the first word, or wait for the target's."""
        self._leg.receiver = self
        self._deadlines.add(self)
        if opening := self._ask.opening():
            self._leg.write(opening)
        self._leg.start()
        self._look()

    def cancel(self) -> None:
        """Forget about it; nothing is told."""
        self._asked = None
        self._deadlines.remove(self)
        self._leg.abort()

    def expired(self) -> None:
        """The target took too long."""
        self._fail("the target did not answer the request for TLS in time")

    # What the leg tells

    def received(self, data: bytes) -> None:
        self._window += data
        if len(self._window) > MAX_PREAMBLE:
            self._fail("the target says too much before TLS")
        else:
            self._look()

    def ended(self) -> None:
        self._fail("the target closed before it agreed to TLS")

    def drained(self) -> None:
        """A few bytes are gone."""

    def lost(self, why: str, *, reset: bool) -> None:
        self._tell(None, b"", why)

    # Inside

    def _look(self) -> None:
        while self._asked is not None:
            step = self._ask.step(self._window)
            if isinstance(step, Need):
                return
            if isinstance(step, Refuse):
                self._fail(step.why)
                return
            self._window = self._window[step.consume :]
            if isinstance(step, Done):
                self._tell(self._leg.detach(), self._window, "")
                return
            if step.send:
                self._leg.write(step.send)

    def _fail(self, why: str) -> None:
        self._leg.abort()
        self._tell(None, b"", why)

    def _tell(self, sock: socket.socket | None, beyond: bytes, why: str) -> None:
        self._deadlines.remove(self)
        asked, self._asked = self._asked, None
        if asked is not None:
            asked(sock, beyond, why)
