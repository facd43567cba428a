"""
What a client said first, from a capture: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng).

Of Ethernet, Linux' cooked captures and bare IP; the first TCP connection whose client says something, its segments put
in order, or the first UDP datagram where there is no such connection.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from typing import Final

from attrs import define, field, frozen

from ..model import Address, Transport

MOST_BYTES: Final = 80 * 1024
"""Of what the client says. More of it is never looked at."""

_PCAP: Final = {0xA1B2C3D4, 0xA1B23C4D}
_PCAPNG: Final = 0x0A0D0D0A
_BYTE_ORDER: Final = 0x1A2B3C4D
_INTERFACE, _SIMPLE, _ENHANCED = 1, 3, 6
_LARGEST_PACKET: Final = 1 << 18

_NULL, _ETHERNET, _RAW, _LOOP, _SLL, _IPV4, _IPV6, _SLL2 = 0, 1, 101, 108, 113, 228, 229, 276
_ETHER_IPV4, _ETHER_IPV6 = 0x0800, 0x86DD
_VLANS: Final = (0x8100, 0x88A8)
_TCP, _UDP = 6, 17
# Extension headers of IPv6 that may stand before what is of interest (RFC 8200, 4).
_EXTENSIONS: Final = (0, 43, 60)
_SYN, _ACK = 0x02, 0x10


class CaptureError(ValueError):
    """It is no capture, or there is nothing in it to be had; the text says which."""


@frozen
class Captured:
    """Who said what to whom, first."""

    transport: Transport
    peer: Address
    local: Address
    data: bytes = field(repr=lambda data: f"<{len(data)} bytes>")


@frozen
class _Packet:
    transport: Transport
    source: Address
    destination: Address
    data: bytes
    sequence: int = 0
    flags: int = 0


@define
class _Stream:
    """One direction of a connection; ``begin`` is the sequence number of its first byte."""

    source: Address
    destination: Address
    begin: int
    segments: dict[int, bytes] = field(factory=dict)

    def add(self, packet: _Packet) -> None:
        offset = (packet.sequence - self.begin) & 0xFFFFFFFF
        if packet.data and offset <= MOST_BYTES and len(packet.data) > len(self.segments.get(offset, b"")):
            self.segments[offset] = packet.data

    @property
    def data(self) -> bytes:
        """As much of it as there is without a gap."""
        whole = bytearray()
        for offset in sorted(self.segments):
            if offset > len(whole):
                break
            whole += self.segments[offset][len(whole) - offset :]
        return bytes(whole[:MOST_BYTES])


def first_words(capture: bytes) -> Captured:
    """Raises :class:`CaptureError`."""
    streams: dict[tuple[Address, Address], _Stream] = {}
    clients: dict[tuple[Address, Address], bool] = {}
    datagram: Captured | None = None
    for packet in _packets(capture):
        ends = packet.source, packet.destination
        if packet.transport is Transport.UDP:
            datagram = datagram or Captured(Transport.UDP, packet.source, packet.destination, packet.data)
            continue
        if packet.flags & _SYN:
            streams[ends] = _Stream(*ends, (packet.sequence + 1) & 0xFFFFFFFF)
            clients[ends] = not packet.flags & _ACK
        stream = streams.get(ends)
        if stream is None:
            # The capture began later than the connection: who speaks first is taken for the client.
            is_answer = (packet.destination, packet.source) in streams
            stream = streams[ends] = _Stream(*ends, packet.sequence)
            clients[ends] = not is_answer
        stream.add(packet)
    for ends, stream in streams.items():
        if clients[ends] and (data := stream.data):
            return Captured(Transport.TCP, *ends, data)
    if datagram is not None:
        return datagram
    raise CaptureError("nobody says anything in it, over TCP or UDP")


# Files


def _packets(capture: bytes) -> Iterator[_Packet]:
    if len(capture) < 24:
        raise CaptureError("it is too short for a capture")
    for order in ("<", ">"):
        magic = struct.unpack_from(f"{order}I", capture)[0]
        if magic in _PCAP:
            frames = _pcap_frames(capture, order)
            break
        if magic == _PCAPNG:
            frames = _pcapng_frames(capture)
            break
    else:
        raise CaptureError("it is neither pcap nor pcapng")
    for link, frame in frames:
        packet = _of_link(link, frame)
        if packet is not None:
            yield packet


def _pcap_frames(capture: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    link = struct.unpack_from(f"{order}I", capture, 20)[0] & 0x0FFFFFFF
    at = 24
    while at + 16 <= len(capture):
        size = struct.unpack_from(f"{order}I", capture, at + 8)[0]
        if size > _LARGEST_PACKET:
            raise CaptureError("a packet in it is too large")
        yield link, capture[at + 16 : at + 16 + size]
        at += 16 + size


def _pcapng_frames(capture: bytes) -> Iterator[tuple[int, bytes]]:
    links: list[int] = []
    order, at = "<", 0
    while at + 12 <= len(capture):
        kind = struct.unpack_from("<I", capture, at)[0]
        if kind == _PCAPNG:
            order = "<" if struct.unpack_from("<I", capture, at + 8)[0] == _BYTE_ORDER else ">"
            links = []
        else:
            kind = struct.unpack_from(f"{order}I", capture, at)[0]
        size = struct.unpack_from(f"{order}I", capture, at + 4)[0]
        if size < 12 or size > _LARGEST_PACKET:
            raise CaptureError("a block in it has a wrong length")
        body = capture[at + 8 : at + size - 4]
        if kind == _INTERFACE and len(body) >= 2:
            links.append(struct.unpack_from(f"{order}H", body)[0])
        elif kind == _ENHANCED and len(body) >= 20:
            interface, length = struct.unpack_from(f"{order}I", body)[0], struct.unpack_from(f"{order}I", body, 12)[0]
            if interface < len(links):
                yield links[interface], body[20 : 20 + length]
        elif kind == _SIMPLE and len(body) >= 4 and links:
            yield links[0], body[4:]
        at += size


# Packets


def _of_link(link: int, frame: bytes) -> _Packet | None:
    if link == _ETHERNET:
        at = 12
        while frame[at : at + 2] and int.from_bytes(frame[at : at + 2], "big") in _VLANS:
            at += 4
        return _of_ether(int.from_bytes(frame[at : at + 2], "big"), frame[at + 2 :])
    if link == _SLL:
        return _of_ether(int.from_bytes(frame[14:16], "big"), frame[16:])
    if link == _SLL2:
        return _of_ether(int.from_bytes(frame[0:2], "big"), frame[20:])
    if link in (_NULL, _LOOP):
        return _of_ip(frame[4:])
    return _of_ip(frame) if link in (_RAW, _IPV4, _IPV6) else None


def _of_ether(kind: int, packet: bytes) -> _Packet | None:
    return _of_ip(packet) if kind in (_ETHER_IPV4, _ETHER_IPV6) else None


def _of_ip(packet: bytes) -> _Packet | None:
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        length = int.from_bytes(packet[2:4], "big")
        header = (packet[0] & 0x0F) * 4
        if int.from_bytes(packet[6:8], "big") & 0x1FFF:
            return None
        source, destination = (str(ipaddress.IPv4Address(packet[at : at + 4])) for at in (12, 16))
        # A card that cuts what is sent into segments itself leaves the length out.
        return _of_transport(packet[9], source, destination, packet[header : length or None])
    if version == 6 and len(packet) >= 40:
        length = int.from_bytes(packet[4:6], "big")
        source, destination = (str(ipaddress.IPv6Address(packet[at : at + 16])) for at in (8, 24))
        kind, rest = packet[6], packet[40 : 40 + length] if length else packet[40:]
        while kind in _EXTENSIONS and len(rest) >= 8:
            kind, rest = rest[0], rest[8 + 8 * rest[1] :]
        return _of_transport(kind, source, destination, rest)
    return None


def _of_transport(kind: int, source: str, destination: str, rest: bytes) -> _Packet | None:
    if kind == _TCP and len(rest) >= 20:
        ports = struct.unpack_from(">HHI", rest)
        header = (rest[12] >> 4) * 4
        ends = Address(source, ports[0]), Address(destination, ports[1])
        return _Packet(Transport.TCP, *ends, rest[header:], ports[2], rest[13])
    if kind == _UDP and len(rest) >= 8:
        ports = struct.unpack_from(">HHH", rest)
        ends = Address(source, ports[0]), Address(destination, ports[1])
        return _Packet(Transport.UDP, *ends, rest[8 : max(8, ports[2])])
    return None
