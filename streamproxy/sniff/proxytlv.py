"""What a PROXY protocol v2 header says besides addresses: type, length, value (section 2.2 of the specification)."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from attrs import frozen

MAX_UNIQUE_ID = 128
"""Bytes of a unique id, by the specification."""

_HEADER = 3
_SSL_HEADER = 5


class TlvType(enum.IntEnum):
    """The registered types. 0xE0 to 0xEF are for applications, 0xF0 to 0xF7 for experiments."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    NETNS = 0x30


class SslTlvType(enum.IntEnum):
    """The types found inside :attr:`TlvType.SSL`."""

    VERSION = 0x21
    COMMON_NAME = 0x22
    CIPHER = 0x23
    SIGNATURE_ALGORITHM = 0x24
    KEY_ALGORITHM = 0x25


class SslClient(enum.IntFlag):
    """
    What a client did: connected over TLS, showed a certificate on this connection, showed one at least once in its
    TLS session.
    """

    TLS = 0x01
    CERTIFICATE_ON_CONNECTION = 0x02
    CERTIFICATE_IN_SESSION = 0x04


class TlvError(ValueError):
    """The bytes are no sequence of TLVs, or one of them cannot be what its type says; the text is for people."""


@frozen
class Tlv:
    """``type`` is from 0 to 255, not only a registered one."""

    type: int
    value: bytes


@frozen
class ProxySsl:
    """
    What the proxy in front of us says of the client's TLS. ``client`` holds bits of :class:`SslClient`, ``verify``
    is 0 when a certificate was shown and verified.
    """

    client: int
    verify: int
    tlvs: tuple[Tlv, ...] = ()

    def text(self, kind: SslTlvType) -> str | None:
        """The first value of this type, undecodable bytes replaced."""
        return text_of(self.tlvs, kind)

    @property
    def verified(self) -> bool:
        """The client showed a certificate, now or earlier in its session, and it was good."""
        shown = SslClient.CERTIFICATE_ON_CONNECTION | SslClient.CERTIFICATE_IN_SESSION
        return bool(self.client & shown) and self.verify == 0


def value_of(tlvs: Iterable[Tlv], kind: int) -> bytes | None:
    """The value of the first TLV of this type."""
    return next((tlv.value for tlv in tlvs if tlv.type == kind), None)


def text_of(tlvs: Iterable[Tlv], kind: int) -> str | None:
    """The same as text. UTF-8 is what the specification says; proxies copy what their clients sent, so no promise."""
    value = value_of(tlvs, kind)
    return None if value is None else value.decode(errors="replace")


def read_tlvs(data: bytes) -> tuple[Tlv, ...]:
    """Split ``data``, all of which has to be TLVs. Raises :class:`TlvError`."""
    tlvs: list[Tlv] = []
    position = 0
    while position < len(data):
        start = position + _HEADER
        if start > len(data):
            raise TlvError("a TLV ends in the middle of its header")
        kind = data[position]
        position = start + int.from_bytes(data[position + 1 : start], "big")
        if position > len(data):
            raise TlvError(f"the TLV of type 0x{kind:02x} overruns the header")
        tlvs.append(Tlv(kind, data[start:position]))
    return tuple(tlvs)


def write_tlvs(tlvs: Iterable[Tlv]) -> bytes:
    """The opposite of :func:`read_tlvs`. Raises :class:`TlvError` for what does not fit the format."""
    written = bytearray()
    for tlv in tlvs:
        if not 0 <= tlv.type <= 0xFF:
            raise TlvError(f"a TLV's type is from 0 to 255, not {tlv.type}")
        if len(tlv.value) > 0xFFFF:
            raise TlvError(f"the TLV of type 0x{tlv.type:02x} holds more than 65535 bytes")
        written += bytes((tlv.type,)) + len(tlv.value).to_bytes(2, "big") + tlv.value
    return bytes(written)


def read_ssl(value: bytes) -> ProxySsl:
    """The value of :attr:`TlvType.SSL`. Raises :class:`TlvError`."""
    if len(value) < _SSL_HEADER:
        raise TlvError("the SSL TLV is too short")
    return ProxySsl(value[0], int.from_bytes(value[1:_SSL_HEADER], "big"), read_tlvs(value[_SSL_HEADER:]))


def write_ssl(ssl: ProxySsl) -> Tlv:
    """The opposite of :func:`read_ssl`. Raises :class:`TlvError` for what does not fit the format."""
    if not 0 <= ssl.client <= 0xFF or not 0 <= ssl.verify <= 0xFFFFFFFF:
        raise TlvError("what a client did fits one byte, and the outcome of the verification four bytes")
    return Tlv(TlvType.SSL, bytes((ssl.client,)) + ssl.verify.to_bytes(4, "big") + write_tlvs(ssl.tlvs))
