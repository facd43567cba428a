"""PROXY protocol headers to send in front of a connection to a target, versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from ..model import Address, Transport
from .crc32c import crc32c
from .proxyheader import MAX_V2_PAYLOAD, UNIX_PATH, V2_SIGNATURE, Endpoint, UnixAddress
from .proxytlv import Tlv, TlvType, write_tlvs

_LOCAL, _PROXY = 0x20, 0x21
_INET, _INET6, _UNIX = 0x10, 0x20, 0x30
_TRANSPORTS = {Transport.TCP: 0x1, Transport.UDP: 0x2}


def encode_proxy_v1(source: Endpoint | None, destination: Endpoint | None) -> bytes:
    """
    The line for a TCP connection; ``UNKNOWN`` where version 1 has no words: no addresses, or Unix sockets.

    Of an IPv4 and an IPv6 address the former is written as IPv4-mapped. Raises ``ValueError`` for a host that is no
    IP literal and a port outside 0 to 65,535.
    """
    if not isinstance(source, Address) or not isinstance(destination, Address):
        return b"PROXY UNKNOWN\r\n"
    hosts = _one_family(source.host, destination.host)
    protocol = "TCP4" if isinstance(hosts[0], IPv4Address) else "TCP6"
    ports = [int.from_bytes(_port(address), "big") for address in (source, destination)]
    return f"PROXY {protocol} {hosts[0]} {hosts[1]} {ports[0]} {ports[1]}\r\n".encode()


def encode_proxy_v2(
    source: Endpoint | None,
    destination: Endpoint | None,
    *,
    transport: Transport = Transport.TCP,
    tlvs: Iterable[Tlv] = (),
    checksum: bool = False,
    local: bool = False,
) -> bytes:
    """
    The binary header, with ``tlvs`` in their order and a CRC-32C behind them where ``checksum`` asks for it.

    Without both addresses the family is UNSPEC. ``local`` says that the connection is our own (a health check):
    receivers ignore everything else in it, so nothing else is sent. Raises ``ValueError`` for a host that is no IP
    literal, a port outside 0 to 65,535, a Unix path over 108 bytes, a Unix and an IP address together, a checksum
    among ``tlvs``, and more than :data:`MAX_V2_PAYLOAD` bytes in all.
    """
    if local:
        return V2_SIGNATURE + bytes((_LOCAL, 0, 0, 0))
    tlvs = tuple(tlvs)
    if any(tlv.type == TlvType.CRC32C for tlv in tlvs):
        raise ValueError("a checksum is not given but asked for")
    if checksum:
        tlvs += (Tlv(TlvType.CRC32C, bytes(4)),)
    family, block = _address_block(source, destination)
    payload = block + write_tlvs(tlvs)
    if len(payload) > MAX_V2_PAYLOAD:
        raise ValueError(f"addresses and TLVs of a PROXY header take at most {MAX_V2_PAYLOAD} bytes")
    protocol = family | _TRANSPORTS[transport] if family else 0
    header = V2_SIGNATURE + bytes((_PROXY, protocol)) + len(payload).to_bytes(2, "big") + payload
    return header[:-4] + crc32c(header).to_bytes(4, "big") if checksum else header


def _address_block(source: Endpoint | None, destination: Endpoint | None) -> tuple[int, bytes]:
    """The address family and the addresses, as version 2 wants them."""
    if source is None or destination is None:
        return 0, b""
    if isinstance(source, UnixAddress) and isinstance(destination, UnixAddress):
        return _UNIX, _unix(source) + _unix(destination)
    if isinstance(source, Address) and isinstance(destination, Address):
        hosts = _one_family(source.host, destination.host)
        family = _INET if isinstance(hosts[0], IPv4Address) else _INET6
        return family, hosts[0].packed + hosts[1].packed + _port(source) + _port(destination)
    raise ValueError("a connection has no Unix socket at one end and an IP address at the other")


def _one_family(first: str, second: str) -> tuple[IPv4Address, IPv4Address] | tuple[IPv6Address, IPv6Address]:
    one, other = _literal(first), _literal(second)
    if isinstance(one, IPv4Address) and isinstance(other, IPv4Address):
        return one, other
    return _mapped(one), _mapped(other)


def _literal(host: str) -> IPv4Address | IPv6Address:
    """The zone of a link-local address means nothing to another machine."""
    return ip_address(host.split("%", 1)[0])


def _mapped(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")


def _port(address: Address) -> bytes:
    if not 0 <= address.port <= 0xFFFF:
        raise ValueError(f"{address.port} is no port")
    return address.port.to_bytes(2, "big")


def _unix(address: UnixAddress) -> bytes:
    if len(address.path) > UNIX_PATH:
        raise ValueError(f"the path of a Unix socket takes at most {UNIX_PATH} bytes")
    return address.path.ljust(UNIX_PATH, b"\0")
