"""Who a connection is really from: the PROXY protocol header a trusted proxy puts in front, versions 1 and 2."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from attrs import frozen

from ..model import Address, Transport
from .crc32c import crc32c
from .proxytlv import MAX_UNIQUE_ID, ProxySsl, Tlv, TlvError, TlvType, read_ssl, read_tlvs, text_of, value_of
from .verdict import Hit, Miss, Need, Verdict, Window

MAX_V1_LINE = 107
"""Bytes of a version 1 header, its CRLF included, by the specification."""

MAX_V2_PAYLOAD = 16384
"""
Bytes of a version 2 header behind its first 16. The format allows 65,535; the largest real ones carry a client's
certificate (some KiB), and HAProxy itself takes no more than its buffer, which is this by default.
"""

V1_SIGNATURE = b"PROXY "
V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2_HEADER = 16
UNIX_PATH = 108
"""Bytes of each address of the family AF_UNIX in version 2."""

_SHORTEST_V1 = len(b"PROXY UNKNOWN\r\n")
_LINE_END = re.compile(rb"[\r\n]")
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_LOCAL, _PROXY = 0, 1
_UNSPEC, _INET, _INET6, _UNIX = 0, 1, 2, 3
_BLOCK_SIZES = {_UNSPEC: 0, _INET: 2 * 4 + 4, _INET6: 2 * 16 + 4, _UNIX: 2 * UNIX_PATH}
_TRANSPORTS = (None, Transport.TCP, Transport.UDP)
_TLV_HEADER = 3


@frozen
class UnixAddress:
    """A Unix socket: ``path`` is empty for one without a name and starts with a NUL for an abstract one."""

    path: bytes


Endpoint: TypeAlias = Address | UnixAddress


@frozen
class ProxyHeader:
    """
    ``local``: the proxy speaks for itself (a health check). ``source`` is the client, ``destination`` the address it
    reached; both are ``None``, as ``transport`` is, when the header names none and the connection's own addresses
    stand. ``transport`` says whether the client came by stream (TCP) or datagrams (UDP). ``tlvs`` are those of version
    2 as they came; their structure is checked, their text is not.
    """

    version: int
    local: bool = False
    transport: Transport | None = None
    source: Endpoint | None = None
    destination: Endpoint | None = None
    tlvs: tuple[Tlv, ...] = ()

    def value(self, kind: int) -> bytes | None:
        """The value of the first TLV of this type (:class:`TlvType`, or one of your own)."""
        return value_of(self.tlvs, kind)

    @property
    def alpn(self) -> bytes | None:
        return self.value(TlvType.ALPN)

    @property
    def authority(self) -> str | None:
        """The name the client asked for, not normalised."""
        return text_of(self.tlvs, TlvType.AUTHORITY)

    @property
    def unique_id(self) -> bytes | None:
        return self.value(TlvType.UNIQUE_ID)

    @property
    def netns(self) -> str | None:
        """The network namespace the client's connection was accepted in."""
        return text_of(self.tlvs, TlvType.NETNS)

    @property
    def ssl(self) -> ProxySsl | None:
        """Raises :class:`TlvError` for a malformed one, which no sniffed header holds."""
        value = self.value(TlvType.SSL)
        return None if value is None else read_ssl(value)


def sniff_proxy_header(window: Window) -> Verdict[ProxyHeader]:
    """
    Read a header of version 1 or 2 (HAProxy's ``proxy-protocol.txt``, sections 2.1 and 2.2). ``consumed`` is exactly
    the header. Whom to believe is not decided here: only ask about connections from proxies you trust.
    """
    data = bytes(window[: V2_HEADER + MAX_V2_PAYLOAD])
    for signature, read in ((V1_SIGNATURE, _read_v1), (V2_SIGNATURE, _read_v2)):
        if data.startswith(signature):
            return read(data)
        if signature.startswith(data):
            return Need(len(data) + 1)
    return Miss("no PROXY protocol header")


def _read_v1(data: bytes) -> Verdict[ProxyHeader]:
    line = data[:MAX_V1_LINE]
    stop = _LINE_END.search(line)
    end = stop.start() if stop else len(line)
    ending = line[end : end + 2]
    if ending == b"\r\n":
        header = _read_v1_line(line[:end].decode("latin-1"))
        return header if isinstance(header, Miss) else Hit(header, end + 2)
    if ending not in (b"", b"\r"):
        return Miss("the PROXY line does not end with CRLF")
    if len(line) == MAX_V1_LINE:
        return Miss(f"the PROXY line is longer than {MAX_V1_LINE} bytes")
    return Need(min(max(_SHORTEST_V1, end + 2), MAX_V1_LINE))


def _read_v1_line(line: str) -> Miss | ProxyHeader:
    words = line.split(" ")
    protocol = words[1]
    if protocol == "UNKNOWN":
        return ProxyHeader(1)
    if protocol not in ("TCP4", "TCP6"):
        return Miss("the PROXY line names none of TCP4, TCP6 and UNKNOWN")
    if len(words) != 6:
        return Miss("the PROXY line does not hold two addresses and two ports, one space apart")
    try:
        hosts = [_read_v1_host(word, protocol) for word in words[2:4]]
    except ValueError:
        return Miss(f"the PROXY line holds an address that is none of {protocol}")
    ports = [int(word) for word in words[4:] if _PORT.fullmatch(word) and int(word) <= 0xFFFF]
    if len(ports) != 2:
        return Miss("the PROXY line holds a port that is none")
    source, destination = map(Address, hosts, ports)
    return ProxyHeader(1, transport=Transport.TCP, source=source, destination=destination)


def _read_v1_host(word: str, protocol: str) -> str:
    if protocol == "TCP4":
        return str(IPv4Address(word))
    address = IPv6Address(word)
    if address.scope_id is not None:
        raise ValueError("a zone means nothing to another machine")
    return str(address)


def _read_v2(data: bytes) -> Verdict[ProxyHeader]:
    trouble = _judge_v2(data)
    if trouble:
        return Miss(trouble)
    end = V2_HEADER + int.from_bytes(data[14:V2_HEADER], "big")
    if len(data) < V2_HEADER or len(data) < end:
        return Need(max(V2_HEADER, end))
    if data[12] & 0xF == _LOCAL:
        return Hit(ProxyHeader(2, local=True), end)
    family, transport = data[13] >> 4, _TRANSPORTS[data[13] & 0xF]
    block_end = V2_HEADER + _BLOCK_SIZES[family]
    source, destination = _read_v2_endpoints(data[V2_HEADER:block_end], family) if transport else (None, None)
    try:
        tlvs = read_tlvs(data[block_end:end])
        _judge_tlvs(tlvs, data[:end], block_end)
    except TlvError as error:
        return Miss(str(error))
    return Hit(ProxyHeader(2, False, transport if source else None, source, destination, tlvs), end)


def _judge_v2(data: bytes) -> str:
    """What is wrong with as much of the first 16 bytes as there is. With LOCAL, no more than the length counts."""
    if len(data) <= 12:
        return ""
    version, command = divmod(data[12], 16)
    if version != 2:
        return f"the binary PROXY header has version {version}, not 2"
    if command not in (_LOCAL, _PROXY):
        return f"the PROXY header has the unknown command {command}"
    if len(data) <= 13:
        return ""
    family, transport = divmod(data[13], 16)
    if command == _PROXY and family not in _BLOCK_SIZES:
        return f"the PROXY header has the unknown address family {family}"
    if command == _PROXY and transport >= len(_TRANSPORTS):
        return f"the PROXY header has the unknown transport {transport}"
    if len(data) < V2_HEADER:
        return ""
    length = int.from_bytes(data[14:V2_HEADER], "big")
    if length > MAX_V2_PAYLOAD:
        return f"the PROXY header is longer than {V2_HEADER + MAX_V2_PAYLOAD} bytes"
    if command == _PROXY and length < _BLOCK_SIZES[family]:
        return "the PROXY header is too short for its addresses"
    return ""


def _read_v2_endpoints(block: bytes, family: int) -> tuple[Endpoint | None, Endpoint | None]:
    if family == _UNSPEC:
        return None, None
    if family == _UNIX:
        return _read_unix(block[:UNIX_PATH]), _read_unix(block[UNIX_PATH:])
    kind, size = (IPv4Address, 4) if family == _INET else (IPv6Address, 16)
    source, destination = str(kind(block[:size])), str(kind(block[size : 2 * size]))
    ports = block[2 * size :]
    return Address(source, int.from_bytes(ports[:2], "big")), Address(destination, int.from_bytes(ports[2:], "big"))


def _read_unix(block: bytes) -> UnixAddress:
    """A path is a C string; an abstract name goes to the end, but senders pad it with NULs."""
    return UnixAddress(block.rstrip(b"\0") if block.startswith(b"\0") else block.split(b"\0", 1)[0])


def _judge_tlvs(tlvs: tuple[Tlv, ...], header: bytes, position: int) -> None:
    """Raises :class:`TlvError` where a TLV of ``header``, the first of them at ``position``, cannot be right."""
    checksums = 0
    for tlv in tlvs:
        start = position + _TLV_HEADER
        position = start + len(tlv.value)
        if tlv.type == TlvType.CRC32C:
            checksums += 1
            blanked = header[:start] + bytes(len(tlv.value)) + header[position:]
            if checksums > 1:
                raise TlvError("the PROXY header holds two checksums")
            if len(tlv.value) != 4:
                raise TlvError("the checksum of the PROXY header is not four bytes long")
            if int.from_bytes(tlv.value, "big") != crc32c(blanked):
                raise TlvError("the checksum of the PROXY header is wrong")
        elif tlv.type == TlvType.UNIQUE_ID and len(tlv.value) > MAX_UNIQUE_ID:
            raise TlvError(f"the unique id is longer than {MAX_UNIQUE_ID} bytes")
        elif tlv.type == TlvType.SSL:
            read_ssl(tlv.value)
