"""
TLS of MySQL and MariaDB, where the target has to be dialled before the client says a word.

The server greets with a scramble, from which the client, inside TLS already, computes the proof of its password. So
nobody can greet in a server's place: the greeting has to be that of the very target the client will end up with, and
the name in the ClientHello comes too late to choose it. What is possible, and is what is here:

* a target is reached, and says its greeting (:class:`MysqlAsk`), which is told to the client as it is;
* the client asks for TLS (:class:`MysqlPreamble`) and shakes hands with us;
* the target is asked in the client's words and shakes hands with us, and then everything is passed on as it comes.

A client that is not terminated needs none of it: with a target dialled at once the bytes can just be passed on.

A target that does without TLS cannot be put behind a client that has it, though, and is refused. It counts packets,
of which the request for TLS was one; it would have to be kept from seeing in the client's capabilities that there was
one; and a client under TLS sends passwords in clear (``caching_sha2_password``, the default of MySQL 8), which such a
target does not accept, and which should not go over the wire. MariaDB's clients since 11.4 that trust no authority
check a server's certificate through the password instead; they find that ours is not the target's.
"""

from __future__ import annotations

import struct

from attrs import define, frozen

from ..verdict import Hit, Miss, Need, Verdict, Window
from .machine import MAX_PREAMBLE, Answering, Asking, Done, Plain, Refuse, shown, upgrade

_CLIENT_PROTOCOL_41 = 0x0200
_CLIENT_SSL = 0x0800

_HEADER = struct.Struct("<I")
_GREETING, _ERROR = 0x0A, 0xFF
_SSL_REQUEST_LENGTH = 32
_FLAGS = struct.Struct("<I")

# Thread id, eight bytes of scramble, a zero: what stands between the version and the lower half of the capabilities.
_BEFORE_FLAGS = 13

# Error codes of the server (ER_HANDSHAKE_ERROR, ER_SECURE_TRANSPORT_REQUIRED).
_BAD_HANDSHAKE = 1043
_INSECURE_TRANSPORT = 3159


@frozen
class MysqlGreeting:
    """
    What a target says first: its ``packet`` with the header, and whether it offers ``tls``. ``error`` is what it says
    when it will not serve us; then the packet is an error, for the client to see.
    """

    packet: bytes
    tls: bool
    error: str = ""


def sniff_mysql_greeting(window: Window) -> Verdict[MysqlGreeting]:
    """Read a target's ``Protocol::HandshakeV10`` or its ``ERR_Packet``."""
    data = bytes(window)
    packet = _sniff_packet(data, 0)
    if not isinstance(packet, Hit):
        return packet
    payload, whole = packet.value, data[: packet.consumed]
    if payload[0] == _ERROR:
        return Hit(MysqlGreeting(whole, tls=False, error=f"the target says: {shown(payload[3:])}"), packet.consumed)
    if payload[0] != _GREETING:
        return Miss("the target greets in another version of the protocol")
    flags = payload.find(b"\0") + 1 + _BEFORE_FLAGS
    lower = payload[flags : flags + 2]
    if flags <= _BEFORE_FLAGS or len(lower) < 2:
        return Miss("the target's greeting is too short")
    offered = _CLIENT_SSL | _CLIENT_PROTOCOL_41
    return Hit(MysqlGreeting(whole, tls=int.from_bytes(lower, "little") & offered == offered), packet.consumed)


@define
class MysqlPreamble:
    """
    Passes a target's ``greeting`` on to the client and takes its ``Protocol::SSLRequest``, which is the
    ``introduction`` of the ``Upgrade``. ``optional``: a client that goes on without TLS is passed on, whether or not
    the target offers it.
    """

    greeting: MysqlGreeting
    optional: bool = False

    def opening(self) -> bytes:
        if self._hopeless:
            return _error(0, _BAD_HANDSHAKE, "the target offers no TLS")
        return self.greeting.packet

    def step(self, window: bytes) -> Answering:
        if self.greeting.error:
            return Refuse(self.greeting.error)
        if self._hopeless:
            return Refuse("the target offers no TLS")
        header = _sniff_header(window, 1)
        if isinstance(header, Need):
            return header
        if isinstance(header, Miss) or header.value < _SSL_REQUEST_LENGTH:
            return Refuse("what the client sent is no MySQL", _error(2, _BAD_HANDSHAKE, "Bad handshake"))
        if header.value > _SSL_REQUEST_LENGTH:
            return self._without_tls()
        end = _HEADER.size + header.value
        if len(window) < end:
            return Need(end)
        (flags,) = _FLAGS.unpack_from(window, _HEADER.size)
        if not (flags & _CLIENT_SSL and self.greeting.tls):
            return Refuse("the client sent half a handshake without TLS", _error(2, _BAD_HANDSHAKE, "Bad handshake"))
        return upgrade(window, end, b"", _error(2, _BAD_HANDSHAKE, "Bad handshake"), window[:end])

    @property
    def _hopeless(self) -> bool:
        return not (self.greeting.tls or self.greeting.error or self.optional)

    def _without_tls(self) -> Plain | Refuse:
        if self.optional:
            return Plain()
        refusal = _error(2, _INSECURE_TRANSPORT, "Connections using insecure transport are prohibited")
        return Refuse("the client logged in without TLS", refusal)


class MysqlAsk:
    """
    Waits for the greeting of a target that offers TLS, and leaves it for the client. The target is asked later, by the
    client's own request.
    """

    def opening(self) -> bytes:
        return b""

    def step(self, window: bytes) -> Asking:
        greeting = sniff_mysql_greeting(window)
        if isinstance(greeting, Need):
            return greeting
        if isinstance(greeting, Miss):
            return Refuse(greeting.why)
        if greeting.value.error:
            return Refuse(greeting.value.error)
        if not greeting.value.tls:
            return Refuse("the target offers no TLS")
        if len(window) > greeting.consumed:
            return Refuse("the target sent more behind its greeting")
        return Done(0)


def _sniff_header(window: bytes, sequence: int) -> Verdict[int]:
    """The length of a packet's payload, if the packet has the number it should have."""
    if len(window) < _HEADER.size:
        return Need(_HEADER.size)
    (header,) = _HEADER.unpack_from(window)
    length, number = header & 0xFFFFFF, header >> 24
    if number != sequence or not 0 < length <= MAX_PREAMBLE:
        return Miss("a packet has the wrong number or length")
    return Hit(length, _HEADER.size)


def _sniff_packet(window: bytes, sequence: int) -> Verdict[bytes]:
    """The payload of a packet."""
    header = _sniff_header(window, sequence)
    if not isinstance(header, Hit):
        return header
    end = header.consumed + header.value
    return Hit(window[header.consumed : end], end) if len(window) >= end else Need(end)


def _error(sequence: int, code: int, words: str) -> bytes:
    """An ``ERR_Packet``. One that comes before the client has said what it is capable of has no SQL state."""
    state = b"#HY000" if sequence else b""
    payload = bytes((_ERROR,)) + code.to_bytes(2, "little") + state + words.encode()
    return _HEADER.pack(len(payload) | sequence << 24) + payload
