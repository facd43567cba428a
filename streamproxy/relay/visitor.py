"""The visitor: who a session's client is, as far as that is known by now."""

from __future__ import annotations

from attrs import evolve

from ..model import Address, Facts, Listener
from .introduction import Introduction
from .proxied import Claim


class Visitor:
    """
    A client that was accepted from ``peer`` at ``local``. It may turn out to be another one's: ``adopt``, and it will
    say what it wants: ``introduction``. ``assumed`` is the name that it is taken to mean where it should say one and
    does not.
    """

    __slots__ = ("_arrived", "_assumed", "_claim", "_facts", "_introduction", "_via", "listener", "local", "peer")

    def __init__(self, listener: Listener, peer: Address, local: Address) -> None:
        self.listener = listener
        self.peer = peer
        self.local = local
        self._introduction: Introduction | None = None
        self._assumed: str | None = None
        self._facts: Facts | None = None
        self._claim: Claim | None = None
        self._via: Address | None = None
        self._arrived: Address | None = None

    def adopt(self, claim: Claim) -> bool:
        """Somebody in front says who it is. True: he is believed, and it is another address than before."""
        self._claim = claim
        self._facts = None
        if not claim.adopted or claim.source is None:
            return False
        self._via, self.peer = self.peer, claim.source
        if claim.destination is not None:
            self._arrived, self.local = self.local, claim.destination
        return True

    @property
    def introduction(self) -> Introduction | None:
        """What it has said of itself."""
        return self._introduction

    @introduction.setter
    def introduction(self, said: Introduction) -> None:
        self._introduction = said
        self._facts = None

    @property
    def assumed(self) -> str | None:
        """The name that stands for none."""
        return self._assumed

    @assumed.setter
    def assumed(self, name: str | None) -> None:
        self._assumed = name
        self._facts = None

    @property
    def facts(self) -> Facts:
        """What is known of the connection so far."""
        known = self._facts
        if known is None:
            known = self._facts = self._gathered()
        return known

    def _gathered(self) -> Facts:
        address, introduction, claim = self.listener.address, self._introduction, self._claim
        if introduction is None:
            facts = Facts(address, self.peer, self.local)
        else:
            said = introduction.opening
            facts = Facts(
                address, self.peer, self.local, said.tls, said.sni, said.alpn, said.http_host, introduction.handshake
            )
            if self.assumed is not None and said.tls and said.sni is None:
                facts = evolve(facts, assumed=self.assumed)
        if claim is None:
            return facts
        return evolve(facts, claimed=claim.source, via=self._via, tlvs=claim.tlvs, arrived=self._arrived)
