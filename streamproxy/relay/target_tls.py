"""TLS towards a target: the handshake as a client, and seeing to it that the target is who it should be."""

from __future__ import annotations

import socket
from collections.abc import Callable

from ..model import ClientPolicy
from ..tls import Contexts, MaterialError, PeerRefused, client_connection, verify_server
from .deadlines import Deadlines
from .seams import Reactor
from .tls_leg import TlsLeg

# Told with the leg when the target proved itself, else with why it did not.
Secured = Callable[["TlsLeg | None", str], None]


class TargetHandshake:
    """One handshake with a target, within ``deadlines``. ``secured`` is told once, unless it is cancelled."""

    __slots__ = ("_deadlines", "_leg", "_policy", "_secured")

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        policy: ClientPolicy,
        deadlines: Deadlines[TargetHandshake],
        secured: Secured,
    ) -> None:
        self._leg = TlsLeg(reactor, sock, strict=True)
        self._policy = policy
        self._deadlines = deadlines
        self._secured: Secured | None = secured

    def begin(self, contexts: Contexts) -> None:
        """Shake hands."""
        try:
            connection = client_connection(contexts, self._policy, self._leg.socket)
        except MaterialError as error:
            self._leg.abort()
            self._tell(None, str(error))
            return
        self._deadlines.add(self)
        self._leg.shake(connection, self)

    def cancel(self) -> None:
        """Forget about it; nothing is told."""
        self._secured = None
        self._deadlines.remove(self)
        self._leg.abort()

    def expired(self) -> None:
        """The target took too long."""
        self._leg.abort()
        self._tell(None, "no TLS handshake in time")

    # What the leg tells

    def peeked(self, window: bytes, *, complete: bool) -> None:
        """Nobody peeks at a target."""

    def shaken(self) -> None:
        try:
            verify_server(self._leg.connection, self._policy)
        except PeerRefused as error:
            self._leg.abort()
            self._tell(None, str(error))
            return
        self._tell(self._leg, "")

    def unshaken(self, words: str) -> None:
        self._tell(None, words)

    def _tell(self, leg: TlsLeg | None, words: str) -> None:
        self._deadlines.remove(self)
        secured, self._secured = self._secured, None
        if secured is not None:
            secured(leg, words)
