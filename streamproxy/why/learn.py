"""What a listener would learn of a made-up connection before it decides."""

from __future__ import annotations

from attrs import frozen

from ..model import Address, Ending, FactKind, Facts, Limits, Listener, Order, Routing, TlsFacts, TlsMode, Transport
from ..rules.networks import is_conditional
from ..sniff import Hit, Miss, Need, sniff_client_hello
from ..sniff.opening import Opening, read_opening
from ..sniff.starttls import detect
from .connection import Connection

_NOBODY_AGREED = TlsFacts("", "")


@frozen
class Learnt:
    """``facts``, and how they were come by; or ``ending`` with its ``detail``: it does not get to a decision."""

    facts: Facts
    notes: tuple[str, ...]
    ending: Ending | None = None
    detail: str = ""


def asks_for_names(routing: Routing) -> bool:
    """Do its routes look at the name a client asks for? (What ``Table.needs`` says, without compiling anything.)"""
    for route in routing.routes:
        if route.match.names:
            return True
        if routing.order is Order.FIRST and not is_conditional(route.match):
            return False
    return False


def learn(connection: Connection, listener: Listener, routing: Routing, limits: Limits) -> Learnt:
    """As the listener would."""
    host = listener.address.interface
    local = connection.local
    if local is None:
        local = Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), listener.address.port)
    else:
        local = Address(local.host, local.port or listener.address.port)
    bare = Facts(listener.address, connection.peer, local)
    notes = []
    if listener.proxy_in is not None:
        notes.append("it expects a PROXY protocol header: `peer` is taken for the client that it names")
    if connection.transport is Transport.UDP:
        if connection.sni or connection.http_host:
            notes.append("datagrams name no target: the name that was given is not looked at")
        return Learnt(bare, tuple(notes))
    if listener.starttls:
        notes.append(f"clients of {listener.starttls} are greeted first; they are taken to have asked for TLS by now")
    if listener.tls is TlsMode.TERMINATE:
        return _terminated(connection, listener, routing, bare, notes)
    kinds = listener.sniff if asks_for_names(routing) else frozenset[FactKind]()
    if not kinds:
        if connection.sni or connection.http_host or connection.window:
            notes.append("no rule here looks at names, so nothing is read of what the client says")
        return Learnt(bare, tuple(notes))
    return _sniffed(connection, kinds, limits, bare, notes)


def _terminated(connection: Connection, listener: Listener, routing: Routing, bare: Facts, notes: list[str]) -> Learnt:
    opening = Opening(tls=True, sni=connection.sni, alpn=connection.alpn)
    if connection.window:
        verdict = sniff_client_hello(connection.window)
        if not isinstance(verdict, Hit):
            why = verdict.why if isinstance(verdict, Miss) else "the ClientHello is cut off"
            return Learnt(bare, tuple(notes), Ending.SNIFF_FAILED, why)
        notes.append("the name is from the ClientHello that was given")
        opening = Opening(tls=True, sni=verdict.value.sni, alpn=verdict.value.alpn)
    host = None
    if opening.sni is None and connection.http_host is not None:
        if FactKind.HTTP_HOST in listener.sniff and asks_for_names(routing):
            notes.append("it sends no name in its handshake, so that of its first HTTP request counts")
            host = connection.http_host
        else:
            notes.append("the HTTP host is not looked at")
    agreed = connection.handshake or _NOBODY_AGREED
    facts = Facts(bare.listener, bare.peer, bare.local, True, opening.sni, opening.alpn, host, agreed)
    return Learnt(facts, tuple(notes))


def _sniffed(
    connection: Connection, kinds: frozenset[FactKind], limits: Limits, bare: Facts, notes: list[str]
) -> Learnt:
    if connection.window:
        preamble = detect(connection.window)
        if isinstance(preamble, Hit) and FactKind.SNI in kinds:
            notes.append(f"it asks for TLS as {preamble.value} does, and would be answered: give its ClientHello")
            return Learnt(bare, tuple(notes), Ending.SNIFF_TIMEOUT, "nothing is given of what it says after that")
        verdict = read_opening(connection.window, kinds)
        if isinstance(verdict, Need):
            detail = f"{len(connection.window)} bytes in {limits.sniff_timeout:g} s"
            return Learnt(bare, tuple(notes), Ending.SNIFF_TIMEOUT, detail)
        if isinstance(verdict, Miss):
            return Learnt(bare, tuple(notes), Ending.SNIFF_FAILED, verdict.why)
        opening = verdict.value
        notes.append("what it asks for is from the bytes that were given")
    else:
        sni = connection.sni if FactKind.SNI in kinds else None
        tls = connection.tls and FactKind.SNI in kinds
        host = connection.http_host if FactKind.HTTP_HOST in kinds and not tls else None
        opening = Opening(tls, sni, connection.alpn if tls else (), host)
        if connection.http_host is not None and host is None:
            notes.append("the HTTP host is not looked at")
        if connection.sni is not None and sni is None:
            notes.append("the name in the TLS handshake is not looked at")
    facts = Facts(bare.listener, bare.peer, bare.local, opening.tls, opening.sni, opening.alpn, opening.http_host)
    return Learnt(facts, tuple(notes))
