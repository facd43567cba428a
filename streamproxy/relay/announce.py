"""The PROXY protocol header that a target is sent, before anything else."""

from __future__ import annotations

from ..model import Facts, TlsFacts, Transport
from ..sniff.proxytlv import ProxySsl, SslClient, SslTlvType, Tlv, TlvType, write_ssl
from ..sniff.proxywrite import encode_proxy_v1, encode_proxy_v2


def proxy_header(version: int, facts: Facts, session_id: str) -> bytes:
    """
    Version 1 or 2 of who the session is from, as ``facts`` has it; version 2 with the name the client asked for, the
    protocol agreed on, the client's certificate and the session's id as TLVs. Datagrams have no version 1.
    """
    if version == 1 and facts.listener.transport is Transport.TCP:
        return encode_proxy_v1(facts.peer, facts.local)
    return encode_proxy_v2(facts.peer, facts.local, transport=facts.listener.transport, tlvs=_tlvs(facts, session_id))


def _tlvs(facts: Facts, session_id: str) -> list[Tlv]:
    tlvs = [Tlv(TlvType.UNIQUE_ID, session_id.encode())] if session_id else []
    if facts.listener.transport is Transport.UDP:
        return tlvs
    handshake = facts.handshake
    if handshake is not None and handshake.alpn:
        tlvs.append(Tlv(TlvType.ALPN, handshake.alpn.encode("latin-1")))
    if facts.sni is not None:
        tlvs.append(Tlv(TlvType.AUTHORITY, facts.sni.encode()))
    if handshake is not None:
        tlvs.append(_ssl(handshake))
    return tlvs


def _ssl(handshake: TlsFacts) -> Tlv:
    parts = [
        Tlv(SslTlvType.VERSION, handshake.version.encode()),
        Tlv(SslTlvType.CIPHER, handshake.cipher.encode()),
    ]
    client = SslClient.TLS
    if handshake.client is not None:
        client |= SslClient.CERTIFICATE_ON_CONNECTION | SslClient.CERTIFICATE_IN_SESSION
        if name := common_name(handshake.client.subject):
            parts.append(Tlv(SslTlvType.COMMON_NAME, name.encode()))
    verify = 0 if handshake.client is not None else 1
    return write_ssl(ProxySsl(int(client), verify, tuple(parts)))


def common_name(subject: str) -> str:
    """Of a subject as RFC 4514 writes it: the most specific one."""
    for part in _parts(subject):
        kind, _, value = part.partition("=")
        if kind.strip().upper() == "CN":
            return value
    return ""


def _parts(subject: str) -> list[str]:
    parts, current, escaped = [], "", False
    for character in subject:
        if escaped:
            current += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in ",+":
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]
