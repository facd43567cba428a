"""The PROXY protocol before everything else: who a connection is from, in the words of the proxy in front of us."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Protocol

from attrs import frozen

from ..interfaces import Leg
from ..model import Address, Ending, Network, ProxyAccept
from ..sniff import Hit, Miss, Need
from ..sniff.proxyheader import V1_SIGNATURE, V2_SIGNATURE, ProxyHeader, sniff_proxy_header
from .early import WINDOW, Early
from .tls_leg import TlsLeg


@frozen
class Claim:
    """
    What a header said: the client and the address it reached (``None``: it named none), and the header's TLVs.
    ``adopted``: its sender is trusted, and so it is what the session goes by.
    """

    source: Address | None
    destination: Address | None
    tlvs: tuple[tuple[int, bytes], ...]
    adopted: bool


class Proxied(Protocol):
    """Who is told. One of the two, once."""

    def proxied(self, claim: Claim | None) -> None:
        """The header is taken off the stream; ``None`` where there was none and none was required."""
        ...

    def dismissed(self, ending: Ending, detail: str, *, told: bool = False) -> None: ...


class HeaderReading:
    """
    Takes the header off a client's stream. On a leg that is to shake hands it is peeked at in the socket, so that no
    byte behind it is taken; on any other it is in front of what was heard early.
    """

    __slots__ = ("_accept", "_early", "_leg", "_sender", "_wanted", "_who")

    def __init__(self, accept: ProxyAccept, sender: str, early: Early, leg: Leg, who: Proxied) -> None:
        self._accept = accept
        self._sender = sender
        self._early = early
        self._leg = leg
        self._who = who
        self._wanted = 1

    def begin(self) -> None:
        """Begin to read."""
        if not self._accept.required and not trusts(self._accept.trusted, self._sender):
            self._who.proxied(None)
        elif isinstance(self._leg, TlsLeg):
            self._leg.peek(self)
        else:
            self._early.changed = self._heard
            self._early.listen()

    def stop(self) -> None:
        """Ask no more."""
        self._early.changed = None

    # What the legs tell

    def peeked(self, window: bytes, *, complete: bool) -> None:
        if self._judge(window, complete):
            return
        if isinstance(self._leg, TlsLeg):
            self._leg.peek(self, self._wanted)

    def shaken(self) -> None:
        """There is no handshake yet."""

    def unshaken(self, why: str) -> None:
        self._who.dismissed(Ending.CLIENT_RESET, why)

    def _heard(self) -> None:
        early = self._early
        if len(early.window) >= self._wanted or early.ended:
            self._judge(early.window, early.ended)

    # Inside

    def _judge(self, window: bytes, complete: bool) -> bool:
        """False: more is needed."""
        if complete and not window:
            self._dismiss(Ending.CLIENT_GONE, "the client closed before it said anything")
            return True
        if not self._accept.required and not _may_begin(window):
            self.stop()
            self._who.proxied(None)
            return True
        verdict = sniff_proxy_header(window)
        if isinstance(verdict, Need) and not complete and verdict.at_least <= WINDOW:
            self._wanted = verdict.at_least
            return False
        if isinstance(verdict, Hit):
            self.stop()
            if isinstance(self._leg, TlsLeg):
                self._leg.take(verdict.consumed)
            else:
                self._early.take(verdict.consumed)
            self._who.proxied(claim_of(verdict.value, trusts(self._accept.trusted, self._sender)))
        else:
            why = verdict.why if isinstance(verdict, Miss) else "it is cut off"
            self._dismiss(Ending.SNIFF_FAILED, f"no PROXY protocol header: {why}")
        return True

    def _dismiss(self, ending: Ending, detail: str) -> None:
        self.stop()
        self._who.dismissed(ending, detail)


def claim_of(header: ProxyHeader, trusted: bool) -> Claim:
    """What a header means for a session. A proxy that speaks for itself names nobody."""
    source = _plain(header.source) if isinstance(header.source, Address) and not header.local else None
    destination = _plain(header.destination) if isinstance(header.destination, Address) and not header.local else None
    tlvs = tuple((tlv.type, tlv.value) for tlv in header.tlvs)
    return Claim(source, destination, tlvs, trusted and source is not None)


def _plain(address: Address) -> Address:
    """An IPv4 address that came through an IPv6 socket is an IPv4 address, whoever's socket that was."""
    if not address.host.startswith("::ffff:"):
        return address
    mapped = ipaddress.IPv6Address(address.host).ipv4_mapped
    return address if mapped is None else Address(str(mapped), address.port)


def read_datagram(accept: ProxyAccept, sender: str, datagram: bytes) -> tuple[Claim | None, bytes] | None:
    """
    What the header of a datagram claims, and the datagram behind it (PROXY protocol version 2; there is no version 1 of
    datagrams). ``None``: it should have one and has none.
    """
    trusted = trusts(accept.trusted, sender)
    if not accept.required and (not trusted or not datagram.startswith(V2_SIGNATURE)):
        return None, datagram
    verdict = sniff_proxy_header(datagram)
    if not isinstance(verdict, Hit) or verdict.value.version != 2:
        return None
    return claim_of(verdict.value, trusted), datagram[verdict.consumed :]


def _may_begin(window: bytes) -> bool:
    """Could this be the beginning of a header?"""
    return any(signature.startswith(window[: len(signature)]) for signature in (V1_SIGNATURE, V2_SIGNATURE))


def trusts(networks: tuple[Network, ...], host: str) -> bool:
    """Is this address in one of the networks?"""
    return _trusts(networks, host) if networks else False


@lru_cache(maxsize=4096)
def _trusts(networks: tuple[Network, ...], host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in networks)
