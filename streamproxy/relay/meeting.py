"""
The beginning of a session in which only the very target can say the first word (MySQL): it has been reached, and its
greeting is what the client is greeted with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..interfaces import Leg
from ..model import ClientPolicy, Ending
from ..sniff import Hit
from ..sniff.opening import Opening
from ..sniff.starttls import MysqlPreamble, sniff_mysql_greeting
from .introduction import Introduction
from .socket_leg import SocketLeg
from .target_tls import TargetHandshake
from .termination import Termination, Terminator
from .tls_leg import TlsLeg

if TYPE_CHECKING:
    from .engine import Engine
    from .serving import Serving


class Met(Protocol):
    """Who is told. One of the two, once, unless it is cancelled."""

    def met(self, leg: Leg, introduction: Introduction) -> None:
        """Both sides speak TLS with us."""
        ...

    def dismissed(
        self, ending: Ending, detail: str, *, told: bool = False, opening: Opening | None = None
    ) -> None: ...


class Meeting:
    """
    The client hears the target's greeting, asks for TLS and shakes hands; then the target hears the client's request
    and shakes hands. No other target can take its place once the client was greeted.
    """

    __slots__ = ("_client", "_engine", "_handshake", "_introduction", "_policy", "_serving", "_target", "_who")

    def __init__(self, engine: Engine, serving: Serving, client: TlsLeg, who: Met) -> None:
        self._engine = engine
        self._serving = serving
        self._client = client
        self._who = who
        self._target: Leg | None = None
        self._policy: ClientPolicy | None = None
        self._introduction: Introduction | None = None
        self._handshake: TargetHandshake | None = None

    def begin(self, terminator: Terminator, target: Leg, greeting: bytes, policy: ClientPolicy | None) -> None:
        """Greet the client with the whole ``greeting``. ``policy`` is how to shake hands with the target."""
        self._target = target
        self._policy = policy
        read = sniff_mysql_greeting(greeting)
        if policy is None or not isinstance(read, Hit):
            # Nobody has proved to be worth a password that comes through TLS in clear.
            self._who.dismissed(Ending.TARGET_TLS_FAILED, "a target without TLS cannot stand behind MySQL's")
            return
        Termination(terminator, self._serving.listener, self._client, self, MysqlPreamble(read.value)).begin()

    def cancel(self) -> None:
        """Let go of the target; nothing is told."""
        handshake, self._handshake = self._handshake, None
        target, self._target = self._target, None
        if handshake is not None:
            handshake.cancel()
        if target is not None:
            target.abort()

    # What is told of the client

    def introduced(self, introduction: Introduction) -> None:
        target, self._target = self._target, None
        if not isinstance(target, SocketLeg) or self._policy is None:
            raise TypeError(f"there is nobody to meet, but {target!r}")
        self._introduction = introduction
        sock = target.detach()
        try:
            sock.send(introduction.words)
        except OSError as error:
            sock.close()
            self._who.dismissed(Ending.TARGET_TLS_FAILED, error.strerror or str(error))
            return
        handshake = self._handshake = TargetHandshake(
            self._engine.hub,
            sock,
            self._policy,
            self._engine.target_deadline(self._serving.limits.handshake_timeout),
            self._secured,
        )
        handshake.begin(self._engine.contexts)

    def dismissed(self, ending: Ending, detail: str, *, told: bool = False, opening: Opening | None = None) -> None:
        self._who.dismissed(ending, detail, told=told, opening=opening)

    # What is told of the target

    def _secured(self, leg: TlsLeg | None, detail: str) -> None:
        self._handshake = None
        if leg is None or self._introduction is None:
            self._who.dismissed(Ending.TARGET_TLS_FAILED, detail)
        else:
            self._who.met(leg, self._introduction)
