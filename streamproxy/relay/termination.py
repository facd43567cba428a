"""Terminating TLS: from an accepted client to its decrypted stream and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from OpenSSL import SSL

from ..model import ClientAuth, ClientVerification, Ending, Listener, TlsFacts
from ..sniff import Hit, Miss, Need, normalize_name, sniff_client_hello
from ..sniff.opening import Opening
from ..tls import (
    Alert,
    CertificateIndex,
    Contexts,
    MaterialError,
    PeerRefused,
    Selection,
    alert,
    handshake_facts,
    server_policy,
)

if TYPE_CHECKING:
    from .tls_leg import TlsLeg


class Terminator:
    """
    What all listeners that terminate TLS share. ``index`` may be replaced at any time: the next handshake uses the new
    one, and nothing that is open notices. ``client_ca`` (DER) are those who vouch for clients where a certificate names
    nobody of its own. ``now`` is seconds since the epoch.
    """

    def __init__(self, contexts: Contexts, now: Callable[[], float]) -> None:
        self.contexts = contexts
        self.index = CertificateIndex(())
        self.client_ca: tuple[bytes, ...] = ()
        self._now = now

    def select(self, name: str | None) -> Selection:
        """The certificate for a client that asked for ``name``."""
        return self.index.select(name, self._now())

    def context(self, listener: Listener, selection: Selection) -> SSL.Context:
        """
        What to shake hands with. Raises ``MaterialError`` where that cannot be: a client is to prove itself and there
        is nobody who could vouch for it, for one.
        """
        if selection.certificate is None:
            raise MaterialError(selection.why)
        ca = self.client_ca if listener.client_auth is not ClientAuth.NONE else ()
        demanded = ClientVerification(listener.client_auth, ca)
        return self.contexts.server(server_policy(selection.certificate, demanded))


class Opened(Protocol):
    """Who is told what became of a client. One of the two, once."""

    def opened(self, opening: Opening, handshake: TlsFacts) -> None:
        """Its stream is there, decrypted."""
        ...

    def unopened(self, ending: Ending, detail: str) -> None:
        """It is not, and the leg is closed or about to be."""
        ...


class Termination:
    """
    One client's way into TLS: its hello is peeked at, the certificate and all that goes with it are chosen by the name
    in it, and only then is there a handshake. A name nobody has a certificate for gets an alert and nothing else.
    """

    __slots__ = ("_leg", "_listener", "_opening", "_terminator", "_who")

    def __init__(self, terminator: Terminator, listener: Listener, leg: TlsLeg, who: Opened) -> None:
        self._terminator = terminator
        self._listener = listener
        self._leg = leg
        self._who = who
        self._opening = Opening(tls=True)

    def begin(self) -> None:
        """Wait for the hello."""
        self._leg.peek(self)

    # What the leg tells

    def peeked(self, window: bytes, *, complete: bool) -> None:
        verdict = sniff_client_hello(window)
        if isinstance(verdict, Need):
            if complete:
                gone = "the client closed before it said anything"
                ending = Ending.SNIFF_FAILED if window else Ending.CLIENT_GONE
                self._who.unopened(ending, "the ClientHello is cut off" if window else gone)
            else:
                self._leg.peek(self, verdict.at_least)
        elif isinstance(verdict, Miss):
            self._refuse(Alert.DECODE_ERROR, Ending.SNIFF_FAILED, verdict.why)
        elif isinstance(verdict, Hit):
            hello = verdict.value
            self._opening = Opening(tls=True, sni=hello.sni, alpn=hello.alpn)
            self._shake(hello.sni)

    def _shake(self, name: str | None) -> None:
        selection = self._terminator.select(name)
        if selection.certificate is None:
            self._refuse(Alert.UNRECOGNIZED_NAME, Ending.HANDSHAKE_FAILED, selection.why)
            return
        try:
            context = self._terminator.context(self._listener, selection)
        except MaterialError as error:
            self._refuse(Alert.INTERNAL_ERROR, Ending.HANDSHAKE_FAILED, str(error))
            return
        connection = SSL.Connection(context, self._leg.socket)
        connection.set_accept_state()
        self._leg.shake(connection, self)

    def _refuse(self, description: Alert, ending: Ending, why: str) -> None:
        self._leg.say(alert(description))
        self._who.unopened(ending, why)

    def shaken(self) -> None:
        connection = self._leg.connection
        # The policy was chosen by the name that we read. OpenSSL has to have read the same.
        sent = connection.get_servername()
        if (None if sent is None else normalize_name(sent)) != self._opening.sni:
            self._who.unopened(Ending.HANDSHAKE_FAILED, "the name in the handshake is not the one in the hello")
            return
        try:
            facts = handshake_facts(connection)
        except PeerRefused as error:
            self._who.unopened(Ending.HANDSHAKE_FAILED, str(error))
            return
        self._who.opened(self._opening, facts)

    def unshaken(self, words: str) -> None:
        self._who.unopened(Ending.HANDSHAKE_FAILED, words)
