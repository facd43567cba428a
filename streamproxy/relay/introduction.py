"""How a client came in, and the way there for one whose bytes are relayed as they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from attrs import evolve, frozen

from ..interfaces import Leg
from ..model import Ending, FactKind, TlsFacts
from ..sniff import Hit, Miss, Need
from ..sniff.opening import Opening, read_opening
from ..sniff.starttls import PREAMBLES, Plain, Preamble, Refuse, Reply, Upgrade, detect
from .early import WINDOW, Early

# The name we go by where a protocol has a server say its own.
OUR_NAME = "localhost"


@frozen
class Introduction:
    """
    What was learnt of a client before it was decided on. ``starttls`` is the protocol by which it asked for TLS, where
    it began in plain text, and ``words`` how it introduced itself there; the target is brought to the same point.
    """

    opening: Opening
    handshake: TlsFacts | None = None
    starttls: str = ""
    words: bytes = b""


class Introduced(Protocol):
    """Who is told. One of the two, once."""

    def introduced(self, introduction: Introduction) -> None: ...

    def dismissed(self, ending: Ending, detail: str, *, told: bool = False, opening: Opening | None = None) -> None:
        """
        There is nothing to be done with this client. ``told``: it was sent why, and should get to read it. ``opening``
        is what was learnt of it nevertheless.
        """
        ...


class Reading:
    """
    Reads the name from a client's first bytes, which stay in ``early`` for the target. Where the client begins by
    asking for TLS in a protocol of its own, it is answered first. ``starttls`` names that protocol where its server
    speaks first; the others show themselves.
    """

    __slots__ = ("_detecting", "_early", "_kinds", "_leg", "_preamble", "_starttls", "_wanted", "_who", "_words")

    def __init__(
        self, early: Early, leg: Leg, kinds: Collection[FactKind], starttls: str, who: Introduced
    ) -> None:
        self._early = early
        self._leg = leg
        self._kinds = kinds
        self._who = who
        self._starttls = starttls
        self._preamble: Preamble | None = PREAMBLES[starttls](host=OUR_NAME) if starttls else None
        self._detecting = not starttls and FactKind.SNI in kinds
        self._words = b""
        self._wanted = 1

    def begin(self) -> None:
        """Begin to read."""
        self._early.changed = self._look
        if self._preamble is not None and (opening := self._preamble.opening()):
            self._leg.write(opening)
        self._early.listen()
        if self._early.window or self._early.ended:
            # Something came in front, and this behind it.
            self._look()

    def stop(self) -> None:
        """Ask no more."""
        self._early.changed = None

    # Inside

    def _look(self) -> None:
        early = self._early
        if early.ended and not early.window:
            self._dismiss(Ending.CLIENT_GONE, "the client closed before it said anything")
        elif len(early.window) >= self._wanted or early.ended:
            self._read()

    def _read(self) -> None:
        if self._detecting and not self._detect():
            return
        if self._preamble is not None and not self._converse(self._preamble):
            return
        verdict = read_opening(self._early.window, self._kinds, complete=self._early.ended)
        if isinstance(verdict, Need):
            self._want(verdict.at_least)
        elif isinstance(verdict, Miss):
            self._dismiss(Ending.SNIFF_FAILED, verdict.why)
        elif isinstance(verdict, Hit):
            self.stop()
            self._who.introduced(Introduction(verdict.value, None, self._starttls, self._words))

    def _detect(self) -> bool:
        """Does the client ask for TLS in a protocol of its own? False: that is not known yet."""
        verdict = detect(self._early.window)
        if isinstance(verdict, Need) and not self._early.ended:
            self._want(verdict.at_least)
            return False
        self._detecting = False
        if isinstance(verdict, Hit):
            self._starttls = verdict.value
            self._preamble = PREAMBLES[verdict.value](host=OUR_NAME)
        return True

    def _converse(self, preamble: Preamble) -> bool:
        """Answer the client; true when its next bytes are those of its target."""
        early = self._early
        while True:
            step = preamble.step(early.window)
            if isinstance(step, Need):
                if early.ended:
                    self._dismiss(Ending.SNIFF_FAILED, "the client closed before it asked for TLS")
                else:
                    self._want(step.at_least)
                return False
            if isinstance(step, Refuse):
                self.stop()
                flushed = self._leg.write(step.send)
                self._who.dismissed(Ending.SNIFF_FAILED, step.why, told=flushed)
                return False
            if isinstance(step, Plain):
                self._preamble = None
                self._words = step.introduction
                return True
            early.take(step.consume)
            if step.send:
                self._leg.write(step.send)
            if isinstance(step, Upgrade):
                self._preamble = None
                self._words = step.introduction
                self._wanted = 1
                return bool(early.window) or early.ended
            if not isinstance(step, Reply):
                raise TypeError(f"a preamble said {step!r}")

    def _want(self, size: int) -> None:
        self._wanted = size
        if size > WINDOW:
            self._dismiss(Ending.SNIFF_FAILED, f"the first {WINDOW} bytes name no target")

    def _dismiss(self, ending: Ending, detail: str) -> None:
        self.stop()
        self._who.dismissed(ending, detail)


class HostReading:
    """
    Reads the name that a client who gave none in its handshake with us says in its first HTTP request. Who speaks
    something else has named nothing.
    """

    __slots__ = ("_introduction", "_reading", "_who")

    def __init__(self, early: Early, leg: Leg, introduction: Introduction, who: Introduced) -> None:
        self._reading = Reading(early, leg, (FactKind.HTTP_HOST,), "", self)
        self._introduction = introduction
        self._who = who

    def begin(self) -> None:
        """Begin to read."""
        self._reading.begin()

    def stop(self) -> None:
        """Ask no more."""
        self._reading.stop()

    def introduced(self, introduction: Introduction) -> None:
        known = self._introduction
        opening = evolve(known.opening, http_host=introduction.opening.http_host)
        self._who.introduced(evolve(known, opening=opening))

    def dismissed(self, ending: Ending, detail: str, *, told: bool = False, opening: Opening | None = None) -> None:
        self._who.dismissed(ending, detail, told=told, opening=opening)
