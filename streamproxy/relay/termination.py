"""Terminating TLS: from an accepted client to its decrypted stream and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from OpenSSL import SSL

from ..model import ClientAuth, ClientVerification, Ending, Listener
from ..sniff import Hit, Miss, Need, normalize_name, sniff_client_hello
from ..sniff.opening import Opening
from ..sniff.starttls import PREAMBLES, Plain, Preamble, Refuse, Upgrade, detect
from ..tls import (
    Alert,
    CertificateIndex,
    Contexts,
    MaterialError,
    PeerRefused,
    Selection,
    alert,
    handshake_facts,
    leave_no_loop,
    server_policy,
)
from .introduction import OUR_NAME, Introduced, Introduction

if TYPE_CHECKING:
    from .tls_leg import TlsLeg


# Which protocol is spoken is the target's affair, so none is agreed on; but a PostgreSQL client that begins with its
# hello (sslnegotiation=direct) goes away without.
_INSISTENT = ("postgresql",)


class Terminator:
    """
    What all listeners that terminate TLS share. ``index`` may be replaced at any time: the next handshake uses the new
    one, and nothing that is open notices. ``client_ca`` (DER) are those who vouch for clients where a certificate names
    nobody of its own, ``client_crls`` (DER) whom they have revoked: ``None`` where that should be known and is not.
    ``now`` is seconds since the epoch.
    """

    def __init__(self, contexts: Contexts, now: Callable[[], float]) -> None:
        self.contexts = contexts
        self.index = CertificateIndex(())
        self.client_ca: tuple[bytes, ...] = ()
        self.client_crls: tuple[bytes, ...] | None = ()
        self._now = now

    def select(self, name: str | None) -> Selection:
        """The certificate for a client that asked for ``name``."""
        return self.index.select(name, self._now())

    def context(self, listener: Listener, selection: Selection, offered: tuple[str, ...] = ()) -> SSL.Context:
        """
        What to shake hands with. Raises ``MaterialError`` where that cannot be: a client is to prove itself and there
        is nobody who could vouch for it, for one.
        """
        if selection.certificate is None:
            raise MaterialError(selection.why)
        demanded = ClientVerification()
        if listener.client_auth is not ClientAuth.NONE:
            if self.client_crls is None:
                raise MaterialError("the revocation lists of tls.client_crl cannot be read")
            demanded = ClientVerification(listener.client_auth, self.client_ca, crls=self.client_crls)
        alpn = tuple(protocol for protocol in _INSISTENT if protocol in offered)
        return self.contexts.server(server_policy(selection.certificate, demanded, alpn))


class Termination:
    """
    One client's way into TLS: what it asks for TLS with, where it begins in plain text, is answered; its hello is
    peeked at; the certificate and all that goes with it are chosen by the name in it; and only then is there a
    handshake. A name nobody has a certificate for gets an alert and nothing else. ``preamble`` answers the client where
    the listener's protocol alone does not say how. Whoever ``passes`` is true for is introduced with his hello still
    unread, and there is no handshake.
    """

    __slots__ = (
        "_detecting",
        "_leg",
        "_listener",
        "_opening",
        "_passes",
        "_preamble",
        "_starttls",
        "_terminator",
        "_who",
        "_words",
    )

    def __init__(
        self,
        terminator: Terminator,
        listener: Listener,
        leg: TlsLeg,
        who: Introduced,
        preamble: Preamble | None = None,
        passes: Callable[[Opening], bool] | None = None,
    ) -> None:
        self._passes = passes
        self._terminator = terminator
        self._listener = listener
        self._leg = leg
        self._who = who
        self._opening = Opening(tls=True)
        self._starttls = listener.starttls
        if preamble is None and self._starttls:
            preamble = PREAMBLES[self._starttls](host=OUR_NAME)
        self._preamble = preamble
        self._detecting = self._preamble is None
        self._words = b""

    def begin(self) -> None:
        """Wait for the client's first bytes, or greet it."""
        if self._preamble is not None and (opening := self._preamble.opening()):
            self._leg.say(opening)
        self._leg.peek(self)

    # What the leg tells

    def peeked(self, window: bytes, *, complete: bool) -> None:
        if not window and complete:
            self._who.dismissed(Ending.CLIENT_GONE, "the client closed before it said anything")
            return
        if self._detecting:
            detected = detect(window)
            if isinstance(detected, Need) and not complete:
                self._leg.peek(self, detected.at_least)
                return
            self._detecting = False
            if isinstance(detected, Hit):
                self._starttls = detected.value
                self._preamble = PREAMBLES[detected.value](host=OUR_NAME)
        if self._preamble is not None:
            self._converse(self._preamble, window, complete=complete)
        else:
            self._read_hello(window, complete=complete)

    def _converse(self, preamble: Preamble, window: bytes, *, complete: bool) -> None:
        """Take the client one step nearer to its hello. What it said stays in the socket until it is taken."""
        step = preamble.step(window)
        if isinstance(step, Need):
            if complete:
                self._who.dismissed(Ending.SNIFF_FAILED, "the client closed before it asked for TLS")
            else:
                self._leg.peek(self, step.at_least)
        elif isinstance(step, Refuse):
            self._leg.part(len(window), step.send)
            self._who.dismissed(Ending.SNIFF_FAILED, step.why)
        elif isinstance(step, Plain):
            self._who.dismissed(Ending.SNIFF_FAILED, "the client went on without TLS")
        else:
            self._leg.take(step.consume)
            self._leg.say(step.send)
            if isinstance(step, Upgrade):
                self._preamble = None
                self._words = step.introduction
            if len(window) > step.consume:
                self.peeked(window[step.consume :], complete=complete)
            else:
                self._leg.peek(self)

    def _read_hello(self, window: bytes, *, complete: bool) -> None:
        verdict = sniff_client_hello(window)
        if isinstance(verdict, Need):
            if complete:
                self._who.dismissed(Ending.SNIFF_FAILED, "the ClientHello is cut off")
            else:
                self._leg.peek(self, verdict.at_least)
        elif isinstance(verdict, Miss):
            self._refuse(window, Alert.DECODE_ERROR, Ending.SNIFF_FAILED, verdict.why)
        elif isinstance(verdict, Hit):
            hello = verdict.value
            self._opening = Opening(tls=True, sni=hello.sni, alpn=hello.alpn)
            if self._passes is not None and self._passes(self._opening):
                self._who.introduced(Introduction(self._opening, None, self._starttls, self._words))
                return
            self._shake(window, hello.sni, hello.alpn)

    def _shake(self, window: bytes, name: str | None, offered: tuple[str, ...]) -> None:
        selection = self._terminator.select(name)
        if selection.certificate is None:
            self._refuse(window, Alert.UNRECOGNIZED_NAME, Ending.HANDSHAKE_FAILED, selection.why)
            return
        try:
            context = self._terminator.context(self._listener, selection, offered)
        except MaterialError as error:
            self._refuse(window, Alert.INTERNAL_ERROR, Ending.HANDSHAKE_FAILED, str(error))
            return
        connection = SSL.Connection(context, self._leg.socket)
        leave_no_loop(connection)
        connection.set_accept_state()
        self._leg.shake(connection, self)

    def _refuse(self, window: bytes, description: Alert, ending: Ending, why: str) -> None:
        self._leg.part(len(window), alert(description))
        self._who.dismissed(ending, why, opening=self._opening)

    def shaken(self) -> None:
        connection = self._leg.connection
        # The policy was chosen by the name that we read. OpenSSL has to have read the same.
        sent = connection.get_servername()
        if (None if sent is None else normalize_name(sent)) != self._opening.sni:
            self._fail("the name in the handshake is not the one in the hello")
            return
        try:
            facts = handshake_facts(connection)
        except PeerRefused as error:
            self._fail(str(error))
            return
        self._who.introduced(Introduction(self._opening, facts, self._starttls, self._words))

    def unshaken(self, words: str) -> None:
        self._fail(words)

    def _fail(self, why: str) -> None:
        self._who.dismissed(Ending.HANDSHAKE_FAILED, why, opening=self._opening)
