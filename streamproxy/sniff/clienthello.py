"""The name and protocols a TLS client asks for, read from its ClientHello without taking part in the handshake."""

from __future__ import annotations

import struct

from attrs import frozen

from .names import normalize_name
from .verdict import Hit, Miss, Need, Verdict, Window

MAX_HELLO = 65536
"""
Bytes of handshake message, its four-byte header included. Post-quantum key shares need about 1,800 and the largest
extension block the format allows needs 64 KiB; whoever announces more is not a browser.
"""

MAX_RECORDS = 2048
"""
Records one ClientHello may be spread over. Some clients cut it into very small ones to get past meddling boxes, so a
hello of everyday size may even come a byte a record; the bound keeps a flood of those from costing more than
``MAX_HELLO`` does.
"""

MAX_FRAGMENT = 16384
"""Payload bytes of one plaintext record (RFC 8446 section 5.1)."""

_RECORD = struct.Struct(">BBxH")
_EXTENSION = struct.Struct(">HH")
_RECORD_HEADER = _RECORD.size
_MESSAGE_HEADER = 4
_HANDSHAKE = 22
_CLIENT_HELLO = 1

_SERVER_NAME = 0
_ALPN = 16
_SUPPORTED_VERSIONS = 43
_HOST_NAME = 0


@frozen
class ClientHello:
    """
    ``sni`` is the host name asked for, normalised, ``None`` without the extension. ``alpn`` are the protocols offered
    in the client's order (bytes outside ASCII as Latin-1). ``versions`` are the protocol versions offered in the
    client's order (0x0304 is TLS 1.3), without GREASE (RFC 8701); a client that has no list offers its one
    legacy version, which stands for all before it.
    """

    sni: str | None
    alpn: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()


class _HelloError(Exception):
    """The message is complete and broken; the text says how."""


def sniff_client_hello(window: Window) -> Verdict[ClientHello]:
    """
    Read a ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2) from records of any size.

    One byte is enough to tell another protocol. ``consumed`` ends with the record that completes the message. What
    makes a ``Need`` large is known: the record's length, then the message's; so whoever honours it asks few times.
    """
    data = bytes(window)
    if data and data[0] != _HANDSHAKE:
        return Miss(_other_protocol(data))
    verdict = _reassemble(data)
    if not isinstance(verdict, Hit):
        return verdict
    try:
        return Hit(_read_hello(verdict.value), verdict.consumed)
    except _HelloError as error:
        return Miss(str(error))


def _other_protocol(data: bytes) -> str:
    if len(data) >= 5 and data[0] & 0x80 and data[2] == _CLIENT_HELLO and (data[3] == 3 or data[3:5] == b"\0\2"):
        return "an SSLv2-format ClientHello, which cannot name a host"
    return f"the first byte, 0x{data[0]:02x}, starts no TLS handshake"


def _reassemble(data: bytes) -> Verdict[bytes]:
    """The body of the first handshake message, out of its records."""
    if not data:
        return Need(1)
    fragments: list[bytes] = []
    opening = b""
    announced = gathered = missing = position = 0
    while len(fragments) < MAX_RECORDS:
        start = position + _RECORD_HEADER
        if start > len(data):
            trouble = _judge_record(data[position:])
            return Miss(trouble) if trouble else Need(max(start, position + _size_in_records(missing)))
        kind, major, length = _RECORD.unpack_from(data, position)
        if kind != _HANDSHAKE or major != 3 or not 0 < length <= MAX_FRAGMENT:
            return Miss(_judge_record(data[position:start]))
        end = start + length
        gathered += length
        if not announced:
            opening += data[start : min(end, start + _MESSAGE_HEADER - len(opening))]
            trouble = _judge_opening(opening)
            if trouble:
                return Miss(trouble)
            announced = _announced(opening)
        missing = announced - gathered if announced else 0
        if missing < 0:
            return Miss("more follows the ClientHello in its record")
        if end > len(data):
            return Need(end + _size_in_records(missing))
        fragments.append(data[start:end])
        if announced and not missing:
            return Hit(b"".join(fragments)[_MESSAGE_HEADER:], end)
        position = end
    return Miss(f"the ClientHello comes in more than {MAX_RECORDS} records")


def _judge_record(header: bytes) -> str:
    """What is wrong with as much of a record's header as there is."""
    if header and header[0] != _HANDSHAKE:
        return f"a record of type {header[0]} interrupts the ClientHello"
    if len(header) > 1 and header[1] != 3:
        return "the record names no TLS version"
    if len(header) < _RECORD_HEADER:
        return ""
    return "a record is longer than TLS allows" if any(header[3:]) else "a record of the handshake is empty"


def _judge_opening(opening: bytes) -> str:
    """What is wrong with as much of the message's header as there is."""
    if opening and opening[0] != _CLIENT_HELLO:
        return f"the handshake starts with message type {opening[0]}, not with a ClientHello"
    return f"the ClientHello is longer than {MAX_HELLO} bytes" if _announced(opening) > MAX_HELLO else ""


def _announced(opening: bytes) -> int:
    """Bytes of the whole message, as its header says; 0 while that is not complete."""
    return _MESSAGE_HEADER + int.from_bytes(opening[1:], "big") if len(opening) == _MESSAGE_HEADER else 0


def _size_in_records(count: int) -> int:
    """What ``count`` bytes of message take in the fewest records."""
    return count + _RECORD_HEADER * -(-count // MAX_FRAGMENT)


def _read_hello(body: bytes) -> ClientHello:
    if len(body) < 34:
        raise _HelloError("the ClientHello is too short")
    if body[0] != 3:
        raise _HelloError("the ClientHello names no TLS version")
    session, position = _vector(body, 34, 1, "session id")
    if len(session) > 32:
        raise _HelloError("the session id is longer than 32 bytes")
    suites, position = _vector(body, position, 2, "list of cipher suites")
    if not suites or len(suites) % 2:
        raise _HelloError("the list of cipher suites is empty or ends in the middle of one")
    compressions, position = _vector(body, position, 1, "list of compression methods")
    if not compressions:
        raise _HelloError("the list of compression methods is empty")
    extensions = _read_extensions(body, position) if position < len(body) else {}
    sni = _read_server_name(extensions[_SERVER_NAME]) if _SERVER_NAME in extensions else None
    alpn = _read_alpn(extensions[_ALPN]) if _ALPN in extensions else ()
    if _SUPPORTED_VERSIONS in extensions:
        versions = _read_versions(extensions[_SUPPORTED_VERSIONS])
    else:
        versions = (int.from_bytes(body[:2], "big"),)
    return ClientHello(sni, alpn, versions)


def _vector(data: bytes, position: int, width: int, what: str) -> tuple[bytes, int]:
    """The vector whose length is in ``width`` bytes at ``position`` (RFC 8446 section 3.4), and where it ends."""
    start = position + width
    end = start + int.from_bytes(data[position:start], "big")
    if start > len(data) or end > len(data):
        raise _HelloError(f"the {what} overruns what holds it")
    return data[start:end], end


def _whole_vector(data: bytes, width: int, what: str) -> bytes:
    """The vector that ``data`` is, and nothing behind it."""
    value, end = _vector(data, 0, width, what)
    if end != len(data):
        raise _HelloError(f"bytes are left over behind the {what}")
    if not value:
        raise _HelloError(f"the {what} is empty")
    return value


def _read_extensions(body: bytes, position: int) -> dict[int, bytes]:
    block, end = _vector(body, position, 2, "block of extensions")
    if end != len(body):
        raise _HelloError("bytes are left over behind the extensions")
    extensions: dict[int, bytes] = {}
    position = 0
    while position < len(block):
        start = position + _EXTENSION.size
        if start > len(block):
            raise _HelloError("an extension ends in the middle of its header")
        kind, length = _EXTENSION.unpack_from(block, position)
        position = start + length
        if position > len(block):
            raise _HelloError("an extension overruns what holds it")
        if kind in extensions:
            what = "server_name extensions" if kind == _SERVER_NAME else f"extensions of type {kind}"
            raise _HelloError(f"two {what}")
        extensions[kind] = block[start:position]
    return extensions


def _read_server_name(value: bytes) -> str | None:
    """RFC 6066 section 3. Names of types yet to be invented have a length in front as well, so they can be skipped."""
    names = _whole_vector(value, 2, "server_name list")
    host: bytes | None = None
    position = 0
    while position < len(names):
        kind = names[position]
        name, position = _vector(names, position + 1, 2, "server name")
        if kind == _HOST_NAME:
            if host is not None:
                raise _HelloError("two host names in the server_name list")
            host = name
    if host is None:
        return None
    normalized = normalize_name(host)
    if normalized is None:
        raise _HelloError("the name in the ClientHello is no host name")
    return normalized


def _read_alpn(value: bytes) -> tuple[str, ...]:
    """RFC 7301 section 3.1."""
    names = _whole_vector(value, 2, "list of ALPN protocols")
    protocols: list[str] = []
    position = 0
    while position < len(names):
        name, position = _vector(names, position, 1, "ALPN protocol")
        if not name:
            raise _HelloError("an ALPN protocol is empty")
        protocols.append(name.decode("latin-1"))
    return tuple(protocols)


def _read_versions(value: bytes) -> tuple[int, ...]:
    """RFC 8446 section 4.2.1."""
    offered = _whole_vector(value, 1, "list of supported versions")
    if len(offered) % 2:
        raise _HelloError("the list of supported versions ends in the middle of one")
    versions: tuple[int, ...] = struct.unpack(f">{len(offered) // 2}H", offered)
    return tuple(version for version in versions if not _is_grease(version))


def _is_grease(value: int) -> bool:
    """One of 0x0a0a, 0x1a1a, ... 0xfafa, sent to keep servers tolerant (RFC 8701)."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF
